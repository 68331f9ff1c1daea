//! Bodies in archives, in every mode: what the records say, what a kill leaves, what another run adds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use flate2::bufread::GzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::http2::Http2Origin;
use crate::support::small_disk::SmallDisk;
use crate::support::tls::Authority;
use crate::support::tools::{output_of, tool};
use crate::support::{End, MODES, Origin, Reply, Request, Run, Seen, holding, in_every_mode};

/// Bytes of a body that does not stay in memory.
const LARGE: usize = 1_200_000;

/// A record of a WARC file.
#[derive(Debug, Clone)]
struct WarcRecord {
    /// The byte at which its member begins.
    offset: usize,
    /// Bytes of its member.
    length: usize,
    fields: Vec<(String, String)>,
    block: Vec<u8>,
}

impl WarcRecord {
    fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn field(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", self.fields))
    }

    fn kind(&self) -> &str {
        self.field("WARC-Type")
    }

    /// The head of the message in it.
    fn head(&self) -> String {
        let end = self.end_of_head();
        String::from_utf8(self.block[..end].to_vec()).unwrap()
    }

    /// The body of the message in it.
    fn body(&self) -> &[u8] {
        &self.block[self.end_of_head()..]
    }

    fn end_of_head(&self) -> usize {
        self.block.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4
    }
}

/// Reads a WARC file by the standard: each record is a gzip member of its own, and has what the standard requires.
fn read_warc(bytes: &[u8]) -> Vec<WarcRecord> {
    let (mut records, mut offset) = (Vec::new(), 0);
    while offset < bytes.len() {
        let mut member = GzDecoder::new(&bytes[offset..]);
        let mut content = Vec::new();
        member.read_to_end(&mut content).expect("a whole member");
        let length = bytes.len() - offset - member.into_inner().len();
        records.push(record_of(&content, offset, length));
        offset += length;
    }
    let ids: BTreeSet<_> = records.iter().map(|record| record.field("WARC-Record-ID")).collect();
    assert_eq!(ids.len(), records.len(), "every record has an ID of its own");
    records
}

fn record_of(content: &[u8], offset: usize, length: usize) -> WarcRecord {
    let end = content.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = str::from_utf8(&content[..end]).unwrap();
    let mut lines = head.split("\r\n");
    assert_eq!(lines.next(), Some("WARC/1.1"));
    let fields: Vec<_> = lines
        .map(|line| line.split_once(": ").expect("a field"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let block = content[end + 4..].strip_suffix(b"\r\n\r\n").expect("the end of a record");
    let record = WarcRecord { offset, length, fields, block: block.to_vec() };
    assert_eq!(record.field("Content-Length"), block.len().to_string());
    assert_eq!(record.field("WARC-Block-Digest"), label(block));
    let id = record.field("WARC-Record-ID");
    assert!(id.starts_with("<urn:uuid:") && id.ends_with('>'), "{id}");
    assert!(record.field("WARC-Date").ends_with('Z'));
    if record.kind() == "response" {
        assert_eq!(record.field("WARC-Payload-Digest"), label(record.body()));
    }
    record
}

fn label(bytes: &[u8]) -> String {
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)))
}

/// Archives of a run, and the server that the bodies come from.
struct Work {
    mode: &'static str,
    folder: TempDir,
    option: &'static str,
}

impl Work {
    fn warc(mode: &'static str) -> Self {
        Self { mode, folder: tempfile::tempdir().unwrap(), option: "--warc" }
    }

    fn tar(mode: &'static str) -> Self {
        Self { option: "--tar", ..Self::warc(mode) }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self) -> Run {
        let run =
            Run::json(self.mode).args(["--jobs", "3", "--retry", "1", "--retry-delay", "1ms"]);
        run.arg(self.option).arg(self.at("crawl"))
    }

    /// A run over these paths.
    fn over(&self, origin: &Origin, paths: &[&str]) -> Run {
        self.run().arg("-").list(urls(origin, paths))
    }

    /// The names of all archives, in order.
    fn archives(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> =
            names.filter(|name| name.ends_with(".warc.gz") || name.ends_with(".tar")).collect();
        names.sort();
        names
    }

    fn records(&self) -> Vec<WarcRecord> {
        let archives = self.archives();
        archives.iter().flat_map(|name| read_warc(&fs::read(self.at(name)).unwrap())).collect()
    }

    /// The records of this kind about this URL.
    fn records_of(&self, kind: &str, url: &str) -> Vec<WarcRecord> {
        let is_it = |record: &WarcRecord| {
            record.kind() == kind && record.get("WARC-Target-URI") == Some(url)
        };
        self.records().into_iter().filter(is_it).collect()
    }

    fn record(&self, kind: &str, url: &str) -> WarcRecord {
        let mut records = self.records_of(kind, url);
        assert_eq!(records.len(), 1, "{kind} {url}: {records:?}");
        records.remove(0)
    }

    fn kinds(&self) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for record in self.records() {
            *kinds.entry(record.kind().to_owned()).or_default() += 1;
        }
        kinds
    }

    fn index(&self) -> Vec<(String, String, Value)> {
        let text = fs::read_to_string(self.at("crawl.cdxj")).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.is_sorted(), "{text}");
        let parse = |line: &&str| {
            let mut parts = line.splitn(3, ' ');
            let mut part = || parts.next().unwrap();
            let (key, time) = (part().to_owned(), part().to_owned());
            (key, time, serde_json::from_str(part()).unwrap())
        };
        lines.iter().map(parse).collect()
    }

    fn verify(&self) -> Seen {
        Run::new().arg("verify").arg(self.at("crawl")).args(["--json"]).seen()
    }

    /// Nothing is left of bodies that were under way.
    fn is_tidy(&self) {
        assert!(!self.at("crawl.fetch/work").exists());
    }
}

fn urls(origin: &Origin, paths: &[&str]) -> String {
    paths.iter().map(|path| origin.url(path) + "\n").collect()
}

/// A body for a path: text that can be compressed, and depends on it.
fn body_of(path: &str) -> Vec<u8> {
    format!("this is {path}\n").repeat(300).into_bytes()
}

/// Bytes that cannot be compressed.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A body that does not stay in memory.
fn large() -> &'static [u8] {
    static LARGE_BODY: LazyLock<Vec<u8>> = LazyLock::new(|| noise(LARGE));
    &LARGE_BODY
}

/// A server with replies of every kind.
fn every_kind(request: &Request) -> Reply {
    match &*request.path {
        "/redirect" => Reply::redirect(302, "/a"),
        "/gone" => Reply::of("404 Not There", "X-Odd: yes\r\n", "it is gone"),
        "/chunked" => Reply::chunked(["first ", "second"]),
        "/empty" => Reply::ok(""),
        "/large" => Reply::ok(large()),
        "/same1" | "/same2" => Reply::ok("the same in both"),
        "/cut" => Reply::ok(body_of("/cut")).but(10, End::Close),
        "/flaky" if request.nth == 0 => Reply::of("503 Busy", "", "later"),
        "/tagged" if request.header("if-none-match") == Some("\"v1\"") => {
            Reply::raw("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n", End::KeepAlive)
        }
        "/tagged" => Reply::of("200 OK", "ETag: \"v1\"\r\nContent-Type: text/plain\r\n", "tagged"),
        path => Reply::of(
            "200 Fine",
            "Content-Type: Text/HTML; charset=utf-8\r\nX-One: 1\r\nX-Two: 2\r\nX-One: 3\r\n",
            body_of(path.split('?').next().unwrap_or(path)),
        ),
    }
}

#[test]
fn a_warc_has_a_request_and_a_response_of_each_url() {
    in_every_mode(|mode| {
        let (work, origin) = (Work::warc(mode), Origin::new(every_kind));
        let seen = work.over(&origin, &["/a", "/empty", "/chunked", "/large"]).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        for row in seen.rows() {
            assert_eq!(
                (&row["outcome"], &row["path"]),
                (&"ok".into(), &"crawl-00000.warc.gz".into())
            );
        }
        assert_eq!(work.archives(), ["crawl-00000.warc.gz"]);
        let records = work.records();
        assert_eq!(records[0].kind(), "warcinfo");
        assert_eq!(records[0].field("WARC-Filename"), "crawl-00000.warc.gz");
        let expected = [("request", 4), ("response", 4), ("warcinfo", 1)];
        assert_eq!(work.kinds(), expected.map(|(kind, count)| (kind.to_owned(), count)).into());

        let response = work.record("response", &origin.url("/a"));
        assert_eq!(response.body(), body_of("/a"));
        assert_eq!(
            response.head(),
            format!(
                "HTTP/1.1 200 Fine\r\ncontent-type: Text/HTML; charset=utf-8\r\nx-one: 1\r\nx-one: 3\r\nx-two: 2\r\n\
                 content-length: {}\r\n\r\n",
                body_of("/a").len()
            )
        );
        assert_eq!(response.field("Content-Type"), "application/http;msgtype=response");
        assert_eq!(response.field("WARC-IP-Address"), "127.0.0.1");
        assert_eq!((response.get("WARC-Truncated"), response.get("WARC-Protocol")), (None, None));
        let request = work.record("request", &origin.url("/a"));
        assert_eq!(request.field("WARC-Concurrent-To"), response.field("WARC-Record-ID"));
        assert_eq!(request.field("Content-Type"), "application/http;msgtype=request");
        assert!(request.head().starts_with("GET /a HTTP/1.1\r\nhost: 127.0.0.1:"), "{request:?}");

        let chunked = work.record("response", &origin.url("/chunked"));
        assert_eq!(chunked.body(), b"first second");
        let head = chunked.head();
        assert!(head.contains("x-archive-orig-transfer-encoding: chunked\r\n"), "{head}");
        assert!(!head.contains("\ntransfer-encoding"), "{head}");
        assert!(work.record("response", &origin.url("/large")).body() == large());
        assert_eq!(work.record("response", &origin.url("/empty")).body(), b"");
        work.is_tidy();
    });
}

#[test]
fn redirects_errors_and_failures_have_records_of_their_own() {
    in_every_mode(|mode| {
        let (work, origin) = (Work::warc(mode), Origin::new(every_kind));
        let (nobody, paths) = ("http://127.0.0.1:9/\n", ["/redirect", "/gone", "/flaky", "/cut"]);
        let run = work.run().args(["--host-patience", "0s"]);
        let seen = run.arg("-").list(urls(&origin, &paths) + nobody).seen();
        assert_eq!(seen.code, Some(1), "{seen:?}");
        let redirect = work.record("response", &origin.url("/redirect"));
        assert!(redirect.head().starts_with("HTTP/1.1 302 Moved\r\n"), "{redirect:?}");
        assert_eq!(redirect.body(), b"moved");
        assert_eq!(work.record("response", &origin.url("/a")).body(), body_of("/a"));
        let gone = work.record("response", &origin.url("/gone"));
        assert!(gone.head().starts_with("HTTP/1.1 404 Not There\r\nx-odd: yes\r\n"), "{gone:?}");
        assert_eq!(gone.body(), b"it is gone");
        let metadata = work.record("metadata", &origin.url("/gone"));
        let text = String::from_utf8(metadata.block.clone()).unwrap();
        assert!(text.contains("errorClass: http_4xx\r\n"), "{text}");
        assert!(text.contains("httpStatus: 404\r\n"), "{text}");

        let flaky = work.records_of("response", &origin.url("/flaky"));
        assert_eq!(flaky.len(), 2);
        assert_eq!(flaky[0].body(), b"later");
        assert!(work.records_of("metadata", &origin.url("/flaky")).is_empty());

        // Only the last of two tries is kept.
        let cut = work.record("response", &origin.url("/cut"));
        assert_eq!(cut.field("WARC-Truncated"), "disconnect");
        let whole = body_of("/cut");
        assert_eq!(cut.body(), &whole[..whole.len() - 10]);
        let metadata = work.record("metadata", &origin.url("/cut"));
        assert_eq!(metadata.field("WARC-Concurrent-To"), cut.field("WARC-Record-ID"));
        let metadata = work.record("metadata", nobody.trim());
        assert!(String::from_utf8_lossy(&metadata.block).contains("errorClass: connect\r\n"));
        assert!(work.records_of("request", nobody.trim()).is_empty());
        work.is_tidy();
    });
}

#[test]
fn a_long_body_of_an_error_is_cut_and_says_so() {
    in_every_mode(|mode| {
        let work = Work::warc(mode);
        let origin = Origin::new(|request| match &*request.path {
            "/told" => Reply::of("404 Gone", "", vec![b'x'; 200_000]),
            _ => {
                let long = "x".repeat(200_000);
                let mut reply = Reply::chunked([&*long]);
                reply.bytes.splice(9..15, *b"404 Go");
                reply
            }
        });
        let seen = work.over(&origin, &["/told", "/untold"]).seen();
        assert_eq!(seen.code, Some(1), "{seen:?}");
        for path in ["/told", "/untold"] {
            let record = work.record("response", &origin.url(path));
            assert_eq!(record.field("WARC-Truncated"), "length", "{path}");
            assert!(record.body().len() < 200_000, "{path}");
        }
    });
}

#[test]
fn a_body_that_is_there_already_is_referred_to() {
    in_every_mode(|mode| {
        let (work, origin) = (Work::warc(mode), Origin::new(every_kind));
        for paths in [["/same1"], ["/same2"]] {
            let seen = work.over(&origin, &paths).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
        }
        let first = work.record("response", &origin.url("/same1"));
        assert!(work.records_of("response", &origin.url("/same2")).is_empty());
        let second = work.record("revisit", &origin.url("/same2"));
        assert!(second.field("WARC-Profile").ends_with("/revisit/identical-payload-digest"));
        assert_eq!(second.field("WARC-Refers-To"), first.field("WARC-Record-ID"));
        assert_eq!(second.field("WARC-Refers-To-Target-URI"), origin.url("/same1"));
        assert_eq!(second.field("WARC-Refers-To-Date"), first.field("WARC-Date"));
        assert_eq!(second.field("WARC-Payload-Digest"), first.field("WARC-Payload-Digest"));
        assert_eq!((second.body().len(), &second.head()[..15]), (0, "HTTP/1.1 200 OK"));

        // In one run.
        let work = Work::warc(mode);
        let run = work.over(&origin, &["/same1", "/same2", "/empty"]).args(["--per-host", "1"]);
        assert_eq!(run.seen().code, Some(0));
        assert_eq!(work.records_of("revisit", &origin.url("/same2")).len(), 1);
        let seen = work.verify();
        assert_eq!(seen.code, Some(0), "{seen:?}");
    });
}

#[test]
fn a_refresh_records_that_nothing_has_changed() {
    in_every_mode(|mode| {
        let (work, origin) = (Work::warc(mode), Origin::new(every_kind));
        assert_eq!(work.over(&origin, &["/tagged"]).seen().code, Some(0));
        let first = work.record("response", &origin.url("/tagged"));
        let seen = work.over(&origin, &["/tagged"]).args(["--refresh"]).seen();
        assert_eq!((seen.code, &seen.row()["outcome"]), (Some(0), &"unchanged".into()), "{seen:?}");
        let second = work.record("revisit", &origin.url("/tagged"));
        assert!(second.field("WARC-Profile").ends_with("/revisit/server-not-modified"));
        assert_eq!(second.field("WARC-Refers-To"), first.field("WARC-Record-ID"));
        assert!(second.head().starts_with("HTTP/1.1 304 Not Modified\r\n"));
        let seen = work.over(&origin, &["/tagged"]).seen();
        assert_eq!(seen.row()["outcome"], "skipped", "{seen:?}");
    });
}

#[test]
fn content_codings_are_kept_and_the_digest_is_that_of_the_content() {
    in_every_mode(|mode| {
        let work = Work::warc(mode);
        let content = body_of("/coded");
        let mut coded = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut coded, &content).unwrap();
        let coded = coded.finish().unwrap();
        let sent = coded.clone();
        let origin = Origin::new(move |_| Reply::of("200 OK", "Content-Encoding: gzip\r\n", &sent));
        let run = work.over(&origin, &["/coded"]).args(["--compressed", "--digest", "sha256"]);
        let seen = run.seen();
        let row = seen.row();
        assert_eq!((seen.code, row["bytes"].as_u64()), (Some(0), Some(content.len() as u64)));
        assert_eq!(row["digest"], label(&content).replace("sha256:", "sha-256="));
        let record = work.record("response", &origin.url("/coded"));
        assert!(record.body() == coded);
        assert!(record.head().contains("content-encoding: gzip\r\n"));
        let seen = work.over(&origin, &["/coded"]).args(["--digest", "sha256"]).seen();
        assert_eq!(seen.row()["outcome"], "skipped", "{seen:?}");
        assert_eq!(seen.row()["digest"], row["digest"]);
        assert_eq!(work.verify().code, Some(0));
    });
}

#[test]
fn secrets_of_requests_are_left_out() {
    in_every_mode(|mode| {
        let (work, origin) = (Work::warc(mode), Origin::new(every_kind));
        let url = origin.url("/a?token=hunter2&x=1").replace("://", "://me:hunter2@");
        let seen = work
            .run()
            .args([
                "-H",
                "X-Api-Key: hunter2",
                "-b",
                "session=hunter2",
                "-H",
                "Accept-Language: de",
                "-e",
                "http://from.test/?token=hunter2",
            ])
            .arg("-")
            .list(url)
            .seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let request = work.record("request", &origin.url("/a?token=***&x=1"));
        let head = request.head();
        assert!(head.starts_with("GET /a?token=***&x=1 HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("accept-language: de\r\n"), "{head}");
        assert!(head.contains("referer: http://from.test/?token=***\r\n"), "{head}");
        for record in work.records() {
            let text = format!("{:?} {}", record.fields, String::from_utf8_lossy(&record.block));
            assert!(!text.contains("hunter2"), "{text}");
        }
        for name in ["crawl.cdxj", "crawl.fetch/manifest.jsonl"] {
            assert!(!fs::read_to_string(work.at(name)).unwrap().contains("hunter2"), "{name}");
        }
    });
}

#[test]
fn a_reply_over_http2_is_written_as_one_of_http1() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    in_every_mode(|mode| {
        let work = Work::warc(mode);
        let origin = Http2Origin::new(&identity, |talk, asked| talk.answer(asked, "hello"));
        let run = work.run().arg("--cacert").arg(authority.file());
        let run = run.args(origin.stands_for("site.test")).arg("https://site.test/x");
        let seen = run.seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        for kind in ["request", "response"] {
            let record = work.record(kind, "https://site.test/x");
            assert_eq!(record.field("WARC-Protocol"), "h2");
        }
        let response = work.record("response", "https://site.test/x");
        assert!(response.head().starts_with("HTTP/1.1 200 OK\r\n"), "{response:?}");
        assert_eq!(response.body(), b"hello");
    });
}

#[test]
fn the_index_says_where_each_response_is() {
    in_every_mode(|mode| {
        let (work, origin) = (Work::warc(mode), Origin::new(every_kind));
        let paths = ["/b?y=2&x=1", "/redirect", "/gone", "/same1"];
        assert_eq!(work.over(&origin, &paths).seen().code, Some(1));
        assert_eq!(work.over(&origin, &["/same2"]).seen().code, Some(0));
        let index = work.index();
        let records = work.records();
        let is_indexed = |record: &&WarcRecord| matches!(record.kind(), "response" | "revisit");
        assert_eq!(index.len(), records.iter().filter(is_indexed).count());
        for (key, time, line) in &index {
            let offset: usize = line["offset"].as_str().unwrap().parse().unwrap();
            let record = records.iter().find(|record| record.offset == offset).unwrap();
            assert_eq!(line["length"], record.length.to_string());
            assert_eq!(line["url"], record.field("WARC-Target-URI"));
            assert_eq!(line["digest"], record.field("WARC-Payload-Digest"));
            assert_eq!(line["filename"], "crawl-00000.warc.gz");
            assert_eq!(line["status"], record.head()[9..12]);
            let digits: String =
                record.field("WARC-Date").chars().filter(char::is_ascii_digit).take(14).collect();
            assert_eq!((&key[..10], time), ("1,0,0,127:", &digits));
            let mime = match record.kind() {
                "revisit" => "warc/revisit",
                _ if record.head().contains("content-type") => "text/html",
                _ => "unk",
            };
            assert_eq!(line["mime"], mime);
        }
        assert!(index.iter().any(|(key, ..)| key.ends_with(")/b?x=1&y=2")), "{index:?}");
    });
}

#[test]
fn another_run_appends_and_fetches_nothing_twice() {
    in_every_mode(|mode| {
        let (work, origin) = (Work::warc(mode), Origin::new(every_kind));
        assert_eq!(work.over(&origin, &["/a", "/b"]).seen().code, Some(0));
        let before = fs::read(work.at("crawl-00000.warc.gz")).unwrap();
        let asked = origin.requests();
        let seen = work.over(&origin, &["/a", "/b"]).seen();
        assert_eq!((seen.code, origin.requests()), (Some(0), asked), "{seen:?}");
        for row in seen.rows() {
            assert_eq!(
                (&row["outcome"], &row["path"]),
                (&"skipped".into(), &"crawl-00000.warc.gz".into())
            );
            assert!(row["bytes"].as_u64() > Some(0));
        }
        assert!(fs::read(work.at("crawl-00000.warc.gz")).unwrap() == before, "nothing is added");
        let seen = work.over(&origin, &["/a", "/c", "/b", "/c"]).seen();
        assert_eq!((seen.code, origin.requests()), (Some(0), asked + 1), "{seen:?}");
        let after = fs::read(work.at("crawl-00000.warc.gz")).unwrap();
        assert!(after.starts_with(&before));
        assert_eq!(work.kinds()["warcinfo"], 2);
        assert_eq!(work.kinds()["response"], 3);
        let dry = work.over(&origin, &["/a", "/d"]).args(["--dry-run"]).seen();
        assert_eq!((dry.code, origin.requests()), (Some(0), asked + 1), "{dry:?}");
        assert!(dry.stdout.contains("skipped"), "{dry:?}");
        let seen = work.over(&origin, &["/a"]).args(["--force"]).seen();
        assert_eq!((seen.code, origin.requests()), (Some(0), asked + 2), "{seen:?}");
        assert_eq!(work.kinds()["revisit"], 1);
    });
}

/// Bodies that cannot be compressed, of this length and their paths, so that no two are alike.
fn noisy_origin(length: usize) -> Origin {
    Origin::new(move |request| {
        let mut body = noise(length);
        body.extend(request.path.bytes());
        Reply::ok(body)
    })
}

#[test]
fn archives_rotate_by_size_and_by_number() {
    in_every_mode(|mode| {
        let work = Work::warc(mode);
        let origin = noisy_origin(40_000);
        let paths: Vec<_> = (0..6).map(|number| format!("/{number}")).collect();
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let run = work.over(&origin, &paths[..4]).args(["--archive-size", "100k"]);
        assert_eq!(run.seen().code, Some(0));
        assert_eq!(work.archives().len(), 2);
        let run = work.over(&origin, &paths).args(["--archive-size", "100k"]);
        assert_eq!(run.seen().code, Some(0));
        assert_eq!(work.archives().len(), 3);
        for name in work.archives() {
            let bytes = fs::read(work.at(&name)).unwrap();
            assert!(bytes.len() <= 102_400, "{name}: {}", bytes.len());
            assert_eq!(read_warc(&bytes)[0].field("WARC-Filename"), name);
        }
        assert_eq!(work.kinds()["response"], 6);

        let work = Work::tar(mode);
        let run = work.over(&origin, &paths).args(["--archive-count", "4"]);
        assert_eq!(run.seen().code, Some(0));
        assert_eq!(work.archives(), ["crawl-00000.tar", "crawl-00001.tar"]);
        assert_eq!(members(&work.at("crawl-00000.tar")).len(), 8);
        assert_eq!(members(&work.at("crawl-00001.tar")).len(), 4);
    });
}

#[test]
fn a_record_whose_original_is_gone_is_as_good_as_none() {
    in_every_mode(|mode| {
        let (work, origin) = (Work::warc(mode), Origin::new(|_| Reply::ok("hello")));
        let run = |paths: &[&str]| {
            let asked = origin.requests();
            let seen = work.over(&origin, paths).args(["--archive-count", "1"]).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            origin.requests() - asked
        };
        let paths = ["/a", "/b", "/c"];
        run(&paths[..1]);
        assert_eq!((run(&paths), run(&paths)), (2, 0));
        assert_eq!((work.archives().len(), work.kinds()["revisit"]), (3, 2));
        fs::remove_file(work.at(&work.archives()[0])).unwrap();
        // The one that is fetched again is the original of the other one from then on.
        assert_eq!((run(&paths[1..2]), run(&paths[2..])), (1, 0));
        assert_eq!((run(&paths), run(&paths)), (1, 0));
        assert_eq!(work.verify().code, Some(0));
    });
}

/// Steps at which a run is killed.
const STEPS: [&str; 6] = [
    "gathered",
    "archive_noted",
    "archive_created",
    "archive_grown",
    "archived",
    "archive_entered",
];

/// Kills a run at every step, and lets another one finish it.
fn killed_at_every_step(set_up: impl Fn(&'static str) -> Work, check: impl Fn(&Work, &Origin)) {
    in_every_mode(|mode| {
        for step in STEPS {
            for nth in if mode == "async" { &[1, 4][..] } else { &[1] } {
                let (work, origin) = (set_up(mode), Origin::new(every_kind));
                let paths = ["/a", "/redirect", "/large", "/gone", "/b", "/same1"];
                let kill = format!("{step}:{nth}");
                let seen = work.over(&origin, &paths).env("FETCH_KILL_AT", &kill).seen();
                let is_killed = seen.code.is_none();
                assert!(is_killed || *nth > 1, "{mode}: nobody came by {kill}: {seen:?}");
                let saved = saved_urls(&work);
                let asked: Vec<_> = origin.take_seen();
                let seen = work.over(&origin, &paths).seen();
                assert_eq!(seen.code, Some(1), "{mode} {kill}: {seen:?}");
                for request in origin.take_seen() {
                    let url = origin.url(&request.path);
                    // The goal of the redirect is asked for again if that of the redirect was not saved.
                    assert!(
                        !saved.contains(&url) || request.path == "/a",
                        "{mode} {kill}: {url} again, after {asked:?}"
                    );
                }
                check(&work, &origin);
                work.is_tidy();
                let seen = work.verify();
                assert_eq!(seen.code, Some(0), "{mode} {kill}: {seen:?}");
            }
        }
    });
}

/// The URLs of bodies that the manifest has.
fn saved_urls(work: &Work) -> BTreeSet<String> {
    let manifest = fs::read_to_string(work.at("crawl.fetch/manifest.jsonl")).unwrap_or_default();
    let entries = manifest.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let saved = entries.filter(|entry| entry["type"] == "archived");
    saved.map(|entry| entry["url"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_warc_of_a_killed_run_is_mended_and_continued() {
    killed_at_every_step(Work::warc, |work, origin| {
        let records = work.records();
        let responses = |path: &str| {
            let url = origin.url(path);
            let is_it = |record: &&WarcRecord| {
                record.kind() == "response" && record.field("WARC-Target-URI") == url
            };
            records.iter().filter(is_it).collect::<Vec<_>>()
        };
        for path in ["/b", "/large", "/same1"] {
            assert_eq!(responses(path).len(), 1, "{path}");
        }
        assert!(responses("/large")[0].body() == large());
        assert!(!responses("/gone").is_empty());
        let is_indexed = |record: &&WarcRecord| matches!(record.kind(), "response" | "revisit");
        assert_eq!(work.index().len(), records.iter().filter(is_indexed).count());
    });
}

#[test]
fn a_tar_of_a_killed_run_is_mended_and_continued() {
    killed_at_every_step(Work::tar, |work, _| {
        let mut names = Vec::new();
        for archive in work.archives() {
            names.extend(members(&work.at(&archive)).into_iter().map(|(name, _)| name));
        }
        names.sort();
        let expected = ["000001", "000002", "000003", "000005", "000006"];
        let expected: Vec<_> = expected
            .iter()
            .flat_map(|key| {
                let extension =
                    if matches!(*key, "000001" | "000002" | "000005") { "html" } else { "bin" };
                [format!("{key}.{extension}"), format!("{key}.json")]
            })
            .collect();
        assert_eq!(names, expected);
    });
}

/// The members of a tar archive: names and contents.
fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let (mut members, mut at) = (Vec::new(), 0);
    while bytes.get(at).is_some_and(|first| *first != 0) {
        let header = &bytes[at..at + 512];
        let text = |range: std::ops::Range<usize>| {
            let field = String::from_utf8(header[range].to_vec()).unwrap();
            field.trim_matches(['\0', ' ']).to_owned()
        };
        assert_eq!(&header[257..265], b"ustar\x0000");
        let sum: u32 = header
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        assert_eq!(u32::from_str_radix(&text(148..156), 8), Ok(sum));
        let length = usize::from_str_radix(&text(124..136), 8).unwrap();
        members.push((text(0..100), bytes[at + 512..at + 512 + length].to_vec()));
        at += 512 + length.next_multiple_of(512);
    }
    assert!(
        bytes[at..].iter().all(|byte| *byte == 0) && bytes.len() == at + 1024,
        "{}",
        bytes.len()
    );
    members
}

#[test]
fn a_tar_has_the_text_of_a_column_beside_each_body() {
    in_every_mode(|mode| {
        let (work, origin) = (Work::tar(mode), Origin::new(every_kind));
        let row = |path: &str, rest: &str| {
            format!("{{\"url\":\"{}\",\"id\":1{rest}}}\n", origin.url(path))
        };
        let list = [
            row("/a", ",\"caption\":\"two\\nlines \u{fc}\""),
            row("/b", ",\"caption\":null"),
            row("/c", ""),
            row("/d", ",\"caption\":[1,\"x\"]"),
            row("/e", ",\"caption\":\"\""),
            row("/gone", ",\"caption\":\"gone\""),
        ];
        for (prefix, carried) in [("alone", &[][..]), ("all", &["--carry", "all"])] {
            let prefix = work.at(prefix);
            let run = Run::json(mode).arg("--tar").arg(&prefix).args(carried);
            let run = run.args(["--text-column", "caption", "--input-format", "jsonl", "-"]);
            let seen = run.list(list.concat()).seen();
            assert_eq!(seen.code, Some(1), "{seen:?}");
            let archive = format!("{}-00000.tar", prefix.display());
            let members = members(Path::new(&archive)).into_iter();
            let texts: Vec<_> = members.filter(|(name, _)| name.ends_with(".txt")).collect();
            let expected = [
                ("000001.txt", "two\nlines \u{fc}"),
                ("000004.txt", "[1,\"x\"]"),
                ("000005.txt", ""),
            ];
            let expected = expected.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
            let texts: BTreeMap<_, _> = texts.into_iter().collect();
            assert_eq!(texts, BTreeMap::from(expected));
            let row = &seen.rows_in_list_order()[0];
            assert_eq!(row["carried"]["caption"], "two\nlines \u{fc}");
            assert_eq!(row["carried"]["id"].is_null(), carried.is_empty());
            let verified = Run::new().arg("verify").arg(&prefix).seen();
            assert_eq!(verified.code, Some(0), "{verified:?}");
            let verified = Run::new().arg("verify").arg(&archive).seen();
            assert_eq!(verified.code, Some(2), "{verified:?}");
            let advice =
                format!("use the prefix of the archives: fetch verify {}", prefix.display());
            assert!(verified.stderr.contains(&advice), "{verified:?}");
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new().inside(folder.path()).args(["--text-column", "a", "--tar", "x", "-"]);
    let seen = run.list("url,b\nhttp://a.test/,1\n").seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(
        seen.stderr.contains("--text-column: no column 'a'; the columns are url, b"),
        "{seen:?}"
    );
    let seen = Run::new().args(["--archive-count", "0", "--tar", "x", "-"]).seen();
    assert!(seen.stderr.contains("expected an integer of at least 1"), "{seen:?}");
    let seen = Run::new().args(["--text-column", "a", "--warc", "x", "http://a.test/"]).seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.stderr.contains("--text-column requires --tar"), "{seen:?}");
}

#[test]
fn a_tar_has_the_body_and_the_record_of_each_url() {
    in_every_mode(|mode| {
        let (work, origin) = (Work::tar(mode), Origin::new(every_kind));
        let seen =
            work.over(&origin, &["/a.jpg", "/gone", "/large", "/x.json", "/redirect"]).seen();
        assert_eq!(seen.code, Some(1), "{seen:?}");
        let members: BTreeMap<_, _> = members(&work.at("crawl-00000.tar")).into_iter().collect();
        let names: Vec<_> = members.keys().map(String::as_str).collect();
        let expected = [
            "000001.jpg",
            "000001.json",
            "000003.bin",
            "000003.json",
            "000004.body.json",
            "000004.json",
            "000005.html",
            "000005.json",
        ];
        assert_eq!(names, expected);
        assert_eq!(members["000001.jpg"], body_of("/a.jpg"));
        assert!(members["000003.bin"] == large());
        assert_eq!(members["000005.html"], body_of("/a"));
        let record: Value = serde_json::from_slice(&members["000001.json"]).unwrap();
        let row = seen.rows_in_list_order().remove(0);
        for name in ["index", "url", "final_url", "outcome", "http_status", "bytes", "content_type"]
        {
            assert_eq!(record[name], row[name], "{name}");
        }
        assert_eq!(
            (&record["path"], &row["path"]),
            (&"000001.jpg".into(), &"crawl-00000.tar".into())
        );
        let asked = origin.requests();
        let again = work.over(&origin, &["/a.jpg", "/large"]).seen();
        assert_eq!((again.code, origin.requests()), (Some(0), asked), "{again:?}");
        assert_eq!(work.verify().code, Some(0));
        work.is_tidy();
    });
}

#[test]
fn damage_is_found_and_mended_by_another_run() {
    for (set_up, option) in [(Work::warc as fn(_) -> _, "--warc"), (Work::tar, "--tar")] {
        let (work, origin): (Work, _) = (set_up("async"), Origin::new(every_kind));
        assert_eq!(work.over(&origin, &["/a", "/large", "/b"]).seen().code, Some(0));
        let path = work.at(&work.archives()[0]);
        let mut bytes = fs::read(&path).unwrap();
        let seen = work.verify();
        assert_eq!((seen.code, seen.summary_of_files()), (Some(0), (3, 3)), "{option} {seen:?}");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let seen = work.verify();
        assert_eq!((seen.code, seen.summary_of_files()), (Some(1), (3, 2)), "{option} {seen:?}");
        let asked = origin.requests();
        let seen = work.over(&origin, &["/a", "/large", "/b"]).seen();
        assert_eq!((seen.code, origin.requests()), (Some(0), asked + 1), "{option} {seen:?}");
        let seen = work.verify();
        assert_eq!((seen.code, seen.summary_of_files()), (Some(0), (3, 3)), "{option} {seen:?}");
        // The body that was mended is in the next archive.
        fs::remove_file(&path).unwrap();
        let seen = work.verify();
        assert_eq!((seen.code, seen.summary_of_files()), (Some(1), (3, 1)), "{option} {seen:?}");
        assert_eq!(work.over(&origin, &["/a", "/large", "/b"]).seen().code, Some(0));
        assert_eq!(work.verify().code, Some(0));
    }
}

#[test]
fn what_stands_behind_all_that_is_known_of_an_archive_is_extra() {
    for set_up in [Work::warc as fn(_) -> _, Work::tar] {
        let (work, origin): (Work, _) = (set_up("async"), Origin::new(every_kind));
        assert_eq!(work.over(&origin, &["/a"]).seen().code, Some(0));
        let extras = || {
            let seen = work.verify();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            let files = seen.objects().into_iter().filter(|object| object["state"] == "extra");
            files.map(|file| (file["path"].clone(), file["bytes"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(extras(), []);
        let name = &work.archives()[0];
        let mut bytes = fs::read(work.at(name)).unwrap();
        let known = match name.ends_with(".tar") {
            true => bytes.len() - 1024,
            false => bytes.len(),
        };
        bytes.extend(b"of others");
        fs::write(work.at(name), &bytes).unwrap();
        let extra = (format!("{name}:{known}").into(), (bytes.len() - known).into());
        assert_eq!(extras(), [extra]);
        // The next run takes it for what a killed one has left.
        assert_eq!(work.over(&origin, &["/a", "/b"]).seen().code, Some(0));
        assert_eq!(extras(), []);
    }
}

impl Seen {
    /// The numbers of all files and of whole ones that `fetch verify` has counted.
    fn summary_of_files(&self) -> (u64, u64) {
        let summary = self.summary();
        (summary["files"].as_u64().unwrap(), summary["ok"].as_u64().unwrap())
    }
}

#[test]
fn what_others_have_put_there_is_let_alone() {
    let (work, origin) = (Work::warc("async"), Origin::new(every_kind));
    fs::write(work.at("crawl-00000.warc.gz"), "mine").unwrap();
    assert_eq!(work.over(&origin, &["/a"]).seen().code, Some(0));
    assert_eq!(fs::read(work.at("crawl-00000.warc.gz")).unwrap(), b"mine");
    let records = read_warc(&fs::read(work.at("crawl-00001.warc.gz")).unwrap());
    assert_eq!(records.len(), 3);

    let work = Work::warc("async");
    fs::write(work.at("crawl.cdxj"), "mine").unwrap();
    let seen = work.over(&origin, &["/a"]).seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.stderr.contains("was not written by fetch; move it away"), "{seen:?}");
    assert_eq!(fs::read(work.at("crawl.cdxj")).unwrap(), b"mine");

    let work = Work::warc("async");
    assert_eq!(work.over(&origin, &["/a"]).seen().code, Some(0));
    for name in ["crawl.cdxj", "crawl-00000.warc.gz", "crawl-00007.warc.gz", "crawl.fetch/x"] {
        let seen = work.over(&origin, &["/b"]).arg("--failed").arg(work.at(name)).seen();
        assert_eq!(seen.code, Some(2), "{name}: {seen:?}");
        assert!(seen.stderr.contains("name another file"), "{name}: {seen:?}");
    }
    let seen = Work { option: "--tar", ..work }.over(&origin, &["/a"]).seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.stderr.contains("of another format"), "{seen:?}");
}

#[test]
fn one_run_at_a_time_writes_archives() {
    let work = Work::warc("async");
    let (origin, arrived, open) = holding(|_| true);
    let mut first = work.over(&origin, &["/a"]).live();
    arrived.pass();
    let seen = work.over(&origin, &["/a"]).seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.stderr.contains("in use by another fetch process"), "{seen:?}");
    open.pass();
    assert!(first.line().contains("\"ok\""));
}

#[test]
fn a_full_disk_is_a_failure_and_leaves_whole_records() {
    for mode in MODES {
        let disk = SmallDisk::of("4M");
        let origin = noisy_origin(500_000);
        let paths: Vec<_> = (0..12).map(|number| format!("/{number}")).collect();
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let run = || Run::json(mode).args(["--jobs", "2", "--warc"]).arg(disk.path().join("crawl"));
        let seen = run().arg("-").list(urls(&origin, &paths)).seen();
        assert_eq!(seen.code, Some(3), "{mode}: {seen:?}");
        assert!(seen.classes_in_list_order().contains(&"disk".to_owned()), "{mode}: {seen:?}");
        let ok = seen.rows().iter().filter(|row| row["outcome"] == "ok").count();
        let records = read_warc(&fs::read(disk.path().join("crawl-00000.warc.gz")).unwrap());
        let responses = records.iter().filter(|record| record.kind() == "response").count();
        assert!(ok > 0 && responses == ok, "{mode}: {ok} {responses}");
    }
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    for (words, option) in [
        (&["--warc", "a", "--dir", "b"][..], "--dir"),
        (&["--warc", "a", "--tar", "b"], "--tar"),
        (&["--tar", "a", "--head"], "--head"),
        (&["--warc", "a", "--split", "4"], "--split"),
        (&["--warc", "a", "-o", "b"], "--output"),
    ] {
        let seen = Run::new().args(words).arg("http://127.0.0.1:9/").seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(seen.stderr.contains(option), "{seen:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let prefix = format!("{}/", folder.path().display());
    let seen = Run::new().args(["--warc", &prefix, "http://127.0.0.1:9/"]).seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.stderr.contains("expected the beginning of a file name"), "{seen:?}");
}

#[test]
#[ignore = "needs warcio and cdxj-indexer (Python), and GNU tar"]
fn programs_of_others_read_the_archives_of_killed_runs() {
    for (number, mode) in (0..12).zip(MODES.iter().cycle()) {
        let (work, origin) = (Work::warc(mode), Origin::new(every_kind));
        let escaped = "/%7Euser/%C3%BC/x%2Fy/%2e/z%25?u=http%3A%2F%2Fa.b%2F&a-b=1&A=%41&a";
        let paths = [
            "/a",
            "/redirect",
            "/large",
            "/gone",
            "/b",
            "/same1",
            "/same2",
            "/chunked",
            "/cut",
            escaped,
        ];
        for nth in 0..4 {
            let step = STEPS[(number + nth) % STEPS.len()];
            let kill = format!("{step}:{}", 1 + 3 * nth);
            let _ = work.over(&origin, &paths).env("FETCH_KILL_AT", kill).seen();
        }
        assert_eq!(work.over(&origin, &paths).seen().code, Some(1));
        let archives: Vec<_> = work.archives().iter().map(|name| work.at(name)).collect();
        output_of(tool("warcio").arg("check").args(&archives));
        let theirs = output_of(tool("cdxj-indexer").arg("-s").args(&archives));
        let theirs: BTreeSet<_> = theirs.lines().map(facts_of).collect();
        let ours = fs::read_to_string(work.at("crawl.cdxj")).unwrap();
        let ours: BTreeSet<_> = ours.lines().map(facts_of).collect();
        assert_eq!(ours, theirs);

        let work = Work::tar(mode);
        for nth in [2, 5] {
            let _ =
                work.over(&origin, &paths).env("FETCH_KILL_AT", format!("archived:{nth}")).seen();
        }
        assert_eq!(work.over(&origin, &paths).seen().code, Some(1));
        let path = work.at("crawl-00000.tar");
        let listed = output_of(Command::new("tar").arg("tf").arg(&path));
        let names: Vec<_> = members(&path).into_iter().map(|(name, _)| name).collect();
        assert_eq!(listed.lines().collect::<Vec<_>>(), names);
        let script = "import sys, tarfile\nfor m in tarfile.open(sys.argv[1]): print(m.name)";
        let listed = output_of(tool("python").args(["-c", script]).arg(&path));
        assert_eq!(listed.lines().collect::<Vec<_>>(), names);
    }
}

/// The key, the time, and where the record is, of a line of an index.
fn facts_of(line: &str) -> (String, String, String, String, String) {
    let mut parts = line.splitn(3, ' ');
    let (key, time) = (parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned());
    let value: Value = serde_json::from_str(parts.next().unwrap()).unwrap();
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    (key, time, text("offset"), text("length"), text("status"))
}

#[test]
fn an_archive_that_has_lost_its_end_is_cut_after_its_last_whole_record() {
    in_every_mode(|mode| {
        for make in [Work::warc, Work::tar] {
            let (work, origin) = (make(mode), Origin::new(every_kind));
            let run = || work.over(&origin, &["/a", "/b"]);
            assert_eq!(run().seen().code, Some(0));
            let first = work.at(&work.archives()[0]);
            let whole = fs::read(&first).unwrap();
            // Of a tar archive, all of its end and a part of the last file.
            let lost = if work.option == "--warc" { 10 } else { 1024 + 600 };
            fs::write(&first, &whole[..whole.len() - lost]).unwrap();
            let seen = run().seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            let mut outcomes: Vec<_> =
                seen.rows().iter().map(|row| row["outcome"].to_string()).collect();
            outcomes.sort();
            assert_eq!(outcomes, ["\"ok\"", "\"skipped\""], "{seen:?}");
            let warning = "bytes that the manifest lists are missing; removed an incomplete record";
            assert!(seen.stderr.contains(warning), "{seen:?}");
            assert_eq!(work.archives().len(), 2);
            // Those who read from the beginning find whole records only.
            if work.option == "--warc" {
                assert_eq!(
                    work.records().iter().filter(|record| record.kind() == "response").count(),
                    2
                );
            } else {
                let names = work.archives().into_iter().map(|name| members(&work.at(&name)).len());
                assert_eq!(names.sum::<usize>(), 4);
            }
            assert_eq!(work.verify().code, Some(0));
            assert!(!run().seen().stderr.contains(warning));
        }
    });
}

#[test]
fn nothing_is_appended_behind_a_damaged_body() {
    in_every_mode(|mode| {
        let (work, origin) = (Work::warc(mode), Origin::new(every_kind));
        let run = || work.over(&origin, &["/a", "/b"]).seen();
        assert_eq!(run().code, Some(0));
        let response = work.record("response", &origin.url("/b"));
        let first = work.at("crawl-00000.warc.gz");
        let mut bytes = fs::read(&first).unwrap();
        bytes[response.offset + response.length / 2] ^= 1;
        fs::write(&first, &bytes).unwrap();
        assert_eq!(work.verify().code, Some(1));
        assert_eq!(run().code, Some(0));
        assert_eq!(fs::read(&first).unwrap().len(), bytes.len());
        let second = read_warc(&fs::read(work.at("crawl-00001.warc.gz")).unwrap());
        let is_new = |record: &&WarcRecord| record.kind() == "response";
        assert_eq!(second.iter().find(is_new).unwrap().body(), body_of("/b"));
        assert_eq!(work.verify().code, Some(0));
        // Who reads by the index does not come to it either.
        let of_url = |path: &str| {
            let lines = work.index().into_iter().map(|(_, _, line)| line);
            let lines = lines.filter(|line| line["url"] == origin.url(path));
            lines.map(|line| line["filename"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(of_url("/a"), ["crawl-00000.warc.gz"]);
        assert_eq!(of_url("/b"), ["crawl-00001.warc.gz"]);
    });
}

#[test]
fn a_tar_has_no_two_samples_of_one_key() {
    in_every_mode(|mode| {
        let (work, origin) = (Work::tar(mode), Origin::new(every_kind));
        let failed = work.at("failed.txt");
        let run = |paths: &[&str], words: &[&str]| {
            let run = work.over(&origin, paths).args(words).arg("--failed").arg(&failed);
            run.seen().code
        };
        assert_eq!(run(&["/a", "/b"], &[]), Some(0));
        assert_eq!(run(&["/a", "/b"], &["--force"]), Some(0));
        assert_eq!(run(&["/c"], &[]), Some(0));
        assert_eq!(run(&["/c", "/d", "/e"], &[]), Some(0));
        assert_eq!(work.archives(), ["crawl-00000.tar", "crawl-00001.tar", "crawl-00002.tar"]);
        for name in work.archives() {
            let names: Vec<_> =
                members(&work.at(&name)).into_iter().map(|(name, _)| name).collect();
            let different: BTreeSet<_> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{name}: {names:?}");
        }
        assert_eq!(work.verify().code, Some(0));
    });
}

#[test]
fn what_failed_is_listed_as_the_target_that_it_is() {
    in_every_mode(|mode| {
        for make in [Work::warc, Work::tar] {
            let later = |request: &Request| match (request.path.as_str(), request.nth) {
                ("/later", 0..2) => Reply::of("503 Busy", "", "later"),
                (path, _) => Reply::ok(body_of(path)),
            };
            let (work, origin) = (make(mode), Origin::new(later));
            let failed = work.at("failed.txt");
            let run = |list: &str| {
                let run = work.run().arg("--failed").arg(&failed).arg("-").list(list);
                run.seen()
            };
            let list = urls(&origin, &["/a", "/later"]);
            assert_eq!(run(&list).code, Some(1));
            let again = fs::read_to_string(&failed).unwrap();
            assert!(again.contains("/later\n") && !again.contains("out="), "{again}");
            assert_eq!(run(&again).code, Some(0));
            let seen = run(&list);
            let outcomes: Vec<_> = seen.rows().iter().map(|row| row["outcome"].clone()).collect();
            assert_eq!(outcomes, ["skipped", "skipped"], "{seen:?}");
        }
    });
}

#[test]
fn no_output_file_replaces_an_archive_its_index_or_its_manifest() {
    let (work, origin) = (Work::warc("async"), Origin::new(every_kind));
    assert_eq!(work.over(&origin, &["/a"]).seen().code, Some(0));
    let report = work.at("run.jsonl");
    let (url, gone) = (origin.url("/a"), origin.url("/gone"));
    let seen = Run::new().arg("--report").arg(&report).arg(&url).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let report = report.to_str().unwrap();
    let before: Vec<_> = TAKEN.map(|name| fs::read(work.at(name)).unwrap()).into();
    const TAKEN: [&str; 3] = ["crawl-00000.warc.gz", "crawl.cdxj", "crawl.fetch/manifest.jsonl"];
    for name in TAKEN {
        let place = work.at(name);
        let place = place.to_str().unwrap();
        for words in [
            &["--failed", place, &gone][..],
            &["--report", place, &gone],
            &["-o", place, &url],
            &["report", report, "--to", place],
            &["merge", report, "--to", place],
        ] {
            let seen = Run::new().args(words).seen();
            assert_eq!(seen.code, Some(2), "{words:?}: {seen:?}");
        }
    }
    let after: Vec<_> = TAKEN.map(|name| fs::read(work.at(name)).unwrap()).into();
    assert!(before == after);
}

#[test]
fn a_dry_run_names_no_file_for_what_goes_to_an_archive() {
    let (work, origin) = (Work::warc("async"), Origin::new(every_kind));
    let prefix = work.at("crawl");
    let run = || Run::new().args(["--dry-run", "--warc"]).arg(&prefix).arg(origin.url("/a")).seen();
    let seen = run();
    assert!(!seen.stdout.contains("->"), "{seen:?}");
    assert_eq!(work.over(&origin, &["/a"]).seen().code, Some(0));
    let seen = run();
    assert!(seen.stdout.contains("-> crawl-00000.warc.gz (already saved)"), "{seen:?}");
}
