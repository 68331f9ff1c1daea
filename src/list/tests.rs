//! Tests of the list parser, through its public functions.

use proptest::prelude::*;

use super::*;
use crate::model::{InvalidLine, Target};

fn read(text: impl AsRef<[u8]>) -> Vec<Entry> {
    read_in_chunks(&[text.as_ref()])
}

fn read_in_chunks(chunks: &[&[u8]]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut numbering = Numbering::default();
    let mut parser = Parser::new(Arc::from("sites.txt"));
    for chunk in chunks {
        let _ = parser.feed(chunk, &mut numbering, |entry| entries.push(entry));
    }
    let _ = parser.finish(&mut numbering, |entry| entries.push(entry));
    entries
}

fn target(entry: &Entry) -> &Target {
    match entry {
        Entry::Target(target) => target,
        Entry::Invalid(invalid) => panic!("{invalid:?}"),
    }
}

fn invalid(entry: &Entry) -> &InvalidLine {
    match entry {
        Entry::Invalid(invalid) => invalid,
        Entry::Target(target) => panic!("{target:?}"),
    }
}

fn single_invalid(text: impl AsRef<[u8]>) -> InvalidLine {
    let entries = read(text);
    assert_eq!(entries.len(), 1, "{entries:?}");
    invalid(&entries[0]).clone()
}

#[test]
fn a_list_becomes_targets_with_their_lines() {
    let text =
        "\u{feff}# sites\r\n\r\nhttps://a.b/#part\r\n   \n  # more\n\thttp://c.d/?x=1\nhttp://e.f";
    let entries = read(text);
    let seen: Vec<_> = entries
        .iter()
        .map(target)
        .map(|target| (target.index, target.line, target.url().as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (1, Some(3), "https://a.b/#part"),
            (2, Some(6), "http://c.d/?x=1"),
            (3, Some(7), "http://e.f/")
        ]
    );
    assert_eq!(&*target(&entries[0]).source, "sites.txt");
}

#[test]
fn an_empty_list_has_no_entries() {
    assert_eq!(read(""), []);
    assert_eq!(read("\n\n# nothing"), []);
}

#[test]
fn options_belong_to_the_entry_above_also_across_blanks_and_comments() {
    let entries = read("http://a.b\n  out=x\n\n# note\n header=X: http://y\nhttp://c.d\n");
    assert_eq!(entries.len(), 2);
    assert_eq!(target(&entries[0]).options.out.as_deref(), Some("x"));
    assert_eq!(target(&entries[0]).options.headers[0].1, "http://y");
    assert_eq!(target(&entries[1]).options, Default::default());
}

#[test]
fn a_bad_option_makes_its_whole_entry_one_invalid() {
    let invalid = single_invalid("http://u:hunter2@a.b\n out=x\n outt=y\n header=X: 1\n what=z\n");
    assert_eq!(invalid.line, Some(3));
    assert_eq!(invalid.text, "http://***@a.b/");
    assert_eq!(
        invalid.message,
        "unknown option 'outt' (expected out, dir, checksum, header, referer, user-agent, id, carry)"
    );
}

#[test]
fn the_options_of_an_invalid_entry_go_with_it() {
    assert_eq!(single_invalid("htp://a.b\n out=x\n outt=y\n").line, Some(1));
}

#[test]
fn options_without_end_do_not_fill_memory() {
    let text = format!("http://a.b\n{}", " header=X: 1\n".repeat(6000));
    let invalid = single_invalid(text);
    assert_eq!(invalid.line, Some(5959));
    assert!(invalid.message.contains("the options of this URL exceed"));
}

#[test]
fn an_option_without_an_entry_is_an_invalid_of_its_own() {
    let entries = read(" header=Cookie: hunter2\nhttp://a.b\n");
    let stray = invalid(&entries[0]);
    assert_eq!((stray.index, stray.line), (1, Some(1)));
    assert_eq!(stray.text, "header=…");
    assert_eq!(stray.message, "option 'header=…' appears before any URL");
    assert_eq!(target(&entries[1]).index, 2);
}

#[test]
fn an_entry_is_released_when_the_input_goes_quiet_and_a_later_option_is_invalid() {
    let mut entries = Vec::new();
    let mut numbering = Numbering::default();
    let mut parser = Parser::new(Arc::from("-"));
    let _ = parser.feed(b"http://a.b\nhttp", &mut numbering, |entry| entries.push(entry));
    assert_eq!(entries.len(), 0);
    parser.flush_pending(&mut numbering, |entry| entries.push(entry));
    assert_eq!(entries.len(), 1);
    parser.flush_pending(&mut numbering, |entry| entries.push(entry));
    assert_eq!(entries.len(), 1);
    let _ = parser.feed(b"://c.d\n o", &mut numbering, |entry| entries.push(entry));
    parser.flush_pending(&mut numbering, |entry| entries.push(entry));
    assert_eq!(entries.len(), 1, "an option line has begun");
    let _ = parser.feed(b"ut=x\n", &mut numbering, |entry| entries.push(entry));
    parser.flush_pending(&mut numbering, |entry| entries.push(entry));
    assert_eq!(target(&entries[1]).options.out.as_deref(), Some("x"));
    let _ = parser.feed(b" out=y\n", &mut numbering, |entry| entries.push(entry));
    assert!(invalid(&entries[2]).message.contains("arrived after its URL had started"));
    let _ = parser.finish(&mut numbering, |entry| entries.push(entry));
    assert_eq!((entries.len(), numbering.given()), (3, 3));
}

#[test]
fn numbers_go_on_from_source_to_source() {
    let mut entries = vec![];
    let mut numbering = Numbering::default();
    entries.push(argument("HTTPS://a.b", &mut numbering));
    let mut parser = Parser::new(Arc::from("-"));
    let _ = parser.feed(b"http://c.d", &mut numbering, |entry| entries.push(entry));
    let _ = parser.finish(&mut numbering, |entry| entries.push(entry));
    entries.push(argument("ftp://e.f", &mut numbering));
    let first = target(&entries[0]);
    assert_eq!((&*first.source, first.line, first.index), ("argument", None, 1));
    assert_eq!(target(&entries[1]).index, 2);
    assert_eq!(invalid(&entries[2]).index, 3);
}

#[test]
fn a_control_character_in_an_argument_is_refused() {
    let entry = argument("http://a.b/\nx", &mut Numbering::default());
    assert!(invalid(&entry).message.contains("control character"));
}

#[test]
fn a_line_without_end_is_one_invalid() {
    let mut entries = Vec::new();
    let mut numbering = Numbering::default();
    let mut parser = Parser::new(Arc::from("-"));
    let _ = parser.feed(b"http://a.b/", &mut numbering, |entry| entries.push(entry));
    for _ in 0..32 {
        let _ = parser.feed(&[b'x'; 1 << 20], &mut numbering, |entry| entries.push(entry));
    }
    let _ =
        parser.feed(b"\n out=swallowed\nhttp://c.d", &mut numbering, |entry| entries.push(entry));
    let _ = parser.finish(&mut numbering, |entry| entries.push(entry));
    assert_eq!(entries.len(), 2);
    assert!(invalid(&entries[0]).message.contains("exceeds 64 KiB"));
    assert_eq!(invalid(&entries[0]).text.chars().count(), 200);
    assert_eq!(target(&entries[1]).line, Some(3));
}

#[test]
fn a_long_comment_is_still_a_comment() {
    assert_eq!(read(format!("#{}\n", "x".repeat(100_000))), []);
}

#[test]
fn a_binary_file_is_one_invalid_and_not_read_on() {
    let mut entries = Vec::new();
    let mut numbering = Numbering::default();
    let mut parser = Parser::new(Arc::from("photo.bin"));
    let bytes = b"http://a.b\n\x7fELF\0\0\n\xff\n\xff\n";
    assert_eq!(parser.feed(bytes, &mut numbering, |e| entries.push(e)), ParserStatus::Enough);
    assert_eq!(
        parser.feed(b"http://c.d\n", &mut numbering, |e| entries.push(e)),
        ParserStatus::Enough
    );
    let _ = parser.finish(&mut numbering, |entry| entries.push(entry));
    assert_eq!(entries.len(), 2);
    let found = invalid(&entries[1]);
    assert_eq!((found.line, found.text.as_str()), (Some(2), "photo.bin"));
    assert!(found.message.starts_with("binary file (NUL byte in line 2)"));
}

#[test]
fn what_is_not_text_is_told_line_by_line() {
    let entries = read(b"http://a.b/\xff\nhttp://c.d\n out=\xff\n");
    assert_eq!(
        invalid(&entries[0]).message,
        "line 'http://a.b/\u{fffd}' is not valid UTF-8; convert the list to UTF-8"
    );
    assert_eq!(
        invalid(&entries[1]).message,
        "option 'out=…' is not valid UTF-8; convert the list to UTF-8"
    );
}

/// Lines of every kind, good and bad, with ends of every kind.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        "https?://[a-z]{1,8}\\.[a-z]{2}(:[0-9]{1,6})?(/[ -~]{0,10})?",
        "[ \t]{1,2}(out|checksum|header|x)[=: ][ -~]{0,20}",
        "[ \t]?(#|ftp://|http:|http://)?[ -~]{0,20}",
        "http://a\\.b/[a-z]{1,3}\t(http://c\\.d/)?",
        "\\PC{0,10}",
        Just("x".repeat(70_000)),
    ];
    prop_oneof![
        6 => text.prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

fn list() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((line(), prop_oneof![Just("\n"), Just("\r\n"), Just("\r")]), 0..12)
        .prop_map(|lines| {
            lines
                .into_iter()
                .flat_map(|(line, end)| [line, end.as_bytes().to_vec()].concat())
                .collect()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_way_bytes_are_cut_makes_no_difference(
        text in list(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let chunks: Vec<_> = cuts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
        prop_assert_eq!(read_in_chunks(&chunks), read(&text));
    }

    #[test]
    fn any_bytes_are_numbered_without_gaps(text in prop::collection::vec(any::<u8>(), 0..300)) {
        for (at, entry) in read(&text).iter().enumerate() {
            let index = match entry {
                Entry::Target(target) => target.index,
                Entry::Invalid(invalid) => invalid.index,
            };
            prop_assert_eq!(index, at as u64 + 1);
        }
    }

    #[test]
    fn every_line_that_says_something_is_one_entry(
        lines in prop::collection::vec("[!-~][ -~\t]{0,20}|[ \t]{0,3}|[a-z]{1,4}=[a-z]", 0..20),
    ) {
        let said = lines.iter().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let list = format!("http://a.b\n{}", lines.join("\n"));
        prop_assert_eq!(read(list).len(), 1 + said.count());
    }

    #[test]
    fn no_password_shows_in_an_invalid_entry(
        scheme in "https?|ht[a-z]{1,3}|ftp",
        separator in "://|:/|:|:///|",
        user in "[!-~]{0,6}",
        before in "[!-~]{0,6}",
        after in "[!-~]{0,6}",
        rest in prop_oneof![
            9 => "[ -~\t]{0,20}|[a-z]{200}",
            1 => Just("x".repeat(70_000)),
        ],
        option in "( (out|header|what)[=:]?[ -~]{0,9})?",
    ) {
        let text =
            format!("{scheme}{separator}{user}:{before}hunter2{after}@{rest}\n{option}\n");
        for entry in read(text) {
            if let Entry::Invalid(invalid) = entry {
                prop_assert!(!format!("{invalid:?}").contains("hunter2"), "{:?}", invalid);
                prop_assert!(invalid.text.chars().count() <= 200);
            }
        }
    }
}
