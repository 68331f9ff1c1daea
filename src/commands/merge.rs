//! `fetch merge`: merges the reports or manifests of shards into one.

use super::{conclude, print_note};
use crate::exit::{Exit, ExitStatus};
use crate::plan::MergeCommand;
use crate::report::merge::{MergeCounts, merge};
use crate::streams::{stderr, stdout};

impl ExitStatus for MergeCounts {
    fn exit(&self) -> Exit {
        if self.left_out + self.clashing > 0 || self.rows == 0 {
            Exit::SomeFailed
        } else {
            Exit::Ok
        }
    }
}

pub(super) fn execute(command: &MergeCommand) -> Exit {
    let merged = merge(command, stdout(), &mut stderr());
    if let Ok(counts) = &merged {
        print_note(&counts.to_string());
    }
    conclude(&merged)
}
