//! A server of many resources, each of which follows a script of its own: what is sent, cut, refused, redirected or
//! told wrongly about each request. What it tells wrongly contradicts itself or what it told before; a server that
//! tells an untruth without a contradiction cannot be found out, and is not one of these.

use std::sync::{Arc, Mutex, MutexGuard};

use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::coded::gzip;
use crate::support::versions::{asked_span, body};
use crate::support::{End, Origin, Reply, Request, Version};

/// A resource and what its server does.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// Bytes of the first version.
    length: usize,
    /// The validators of the first version.
    mark: Mark,
    /// Whether each reply with the whole has its length. Where one has not, a wrong length later on contradicts nothing.
    sized: bool,
    /// What is done about the first requests of each run. Later ones are answered as the rules ask for.
    runs: Vec<Vec<Step>>,
}

/// What is done about one request, after which the resource may change.
#[derive(Debug, Clone)]
struct Step {
    does: Does,
    manner: Manner,
    then: Option<Change>,
}

#[derive(Debug, Clone)]
enum Does {
    /// The reply that the rules ask for.
    Right,
    /// The same with this status in place of 200.
    Renamed(u16),
    /// The same, cut at this share of its body, in 256ths.
    Cut(usize, End),
    /// The same, cut in its head.
    CutHead(End),
    /// No reply.
    Silence(End),
    /// A reply without the resource.
    Status(u16),
    /// A redirect with this status.
    Redirect(u16, To),
    /// A 206 that nobody has asked for. Right if a range was asked for.
    Unasked(Unasked),
    /// This about a request for a range. Right if none was asked for.
    Ranged(Ranged),
}

/// How a reply is sent.
#[derive(Debug, Clone)]
struct Manner {
    framing: Framing,
    /// Whether a 103 comes first.
    hints: bool,
    /// A Content-Encoding that is none.
    coding: Option<&'static str>,
    after: After,
}

/// How the end of a whole body is marked.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Framing {
    Length,
    Chunked,
    Close,
    /// With a length and the coding gzip, if the client takes it.
    Gzip,
    GzipChunked,
}

/// What becomes of the connection after a whole reply.
#[derive(Debug, Clone, Copy, PartialEq)]
enum After {
    Kept,
    /// Closed, and the reply has said so.
    ToldClose,
    Close,
    /// Reset, so that the reply may not arrive.
    Reset,
}

/// Where a redirect leads.
#[derive(Debug, Clone, Copy)]
enum To {
    /// To the other resource, or back from it. Both have the same validators, for those hold within one resource only.
    Other,
    /// To where it comes from.
    Itself,
    /// To nothing: the field is empty.
    Empty,
    /// It has no such field.
    Nowhere,
}

#[derive(Debug, Clone, Copy)]
enum Unasked {
    /// The whole under its own range.
    Whole,
    /// The whole in chunks, without its length.
    WholeInChunks,
    /// Some of it in chunks under the range of the whole.
    LessInChunks,
    /// Some of it under the range of the whole and its own length.
    Less,
    /// Its first bytes under their own range.
    Beginning,
    /// The whole with a range that tells no length.
    NoLength,
    /// Its first bytes in chunks with the status 200 and the range of the whole.
    LessWith200,
}

#[derive(Debug, Clone, Copy)]
enum Ranged {
    /// The range of the version that was begun, though there may be another.
    OfOld,
    /// The range of the current version, though another was begun.
    OfNew,
    /// The same without its validators.
    OfNewUnmarked,
    /// The same with its tag made weak.
    OfNewWeak,
    /// Bytes from before, or behind, the first one.
    Earlier,
    Later,
    /// From the first byte of the body.
    FromStart,
    /// Fewer bytes, as it says.
    Fewer,
    /// Fewer bytes than its Content-Range says, and as its Content-Length says.
    FewerThanTold,
    /// More bytes than its Content-Range says.
    MoreThanTold,
    /// The whole under the Content-Range of the rest, cut at this share.
    WholeAsRest(usize),
    /// A length of the whole that is too long or too short.
    LongerWhole,
    ShorterWhole,
    /// No length of the whole.
    NoLength,
    /// No Content-Range.
    NoRange,
    /// One that cannot be read.
    Garbage,
    /// Several parts.
    Parts,
    /// A coded range.
    Coded,
    /// In chunks that end early, as if that were all.
    FewerInChunks,
    /// The same bytes with another status and this Content-Range or none.
    Slice {
        status: u16,
        ranged: bool,
        mark: SliceMark,
    },
    /// No such range, which is not so: with the length of the whole, of what was begun, or none.
    Beyond,
    BeyondBegun,
    BeyondNothing,
    NotModified,
    Status(u16),
    /// The rest, cut.
    Cut(usize, End),
}

#[derive(Debug, Clone, Copy)]
enum SliceMark {
    Same,
    Other,
    None,
}

#[derive(Debug, Clone)]
enum Change {
    /// To another version: how much longer or shorter it is, and its validators.
    New(isize, Mark),
    /// Back to one of those before.
    Back(Index),
}

/// The validators of a version.
#[derive(Debug, Clone, Copy)]
enum Mark {
    Strong,
    Weak,
    Dated,
    /// Modified in the second of the reply, so that the date proves nothing.
    JustNow,
    StrongAndDated,
    None,
}

impl After {
    fn applied_to(self, reply: Reply) -> Reply {
        match self {
            Self::Kept => reply,
            Self::ToldClose => reply.with("Connection: close").then(End::Close),
            Self::Close => reply.then(End::Close),
            Self::Reset => reply.then(End::Reset),
        }
    }
}

impl Script {
    /// Any script for so many runs.
    pub(super) fn any(runs: usize) -> impl Strategy<Value = Self> {
        let length = prop_oneof![
            1 => Just(0usize), 2 => 1..12usize, 12 => 12..3_000usize, 2 => 60_000..70_000usize,
            2 => 140_000..200_000usize
        ];
        let steps = proptest::collection::vec(step(), 0..5);
        let runs = proptest::collection::vec(steps, runs);
        (length, mark(), any::<bool>(), runs).prop_map(|(length, mark, sized, runs)| Self {
            length,
            mark,
            sized,
            runs,
        })
    }
}

fn mark() -> impl Strategy<Value = Mark> {
    prop_oneof![
        5 => Just(Mark::Strong), 1 => Just(Mark::Weak), 3 => Just(Mark::Dated),
        1 => Just(Mark::JustNow), 2 => Just(Mark::StrongAndDated), 1 => Just(Mark::None)
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![2 => Just(End::Close), 1 => Just(End::Reset)]
}

fn step() -> impl Strategy<Value = Step> {
    let new = (-20..20isize, mark()).prop_map(|(longer, mark)| Some(Change::New(longer, mark)));
    let back = any::<Index>().prop_map(|index| Some(Change::Back(index)));
    let then = prop_oneof![6 => Just(None), 2 => new, 1 => back];
    (does(), manner(), then).prop_map(|(does, manner, then)| Step { does, manner, then })
}

fn does() -> impl Strategy<Value = Does> {
    let renamed = proptest::sample::select(vec![203, 206]);
    let status = proptest::sample::select(vec![
        201, 202, 204, 205, 207, 226, 299, 304, 400, 401, 403, 404, 408, 410, 412, 416, 418, 425,
        429, 451, 500, 501, 502, 503, 504, 520, 599, 999,
    ]);
    let redirect = proptest::sample::select(vec![301, 302, 303, 307, 308]);
    let to = prop_oneof![
        4 => Just(To::Other), 1 => Just(To::Itself), 1 => Just(To::Empty), 1 => Just(To::Nowhere)
    ];
    let unasked = proptest::sample::select(vec![
        Unasked::Whole,
        Unasked::WholeInChunks,
        Unasked::LessInChunks,
        Unasked::Less,
        Unasked::Beginning,
        Unasked::NoLength,
        Unasked::LessWith200,
    ]);
    prop_oneof![
        3 => Just(Does::Right),
        1 => renamed.prop_map(Does::Renamed),
        8 => (0..256usize, end()).prop_map(|(share, end)| Does::Cut(share, end)),
        1 => end().prop_map(Does::CutHead),
        1 => end().prop_map(Does::Silence),
        2 => status.prop_map(Does::Status),
        2 => (redirect, to).prop_map(|(status, to)| Does::Redirect(status, to)),
        1 => unasked.prop_map(Does::Unasked),
        12 => ranged().prop_map(Does::Ranged),
    ]
}

fn ranged() -> impl Strategy<Value = Ranged> {
    let plain = proptest::sample::select(vec![
        Ranged::OfOld,
        Ranged::OfNew,
        Ranged::OfNewUnmarked,
        Ranged::OfNewWeak,
        Ranged::Earlier,
        Ranged::Later,
        Ranged::FromStart,
        Ranged::Fewer,
        Ranged::FewerThanTold,
        Ranged::MoreThanTold,
        Ranged::LongerWhole,
        Ranged::ShorterWhole,
        Ranged::NoLength,
        Ranged::NoRange,
        Ranged::Garbage,
        Ranged::Parts,
        Ranged::Coded,
        Ranged::FewerInChunks,
        Ranged::Beyond,
        Ranged::BeyondBegun,
        Ranged::BeyondNothing,
        Ranged::NotModified,
    ]);
    let mark = proptest::sample::select(vec![SliceMark::Same, SliceMark::Other, SliceMark::None]);
    let slice = (proptest::sample::select(vec![200, 203]), any::<bool>(), mark);
    let status = proptest::sample::select(vec![
        201, 202, 204, 205, 226, 299, 400, 403, 404, 405, 412, 416, 429, 500, 501, 503,
    ]);
    prop_oneof![
        12 => plain,
        3 => slice.prop_map(|(status, ranged, mark)| Ranged::Slice { status, ranged, mark }),
        2 => status.prop_map(Ranged::Status),
        1 => (0..256usize).prop_map(Ranged::WholeAsRest),
        3 => (0..256usize, end()).prop_map(|(share, end)| Ranged::Cut(share, end)),
    ]
}

fn manner() -> impl Strategy<Value = Manner> {
    let framing = prop_oneof![
        4 => Just(Framing::Length), 2 => Just(Framing::Chunked), 1 => Just(Framing::Close),
        1 => Just(Framing::Gzip), 1 => Just(Framing::GzipChunked)
    ];
    let coding = prop_oneof![
        8 => Just(None), 1 => Just(Some("identity")), 1 => Just(Some("none")), 1 => Just(Some(""))
    ];
    let after = prop_oneof![
        6 => Just(After::Kept), 1 => Just(After::ToldClose), 1 => Just(After::Close),
        1 => Just(After::Reset)
    ];
    (framing, proptest::bool::weighted(0.1), coding, after)
        .prop_map(|(framing, hints, coding, after)| Manner { framing, hints, coding, after })
}

impl Default for Manner {
    fn default() -> Self {
        Self { framing: Framing::Length, hints: false, coding: None, after: After::Kept }
    }
}

/// The version of this number of one of the two resources.
fn version(number: usize, length: usize, mark: Mark, resource: usize) -> Version {
    assert!(number < 120, "versions differ in every byte");
    let version = Version::of(body(number + 120 * resource, length));
    let tag = format!("\"{number}\"");
    let date = |minute: usize| {
        format!("Tue, 03 Mar 2026 {:02}:{minute:02}:{:02} GMT", 9 + number / 60, number % 60)
    };
    match mark {
        Mark::Strong => version.tagged(&tag),
        Mark::Weak => version.tagged(&format!("W/{tag}")),
        Mark::Dated => version.dated(&date(0), &date(1)),
        Mark::JustNow => version.dated(&date(0), &date(0)),
        Mark::StrongAndDated => version.tagged(&tag).dated(&date(0), &date(1)),
        Mark::None => version,
    }
}

/// What a resource has, and what was sent of it.
pub(super) struct Resource {
    script: Script,
    /// The versions so far, of both resources: the one that is asked for, and the one that it redirects to.
    versions: Vec<[Version; 2]>,
    now: usize,
    /// The requests of each run so far.
    requests: Vec<usize>,
    /// Whether an empty success was sent.
    emptied: bool,
    /// The run in which a whole version was last sent where no range was asked for, and the version.
    offered: Option<(usize, Version)>,
    /// What was said, for people.
    pub(super) log: Vec<String>,
}

impl Resource {
    fn of(script: Script) -> Self {
        let versions = vec![[0, 1].map(|side| version(0, script.length, script.mark, side))];
        Self {
            script,
            versions,
            now: 0,
            requests: Vec::new(),
            emptied: false,
            offered: None,
            log: Vec::new(),
        }
    }

    /// The versions that have this body; several only where it is empty.
    pub(super) fn versions_of(&self, body: &[u8]) -> Vec<Version> {
        let all = self.versions.iter().flatten();
        let nothing = self.emptied.then(|| Version::of(Vec::new()));
        let is_it = |version: &Version| version.body == body;
        all.cloned().chain(nothing).filter(is_it).collect()
    }

    /// What is there now under the path that is listed.
    pub(super) fn current(&self) -> &Version {
        &self.versions[self.now][0]
    }

    /// The version that was sent whole in this run though no range was asked for.
    pub(super) fn offered(&self, run: usize) -> Option<&Version> {
        self.offered.as_ref().filter(|(when, _)| *when == run).map(|(_, version)| version)
    }

    pub(super) fn requests(&self, run: usize) -> usize {
        self.requests.get(run).copied().unwrap_or(0)
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let run: usize = request.header("user-agent").unwrap().parse().unwrap();
        let side = usize::from(request.path.ends_with("/other"));
        if self.requests.len() <= run {
            self.requests.resize(run + 1, 0);
        }
        let at = self.requests[run];
        self.requests[run] += 1;
        let step = self.script.runs.get(run).and_then(|steps| steps.get(at)).cloned();
        let step =
            step.unwrap_or(Step { does: Does::Right, manner: Manner::default(), then: None });
        let now = self.versions[self.now][side].clone();
        let mut reply = self.reply(&step, request, side, &now);
        if reply.end == End::KeepAlive {
            reply = step.manner.after.applied_to(reply);
        }
        self.note(run, request, &reply, &step, &now);
        if step.manner.hints {
            reply.bytes.splice(0..0, *b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        }
        match step.then {
            None => {}
            Some(Change::Back(index)) => self.now = index.index(self.versions.len()),
            Some(Change::New(longer, mark)) => {
                let (number, length) = (self.versions.len(), self.script.length as isize + longer);
                let length = length.max(0) as usize;
                self.versions.push([0, 1].map(|side| version(number, length, mark, side)));
                self.now = number;
            }
        }
        reply
    }

    fn note(&mut self, run: usize, request: &Request, reply: &Reply, step: &Step, now: &Version) {
        let is_sent = reply.end != End::Reset;
        let status = status(reply);
        self.emptied |= status == 204;
        let is_whole = match step.does {
            Does::Right | Does::Renamed(203) => matches!(status, 200 | 203),
            Does::Ranged(_) => status == 200,
            Does::Unasked(_) => status == 200 && !has_range(reply),
            _ => false,
        };
        if is_whole && is_sent && request.header("range").is_none() {
            self.offered = Some((run, now.clone()));
        }
        let field = |name: &str| request.header(name).unwrap_or("-");
        self.log.push(format!(
            "run {run}: {} range {} if-range {} if-none-match {} -> {:?} {status}, {} bytes of {}, {:?} ({:?}), then {:?}",
            request.path,
            field("range"),
            field("if-range"),
            field("if-none-match"),
            step.does,
            reply.bytes.len(),
            now.fields().replace("\r\n", "; "),
            reply.end,
            step.manner,
            step.then,
        ));
    }

    fn reply(&self, step: &Step, request: &Request, side: usize, now: &Version) -> Reply {
        let right = || self.right(&step.manner, request, now);
        match &step.does {
            Does::Right => right(),
            Does::Renamed(status) => renamed(right(), *status),
            Does::Cut(share, end) => cut(right(), *share, *end),
            Does::CutHead(end) => {
                let mut reply = right();
                reply.bytes.truncate(20);
                reply.then(*end)
            }
            Does::Silence(end) => Reply::raw("", *end),
            Does::Status(status) => without_the_resource(*status, request),
            Does::Redirect(status, to) => {
                let here = request.path.trim_end_matches("/other");
                let other = if side == 0 { format!("{here}/other") } else { here.to_owned() };
                let fields = match to {
                    To::Other => format!("Location: {other}\r\n"),
                    To::Itself => format!("Location: {}\r\n", request.path),
                    To::Empty => "Location: \r\n".to_owned(),
                    To::Nowhere => String::new(),
                };
                Reply::of(&format!("{status} Moved"), &fields, "moved")
            }
            Does::Unasked(how) if request.header("range").is_none() => unasked(*how, now),
            Does::Ranged(how) => match asked_span(request) {
                Some(span) => self.ranged(*how, request, span, side, now).unwrap_or_else(right),
                None => right(),
            },
            Does::Unasked(_) => right(),
        }
    }

    /// What the rules ask for, sent in this manner.
    fn right(&self, manner: &Manner, request: &Request, now: &Version) -> Reply {
        let mut reply = now.answer(request);
        if status(&reply) == 200 {
            reply = self.framed(manner.framing, request, now);
            if let Some(coding) = manner.coding
                && !has_field(&reply, "content-encoding")
            {
                reply = reply.with(&format!("Content-Encoding: {coding}"));
            }
        }
        reply
    }

    fn framed(&self, framing: Framing, request: &Request, now: &Version) -> Reply {
        let takes =
            request.header("accept-encoding").is_some_and(|codings| codings.contains("gzip"));
        let fields = format!("Accept-Ranges: bytes\r\n{}", now.fields());
        let coded = || (format!("{fields}Content-Encoding: gzip\r\n"), gzip(&now.body));
        match framing {
            Framing::Gzip if takes => {
                let (fields, body) = coded();
                Reply::of("200 OK", &fields, body)
            }
            Framing::GzipChunked if takes => {
                let (fields, body) = coded();
                chunked("200 OK", &fields, &body)
            }
            Framing::Chunked if !self.script.sized => chunked("200 OK", &fields, &now.body),
            Framing::Close if !self.script.sized => {
                let head = format!("HTTP/1.1 200 OK\r\n{fields}Connection: close\r\n\r\n");
                Reply::raw([head.as_bytes(), &now.body].concat(), End::Close)
            }
            _ => Reply::of("200 OK", &fields, &now.body),
        }
    }

    /// This about a request for a range; `None` where it would be an untruth that nothing contradicts.
    fn ranged(
        &self,
        how: Ranged,
        request: &Request,
        (first, last): (usize, Option<usize>),
        side: usize,
        now: &Version,
    ) -> Option<Reply> {
        let begun = self.begun(request, side).unwrap_or(now);
        let length = begun.length();
        let end = last.map_or(length, |last| length.min(last + 1));
        if first >= end {
            return None;
        }
        let told = |first: usize, end: usize, of: &str| format!("bytes {first}-{}/{of}", end - 1);
        let of = length.to_string();
        let right = told(first, end, &of);
        let of_now = || {
            let end = last.map_or(now.length(), |last| now.length().min(last + 1));
            (first < end && now.fields() != begun.fields()).then_some(first..end)
        };
        let rest = begun.part(first..end, &right);
        Some(match how {
            Ranged::OfOld => rest,
            Ranged::OfNew => now.span(of_now()?),
            Ranged::OfNewUnmarked => Version::of(now.body.clone()).span(of_now()?),
            Ranged::OfNewWeak => {
                let weak = begun.etag.as_ref().map(|tag| format!("W/{tag}"));
                Version { etag: Some(weak?), ..now.clone() }.span(of_now()?)
            }
            Ranged::Earlier => begun.span(first.checked_sub(1)?..end),
            Ranged::Later => begun.span((first + 1 < end).then_some(first + 1)?..end),
            Ranged::FromStart => begun.span(0..length),
            Ranged::Fewer => begun.span(first..first + (end - first).div_ceil(2)),
            Ranged::FewerThanTold => begun.part(first..first + (end - first) / 2, &right),
            Ranged::MoreThanTold => {
                let some = first + (end - first).div_ceil(2);
                (some < end).then(|| begun.part(first..end, &told(first, some, &of)))?
            }
            Ranged::WholeAsRest(share) => {
                (first > 0).then(|| cut(begun.part(0..length, &right), share, End::Close))?
            }
            Ranged::LongerWhole if self.script.sized => {
                begun.part(first..end, &told(first, end, &(length + 1).to_string()))
            }
            Ranged::ShorterWhole if self.script.sized && end - first > 1 => {
                let end = end.min(length - 1);
                begun.part(first..end, &told(first, end, &(length - 1).to_string()))
            }
            Ranged::LongerWhole | Ranged::ShorterWhole => return None,
            Ranged::NoLength => begun.part(first..end, &told(first, end, "*")),
            Ranged::NoRange => {
                Reply::of("206 Partial Content", &begun.fields(), &begun.body[first..end])
            }
            Ranged::Garbage => begun.part(first..end, &right.replace("bytes", "octets")),
            Ranged::Parts => {
                let part = format!("--x\r\nContent-Range: {right}\r\n\r\n");
                let body = [part.as_bytes(), &begun.body[first..end], b"\r\n--x--\r\n"].concat();
                let fields = begun.fields() + "Content-Type: multipart/byteranges; boundary=x\r\n";
                Reply::of("206 Partial Content", &fields, body)
            }
            Ranged::Coded => rest.with("Content-Encoding: gzip"),
            Ranged::FewerInChunks => {
                let fields = format!("{}Content-Range: {right}\r\n", begun.fields());
                let some = first + (end - first) / 2;
                chunked("206 Partial Content", &fields, &begun.body[first..some])
            }
            Ranged::Slice { status, ranged, mark } => {
                let other = Version::of(Vec::new()).tagged("\"another\"");
                let fields = match mark {
                    SliceMark::Same => begun.fields(),
                    SliceMark::None => String::new(),
                    // It may be the whole of another version, unless it has just the length of the rest, or its range.
                    SliceMark::Other if self.script.sized || ranged => other.fields(),
                    SliceMark::Other => return None,
                };
                let range = format!("Content-Range: {right}\r\n");
                let fields = fields + if ranged { &range } else { "" };
                Reply::of(&format!("{status} OK"), &fields, &begun.body[first..end])
            }
            Ranged::Beyond => begun.beyond(),
            Ranged::BeyondBegun => {
                let fields = if self.script.sized { begun.fields() } else { String::new() };
                let fields = format!("{fields}Content-Range: bytes */{first}\r\n");
                Reply::of("416 Range Not Satisfiable", &fields, "")
            }
            Ranged::BeyondNothing => Reply::of("416 Range Not Satisfiable", "", "no"),
            Ranged::NotModified => begun.unchanged(),
            Ranged::Status(status) => without_the_resource(status, request),
            Ranged::Cut(share, end) => cut(rest, share, end),
        })
    }

    /// The version that If-Range names.
    fn begun(&self, request: &Request, side: usize) -> Option<&Version> {
        let given = request.header("if-range")?;
        let is_it = |version: &&Version| match &version.etag {
            Some(tag) => tag == given,
            None => version.modified.as_deref() == Some(given),
        };
        self.versions.iter().map(|both| &both[side]).find(is_it)
    }
}

fn unasked(how: Unasked, now: &Version) -> Reply {
    let length = now.length();
    if length < 2 {
        return now.whole();
    }
    let range = now.range(0);
    let fields = format!("{}Content-Range: {range}\r\n", now.fields());
    match how {
        Unasked::Whole => now.rest(0),
        Unasked::WholeInChunks => chunked("206 Partial Content", &fields, &now.body),
        Unasked::LessInChunks => chunked("206 Partial Content", &fields, &now.body[..length / 2]),
        Unasked::LessWith200 => chunked("200 OK", &fields, &now.body[..length / 2]),
        Unasked::Less => now.part(0..length / 2, &range),
        Unasked::Beginning => now.span(0..length / 2),
        Unasked::NoLength => now.part(0..length, &format!("bytes 0-{}/*", length - 1)),
    }
}

/// A reply with this status that does not bring the resource.
fn without_the_resource(status: u16, request: &Request) -> Reply {
    let bodiless = matches!(status, 204 | 205 | 304) || request.nth.is_multiple_of(2);
    let head = format!("HTTP/1.1 {status} X\r\n");
    match (status, bodiless) {
        (204 | 304, _) => Reply::raw(head + "\r\n", End::KeepAlive),
        (_, true) => Reply::of(&format!("{status} X"), "", ""),
        (_, false) => Reply::of(&format!("{status} X"), "ETag: \"0\"\r\n", "not the resource"),
    }
}

/// A reply in two chunks.
fn chunked(status: &str, fields: &str, body: &[u8]) -> Reply {
    let mut bytes =
        format!("HTTP/1.1 {status}\r\n{fields}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(body.len().div_ceil(2).max(1)) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    Reply { bytes, end: End::KeepAlive }
}

/// The reply without the end of its body. Only a reset shows that one is cut whose end is that of the connection.
fn cut(reply: Reply, share: usize, end: End) -> Reply {
    let (all, is_marked) = (reply.body_bytes(), has_end(&reply));
    let end = if is_marked { end } else { End::Reset };
    if all == 0 { reply.then(end) } else { reply.up_to(all * share / 256, end) }
}

/// The reply with this status if it has 200.
fn renamed(mut reply: Reply, status: u16) -> Reply {
    if self::status(&reply) == 200 {
        reply.bytes.splice(9..12, status.to_string().into_bytes());
    }
    reply
}

/// The status of a reply; 0 if it has none.
fn status(reply: &Reply) -> u16 {
    let digits = reply.bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn has_field(reply: &Reply, name: &str) -> bool {
    let head = &reply.bytes[..reply.bytes.len() - reply.body_bytes()];
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    head.contains(&format!("\r\n{name}:"))
}

fn has_range(reply: &Reply) -> bool {
    has_field(reply, "content-range")
}

fn has_end(reply: &Reply) -> bool {
    has_field(reply, "content-length") || has_field(reply, "transfer-encoding")
}

/// Resources of one host. They share its connections; a host that breaks off is asked less often, which takes time.
const OF_A_HOST: usize = 4;

/// The servers of many resources; `/N` and `/N/other` are those of the script N.
pub(super) struct RandomServer {
    origins: Vec<Origin>,
    resources: Arc<Vec<Mutex<Resource>>>,
}

impl RandomServer {
    pub(super) fn of(scripts: impl IntoIterator<Item = Script>) -> Self {
        let resources = scripts.into_iter().map(|script| Mutex::new(Resource::of(script)));
        let resources: Arc<Vec<_>> = Arc::new(resources.collect());
        let origin = |_| {
            let shared = Arc::clone(&resources);
            Origin::new(move |request| {
                let number = request.path[1..].split('/').next().unwrap();
                let number: usize = number.parse().unwrap();
                shared[number].lock().unwrap().answer(request)
            })
        };
        let origins = (0..resources.len().div_ceil(OF_A_HOST)).map(origin).collect();
        Self { origins, resources }
    }

    pub(super) fn resource(&self, number: usize) -> MutexGuard<'_, Resource> {
        self.resources[number].lock().unwrap()
    }

    /// The list of all resources.
    pub(super) fn list(&self) -> String {
        let url = |number: usize| self.origins[number / OF_A_HOST].url(&format!("/{number}\n"));
        (0..self.resources.len()).map(url).collect()
    }
}
