//! Fuzz targets for lists and option lines.

use std::sync::Arc;

use url::Url;

use super::line_kind::means_an_option;
use super::options::{LineOptions, SEPARATORS};
use super::{Numbering, Parser, argument};
use crate::model::{Entry, EntryOptions, InvalidLine, Target};

/// A list, after a byte that says how it is cut into chunks: the entries do not depend on that, and each can be sent to a
/// child process. The text is read as an argument, too.
pub fn list(data: &[u8]) {
    let Some((cut, text)) = data.split_first() else { return };
    let entries = read([text]);
    assert_eq!(read(text.chunks(usize::from(*cut) + 1)), entries);
    entries.iter().zip(1..).for_each(|(entry, index)| check(entry, index));
    entries_of_a_slow_source(text, usize::from(*cut) + 1);
    if let Ok(text) = str::from_utf8(text) {
        check(&argument(text, &mut Numbering::default()), 1);
    }
}

/// The option lines of one URL: a line adds an option or changes nothing, and the message about a header field does not
/// contain its value.
pub fn list_options(data: &[u8]) {
    const SECRET: &str = "hunter2";
    let text = String::from_utf8_lossy(data).replace(SECRET, "");
    let mut all = LineOptions::default();
    for line in text.lines() {
        let before = all.clone();
        match all.add(line.trim()) {
            Ok(None) => assert_ne!(all, before, "{line:?}"),
            Ok(Some(_)) | Err(_) => assert_eq!(all, before, "{line:?}"),
        }
        if let Some((name, value)) = line.split_once(':') {
            let line = format!("header={name}:{SECRET}{value}");
            let error = LineOptions::default().add(&line).err();
            assert!(!error.unwrap_or_default().contains(SECRET), "{line:?}");
        }
    }
    check_options(&all.finish(&Url::parse("http://a.test/b").expect("a URL")));
    // A line that is not an option is an entry or a comment.
    let line = text.replace(['\n', '\r', '\0'], " ");
    let list = format!("http://a.test/\n {line}");
    let entries = read([list.as_bytes()]).len();
    assert!(entries == 1 || entries == 2 && !means_an_option(line.trim()), "{list:?}");
}

/// The entries of a list.
pub(crate) fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Entry> {
    let (mut entries, mut numbering) = (Vec::new(), Numbering::default());
    let mut parser = Parser::new(Arc::from("list"));
    for chunk in chunks {
        let _ = parser.feed(chunk, &mut numbering, |entry| entries.push(entry));
    }
    let _ = parser.finish(&mut numbering, |entry| entries.push(entry));
    assert_eq!(entries.len() as u64, numbering.given());
    entries
}

/// With a pause after each chunk, the entries may be others: an option may arrive too late.
fn entries_of_a_slow_source(text: &[u8], length: usize) {
    let (mut entries, mut numbering) = (Vec::new(), Numbering::default());
    let mut parser = Parser::new(Arc::from("-"));
    for chunk in text.chunks(length) {
        let _ = parser.feed(chunk, &mut numbering, |entry| entries.push(entry));
        parser.flush_pending(&mut numbering, |entry| entries.push(entry));
    }
    let _ = parser.finish(&mut numbering, |entry| entries.push(entry));
    entries.iter().zip(1..).for_each(|(entry, index)| check(entry, index));
}

fn check(entry: &Entry, index: u64) {
    match entry {
        Entry::Target(target) => {
            assert_eq!(target.index, index);
            check_target(target);
        }
        Entry::Invalid(line) => {
            assert_eq!(line.index, index);
            check_invalid(line);
        }
    }
}

fn check_target(target: &Target) {
    assert!(!target.urls.is_empty());
    for url in &target.urls {
        assert!(matches!(url.scheme(), "http" | "https") && url.has_host(), "{url}");
        assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(url));
    }
    check_options(&target.options);
    let sent = serde_json::to_vec(target).expect("a target can be sent");
    assert_eq!(&serde_json::from_slice::<Target>(&sent).expect("and received"), target);
}

fn check_options(options: &EntryOptions) {
    if let Some(out) = &options.out {
        assert!(!out.starts_with(SEPARATORS) && !out.ends_with(SEPARATORS), "{out:?}");
        assert!(!out.is_empty() && out.split(SEPARATORS).all(|name| name != ".."), "{out:?}");
    }
    if let Some(digest) = &options.checksum {
        assert_eq!(digest.to_string().parse().as_ref(), Ok(digest));
    }
    for (name, value) in &options.headers {
        assert!(*name != "host" && *name != "content-length", "{name}");
        assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
}

fn check_invalid(line: &InvalidLine) {
    assert!(!line.message.is_empty() && line.text.chars().count() <= 200, "{line:?}");
    assert!(!line.text.contains(char::is_control), "{line:?}");
    assert!(!line.message.contains(char::is_control), "{line:?}");
}
