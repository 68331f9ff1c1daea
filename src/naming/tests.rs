use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use url::Url;

use super::sanitize::safe;
use super::*;

const SCHEMES: [NamingScheme; 4] =
    [NamingScheme::Flat, NamingScheme::Tree, NamingScheme::Hash, NamingScheme::Index];

fn url(text: &str) -> Url {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn flat(text: &str) -> String {
    of_url(NamingScheme::Flat, &url(text), 1)
}

fn tree(text: &str) -> String {
    of_url(NamingScheme::Tree, &url(text), 1)
}

/// Whether a component is safe, implemented independently of the code under test.
fn is_safe(name: &str) -> bool {
    let upper = name.to_uppercase();
    let device = upper.split('.').next().unwrap().trim_end_matches(' ');
    let devices = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].map(str::to_owned);
    let ports = ["COM", "LPT"]
        .into_iter()
        .flat_map(|port| "0123456789¹²³".chars().map(move |number| format!("{port}{number}")));
    let hidden = |character: char| {
        character.is_control()
            || "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{2028}\u{2029}\u{3164}\u{feff}\u{ffa0}"
                .contains(character)
            || matches!(character, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(character, '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fffb}')
            || matches!(character, '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
    };
    !name.is_empty()
        && name.len() <= 240
        && !name.contains(['/', '\\', '<', '>', ':', '"', '|', '?', '*'])
        && !name.contains(hidden)
        && !name.starts_with(['.', ' '])
        && !name.ends_with(['.', ' '])
        && !upper.ends_with(".PART")
        && !devices.into_iter().chain(ports).any(|reserved| reserved == device)
}

fn is_safe_path(path: &str) -> bool {
    path.split('/').all(is_safe) && path.split('/').count() <= 32
}

#[test]
fn a_flat_name_is_the_last_part_of_the_path() {
    let table = [
        ("http://a.test/docs/page.html", "page.html"),
        ("http://a.test/docs/page", "page"),
        ("http://a.test/docs/", "index.html"),
        ("http://a.test", "index.html"),
        ("http://a.test/page.html#part", "page.html"),
        ("http://a.test/page.php?x=1", "page.1f206b11.php"),
        ("http://a.test/page.php?", "page.php"),
        ("http://a.test/?x=1", "index.1f206b11.html"),
        ("http://a.test/page?x=1#part", "page.1f206b11"),
        ("http://a.test/Gr%C3%B6%C3%9Fe.txt", "Größe.txt"),
        ("http://a.test/two%20words", "two words"),
        ("http://a.test/a+b=c&d,e;f", "a+b=c&d,e;f"),
        ("http://a.test/archive.tar.gz?x=1", "archive.tar.1f206b11.gz"),
        ("http://user:secret@a.test/x", "x"),
    ];
    for (text, name) in table {
        assert_eq!(flat(text), name, "{text}");
    }
}

#[test]
fn a_tree_is_laid_out_as_the_site_is() {
    let table = [
        ("http://a.test/docs/page.html", "a.test/docs/page.html"),
        ("https://a.test/docs/", "a.test/docs/index.html"),
        ("https://A.test", "a.test/index.html"),
        ("http://a.test:80/x", "a.test/x"),
        ("http://a.test:8080/x", "a.test_8080/x"),
        ("http://a.test./x", "a.test/x"),
        ("http://[2001:db8::1]/x", "2001_db8__1/x"),
        ("http://[2001:db8::1]:8080/x", "2001_db8__1_8080/x"),
        ("http://127.0.0.1/x", "127.0.0.1/x"),
        ("http://a.test//b///c", "a.test/b/c"),
        ("http://con/aux/x", "_con/_aux/x"),
        ("http://a.test/b.php/c?x=1", "a.test/b.php/c.1f206b11"),
        ("http://bücher.test/x", "xn--bcher-kva.test/x"),
    ];
    for (text, name) in table {
        assert_eq!(tree(text), name, "{text}");
    }
}

#[test]
fn a_hash_and_an_index_keep_a_safe_extension() {
    let hash = |text: &str| of_url(NamingScheme::Hash, &url(text), 1);
    let known = "9e0b89bb3905a61338fe82af59508cb0fbb00d19985887bc3bc40ea0ad5cb778";
    assert_eq!(
        hash("http://a.test/x.html"),
        format!("{}/{}/{known}.html", &known[..2], &known[2..4])
    );
    assert_eq!(hash("http://me:secret@a.test/x.html#part"), hash("http://a.test/x.html"));
    assert_ne!(hash("http://a.test/x.html?"), hash("http://a.test/x.html"));
    let table = [
        ("http://a.test/x.html?x=1", "000042.html"),
        ("http://a.test/", "000042.html"),
        ("http://a.test/x", "000042"),
        ("http://a.test/.bashrc", "000042"),
        ("http://a.test/x.p%C3%A4rt", "000042"),
        ("http://a.test/x.part", "000042"),
        ("http://a.test/x.tar.gz", "000042.gz"),
        ("http://a.test/x.1234567890123456", "000042.1234567890123456"),
        ("http://a.test/x.12345678901234567", "000042"),
    ];
    for (text, name) in table {
        assert_eq!(of_url(NamingScheme::Index, &url(text), 42), name, "{text}");
    }
    assert_eq!(of_url(NamingScheme::Index, &url("http://a.test/x"), 12_345_678), "12345678");
}

#[test]
fn what_an_escape_hides_stays_within_its_component() {
    let table = [
        ("http://a.test/../../etc/passwd", "a.test/etc/passwd"),
        ("http://a.test/%2e%2e/%2E%2e/etc/passwd", "a.test/etc/passwd"),
        ("http://a.test/..%2f..%2fetc%2fpasswd", "a.test/_._.._etc_passwd"),
        ("http://a.test/..%5c..%5cx", "a.test/_._.._x"),
        (r"http://a.test/..\..\x", "a.test/x"),
        ("http://a.test/%252e%252e/%252fx", "a.test/%2e%2e/%2fx"),
        ("http://a.test/%2fetc/%2f", "a.test/_etc/_"),
        ("http://a.test/x%00.html", "a.test/x.html"),
        ("http://a.test/x%0d%0ay%1b%5b31m%7f%c2%9b", "a.test/xy[31m"),
        ("http://a.test/a%e2%80%aeb%e2%81%a6c%e2%80%8bd%ef%bb%bf", "a.test/abcd"),
        ("http://a.test/a%e2%80%a8b%e2%80%a9c", "a.test/abc"),
        ("http://a.test/%ed%a0%80x%ff", "a.test/\u{fffd}\u{fffd}\u{fffd}x\u{fffd}"),
        ("http://a.test/%01/%e2%80%8b/%20", "a.test/_/_/_"),
        ("http://a.test/.%e2%80%8b./x", "a.test/_/x"),
        ("http://a.test/.fetch/manifest.jsonl", "a.test/_fetch/manifest.jsonl"),
        ("http://a.test/%e2%80%8b.fetch/x", "a.test/_fetch/x"),
        ("http://a.test/c%3a%3cx%3e%22%7c%3f%2a", "a.test/c__x_____"),
    ];
    for (text, name) in table {
        assert_eq!(tree(text), name, "{text}");
    }
}

#[test]
fn a_component_means_what_it_shows_on_every_system() {
    let table = [
        ("page-1_a.html", "page-1_a.html"),
        ("", "_"),
        (".", "_"),
        ("..", "_"),
        ("...", "_"),
        (". . .", "_"),
        ("\u{1}\u{7f}\u{85}", "_"),
        (".bashrc", "_bashrc"),
        ("..x", "_.x"),
        ("x.", "x"),
        ("x. . ", "x"),
        (" x", "x"),
        (" .x", "_x"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("con .txt", "_con .txt"),
        ("con.", "_con"),
        ("Aux.tar.gz", "_Aux.tar.gz"),
        ("com0", "_com0"),
        ("COM1.x", "_COM1.x"),
        ("lpt9", "_lpt9"),
        ("com²", "_com²"),
        ("LPT³.txt", "_LPT³.txt"),
        ("conin$", "_conin$"),
        ("CONOUT$.x", "_CONOUT$.x"),
        ("n\u{200b}ul", "_nul"),
        ("com10", "com10"),
        ("comx", "comx"),
        ("com", "com"),
        ("console", "console"),
        ("co€", "co€"),
        ("x.part", "x.part_"),
        ("x.PaRt", "x.PaRt_"),
        ("x.part.", "x.part_"),
        (".part", "_part"),
        ("part", "part"),
        ("nul.part", "_nul.part_"),
        ("a/b\\c", "a_b_c"),
        ("a:b", "a_b"),
        ("❤\u{fe0f}", "❤"),
        ("日本語.txt", "日本語.txt"),
    ];
    for (text, name) in table {
        assert_eq!(safe(text), name, "{text:?}");
        assert!(is_safe(&safe(text)), "{text:?}");
    }
}

#[test]
fn a_long_component_is_cut_between_characters_and_keeps_its_extension() {
    let long = safe(&format!("{}.html", "x".repeat(300))).into_owned();
    assert_eq!(long, format!("{}.html", "x".repeat(233)));
    assert_eq!(safe(&"x".repeat(240)).len(), 240);
    for text in [
        "ü".repeat(300),
        format!("a{}.jpeg", "日".repeat(300)),
        format!("con{}x.txt", " ".repeat(300)),
        format!("con.{}", "x".repeat(236)),
        format!("nul.{}.part", "x".repeat(231)),
        format!("{}.part{}", "x".repeat(233), "y".repeat(20)),
        format!("{}.{}", "x".repeat(230), ".".repeat(300)),
    ] {
        let name = safe(&text);
        assert!(is_safe(&name), "{name:?}");
        assert_eq!(safe(&name), name);
    }
}

#[test]
fn a_deep_or_long_path_keeps_its_first_folders_and_its_file() {
    let deep = |file: &str| tree(&format!("http://a.test/{}{file}", "d/".repeat(40)));
    let name = deep("x.html");
    assert_eq!(name.split('/').count(), DEEPEST);
    assert!(name.starts_with("a.test/d/d/") && name.ends_with("/x.html"), "{name}");
    let folder = |name: &str| name.rsplit_once('/').unwrap().0.to_owned();
    assert_eq!(folder(&name), folder(&deep("y.html")));
    assert_ne!(folder(&name), folder(&deep("d/y.html")));

    let as_deep_as_may_be = format!("http://a.test/{}x", "d/".repeat(30));
    assert_eq!(tree(&as_deep_as_may_be), as_deep_as_may_be["http://".len()..]);

    let long = tree(&format!("http://a.test/{}x.html", format!("{}/", "d".repeat(300)).repeat(9)));
    assert!(is_safe_path(&long) && long.len() <= LONGEST_PATH, "{long}");
    assert!(long.ends_with("/x.html"), "{long}");
}

#[test]
fn what_a_list_asks_for_is_taken_as_a_path_below_the_folder() {
    let table = [
        ("x.html", "x.html"),
        ("docs/x.html", "docs/x.html"),
        ("/etc/passwd", "etc/passwd"),
        ("../../x", "x"),
        ("a/./../b//c/", "a/b/c"),
        (r"C:\x", "C__x"),
        (r"a\..\b", "a_.._b"),
        ("50%25.html", "50%25.html"),
        (".fetch/manifest.jsonl", "_fetch/manifest.jsonl"),
        ("docs/x.part", "docs/x.part_"),
        ("", "_"),
        ("..", "_"),
        ("/", "_"),
        ("\0", "_"),
    ];
    for (out, name) in table {
        assert_eq!(of_option(out), name, "{out:?}");
    }
}

#[test]
fn an_unfinished_file_is_told_by_its_end() {
    assert_eq!(part_of("docs/x.html"), "docs/x.html.part");
}

#[test]
fn an_identity_knows_neither_fragment_nor_user() {
    let bare = identity(&url("http://a.test/x?q"));
    assert_eq!(bare, sha256("http://a.test/x?q"));
    for same in
        ["http://a.test/x?q#part", "http://me@a.test/x?q", "http://me:secret@a.test:80/x?q#"]
    {
        assert_eq!(identity(&url(same)), bare, "{same}");
    }
    for other in
        ["http://a.test/x", "https://a.test/x?q", "http://a.test:81/x?q", "http://a.test/x?Q"]
    {
        assert_ne!(identity(&url(other)), bare, "{other}");
    }
    assert_eq!(identity(&url("mailto:a@b.test")), sha256("mailto:a@b.test"));
}

#[test]
fn names_are_compared_without_case_and_however_accents_are_written() {
    let table = [
        ("Docs/Page.HTML", "docs/page.html"),
        ("É", "e\u{301}"),
        ("STRASSE", "straße"),
        ("ẞ", "ss"),
        ("ΣΟΦΟΣ", "σοφος"),
        ("\u{212a}", "k"),
        ("ſ", "S"),
        ("A\u{30a}/x", "å/X"),
        ("ᾳ", "ΑΙ"),
        ("\u{1f0}", "J\u{30c}"),
    ];
    for (one, other) in table {
        assert_eq!(key(one), key(other), "{one} {other}");
    }
    assert_ne!(key("e"), key("é"));
    assert_ne!(key("a/b"), key("ab"));
}

#[test]
fn the_key_of_every_character_is_its_own_key_and_that_of_its_cases() {
    /// The last character with another normalization form (a CJK compatibility ideograph).
    const LAST: char = '\u{2fa1f}';
    for character in '\0'..=LAST {
        let name = character.to_string();
        let own = key(&name);
        assert_eq!(key(&own), own, "{character:?}");
        assert_eq!(key(&name.to_lowercase()), own, "{character:?}");
        assert_eq!(key(&name.to_uppercase()), own, "{character:?}");
        assert_eq!(own.contains('/'), character == '/', "{character:?}");
    }
}

/// A folder in memory: the owner of each key, by identity.
#[derive(Default)]
struct TakenNames {
    files: BTreeMap<String, [u8; 32]>,
    folders: BTreeSet<String>,
}

impl TakenNames {
    fn owner(&self, key: &str, identity: &[u8; 32]) -> NameOwner {
        match self.files.get(key) {
            Some(owner) if owner == identity => NameOwner::Mine,
            Some(_) => NameOwner::Other,
            None if self.folders.contains(key) => NameOwner::Folder,
            None => NameOwner::Nobody,
        }
    }

    fn claim(&mut self, wanted: &str, identity: &[u8; 32]) -> Option<UniqueName> {
        let unique = unique_name(wanted, identity, |key| self.owner(key, identity))?;
        let key = key(&unique.name);
        self.folders.extend(key.match_indices('/').map(|(end, _)| key[..end].to_owned()));
        self.files.insert(key, *identity);
        Some(unique)
    }

    fn name(&mut self, wanted: &str, of: &str) -> String {
        self.claim(wanted, &sha256(of)).unwrap().name
    }
}

#[test]
fn a_name_that_nobody_has_is_given_as_it_is() {
    let mut taken = TakenNames::default();
    let one = sha256("one");
    let new = UniqueName { name: "a.test/x.html".to_owned(), whose: Ownership::New };
    assert_eq!(taken.claim("a.test/x.html", &one), Some(new));
    let mine = UniqueName { name: "a.test/x.html".to_owned(), whose: Ownership::Own };
    assert_eq!(taken.claim("a.test/x.html", &one), Some(mine));
}

#[test]
fn a_secret_parameter_of_the_path_is_in_no_name_and_keeps_names_apart() {
    let name = |scheme, url: &str| of_url(scheme, &url.parse().unwrap(), 1);
    let [one, other] = ["x", "y"].map(|secret| {
        let url = format!("http://a.b/d;token={secret}/h;jsessionid={secret};v=2?q=1");
        [NamingScheme::Flat, NamingScheme::Tree].map(|scheme| name(scheme, &url))
    });
    for (one, other) in one.iter().zip(&other) {
        assert!(!one.contains("jsessionid") && !one.contains("token"), "{one}");
        assert!(one.contains("h;v=2."), "{one}");
        assert_ne!(one, other);
    }
    assert_eq!(one[1].matches('/').count(), 2, "{}", one[1]);
    assert_eq!(name(NamingScheme::Flat, "http://a.b/h;v=2"), "h;v=2");
}

#[test]
fn who_comes_later_gets_a_mark_and_has_it_again_the_next_time() {
    let mut taken = TakenNames::default();
    taken.name("x.html", "one");
    let mark = &hex(&sha256("two"))[..8];
    for whose in [Ownership::New, Ownership::Own] {
        let settled = taken.claim("X.html", &sha256("two")).unwrap();
        assert_eq!(settled, UniqueName { name: format!("X.{mark}.html"), whose });
    }
}

#[test]
fn a_mark_that_is_taken_grows_and_at_the_end_there_is_no_name() {
    let mut taken = TakenNames::default();
    let digits = hex(&sha256("victim"));
    taken.name("x", "other");
    for length in [8, 16, 32, 64] {
        let name = format!("x.{}", &digits[..length]);
        assert_eq!(taken.name(&name, &name), name);
        let victim = sha256("victim");
        let next = unique_name("x", &victim, |key| taken.owner(key, &victim));
        let longer = (length < 64).then(|| format!("x.{}", &digits[..length * 2]));
        assert_eq!(next.map(|settled| settled.name), longer);
    }
}

#[test]
fn a_folder_held_as_a_file_gets_one_mark_for_all_that_is_in_it() {
    let mut taken = TakenNames::default();
    taken.name("a", "file");
    let folder = format!("a.{}", &hex(&sha256("a"))[..8]);
    assert_eq!(taken.name("a/x", "one"), format!("{folder}/x"));
    assert_eq!(taken.name("a/y", "two"), format!("{folder}/y"));
    assert_eq!(taken.name("A/y/z", "three").to_lowercase(), {
        let inner = hex(&sha256(&format!("{folder}/y")));
        format!("{folder}/y.{}/z", &inner[..8])
    });
}

#[test]
fn a_file_held_as_a_folder_gets_a_mark() {
    let mut taken = TakenNames::default();
    taken.name("a/x", "one");
    assert_eq!(taken.name("a", "two"), format!("a.{}", &hex(&sha256("two"))[..8]));
}

#[test]
fn a_marked_name_stays_within_the_bounds() {
    let mut taken = TakenNames::default();
    let names = [
        format!("{}.html", "x".repeat(235)),
        format!("{}.{}", "日".repeat(74), "e".repeat(16)),
        format!("con{}x", " ".repeat(230)),
        "x".repeat(240),
    ];
    for name in &names {
        assert_eq!(&taken.name(name, "first"), name);
        let second = taken.name(name, "second");
        assert!(is_safe(&second), "{second}");
        assert_eq!(extension(&second).starts_with(".html"), name.ends_with(".html"));
    }
}

/// Pieces of names that are likely to cause trouble.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<String>(),
        3 => prop::sample::select(vec![
            ".", "..", "/", "\\", "%2f", "%5C", "%2e", "%252e", "%00", "%0a", "%1b[", "%ff", "%ed%a0%80",
            "con", "NUL", "aux", "COM1", "lpt²", "conin$", ".part", ".PART", ".html", ".fetch", " ", "%20",
            "\u{202e}", "\u{200b}", "\u{2028}", "\u{feff}", "\u{85}", "\u{3000}", ":", "?", "*", "%3a",
            "index.html", "é", "e\u{301}", "ß", "日本", "a", "A", "b",
        ]).prop_map(str::to_owned),
        1 => ("[ .aé]", 1..300_usize).prop_map(|(character, times)| character.repeat(times)),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..8).prop_map(|pieces| pieces.concat())
}

fn any_url() -> impl Strategy<Value = Url> {
    let host = prop::sample::select(vec![
        "a.test",
        "con",
        "a.test:81",
        "[::1]:8080",
        "me:pw@a_81",
        "x.part",
    ]);
    let path = prop::collection::vec(text(), 0..40).prop_map(|parts| parts.join("/"));
    (host, path).prop_filter_map("not a URL", |(host, path)| {
        Url::parse(&format!("http://{host}/{path}")).ok()
    })
}

/// Paths of few different components, so that they collide.
fn colliding_path() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["a", "A", "é", "e\u{301}", "b.html", "con"]),
        1..4,
    )
    .prop_map(|parts| of_option(&parts.join("/")))
}

proptest! {
    #[test]
    fn every_component_is_safe_and_making_it_so_again_changes_nothing(text in text()) {
        let name = safe(&text);
        prop_assert!(is_safe(&name), "{:?}", name);
        prop_assert_eq!(safe(&name), name.clone());
        let marked = marked(&name, "1a2b3c4d");
        prop_assert!(is_safe(&marked), "{:?}", marked);
        prop_assert!(marked.contains(".1a2b3c4d"), "{:?}", marked);
    }

    #[test]
    fn every_name_of_a_url_is_safe_and_within_the_bounds(url in any_url(), index: u64) {
        for scheme in SCHEMES {
            let name = of_url(scheme, &url, index);
            prop_assert!(is_safe_path(&name), "{:?}", name);
            prop_assert!(name.len() <= LONGEST_PATH);
            prop_assert_eq!(of_option(&name), name);
        }
    }

    #[test]
    fn every_option_is_safe_and_within_the_bounds(parts in prop::collection::vec(text(), 0..40)) {
        let name = of_option(&parts.join("/"));
        prop_assert!(is_safe_path(&name), "{:?}", name);
        prop_assert!(name.len() <= LONGEST_PATH);
        prop_assert_eq!(of_option(&name), name);
    }

    #[test]
    fn every_proposed_name_is_one_safe_component(text in text(), escaped in text()) {
        for field in [
            format!("attachment; filename={text}"),
            format!("attachment; filename=\"{text}\""),
            format!("attachment; filename*=UTF-8''{escaped}; filename=\"{text}\""),
        ] {
            if let Some(name) = of_disposition(&field) {
                prop_assert!(is_safe(&name), "{:?}", name);
            }
        }
    }

    #[test]
    fn fragment_and_user_never_change_a_name(url in any_url(), fragment in any::<String>()) {
        let mut other = url.clone();
        other.set_fragment(Some(&fragment));
        other.set_username("someone").unwrap();
        for scheme in SCHEMES {
            prop_assert_eq!(of_url(scheme, &other, 1), of_url(scheme, &url, 1));
        }
        prop_assert_eq!(identity(&other), identity(&url));
    }

    #[test]
    fn a_key_has_the_components_of_its_name(name in text()) {
        let apart: Vec<_> = name.split('/').map(key).collect();
        prop_assert_eq!(key(&name), apart.join("/"));
        prop_assert_eq!(key(&key(&name)), key(&name));
    }

    #[test]
    fn a_list_settled_in_order_has_distinct_names_and_no_file_under_a_file(
        wanted in prop::collection::vec(colliding_path(), 1..60)
    ) {
        let mut taken = TakenNames::default();
        for (number, wanted) in wanted.iter().enumerate() {
            let settled = taken.claim(wanted, &sha256(&number.to_string())).unwrap();
            prop_assert_eq!(settled.whose, Ownership::New);
            prop_assert!(is_safe_path(&settled.name), "{:?}", settled.name);
        }
        prop_assert_eq!(taken.files.len(), wanted.len());
        prop_assert!(taken.files.keys().all(|file| !taken.folders.contains(file)));
        for (number, wanted) in wanted.iter().enumerate() {
            let again = taken.claim(wanted, &sha256(&number.to_string())).unwrap();
            prop_assert_eq!(again.whose, Ownership::Own);
        }
        prop_assert_eq!(taken.files.len(), wanted.len());
    }

    #[test]
    fn whatever_the_holder_says_settling_ends_with_a_name_that_fits_or_none(
        wanted in colliding_path(), answers in prop::collection::vec(0..4_usize, 1..40)
    ) {
        let owners = [NameOwner::Nobody, NameOwner::Folder, NameOwner::Mine, NameOwner::Other];
        let mut asked = BTreeMap::new();
        let mut answers = answers.into_iter().cycle();
        let settled = unique_name(&wanted, &sha256("one"), |key| {
            *asked.entry(key.to_owned()).or_insert_with(|| owners[answers.next().unwrap()])
        });
        prop_assert!(asked.len() <= 5 * wanted.split('/').count());
        if let Some(settled) = settled {
            let key = key(&settled.name);
            for (end, _) in key.match_indices('/') {
                prop_assert!(matches!(asked[&key[..end]], NameOwner::Nobody | NameOwner::Folder));
            }
            let expected = if settled.whose == Ownership::New { NameOwner::Nobody } else { NameOwner::Mine };
            prop_assert_eq!(asked[&key], expected);
        }
    }
}
