//! A small file system, for tests of a full disk.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A tmpfs in a mount namespace of its own, so that it needs no root. Dropping it removes it.
pub struct SmallDisk {
    holder: Child,
    folder: TempDir,
}

impl SmallDisk {
    /// A file system of this size, in the syntax of `mount`.
    pub fn of(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = "mount -t tmpfs -o \"size=$1\" tmpfs \"$0\" && echo mounted && exec cat";
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .arg(folder.path())
            .arg(size)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (util-linux) is installed");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(
            line, "mounted\n",
            "no tmpfs can be mounted here, so nothing is proved: this needs user name spaces or root"
        );
        Self { holder, folder }
    }

    /// Its root, by a path that is valid outside its namespace.
    pub fn path(&self) -> PathBuf {
        let root = Path::new("/proc").join(self.holder.id().to_string()).join("root");
        root.join(self.folder.path().strip_prefix("/").unwrap())
    }

    /// The number of free bytes.
    pub fn free(&self) -> u64 {
        let output = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(self.path()).output();
        let output = String::from_utf8(output.unwrap().stdout).unwrap();
        output.split_whitespace().map(|number| number.parse::<u64>().unwrap()).product()
    }

    /// Fills it except for this number of bytes, which is a multiple of the page size. Returns the file to remove to make room
    /// again.
    pub fn fill_but(&self, bytes: u64) -> PathBuf {
        let filler = self.path().join("filler");
        fs::write(&filler, vec![0; (self.free() - bytes) as usize]).unwrap();
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
