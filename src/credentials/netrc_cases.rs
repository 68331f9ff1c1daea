//! Test cases of netrc files: what this program and curl send to a host. A unit test in the parent module runs them
//! through the parser; an integration test runs this program and curl.

/// One file, one URL, and the user and password that are sent.
pub(crate) struct NetrcCase {
    /// The content of the file.
    pub(crate) file: &'static str,
    /// The URL, without port and path.
    pub(crate) url: &'static str,
    /// `user:password` as sent; `None` if no Authorization is sent.
    pub(crate) sent: Option<&'static str>,
    /// What curl 7.88 does instead, and why this program does not.
    pub(crate) curl: Option<(CurlResult, &'static str)>,
}

/// What curl does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CurlResult {
    /// It sends this, or nothing.
    Sends(Option<&'static str>),
    /// It refuses the file.
    Fails,
}

const A: &str = "http://a.test";

const fn same(file: &'static str, url: &'static str, sent: Option<&'static str>) -> NetrcCase {
    NetrcCase { file, url, sent, curl: None }
}

const fn other(
    file: &'static str,
    url: &'static str,
    sent: Option<&'static str>,
    curl: Option<&'static str>,
    reason: &'static str,
) -> NetrcCase {
    NetrcCase { file, url, sent, curl: Some((CurlResult::Sends(curl), reason)) }
}

/// Files that are read.
pub(crate) const CASES: &[NetrcCase] = &[
    // One entry.
    same("machine a.test login u password p\n", A, Some("u:p")),
    same("machine a.test login u password p", A, Some("u:p")),
    same("machine a.test password p login u\n", A, Some("u:p")),
    same("machine a.test login u\n", A, Some("u:")),
    same("machine a.test password p\n", A, Some(":p")),
    same("machine a.test\n", A, None),
    same("", A, None),
    same("\n\n", A, None),
    same("machine\na.test\nlogin\nu\npassword\np", A, Some("u:p")),
    same("machine a.test\n\tlogin u\n\n\tpassword p\n", A, Some("u:p")),
    same("machine a.test\r\nlogin u\r\npassword p\r\n", A, Some("u:p")),
    same("machine a.test\tlogin\tu\tpassword\tp\n", A, Some("u:p")),
    same("machine a.test\u{b}login\u{c}u password p\n", A, Some("u:p")),
    same("MACHINE a.test LOGIN u PASSWORD p\n", A, Some("u:p")),
    same("machine a.test login machine password default\n", A, Some("machine:default")),
    same("machine a.test login u:v password p:q\n", A, Some("u:v:p:q")),
    same("machine a.test login \u{fc} password p\u{20ac}\n", A, Some("\u{fc}:p\u{20ac}")),
    same("machine a.test login u password p login v password w\n", A, Some("u:p")),
    same("machine a.test login u login v password w\n", A, Some("v:w")),
    same("machine a.test password w password z login v\n", A, Some("v:z")),
    other(
        "\u{feff}machine a.test login u password p\n",
        A,
        Some("u:p"),
        None,
        "a byte order mark at the beginning is skipped",
    ),
    // Hosts.
    same("machine b.test login x password y\n", A, None),
    same("machine A.Test login u password p\n", A, Some("u:p")),
    same("machine a.test login u password p\n", "http://A.TEST", Some("u:p")),
    same("machine a.test login u password p\n", "http://x.a.test", None),
    same("machine *.test login u password p\n", A, None),
    same("machine test login u password p\n", A, None),
    same("machine a.test:80 login u password p\n", A, None),
    same("machine http://a.test login u password p\n", A, None),
    same("machine a.test. login u password p\n", A, None),
    same("machine a.test login u password p\n", "http://a.test.", None),
    same("machine 127.0.0.1 login u password p\n", "http://127.0.0.1", Some("u:p")),
    same("machine xn--bcher-kva.test login u password p\n", "http://b\u{fc}cher.test", Some("u:p")),
    same("machine b\u{fc}cher.test login u password p\n", "http://b\u{fc}cher.test", None),
    // Several entries.
    same("machine b.test login x password y\nmachine a.test login u password p\n", A, Some("u:p")),
    same("machine a.test login u password p\nmachine a.test login v password w\n", A, Some("u:p")),
    same("machine a.test login u\nmachine a.test login v password w\n", A, Some("v:w")),
    other(
        "machine a.test login u\nmachine a.test password p\n",
        A,
        Some("u:"),
        Some(":p"),
        "the first entry counts if none has both, where curl takes a part of the last",
    ),
    other(
        "machine a.test login u\nmachine b.test password p\n",
        A,
        Some("u:"),
        Some(":"),
        "a user without a password is sent, also if an entry follows",
    ),
    same("default login u password p\n", A, Some("u:p")),
    same("machine b.test login x password y\ndefault login u password p\n", A, Some("u:p")),
    same("machine a.test login u password p\ndefault login d password e\n", A, Some("u:p")),
    same("default login d password e\nmachine a.test login u password p\n", A, Some("d:e")),
    same("machine a.test login u\ndefault login d password e\n", A, Some("d:e")),
    other(
        "machine b.test login machine\nmachine a.test login u password p\n",
        A,
        Some("u:p"),
        None,
        "a value is never a keyword, not even in the entry of another host",
    ),
    // Comments.
    same("# machine a.test login u password p\n", A, None),
    same("#machine a.test login u password p\n", A, None),
    same("machine a.test # a comment\nlogin u # another\npassword p\n", A, Some("u:p")),
    same("machine a.test login u password p#q\n", A, Some("u:p#q")),
    same("machine a.test login u password \"#q\"\n", A, Some("u:#q")),
    // Quotes and escapes.
    same("machine a.test login u password \"p q\"\n", A, Some("u:p q")),
    same("machine a.test login \"u v\" password p\n", A, Some("u v:p")),
    same("machine \"a.test\" login u password p\n", A, Some("u:p")),
    same("\"machine\" a.test login u password p\n", A, Some("u:p")),
    same("machine a.test login u password \"p\\\"q\\\\r\\ts\"\n", A, Some("u:p\"q\\r\ts")),
    same("machine a.test login u password \"p\\n\\rq\"\n", A, Some("u:p\n\rq")),
    same("machine a.test login u password \"p\\xq\"\n", A, Some("u:pxq")),
    same("machine a.test login u password p\"q\n", A, Some("u:p\"q")),
    same("machine a.test login u password p\\q\n", A, Some("u:p\\q")),
    same("machine a.test login \"\" password \"p\"\n", A, Some(":p")),
    same("machine a.test login \"u\" password \"\"\n", A, Some("u:")),
    // Macros, accounts, unknown words.
    same("macdef m\nmachine a.test login u password p\n\n", A, None),
    same(
        "macdef m\nmachine a.test login x password y\n\ndefault login v password w",
        A,
        Some("v:w"),
    ),
    other(
        "macdef m\r\nmachine a.test login u password p\r\n\r\n",
        A,
        None,
        Some("u:p"),
        "a macro ends with an empty line, whatever the ends of lines are",
    ),
    same("machine a.test login u password p\nmacdef m\nx y\n\n", A, Some("u:p")),
    other(
        "machine a.test macdef m\nlogin x password y\n\nlogin u password p\n",
        A,
        Some("u:p"),
        Some("x:y"),
        "a macro may be in an entry, where curl 7.88 reads its lines as words",
    ),
    same("machine a.test login u account q password p\n", A, Some("u:p")),
    same("account q machine a.test login u password p\n", A, Some("u:p")),
    other(
        "machine a.test account login login u password p\n",
        A,
        Some("u:p"),
        Some("login:p"),
        "an account has a value, which curl reads as a word of its own",
    ),
    same("machine a.test login u foo bar password p\n", A, Some("u:p")),
    same("garbage\nmachine a.test login u password p\n", A, Some("u:p")),
    same("login x password y machine a.test login u password p\n", A, Some("u:p")),
    // A user in the URL.
    same("machine a.test login u password p\n", "http://v:w@a.test", Some("v:w")),
    same("machine a.test login u password p\n", "http://u@a.test", Some("u:p")),
    same("machine a.test login u%20v password p\n", "http://u%2520v@a.test", Some("u%20v:p")),
    same(
        "machine a.test login u password p\nmachine a.test login v password q\n",
        "http://v@a.test",
        Some("v:q"),
    ),
    same("default password q\n", "http://v@a.test", Some("v:q")),
    same("machine b.test login v password q\n", "http://v@a.test", Some("v:")),
    same("machine a.test login u password p\n", "http://:w@a.test", Some(":w")),
    other(
        "machine a.test login u password p\n",
        "http://v@a.test",
        Some("v:"),
        Some("v:p"),
        "a password is sent with its own user only",
    ),
    other(
        "machine a.test login u password p\ndefault login v password q\n",
        "http://v@a.test",
        Some("v:q"),
        Some("v:"),
        "the first entry with this user counts, whatever is before it",
    ),
    other(
        "machine a.test login v password p\n",
        "http://v:@a.test",
        Some("v:p"),
        Some("v:"),
        "an empty password in a URL is none (URL Standard)",
    ),
    other(
        "machine a.test login u password p\n",
        "http://@a.test",
        Some("u:p"),
        Some(":p"),
        "an empty user in a URL is none (URL Standard)",
    ),
];

/// Files that are refused, with the line of the mistake.
pub(crate) const REFUSED: &[(&str, usize, CurlResult, &str)] = &[
    ("machine a.test login u password \"p\n", 1, CurlResult::Fails, ""),
    ("\nmachine a.test login u password \"p\\", 2, CurlResult::Fails, ""),
    (
        "machine a.test login u password\n",
        1,
        CurlResult::Sends(Some("u:")),
        "a password that is missing is a mistake of the file",
    ),
    (
        "machine a.test login u\npassword #q\n",
        2,
        CurlResult::Sends(Some("u:")),
        "what curl takes for a comment is more likely the password",
    ),
    (
        "machine a.test login u password \"p\"q\n",
        1,
        CurlResult::Sends(Some("u:p")),
        "what is after a quote may be part of the password",
    ),
    ("machine\n", 1, CurlResult::Sends(None), "a host that is missing is a mistake of the file"),
];
