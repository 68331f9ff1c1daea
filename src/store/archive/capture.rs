//! Captures the messages of one attempt for an archive: the heads, and the body in memory or, if it is long, in a file.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use flate2::{Compress, FlushCompress};
use sha2::{Digest, Sha256};

use super::gzip::{deflate, store};
use super::spool_folder::SpoolFolder;
use crate::digest::{self, Algorithm};
use crate::model::{
    AttemptOutcome, CapturedBody, CapturedData, CapturedEnd, CapturedExchange, CapturedHeads,
    Failure, TruncationReason,
};
use crate::plan::ArchiveFormat;
use crate::store::failpoint;
use crate::store::sink::{BodyStart, SinkState};

/// The number of bytes after which the free disk space is checked again.
const FREE_SPACE_INTERVAL: u64 = 16 << 20;

/// The bytes after the block of a record.
const END_OF_RECORD: &[u8] = b"\r\n\r\n";

/// Captures the messages of one attempt.
#[derive(Debug)]
pub(crate) struct ExchangeCapture {
    spool: BodySpool,
    heads: Option<CapturedHeads>,
    is_cut_off: bool,
}

impl ExchangeCapture {
    pub(super) fn new(work: &Arc<SpoolFolder>) -> Self {
        Self { spool: BodySpool::new(Arc::clone(work)), heads: None, is_cut_off: false }
    }

    /// Takes the heads of the messages, before the body.
    pub(crate) fn take_heads(&mut self, heads: CapturedHeads) {
        self.spool.begin_block(&heads);
        self.heads = Some(heads);
    }

    /// Prepares for the body.
    ///
    /// # Errors
    /// If the disk has no room for it.
    pub(crate) fn begin(&mut self, begin: &BodyStart) -> Result<SinkState, Failure> {
        if begin.at > 0 {
            return Ok(SinkState::Lost);
        }
        let length = begin.length.unwrap_or(0);
        self.spool.work.ensure_enough_stays_free(length)?;
        if self.spool.memory.is_empty() && length <= MAX_RESERVED_BYTES {
            // With room for the heads of stored blocks, and the end of the record.
            self.spool.memory.reserve(length as usize + 32);
        }
        Ok(SinkState::Yes)
    }

    /// Takes bytes of the body as they have arrived. A WARC keeps those.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn take_received(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.spool.work.format {
            ArchiveFormat::Warc => self.spool.write(bytes),
            ArchiveFormat::Tar => Ok(()),
        }
    }

    /// Takes bytes of the body as they would be saved to a file. A tar archive keeps those.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn take_decoded(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.spool.work.format {
            ArchiveFormat::Warc => Ok(()),
            ArchiveFormat::Tar => self.spool.write(bytes),
        }
    }

    /// The algorithm of the digest of what [`take_received`](Self::take_received) takes; `None` if there is none.
    pub(crate) fn payload_algorithm(&self) -> Option<Algorithm> {
        (self.spool.work.format == ArchiveFormat::Warc).then_some(Algorithm::Sha256)
    }

    /// The digest of the bytes so far.
    pub(crate) fn payload_digest(&self) -> Option<digest::Digest> {
        let digest = self.spool.payload.clone().finalize();
        digest::Digest::new(self.payload_algorithm()?, &digest)
    }

    /// Notes that the rest of the body is not read.
    pub(crate) fn cut_off(&mut self) {
        self.is_cut_off = true;
    }

    /// The messages, after an attempt with this outcome; `None` if there was no reply, or it is not to be archived.
    ///
    /// # Errors
    /// If the end of the body cannot be written.
    pub(crate) fn into_exchange(
        self,
        outcome: &AttemptOutcome,
    ) -> Result<Option<Box<CapturedExchange>>, Failure> {
        let Some(heads) = self.heads else { return Ok(None) };
        let Some(ended) = body_end(outcome, self.is_cut_off) else { return Ok(None) };
        let body = self.spool.finish()?;
        Ok(Some(Box::new(CapturedExchange { heads, body, ended })))
    }
}

/// How a body has ended; `None` if it is not to be archived.
fn body_end(outcome: &AttemptOutcome, is_cut_off: bool) -> Option<CapturedEnd> {
    let failure = match outcome {
        AttemptOutcome::Failed(failure) => failure,
        _ if is_cut_off => return Some(CapturedEnd::CutOff),
        _ => return Some(CapturedEnd::Whole),
    };
    let reason = match failure {
        Failure::Status(_)
        | Failure::ExplainedStatus { .. }
        | Failure::RateLimited { .. }
        | Failure::NotAccepted(_) => {
            return Some(if is_cut_off { CapturedEnd::CutOff } else { CapturedEnd::Whole });
        }
        // A reply of the proxy, or a body other than the expected one.
        Failure::ProxyStatus(_) | Failure::Checksum { .. } => return None,
        Failure::TooLarge { .. } | Failure::TooDense { .. } | Failure::Quota { .. } => {
            TruncationReason::Length
        }
        Failure::Timeout(_) | Failure::Stalled(_) | Failure::TooSlow { .. } => {
            TruncationReason::Time
        }
        Failure::Reset(_) | Failure::Truncated { .. } => TruncationReason::Disconnect,
        Failure::Dns { .. }
        | Failure::HostDown(_)
        | Failure::HostRefused(_)
        | Failure::Robots
        | Failure::Connect(_)
        | Failure::Pinned(_)
        | Failure::BlockedAddress(_)
        | Failure::Tls(_)
        | Failure::Proxy(_)
        | Failure::ProxyLost(_)
        | Failure::Protocol(_)
        | Failure::Redirect(_)
        | Failure::Name(_)
        | Failure::Disk(_)
        | Failure::Worker(_)
        | Failure::Cancelled(_)
        | Failure::InvalidUrl(_) => TruncationReason::Unspecified,
    };
    Some(CapturedEnd::Broken(reason))
}

/// Bytes at the beginning of a body that show whether it can be compressed; fewer are too few to tell.
const PROBE_BYTES: usize = 512;

/// The longest body for which memory is reserved before it arrives, in bytes.
const MAX_RESERVED_BYTES: u64 = 64 * 1024;

/// Whether the bytes at the beginning of a body look compressed or encrypted: two of them are hardly more often equal than two
/// random bytes are.
fn is_dense(bytes: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..PROBE_BYTES) else { return false };
    let mut counts = [0_u64; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let equal_pairs: u64 = counts.iter().map(|count| count * count.saturating_sub(1)).sum();
    let all_pairs = bytes.len() as u64 * (bytes.len() as u64 - 1);
    // Of random bytes, one pair in 256 is equal; of text, one in 20.
    equal_pairs < all_pairs / 200
}

/// The body so far, encoded, with its digests.
#[derive(Debug)]
struct BodySpool {
    work: Arc<SpoolFolder>,
    /// `None` before the first byte, and if the body is not compressed.
    compressor: Option<Compress>,
    /// Whether compression would be of no use, judged by the first bytes.
    is_dense: bool,
    memory: Vec<u8>,
    file: Option<SpoolFile>,
    payload: Sha256,
    block: Sha256,
    crc: crc32fast::Hasher,
    bytes: u64,
    next_space_check: u64,
}

/// A file with the encoded bytes so far. It is removed unless it is handed over.
#[derive(Debug)]
struct SpoolFile {
    work: Arc<SpoolFolder>,
    file: File,
    name: String,
    length: u64,
    is_handed_over: bool,
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        if !self.is_handed_over {
            self.work.remove(&self.name);
        }
    }
}

impl BodySpool {
    fn new(work: Arc<SpoolFolder>) -> Self {
        let (compressor, is_dense, memory, file, payload, block, crc, bytes) = Default::default();
        Self {
            work,
            compressor,
            is_dense,
            memory,
            file,
            payload,
            block,
            crc,
            bytes,
            next_space_check: FREE_SPACE_INTERVAL,
        }
    }

    /// Begins the digest of the record's block with the head of the reply.
    fn begin_block(&mut self, heads: &CapturedHeads) {
        if self.work.format == ArchiveFormat::Warc {
            self.block.update(&heads.response);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.payload.update(bytes);
        if self.work.format == ArchiveFormat::Warc {
            self.block.update(bytes);
        }
        self.bytes += bytes.len() as u64;
        self.encode(bytes, FlushCompress::None)?;
        failpoint::hit("gathered");
        if self.bytes >= self.next_space_check {
            self.next_space_check = self.bytes + FREE_SPACE_INTERVAL;
            self.work.ensure_enough_stays_free(0)?;
        }
        Ok(())
    }

    fn encode(&mut self, bytes: &[u8], flush: FlushCompress) -> Result<(), Failure> {
        match self.work.format {
            ArchiveFormat::Tar => self.memory.extend_from_slice(bytes),
            ArchiveFormat::Warc => {
                self.crc.update(bytes);
                self.deflate(bytes, flush).map_err(|error| self.work.failure(&error))?;
            }
        }
        if self.memory.len() > self.work.max_in_memory {
            self.flush_to_file().map_err(|error| self.work.failure(&error))?;
        }
        Ok(())
    }

    fn deflate(&mut self, bytes: &[u8], flush: FlushCompress) -> io::Result<()> {
        if self.compressor.is_none() && self.bytes == bytes.len() as u64 {
            self.is_dense = is_dense(bytes);
        }
        if self.is_dense {
            store(bytes, flush == FlushCompress::Finish, &mut self.memory);
            return Ok(());
        }
        let compressor = self.compressor.get_or_insert_with(|| self.work.compressors.take());
        deflate(compressor, bytes, flush, &mut self.memory)
    }

    fn flush_to_file(&mut self) -> io::Result<()> {
        failpoint::check("gather")?;
        if self.file.is_none() {
            let (file, name) = self.work.create()?;
            let (work, length, is_handed_over) = (Arc::clone(&self.work), 0, false);
            self.file = Some(SpoolFile { work, file, name, length, is_handed_over });
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.file.write_all(&self.memory)?;
        file.length += self.memory.len() as u64;
        self.memory.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<CapturedBody, Failure> {
        let mut plain = self.bytes;
        if self.work.format == ArchiveFormat::Warc {
            self.encode(END_OF_RECORD, FlushCompress::Finish)?;
            plain += END_OF_RECORD.len() as u64;
        }
        if let Some(compressor) = self.compressor.take() {
            self.work.compressors.put(compressor);
        }
        if self.file.is_some() {
            self.flush_to_file().map_err(|error| self.work.failure(&error))?;
        }
        let (length, data) = match self.file.take() {
            None => (self.memory.len() as u64, CapturedData::Memory(self.memory)),
            Some(mut file) => {
                file.is_handed_over = true;
                (file.length, CapturedData::File(file.name.clone()))
            }
        };
        Ok(CapturedBody {
            bytes: self.bytes,
            payload: self.payload.finalize().to_vec(),
            block: self.block.finalize().to_vec(),
            crc: self.crc.finalize(),
            plain,
            length,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_dense_if_its_bytes_are_spread_as_random_ones() {
        let random: Vec<u8> = Sha256::digest(b"0").iter().copied().cycle().take(32).collect();
        let random: Vec<u8> =
            (0..128u8).flat_map(|n| Sha256::digest([&random[..], &[n]].concat())).collect();
        for length in [512, 1024, 2000, 4096] {
            assert!(is_dense(&random[..length]), "{length}");
        }
        let base64 = data_encoding::BASE64.encode(&random);
        let text = include_str!("capture.rs");
        for plain in [&random[..511], base64.as_bytes(), text.as_bytes(), &[0; 5000], b""] {
            assert!(!is_dense(plain), "{} bytes", plain.len());
        }
    }
}
