//! The sources of a comparison, copied if every sample could not read them otherwise; counts their URLs per host.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use anyhow::Context;
use tempfile::NamedTempFile;

use crate::input::{self, ReadError};
use crate::model::{Entry, host_of};
use crate::plan::{Plan, Source};
use crate::scheduler::is_written_as_loopback;
use crate::streams::stdin;
use crate::temporary_file;

/// Sources that can be read more than once.
pub(super) struct Workload {
    sources: Vec<Source>,
    /// Copies of pipes, which are deleted when this value is dropped.
    copies: Vec<NamedTempFile>,
}

impl Workload {
    /// Copies pipes to temporary files.
    ///
    /// # Errors
    /// If a pipe cannot be read or copied.
    pub(super) fn new(sources: &[Source]) -> anyhow::Result<Self> {
        let mut workload = Self { sources: Vec::new(), copies: Vec::new() };
        for source in sources {
            let source = match source {
                Source::Stdin => workload.copy("standard input", &mut stdin())?,
                Source::File(path) if path.metadata().is_ok_and(|metadata| is_pipe(&metadata)) => {
                    let name = path.display().to_string();
                    let mut pipe = File::open(path).with_context(|| name.clone())?;
                    workload.copy(&name, &mut pipe)?
                }
                Source::File(_) | Source::Argument(_) | Source::RemoteList(_) => source.clone(),
            };
            workload.sources.push(source);
        }
        Ok(workload)
    }

    fn copy(&mut self, name: &str, from: &mut impl Read) -> anyhow::Result<Source> {
        let mut copy = temporary_file::named("fetch-list-")?;
        io::copy(from, &mut copy)
            .with_context(|| format!("cannot copy {name} to a temporary file"))?;
        let source = Source::File(copy.path().to_owned());
        self.copies.push(copy);
        Ok(source)
    }

    /// The sources, as command-line arguments.
    pub(super) fn arguments(&self) -> impl Iterator<Item = OsString> {
        self.sources.iter().map(|source| match source {
            Source::Argument(text) => text.into(),
            Source::File(path) => path.into(),
            Source::Stdin | Source::RemoteList(_) => unreachable!("they were copied, or refused"),
        })
    }

    /// Number of URLs per host, without loopback addresses.
    ///
    /// # Errors
    /// If a list cannot be read.
    pub(super) fn count_remote_urls(&self, plan: &Plan) -> anyhow::Result<BTreeMap<String, u64>> {
        let plan = Plan { sources: self.sources.clone(), ..plan.clone() };
        let mut hosts = BTreeMap::new();
        input::entries(input::open_local(&plan)?, plan.shard, |batch| {
            batch.entries.iter().for_each(|entry| count_remote(entry, &mut hosts));
            Ok::<_, ReadError>(())
        })?;
        Ok(hosts)
    }
}

impl Workload {
    /// Writes the URLs to a file, one per line; of a target with mirrors only the first URL.
    ///
    /// # Errors
    /// If a list cannot be read, or the file cannot be written.
    pub(super) fn url_list(&self, plan: &Plan) -> anyhow::Result<NamedTempFile> {
        let plan = Plan { sources: self.sources.clone(), ..plan.clone() };
        let mut list = BufWriter::new(temporary_file::named("fetch-urls-")?);
        let mut written = Ok(());
        input::entries(input::open_local(&plan)?, plan.shard, |batch| {
            for entry in &batch.entries {
                if let (Entry::Target(target), Ok(())) = (entry, &written) {
                    written = writeln!(list, "{}", target.url());
                }
            }
            Ok::<_, ReadError>(())
        })?;
        written.context("cannot write a temporary file")?;
        list.into_inner().context("cannot write a temporary file")
    }
}

fn is_pipe(metadata: &std::fs::Metadata) -> bool {
    !metadata.is_file() && !metadata.is_dir()
}

fn count_remote(entry: &Entry, hosts: &mut BTreeMap<String, u64>) {
    if let Entry::Target(target) = entry
        && !is_written_as_loopback(target.url())
    {
        *hosts.entry(host_of(target.url()).into_owned()).or_default() += 1;
    }
}
