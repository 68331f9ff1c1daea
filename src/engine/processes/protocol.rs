//! The messages between a parent process and its children, over the child's standard streams. The first, [`ChildInit`], is
//! a line of JSON; every other one is its length in 4 bytes, little-endian, and the message as postcard encodes it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::ExpectedDigests;
use crate::model::{Attempt, Failure, Job, StopCause};
use crate::store::{BodyStart, ChildStoreConfig};
use crate::transfer::{ClientConfig, DecoderNeed, TransferCounts};

/// The first message to a child: its configuration.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChildInit {
    pub client: ClientConfig,
    /// The settings of its store; `None` if bodies are discarded.
    pub store: Option<ChildStoreConfig>,
    /// Whether the secrets of URLs are shown.
    pub shows_secrets: bool,
}

/// A message to a child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToChild {
    /// Carry out this job.
    Task(Box<Task>),
    /// No other task comes: send what is used, [`FromChild::Used`].
    Finish,
    /// End the transfer in progress, for this cause.
    Cancel(StopCause),
    /// The answer to [`FromChild::RequestRate`] with this number: the reader may read; `charged` bytes were charged in
    /// advance.
    RateGranted { number: u64, charged: u64 },
    /// The answer to [`FromChild::ReserveMemory`]. The parent holds the memory until the task is done.
    MemoryReserved,
    /// The answer to [`FromChild::AskForWaiting`]: whether a decoder waits for memory.
    MemoryWanted(bool),
    /// The answer to [`FromChild::ReserveBytes`]: whether the quota covers the bytes.
    BytesReserved(bool),
    /// The answer to [`FromChild::RecordPartial`], sent once the manifest has the entry.
    PartialRecorded(Result<(), Failure>),
}

/// A job, and the digests that its body must have.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub job: Job,
    pub expected: Option<ExpectedDigests>,
}

/// A message from a child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromChild {
    /// The first message: the child is ready for a task, or the reason why it cannot start.
    Ready(Result<(), String>),
    /// The progress of the transfer: body bytes so far, and the expected total (0 if unknown).
    Progress { bytes: u64, promised: u64 },
    /// Asks for leave to read under the byte rate; see `RunServices::wait_for_rate`. Numbered, because an answer may
    /// come too late for the reader that asked.
    RequestRate { number: u64, left: Option<u64> },
    /// See `RunServices::reserve_memory`.
    ReserveMemory(DecoderNeed),
    /// See `RunServices::is_memory_wanted`. The child blocks until the answer.
    AskForWaiting,
    /// See `RunServices::end_turn`.
    EndTurn,
    /// See `RunServices::report_read`.
    ReportRead { bytes: u64, charged: u64 },
    /// See `RunServices::reserve_bytes`. The child blocks until the answer.
    ReserveBytes(u64),
    /// See `PartialRecorder::record_partial`, for the body of the current task. The child blocks until the answer.
    RecordPartial { begin: BodyStart, bytes: u64 },
    /// The task is done.
    Done(Box<TaskResult>),
    /// The answer to [`ToChild::Finish`].
    Used(ChildUsage),
}

/// The result of a task.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TaskResult {
    pub attempt: Box<Attempt>,
    pub usage: ChildUsage,
}

/// What a child has counted and used.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ChildUsage {
    /// What it has counted since it last sent this.
    pub counts: TransferCounts,
    /// Its peak memory so far, bytes; `None` if it is not measured now.
    pub peak_memory: Option<u64>,
}

/// Bytes of the length before a message.
const LENGTH: usize = 4;

/// The longest message in bytes; what is longer is no message.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that most messages have at most, and that are read at once.
const READ: usize = 4096;

/// Encodes the first message to a child.
pub(super) fn encode_init(init: &ChildInit) -> Vec<u8> {
    let mut line = serde_json::to_vec(init).expect("every configuration can be serialized");
    line.push(b'\n');
    line
}

/// Encodes a message with its length.
pub(super) fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(READ);
    encoded.extend([0; LENGTH]);
    let mut encoded = postcard::to_extend(message, encoded).expect("every message can be encoded");
    let length = u32::try_from(encoded.len() - LENGTH).expect("no message has 4 GiB");
    encoded[..LENGTH].copy_from_slice(&length.to_le_bytes());
    encoded
}

/// What was read from a pipe and is not decoded yet.
#[derive(Debug, Default)]
pub(super) struct MessageBuffer {
    bytes: Vec<u8>,
    /// Those of them that are decoded.
    decoded: usize,
}

/// What was read is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoMessage;

impl MessageBuffer {
    /// Where to append what is read. There is room for as much as is read at once.
    pub(super) fn space(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.decoded);
        self.decoded = 0;
        self.bytes.reserve(READ);
        &mut self.bytes
    }

    /// Takes the next message; `None` if it is not there as a whole yet.
    ///
    /// # Errors
    /// If it is not a message of this kind.
    pub(super) fn take<M: DeserializeOwned>(&mut self) -> Result<Option<M>, NoMessage> {
        let unread = &self.bytes[self.decoded..];
        let Some((length, unread)) = unread.split_first_chunk::<LENGTH>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_MESSAGE_BYTES {
            return Err(NoMessage);
        }
        let Some(message) = unread.get(..length) else { return Ok(None) };
        self.decoded += LENGTH + length;
        match postcard::take_from_bytes(message) {
            Ok((message, [])) => Ok(Some(message)),
            _ => Err(NoMessage),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant, SystemTime};

    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::model::test_fixtures::target;
    use crate::model::{
        Assembly, AttemptOutcome, AttemptTimings, CapturedBody, CapturedData, CapturedEnd,
        CapturedExchange, CapturedHeads, CarriedColumns, ExpectedDigest, HttpVersion, JobKind,
        OverwriteRule, PartialBody, QueuedJob, RequestMethod, ResponseHead, SavePlace,
        SavedVersion, Target, TruncationReason, Validator,
    };

    /// A task with nothing but a URL.
    fn bare_task() -> Task {
        let target = target("http://a.test/");
        Task { job: QueuedJob::first(target, None, Instant::now()).request, expected: None }
    }

    fn reply_head() -> ResponseHead {
        ResponseHead {
            status: 206,
            remote_addr: Some("[2001:db8::1]:443".parse().unwrap()),
            content_length: Some(1),
            etag: Some("\"a\"".to_owned()),
            certificate_expires: Some("2026-01-01".into()),
            ..ResponseHead::default()
        }
    }

    fn part() -> PartialBody {
        PartialBody {
            bytes: 4,
            spans: Some(vec![(0, 2), (5, 7)].into()),
            length: Some(9),
            validator: Validator::Etag("\"a\"".to_owned()),
            mirror: 1,
            from: "http://a.test/".to_owned(),
        }
    }

    fn claim() -> ExpectedDigest {
        let digest = format!("sha256={}", "0a".repeat(32)).parse().unwrap();
        ExpectedDigest { digest, by: "repr-digest".to_owned() }
    }

    /// A task in which nothing is left out.
    fn full_task() -> Task {
        let urls =
            ["http://user:p%40ss@a.test:81/a?b#c", "https://[2001:db8::1]/", "http://1.2.3.4"];
        let plain = target(urls[0]);
        let mut target = Target {
            listed: Some("b\u{fc}cher".into()),
            urls: urls.map(|url| url.parse().unwrap()).into(),
            ..plain
        };
        target.options.out = Some("out".to_owned());
        target.options.checksum = Some(claim().digest);
        target.options.id = Some("id".into());
        target.options.carried = CarriedColumns::parse(r#"{"a":[1,null]}"#);
        let mut value = HeaderValue::from_static("secret");
        value.set_sensitive(true);
        target.options.headers.push((HeaderName::from_static("x-key"), value.clone()));
        let place = SavePlace {
            name: "a/b".into(),
            over: OverwriteRule::File,
            noted: true,
            saved: Some(SavedVersion {
                bytes: 7,
                etag: None,
                last_modified: Some("yesterday".to_owned()),
                digest: None,
            }),
            part: Some(part()),
        };
        let mut job = QueuedJob::first(target, Some(place), Instant::now()).request;
        job.kind =
            JobKind::Assemble(Arc::new(Assembly { head: reply_head(), claims: vec![claim()] }));
        job.addresses = Some(["192.0.2.1".parse().unwrap(), "::1".parse().unwrap()].into());
        job.cookie = Some(value);
        let expected = ExpectedDigests { checksum: Some(claim().digest), ..Default::default() };
        Task { job, expected: Some(expected) }
    }

    fn exchange() -> CapturedExchange {
        let heads = CapturedHeads {
            at: SystemTime::UNIX_EPOCH + Duration::from_nanos(1_000_000_001),
            uri: "http://a.test/".to_owned(),
            request: vec![0, 10, 255],
            response: b"HTTP/1.1 200".to_vec(),
            status: 200,
            media_type: Some("text/html".to_owned()),
            version: HttpVersion::Http2,
            address: Some("192.0.2.1".parse().unwrap()),
        };
        let body = CapturedBody {
            bytes: 1,
            payload: vec![2; 32],
            block: vec![3; 32],
            crc: 4,
            plain: 5,
            length: 6,
            data: CapturedData::Memory(vec![0, 255]),
        };
        CapturedExchange { heads, body, ended: CapturedEnd::Broken(TruncationReason::Time) }
    }

    fn attempt(outcome: AttemptOutcome) -> Attempt {
        Attempt {
            outcome,
            head: Some(reply_head()),
            bytes: 1,
            wire_bytes: u64::MAX,
            text: Some(vec![0, 10, 255]),
            begun: true,
            part: Some(part()),
            name: Some("name".into()),
            digests: vec![claim().digest],
            claims: vec![claim()],
            heads: vec!["< HTTP/1.1 200".to_owned()],
            exchange: Some(Box::new(exchange())),
            set_cookies: vec![b"a=b".to_vec()],
            head_by: Some(RequestMethod::Head),
            timings: AttemptTimings {
                connect: Some(Duration::from_nanos(1)),
                first_byte: None,
                total: Duration::from_secs(1),
            },
            worker: 1,
        }
    }

    fn done(attempt: Attempt) -> FromChild {
        let attempt = Box::new(attempt);
        FromChild::Done(Box::new(TaskResult { attempt, usage: ChildUsage::default() }))
    }

    /// Whether these messages are read back as they were written, wherever what is read of them at a time ends.
    fn assert_read_back<M: Serialize + DeserializeOwned>(messages: &[M]) {
        let written: Vec<_> = messages.iter().map(encode).collect();
        let all = written.concat();
        for length in [1, 3, READ, all.len()] {
            let (mut buffer, mut read) = (MessageBuffer::default(), Vec::new());
            for piece in all.chunks(length) {
                buffer.space().extend(piece);
                while let Some(message) = buffer.take::<M>().unwrap() {
                    read.push(encode(&message));
                }
            }
            assert!(read == written, "{length} bytes at a time");
        }
    }

    #[test]
    fn every_message_to_a_child_is_read_back() {
        let recorded = ToChild::PartialRecorded(Err(Failure::Disk("full".to_owned())));
        assert_read_back(&[
            ToChild::Task(Box::new(bare_task())),
            ToChild::Task(Box::new(full_task())),
            ToChild::Cancel(StopCause::Deadline),
            ToChild::RateGranted { number: 1, charged: u64::MAX },
            ToChild::MemoryReserved,
            ToChild::MemoryWanted(true),
            ToChild::BytesReserved(true),
            ToChild::PartialRecorded(Ok(())),
            recorded,
            ToChild::Finish,
        ]);
    }

    #[test]
    fn every_message_from_a_child_is_read_back() {
        let mismatch = Failure::Checksum {
            algorithm: claim().digest.algorithm().name(),
            claimed_by: "the list".to_owned(),
            expected: "00".to_owned(),
            actual: "01".to_owned(),
        };
        let location = Some(b"/\xff".to_vec());
        assert_read_back(&[
            FromChild::Ready(Ok(())),
            FromChild::Ready(Err("why".to_owned())),
            FromChild::Progress { bytes: 1, promised: 0 },
            FromChild::RequestRate { number: 1, left: None },
            FromChild::ReserveMemory(DecoderNeed::Windows(u64::MAX)),
            FromChild::ReserveMemory(DecoderNeed::Turn),
            FromChild::EndTurn,
            FromChild::AskForWaiting,
            FromChild::ReportRead { bytes: 1, charged: 2 },
            FromChild::ReserveBytes(1),
            done(attempt(AttemptOutcome::Whole)),
            done(attempt(AttemptOutcome::Redirect { location })),
            done(attempt(AttemptOutcome::Failed(mismatch))),
            FromChild::Used(ChildUsage { peak_memory: Some(1), ..ChildUsage::default() }),
        ]);
    }

    #[test]
    fn a_url_is_the_same_after_it_was_sent() {
        let task = full_task();
        let mut buffer = MessageBuffer::default();
        buffer.space().extend(encode(&task));
        let read: Task = buffer.take().unwrap().unwrap();
        assert_eq!((&read.job.target, &read.job.url), (&task.job.target, &task.job.url));
        assert_eq!(read.job.cookie.map(|value| value.is_sensitive()), Some(true));
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let whole = encode(&ToChild::Cancel(StopCause::Deadline));
        let longer = [&[3, 0, 0, 0], &whole[LENGTH..], b"x"].concat();
        for bytes in [&b"hello, world\n"[..], &[1, 0, 0, 0, 99], &[0; 4], &longer] {
            let mut buffer = MessageBuffer::default();
            buffer.space().extend(bytes);
            assert!(matches!(buffer.take::<ToChild>(), Err(NoMessage)), "{bytes:?}");
        }
    }
}
