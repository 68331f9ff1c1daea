//! Lists at URLs (`--input URL`): each is fetched like any other URL, by a run of its own, into a temporary directory, and
//! read while it arrives. So it has the credentials, proxies, TLS settings, host limits and retries of all URLs, and memory
//! use is constant.
//!
//! A retry that continues the body appends to the file that is being read. One that starts over writes a new file; what
//! was read already is compared with it, because its entries are targets already.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use super::{RunError, run_with};
use crate::engine::CancelToken;
use crate::model::{Outcome, RequestMethod, StopCause};
use crate::plan::{
    BodyOptions, Durability, ExistingPolicy, FailureLimits, ForeignFilePolicy, ListOptions,
    NameSource, NamingScheme, Plan, ProgressChoice, ReportFile, ReportFormat, SaveOptions, Source,
    Strategy, Verbosity,
};
use crate::report::replay::first_record;
use crate::report::{OutputStream, Outputs};

/// How often a list is checked for more bytes.
const POLL: Duration = Duration::from_millis(20);

/// The lists at URLs of a run. Dropping this ends their transfers, and removes the files.
#[derive(Debug, Default)]
pub(crate) struct RemoteLists {
    cancel: CancelToken,
    folders: Vec<TempDir>,
}

impl Drop for RemoteLists {
    fn drop(&mut self) {
        self.cancel.abort(StopCause::ReaderGone);
    }
}

impl RemoteLists {
    /// The list at a URL. It is requested when it is first read.
    ///
    /// # Errors
    /// If there is no temporary directory.
    pub(crate) fn open(&mut self, url: &Url, plan: &Plan) -> io::Result<RemoteList> {
        let folder = tempfile::Builder::new().prefix("fetch-list-").tempdir()?;
        let list = RemoteList {
            plan: Some(list_plan(url, plan, folder.path())),
            cancel: self.cancel.clone(),
            folder: folder.path().to_owned(),
            download: None,
            result: None,
            file: None,
        };
        self.folders.push(folder);
        Ok(list)
    }
}

/// The plan of the run that fetches a list: the rules of `plan`, one URL, and only a report that is read here.
fn list_plan(url: &Url, plan: &Plan, folder: &Path) -> Plan {
    let mut list = plan.clone();
    list.sources = vec![Source::Argument(url.to_string())];
    list.lists = ListOptions::default();
    list.shard = None;
    list.strategy = Strategy::Tasks { jobs: NonZeroUsize::MIN, loops: NonZeroUsize::MIN };
    list.timeouts.deadline = None;
    list.failure_limits = FailureLimits { most: None };
    list.bodies = BodyOptions { coding: plan.bodies.coding, ..BodyOptions::default() };
    list.http.method = RequestMethod::Get;
    list.http.accept.clear();
    list.cookies.files.extend(list.cookies.jar.take().filter(|jar| jar.exists()));
    list.keep = Some(SaveOptions {
        dir: body_dir(folder),
        names: NamingScheme::Flat,
        named_by: NameSource::List,
        again: ExistingPolicy::Force,
        foreign: ForeignFilePolicy::Stays,
        durability: Durability::Process,
        min_free: None,
        patience: Duration::ZERO,
    });
    (list.output, list.failed) = (None, None);
    list.documents = vec![ReportFile { path: report_path(folder), kind: ReportFormat::Jsonl }];
    list.report.verbosity = Verbosity::Silent;
    list.report.progress = ProgressChoice::Never;
    list
}

/// The directory that the list is saved in.
fn body_dir(folder: &Path) -> PathBuf {
    folder.join("list")
}

/// The report of the run that fetches the list.
fn report_path(folder: &Path) -> PathBuf {
    folder.join("report.jsonl")
}

/// A list that is being fetched.
pub(crate) struct RemoteList {
    /// The plan that fetches it; `None` once it was started.
    plan: Option<Plan>,
    cancel: CancelToken,
    folder: PathBuf,
    download: Option<JoinHandle<Result<(), RunError>>>,
    /// How the transfer ended; `None` while it runs.
    result: Option<Result<(), String>>,
    file: Option<ReceivedFile>,
}

/// A file that is being written.
struct ReceivedFile {
    file: File,
    inode: u64,
    /// Bytes that were read.
    read: u64,
    /// The file before this one, and how many of the bytes that were read from it are still to be compared.
    before: Option<(File, u64)>,
}

impl Read for RemoteList {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.start()?;
        loop {
            // In this order: after the end of the transfer, the file is complete.
            self.check_end();
            self.open_newest_file()?;
            if let Some(file) = &mut self.file
                && let length @ 1.. = file.read(buffer)?
            {
                return Ok(length);
            }
            match &self.result {
                Some(Ok(())) if self.is_compared() => return Ok(0),
                Some(Ok(())) => return Err(changed()),
                Some(Err(reason)) => return Err(unreadable(reason)),
                None => thread::sleep(POLL),
            }
        }
    }
}

impl RemoteList {
    fn start(&mut self) -> io::Result<()> {
        let Some(plan) = self.plan.take() else { return Ok(()) };
        let cancel = self.cancel.clone();
        let work = move || {
            let stream = || OutputStream {
                writer: Box::new(io::sink()),
                is_terminal: false,
                colours: false,
            };
            let (stdout, stderr) = (stream(), stream());
            let outputs = Outputs { stdout, stderr, is_one: true, body_to_terminal: false };
            // Its warnings are those of the run that reads the list.
            run_with(&plan, outputs, &cancel, |_| ()).map(drop)
        };
        self.download = Some(thread::Builder::new().name("list".into()).spawn(work)?);
        Ok(())
    }

    fn check_end(&mut self) {
        if self.download.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(download) = self.download.take()
        {
            self.result = Some(match download.join() {
                Ok(Ok(())) => self.outcome(),
                Ok(Err(RunError::Usage(error) | RunError::Fatal(error))) => {
                    Err(format!("{error:#}"))
                }
                Err(_) => Err("its transfer broke off".to_owned()),
            });
        }
    }

    /// How the transfer ended, by its record.
    fn outcome(&self) -> Result<(), String> {
        let record = first_record(&report_path(&self.folder)).map_err(|error| error.to_string())?;
        match record {
            Some(record) if record.outcome == Outcome::Ok => Ok(()),
            Some(record) => Err(record.error.map_or_else(String::new, |error| error.message)),
            None => Err("it was not requested".to_owned()),
        }
    }

    /// Opens the file that the body is written to, if there is one and it is not open yet.
    fn open_newest_file(&mut self) -> io::Result<()> {
        let Some(path) = body_in(&body_dir(&self.folder)) else { return Ok(()) };
        // It may be renamed meanwhile.
        let Ok(file) = File::open(path) else { return Ok(()) };
        let inode = file.metadata()?.ino();
        match &mut self.file {
            Some(known) if known.inode == inode => {}
            Some(known) if known.before.is_some() => return Err(changed()),
            Some(known) => {
                let before = std::mem::replace(&mut known.file, file);
                io::Seek::rewind(&mut &before)?;
                (known.inode, known.before) = (inode, Some((before, known.read)));
            }
            None => self.file = Some(ReceivedFile { file, inode, read: 0, before: None }),
        }
        Ok(())
    }

    /// Whether all that was read from an earlier file has been compared.
    fn is_compared(&self) -> bool {
        self.file.as_ref().is_none_or(|file| file.before.is_none())
    }
}

impl ReceivedFile {
    /// Reads new bytes, after those read from an earlier file are found to be the same.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((before, left @ 1..)) = &mut self.before {
            let max = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
            let length = self.file.read(&mut buffer[..max])?;
            if length == 0 {
                return Ok(0);
            }
            let mut known = vec![0; length];
            before.read_exact(&mut known)?;
            if known != buffer[..length] {
                return Err(changed());
            }
            *left -= length as u64;
        }
        self.before = None;
        let length = self.file.read(buffer)?;
        self.read += length as u64;
        Ok(length)
    }
}

fn changed() -> io::Error {
    unreadable("the list has changed while it was read; run the same command again")
}

/// An error of a kind that no decoder returns.
fn unreadable(reason: &str) -> io::Error {
    io::Error::new(ErrorKind::NotConnected, reason)
}

/// The file of the body, complete or not, in the directory that it is saved in.
fn body_in(dir: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let mut files = files.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.next().map(|entry| entry.path())
}
