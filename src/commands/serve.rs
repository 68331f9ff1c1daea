//! `fetch serve`: runs the local test server until it is killed, or until standard input ends.

use std::future::pending;
use std::io::{self, Write};
use std::thread;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::conclude;
use crate::exit::Exit;
use crate::serve::{self, Options, Until};
use crate::streams::{stdin, stdout};

pub(super) fn execute(options: Options) -> Exit {
    conclude(&run(options))
}

fn run(options: Options) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let until = options.until;
    runtime.block_on(async {
        let origin = serve::bind(options).await?;
        writeln!(stdout(), "Listening on http://{}", origin.address())?;
        match until {
            Until::Forever => origin.serve(pending()).await,
            Until::EndOfInput => origin.serve(end_of_input()?).await,
        }
    })
}

/// Resolves when standard input ends or cannot be read.
fn end_of_input() -> io::Result<impl Future<Output = ()>> {
    let (sender, ended) = oneshot::channel();
    thread::Builder::new().name("input".into()).spawn(move || {
        let _ = io::copy(&mut stdin(), &mut io::sink());
        sender.send(())
    })?;
    Ok(async move { drop(ended.await) })
}
