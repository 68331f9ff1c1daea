//! The lock of a directory on a file system without `flock` (some network and FUSE ones): a file that is created
//! exclusively, lists the processes that use the directory, and is removed at the end.
//!
//! A file that a killed run left must not lock for ever. It is taken over if its processes are known to be gone: they
//! ran on this host, in this process namespace, and no process with their number and start time is left. Only one
//! process at a time takes over, under a second file of that kind; so no two can remove each other's lock.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

use cap_std::fs::{Dir, OpenOptions};
use rustix::process::{Pid, getpid, test_kill_process};
use serde::{Deserialize, Serialize};

/// The name of the file in the `.fetch` directory.
pub(super) const NAME: &str = "lock.held";

/// The name of the file under which a process takes over the lock of one that is gone.
const TAKEOVER: &str = "lock.takeover";

/// Bytes of the file that are read.
const MAX_BYTES: u64 = 1 << 20;

/// How often, and how many times, child processes of a run that was killed are waited for.
const CHILD_WAIT: (Duration, u32) = (Duration::from_millis(50), 100);

/// The process namespace of a Linux system that is in no container.
const INITIAL_NAMESPACE: &str = "pid:[4026531836]";

/// A held lock file. Removed when dropped.
#[derive(Debug)]
pub(super) struct LockFile {
    dir: Dir,
}

/// Why a lock file could not be taken.
#[derive(Debug)]
pub(super) enum LockFileError {
    /// Other processes hold it, or may hold it. The first is named.
    Held(String),
    /// It cannot be created or read.
    Io(io::Error),
}

impl From<io::Error> for LockFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A process that uses the directory: one line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    host: Option<String>,
    /// Identifies the start of the system.
    boot: Option<String>,
    /// The namespace in which the number is valid.
    namespace: Option<String>,
    pid: i32,
    /// When it started, in clock ticks since the start of the system.
    started: Option<String>,
}

/// What is known about a process that holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HolderState {
    /// It has ended.
    Gone,
    /// It runs.
    Alive,
    /// It runs on another host, or in another container.
    Unknown,
}

impl LockFile {
    /// Takes the lock in `dir`, the `.fetch` directory.
    pub(super) fn take(dir: &Dir) -> Result<Self, LockFileError> {
        if let Some(lock) = Self::create(dir)? {
            return Ok(lock);
        }
        let _takeover = create_new(dir, TAKEOVER)?
            .map(|_| RemoveOnDrop { dir })
            .ok_or_else(|| LockFileError::Held("another process takes it over".to_owned()))?;
        for _ in 0..CHILD_WAIT.1 {
            let Some(holders) = read(dir)? else { break };
            match holders.split_first() {
                None => return Err(LockFileError::Held("unknown process".to_owned())),
                Some((run, children)) if run.state() != HolderState::Gone => {
                    let _ = children;
                    return Err(LockFileError::Held(run.described()));
                }
                Some((_, children)) => {
                    let busy = children.iter().find(|child| child.state() != HolderState::Gone);
                    let Some(child) = busy else {
                        dir.remove_file(NAME)?;
                        break;
                    };
                    if child.state() == HolderState::Unknown {
                        return Err(LockFileError::Held(child.described()));
                    }
                    // It ends as soon as it notices that its parent is gone.
                    thread::sleep(CHILD_WAIT.0);
                }
            }
        }
        let held = || LockFileError::Held("another process was faster".to_owned());
        Self::create(dir)?.ok_or_else(held)
    }

    /// Creates the file; `None` if it exists.
    fn create(dir: &Dir) -> io::Result<Option<Self>> {
        let Some(mut file) = create_new(dir, NAME)? else { return Ok(None) };
        let lock = Self { dir: dir.try_clone()? };
        file.write_all(&Holder::this_process().line()?)?;
        Ok(Some(lock))
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // One that stays is taken over by the next run.
        let _ = self.dir.remove_file(NAME);
    }
}

struct RemoveOnDrop<'a> {
    dir: &'a Dir,
}

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        let _ = self.dir.remove_file(TAKEOVER);
    }
}

/// Adds this process, a child of the run that holds the lock, to the file if there is one.
///
/// # Errors
/// If it cannot be written.
pub(super) fn add_child(dir: &Dir) -> io::Result<()> {
    match dir.open_with(NAME, OpenOptions::new().append(true)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        file => file?.write_all(&Holder::this_process().line()?),
    }
}

/// Creates a file; `None` if it exists.
fn create_new(dir: &Dir, name: &str) -> io::Result<Option<File>> {
    match dir.open_with(name, OpenOptions::new().write(true).create_new(true)) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        file => Ok(Some(file?.into_std())),
    }
}

/// The processes in the file, up to a line that is incomplete; `None` if there is no file.
fn read(dir: &Dir) -> io::Result<Option<Vec<Holder>>> {
    let file = match dir.open(NAME) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    let holders = text.lines().map_while(|line| serde_json::from_str(line).ok());
    Ok(Some(holders.collect()))
}

impl Holder {
    /// This process.
    pub(super) fn this_process() -> Self {
        let pid = getpid();
        Self {
            host: system_text("/proc/sys/kernel/hostname"),
            boot: system_text("/proc/sys/kernel/random/boot_id"),
            namespace: fs::read_link("/proc/self/ns/pid")
                .ok()
                .and_then(|link| link.into_os_string().into_string().ok()),
            pid: pid.as_raw_nonzero().get(),
            started: start_of(pid),
        }
    }

    fn line(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }

    /// The process, for people.
    pub(super) fn described(&self) -> String {
        let host = self.host.as_deref().unwrap_or("an unknown host");
        format!("process {} on {host}", self.pid)
    }

    /// What is known about it.
    pub(super) fn state(&self) -> HolderState {
        let here = Self::this_process();
        if self.host.is_none() || self.host != here.host || self.namespace != here.namespace {
            return HolderState::Unknown;
        }
        if self.boot != here.boot {
            // Containers of one name may run on several machines.
            let is_system = self.namespace.as_deref() == Some(INITIAL_NAMESPACE);
            return if is_system { HolderState::Gone } else { HolderState::Unknown };
        }
        let Some(pid) = Pid::from_raw(self.pid) else { return HolderState::Unknown };
        match test_kill_process(pid) {
            Err(rustix::io::Errno::SRCH) => HolderState::Gone,
            _ if start_of(pid) != self.started => HolderState::Gone,
            _ => HolderState::Alive,
        }
    }
}

fn system_text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

/// When a process started: field 22 of its `stat`, counted from behind the name, which may have spaces. `None` if the
/// system does not say, or the process is a zombie.
fn start_of(pid: Pid) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use tempfile::TempDir;

    use super::*;

    fn folder() -> (TempDir, Dir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        (folder, dir)
    }

    /// The result of taking a lock whose file has these lines.
    fn taken_with(holders: &[Holder]) -> Result<LockFile, LockFileError> {
        let (folder, dir) = folder();
        let lines: Vec<_> = holders.iter().flat_map(|holder| holder.line().unwrap()).collect();
        fs::write(folder.path().join(NAME), lines).unwrap();
        let lock = LockFile::take(&dir);
        assert!(!folder.path().join(TAKEOVER).exists());
        lock
    }

    /// A process that has the number of this one and started at another time.
    fn gone() -> Holder {
        Holder { started: Some("0".to_owned()), ..Holder::this_process() }
    }

    #[test]
    fn a_lock_file_is_held_by_one_at_a_time_and_removed_at_the_end() {
        let (folder, dir) = folder();
        let lock = LockFile::take(&dir).unwrap();
        assert!(matches!(LockFile::take(&dir), Err(LockFileError::Held(_))));
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_lock_file_is_taken_over_only_if_its_processes_are_known_to_be_gone() {
        let elsewhere = Holder { host: Some("other".to_owned()), ..gone() };
        let contained = Holder { namespace: Some("pid:[1]".to_owned()), ..gone() };
        let alive = Holder::this_process();
        assert!(taken_with(&[gone()]).is_ok());
        assert!(taken_with(&[gone(), gone()]).is_ok());
        for held in [
            &[alive][..],
            std::slice::from_ref(&elsewhere),
            &[contained],
            &[gone(), elsewhere.clone()],
            &[],
        ] {
            assert!(matches!(taken_with(held), Err(LockFileError::Held(_))), "{held:?}");
        }
    }
}
