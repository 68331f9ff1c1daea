//! HTTP is read strictly, whoever answers, and every mode reads it alike.

mod broken_connections;
mod connections;
mod floods;
mod framing;
mod head;
mod list_entries;
mod redirects;
mod retries;
mod statuses;

use serde_json::Value;

use crate::support::{End, Origin, Reply, Run, Seen, class_of, in_every_mode};

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const HELLO_SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// An origin whose path `/n` is answered by the nth reply, as often as it is asked.
fn origin_of(replies: &[Reply]) -> Origin {
    let replies = replies.to_vec();
    Origin::new(move |request| replies[number(&request.path)].clone())
}

fn number(path: &str) -> usize {
    path[1..].parse().unwrap()
}

fn closing(text: impl AsRef<[u8]>) -> Reply {
    Reply::raw(text, End::Close)
}

/// The rows of one try at each reply.
fn rows_of(mode: &str, replies: &[Reply], args: &[&str]) -> Vec<Value> {
    let origin = origin_of(replies);
    let list = list_of(&origin, (0..replies.len()).map(|number| format!("/{number}")));
    let once = if args.contains(&"--retry") { &[][..] } else { &["--retry", "0"] };
    let run = Run::json(mode).args(["--retry-delay", "1ms"]).args(once).args(args).list(list);
    let seen = run.seen();
    let rows = seen.rows_in_list_order();
    assert_eq!(rows.len(), replies.len(), "{seen:?}");
    rows
}

fn list_of(origin: &Origin, paths: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    paths.into_iter().map(|path| origin.url(path.as_ref()) + "\n").collect()
}

/// Each of these replies ends its URL in this class, in every mode; no body is believed.
fn each_ends_as(class: &str, replies: &[Reply]) {
    in_every_mode(|mode| {
        for (row, reply) in rows_of(mode, replies, &[]).iter().zip(replies) {
            assert_eq!(class_of(row), class, "{row} for {}", start_of(reply));
        }
    });
}

/// Each of these replies is fine and has so many bytes of body.
fn each_is_ok(replies: &[(Reply, u64)]) {
    let only: Vec<_> = replies.iter().map(|(reply, _)| reply.clone()).collect();
    in_every_mode(|mode| {
        for (row, (reply, bytes)) in rows_of(mode, &only, &[]).iter().zip(replies) {
            assert_eq!(class_of(row), "ok", "{row} for {}", start_of(reply));
            assert_eq!(row["bytes"], *bytes, "{row} for {}", start_of(reply));
        }
    });
}

fn start_of(reply: &Reply) -> String {
    let end = reply.bytes.len().min(200);
    format!("{:?}", String::from_utf8_lossy(&reply.bytes[..end]))
}

fn paths(origin: &Origin) -> Vec<String> {
    origin.seen().into_iter().map(|request| request.path).collect()
}

fn count(origin: &Origin, path: &str) -> usize {
    paths(origin).iter().filter(|seen| *seen == path).count()
}

fn assert_all_ok(seen: &Seen, number: usize) {
    let rows = seen.rows();
    let failed: Vec<_> = rows.iter().filter(|row| class_of(row) != "ok").collect();
    assert!(failed.is_empty(), "{} of {number}: {}", failed.len(), failed[0]);
    assert_eq!((rows.len(), seen.code), (number, Some(0)), "{}", seen.stderr);
}
