//! A partial file, open for writing.

use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::time::SystemTime;

use super::sys;
use crate::store::failpoint;

/// A partial file, open for writing. Not buffered: write in large pieces.
#[derive(Debug)]
pub(crate) struct PartialFile {
    file: File,
}

impl PartialFile {
    pub(super) fn new(file: File) -> Self {
        Self { file }
    }

    /// Allocates disk blocks for `bytes` from the start of the file, so that a full disk is noticed now. The length of
    /// the file does not change. Does nothing if the file system or the platform cannot.
    ///
    /// # Errors
    /// If the disk is full ([`is_full`]), or the file system has no files of this length.
    pub(crate) fn reserve(&self, bytes: u64) -> io::Result<()> {
        failpoint::check("reserve")?;
        if bytes == 0 { Ok(()) } else { sys::reserve(&self.file, bytes) }
    }

    /// The length of the file in bytes. What is written next comes behind them.
    ///
    /// # Errors
    /// If the file system does not report it.
    pub(crate) fn length(&self) -> io::Result<u64> {
        // Quicker than to ask for all of its metadata.
        (&self.file).seek(SeekFrom::End(0))
    }

    /// Sets the modification time. Call it after the last write.
    ///
    /// # Errors
    /// If the file system refuses, such as for a year that it cannot hold.
    pub(crate) fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.file.set_modified(time)
    }

    /// Waits until content, length and times are on the disk.
    ///
    /// # Errors
    /// If they cannot be written. What is on the disk is unknown then, and trying again proves nothing.
    pub(crate) fn sync(&self) -> io::Result<()> {
        failpoint::check("sync")?;
        self.file.sync_all()
    }

    /// Truncates the file to `bytes`, and moves to that end.
    ///
    /// # Errors
    /// If the file system refuses.
    pub(crate) fn cut(&mut self, bytes: u64) -> io::Result<()> {
        failpoint::check("cut")?;
        self.file.set_len(bytes)?;
        self.file.seek(SeekFrom::Start(bytes)).map(drop)
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = failpoint::error_at("write") {
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Some(error) = failpoint::error_at("write") {
            let first = pieces.first().map_or(&[][..], |piece| piece);
            self.file.write_all(&first[..first.len() / 2])?;
            return Err(error);
        }
        self.file.write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Read for PartialFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes)
    }
}

impl Seek for PartialFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Whether an error means that the disk, or this user's quota, is full. A file too large for its file system is another
/// matter: the next file may fit.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
