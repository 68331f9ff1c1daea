//! Flags that people know from curl, wget and aria2: those that work here as aliases, those that are accepted and ignored
//! because fetch does so anyway, and hints for the others. The chapter "coming-from" of the manual has the same table.

use clap::{Arg, ArgAction};

const GET_ONLY: &str = "not supported: fetch sends only GET and HEAD requests";
const SPLIT: &str = "-s is --quiet here; for the parts of a file (-s N of aria2) use --split N";
const MIN_SPLIT_SIZE: &str =
    "-k is --insecure here; for the size of parts (-k SIZE of aria2) use --min-split-size SIZE";
const NO_LINKS: &str = "not supported: fetch does not follow links in pages";

/// Our options, each with its aliases.
const ALIASES: &[(&str, &[&str])] = &[
    ("dir", &["--output-dir", "--directory-prefix", "-P"]),
    ("refresh", &["--timestamping", "--conditional-get", "-N"]),
    ("insecure", &["--no-check-certificate"]),
    (
        "jobs",
        &[
            "--parallel-max",
            "--max-concurrent-downloads",
            "--concurrency",
            "--threads",
            "--workers",
        ],
    ),
    ("retry", &["--retries"]),
    ("tries", &["--max-tries"]),
    ("remote-header-name", &["--content-disposition", "--trust-server-names"]),
    ("cacert", &["--ca-certificate"]),
    ("cert", &["--certificate"]),
    ("key", &["--private-key"]),
    ("head", &["--spider"]),
    ("http1", &["--http1.1"]),
    ("max-redirs", &["--max-redirect"]),
    ("proxy", &["--all-proxy"]),
    ("quiet", &["--silent", "-s"]),
    ("min-speed", &["--speed-limit", "--lowest-speed-limit", "-Y"]),
    ("min-speed-time", &["--speed-time", "-y"]),
    ("cookie", &["--load-cookies"]),
    ("cookie-jar", &["--save-cookies"]),
    ("interface", &["--bind-address"]),
    ("output", &["--output-document"]),
    ("input-file", &["--url"]),
];

/// Flags that are accepted and change nothing, and why.
const ACCEPTED: &[(&str, char, &str)] = &[
    ("location", 'L', "redirects are followed, see --max-redirs"),
    ("fail", 'f', "an HTTP error is a failure"),
    ("show-error", 'S', "errors are shown, with --quiet too"),
];

/// Other flags, and what to use instead.
const HINTS: &[(&[&str], &str)] = &[
    (
        &["-O", "--remote-name", "--remote-name-all"],
        "-O is --dir DIR here: every body gets a file of its own name",
    ),
    (&["--out"], "use --output FILE (-o), or out=NAME on an indented line below a URL of the list"),
    (&["--create-dirs"], "always on: --dir creates directories"),
    (&["-C", "--continue", "--continue-at", "--resume"], "always on with --dir"),
    (
        &["-c"],
        "for cookies (-c of curl) use --cookie-jar FILE; to continue files (-c of wget and aria2) \
         use --dir DIR, which always does",
    ),
    (&["-r", "--range"], "not supported: fetch downloads whole files"),
    (&["-T", "--timeout"], "use --max-time (per attempt) or --stall-timeout (no data)"),
    (
        &["--fail-with-body", "--fail-early"],
        "always on: an HTTP error is a failure, see --fail-fast",
    ),
    (&["-X", "--request"], GET_ONLY),
    (
        &[
            "-F",
            "--data",
            "--data-ascii",
            "--data-binary",
            "--data-raw",
            "--data-urlencode",
            "--form",
            "--post-data",
            "--post-file",
            "--upload-file",
        ],
        GET_ONLY,
    ),
    (&["-G", "--get"], "always on: write the query into the URL"),
    (&["--junk-session-cookies"], "not supported: delete lines of the --cookie file with expiry 0"),
    (&["--keep-session-cookies"], "always on with --cookie-jar"),
    (&["--no-cookies"], "on by default: only redirects set cookies, for their own URL"),
    (
        &["--http-user", "--http-password", "--http-passwd", "--password"],
        "use --user USER:PASSWORD",
    ),
    (&["--ask-password"], "use --user USER: the password is asked for"),
    (
        &["-U"],
        "for a proxy user (-U of curl) use --proxy with a user in its URL; for a user agent (-U of \
         wget) use --user-agent",
    ),
    (&["--proxy-user", "--proxy-password", "--proxy-passwd"], "use --proxy with a user in its URL"),
    (&["--oauth2-bearer"], "use --header 'Authorization: Bearer TOKEN', or --header @FILE"),
    (&["--basic"], "always on with --user"),
    (&["--anyauth", "--negotiate", "--ntlm"], "not supported: --user sends Basic"),
    (&["--pass"], "not supported: decrypt the key with openssl pkey, then use --key"),
    (&["--location-trusted"], "not supported: secrets are sent to listed origins only"),
    (&["--netrc-optional"], "use --netrc: a user in the URL counts more"),
    (&["--no-netrc"], "on by default: a netrc file is read only with --netrc or --netrc-file"),
    (&["--check-certificate"], "on by default, unless --insecure is given"),
    (&["--capath", "--ca-directory"], "use --cacert FILE: it may have several certificates"),
    (&["-z", "--time-cond"], "use --refresh"),
    (&["--etag-save", "--etag-compare"], "use --refresh with --dir, which keeps the ETag"),
    (&["-nc", "--no-clobber", "--skip-existing"], "always on, unless --overwrite is given"),
    (&["-w"], "use --host-delay (wget), or --json for what curl writes out"),
    (&["--wait", "--random-wait", "--delay"], "use --host-delay"),
    (&["--write-out"], "use --json, e.g. fetch --json URL | jq"),
    (&["--max-overall-download-limit", "--max-download-limit"], "use --limit-rate"),
    (&["--max-connection-per-server"], "use --per-host (files) or --split (parts of a file)"),
    (&["-Z", "--parallel"], "always on: see --jobs (-j) and --mode"),
    (
        &["--retry-all-errors", "--retry-connrefused"],
        "see fetch help politeness for which failures are tried again",
    ),
    (&["--max-retry", "--max-retries"], "use --retry"),
    (&["--waitretry", "--retry-wait"], "use --retry-delay"),
    (&["--retry-max-time"], "use --deadline"),
    (&["--dns-timeout"], "use --connect-timeout"),
    (&["--read-timeout"], "use --stall-timeout (no data)"),
    (&["-nv", "--no-verbose"], "use --quiet (-q)"),
    (
        &[
            "-nd",
            "-nH",
            "--no-directories",
            "--no-host-directories",
            "--force-directories",
            "--cut-dirs",
        ],
        "use --names flat or --names tree",
    ),
    (
        &[
            "-l",
            "-p",
            "--recursive",
            "--level",
            "-np",
            "--no-parent",
            "--page-requisites",
            "--mirror",
        ],
        NO_LINKS,
    ),
    (&["--http1.0"], "use --http1"),
    (&["--http2"], "on by default: HTTP/2 is used if the server has it"),
    (&["--http3"], "not supported: HTTP/3"),
    (&["--tlsv1.2", "--tlsv1.3", "--tls-max"], "on by default: TLS 1.2 and 1.3"),
    (&["--seed-time", "--seed-ratio"], "not supported: fetch speaks HTTP and HTTPS"),
    (&["--proto", "--proto-redir"], "always on: only http and https; --https-only allows https"),
    (&["--dns-servers"], "not supported; see --resolve"),
    (&["--noproxy", "--no-proxy"], "use --proxy '' or the variable no_proxy"),
    (&["--http-proxy", "--https-proxy"], "use --proxy, or the variable http_proxy or https_proxy"),
    (&["--allow-overwrite"], "use --overwrite"),
    (&["--auto-file-renaming"], "always on: different URLs get different file names"),
    (&["--file-allocation", "--summary-interval"], "not supported"),
    (&["--console-log-level"], "use --quiet or --verbose"),
    (&["--save-session"], "use --failed FILE"),
    (&["--on-download-complete"], "use fetch --json sites.txt | while read -r line; do ...; done"),
    (&["-#", "--progress", "--progress-bar", "--show-progress"], "shown on a terminal"),
    (&["-K"], "not supported: curl's -K files are not read; --config FILE reads options in TOML"),
    (
        &["-D", "--dump-header", "--save-headers", "--server-response", "--trace", "--trace-ascii"],
        "not saved; -vv prints the headers of responses",
    ),
    (&["-a", "--append-output", "--output-file"], "use >> FILE of the shell"),
    (&["--background"], "use & of the shell"),
    (
        &["-Q"],
        "for a quota (-Q of wget) use --quota; commands for FTP servers (-Q of curl) are not \
         supported",
    ),
    (&["-M", "--manual"], "use fetch help"),
    (&["--path-as-is"], "not supported: dots in the path of a URL are resolved"),
    (&["--unix-socket", "--abstract-unix-socket"], "not supported: only TCP"),
    (&["-R", "--remote-time"], "always on with --dir"),
    (&["--warc-file"], "use --warc PREFIX"),
    (&["--warc-max-size"], "use --archive-size SIZE with --warc"),
    (&["--warc-cdx"], "always on with --warc: PREFIX.cdxj"),
    (&["-g", "--globoff"], "always on: brackets in a URL have no meaning"),
];

/// Options that turn off a protection. They are not suggested for a similar flag.
const DISARMING: [&str; 4] = ["insecure", "force", "overwrite", "no-redact"];

/// What to use in place of a flag; `None` if there is no hint for it.
pub(super) fn hint(flag: &str) -> Option<&'static str> {
    HINTS.iter().find(|(flags, _)| flags.contains(&flag)).map(|(_, hint)| *hint)
}

/// The hint for a word that the parser would split into several flags, and the word: one of wget's flags with two letters
/// after one hyphen (`-nc`), or one of aria2's with a number (`-s16`).
pub(super) fn word_hint(word: &str) -> Option<(&str, &'static str)> {
    let is_wget_flag = |flags: &[&str]| word.len() == 3 && flags.contains(&word);
    let wget_hint = HINTS.iter().find(|(flags, _)| is_wget_flag(flags)).map(|(_, hint)| *hint);
    wget_hint.or_else(|| aria2_hint(word)).map(|hint| (word, hint))
}

/// The hint for a number after `-s` or `-k`, which are flags here. There is none for 4 and 6: `-s4` is two flags in curl, too.
fn aria2_hint(word: &str) -> Option<&'static str> {
    let (hint, size) = [("-s", SPLIT), ("-k", MIN_SPLIT_SIZE)]
        .into_iter()
        .find_map(|(flag, hint)| Some((hint, word.strip_prefix(flag)?)))?;
    let number = size.strip_suffix(['k', 'K', 'm', 'M', 'g', 'G']).unwrap_or(size);
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !["4", "6"].contains(&size)).then_some(hint)
}

/// The hint for wget's `-O -`, also as `-qO-`.
pub(super) fn stdout_hint(words: &[&str]) -> Option<&'static str> {
    let is_short = |word: &str| word.starts_with('-') && !word.starts_with("--");
    let in_one_word = words.iter().any(|word| is_short(word) && word.ends_with("O-"));
    let in_two_words =
        words.windows(2).any(|pair| is_short(pair[0]) && pair[0].ends_with('O') && pair[1] == "-");
    (in_one_word || in_two_words)
        .then_some("use -o -, which writes the body of a single URL to stdout")
}

/// Whether an option may be suggested for a similar flag.
pub(super) fn may_be_suggested(option: &str) -> bool {
    !DISARMING.contains(&option)
}

/// Adds the aliases of an option, and lists them in its long help.
pub(super) fn with_aliases(option: Arg) -> Arg {
    let aliases = ALIASES.iter().find(|(name, _)| option.get_long() == Some(*name));
    let Some((_, names)) = aliases else { return option };
    let help = option.get_long_help().or(option.get_help()).map(ToString::to_string);
    let help = format!("{}\n\nAlso: {}", help.unwrap_or_default(), names.join(", "));
    names.iter().fold(option.long_help(help), |option, name| match name.strip_prefix("--") {
        Some(long) => option.alias(long),
        None => option.short_alias(name.chars().nth(1).expect("a short name is a letter")),
    })
}

/// The flags that are accepted and change nothing.
pub(super) fn accepted() -> impl Iterator<Item = Arg> {
    ACCEPTED.iter().map(|(long, short, _)| {
        Arg::new(*long).long(*long).short(*short).action(ArgAction::Count).hide(true)
    })
}

/// Whether an option is accepted and changes nothing.
pub(super) fn is_accepted(long: &str) -> bool {
    ACCEPTED.iter().any(|(name, ..)| *name == long)
}

/// The hint for a value that is valid in another program; `None` if there is none.
pub(super) fn value_hint(option: &str, value: &str) -> Option<&'static str> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_flag = !option.contains('<');
    match option {
        "--mode <MODE>" if is_number => Some("for curl's -m SECONDS use --max-time"),
        _ if option.starts_with("--digest ") && (value.is_empty() || value.starts_with("http")) => {
            Some("--digest computes digests of bodies; to log in use --user, which sends Basic")
        }
        // Values that aria2 has for flags.
        _ if is_flag && value == "true" => Some("a flag takes no value: leave out =true"),
        _ if is_flag && value == "false" => Some("a flag takes no value: leave out the option"),
        _ => None,
    }
}

/// Whether a user agent looks like a value of wget's `-A`: `jpg,png`.
pub(super) fn is_a_list_of_extensions(agent: &str) -> bool {
    let is_extension = |text: &str| {
        let text = text.trim_start_matches(['*', '.']);
        (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    agent.contains(',') && agent.split(',').all(is_extension)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Arguments;
    use crate::cli::parse;
    use crate::cli::tests::empty_environment;
    use crate::manual;

    /// Whether the program has an option of this name, its own or another one.
    fn exists(flag: &str) -> bool {
        let command = Arguments::command();
        command.get_arguments().any(|argument| {
            let other_longs = argument.get_all_aliases().unwrap_or_default();
            let other_shorts = argument.get_all_short_aliases().unwrap_or_default();
            let mut longs = argument.get_long().into_iter().chain(other_longs);
            let mut shorts = argument.get_short().into_iter().chain(other_shorts);
            longs.any(|long| flag == format!("--{long}"))
                || shorts.any(|short| flag == format!("-{short}"))
        })
    }

    #[test]
    fn no_flag_with_a_hint_exists_and_every_option_in_a_hint_does() {
        let mut seen = BTreeSet::new();
        for (flags, hint) in HINTS {
            for flag in *flags {
                assert!(!exists(flag), "{flag} exists: its hint is out of date");
                assert!(seen.insert(flag), "{flag} has two hints");
            }
            assert!(!hint.contains('@') || !hint.contains("://"), "would be masked: {hint}");
            let words = hint.split([' ', ',', '(', ')', ':', ';']);
            for option in words.filter(|word| word.starts_with("--")) {
                assert!(exists(option), "{option} does not exist: {hint}");
            }
        }
        for (name, others) in ALIASES {
            assert!(exists(&format!("--{name}")), "{name}");
            assert!(others.iter().all(|other| exists(other)), "{others:?}");
        }
    }

    /// The command that these words are parsed into, or the usage error.
    fn typed(words: &[&str]) -> Result<String, String> {
        let has_dir =
            words.iter().any(|word| ["--dir", "-P"].contains(word) || word.contains("-dir"));
        let is_head = words.iter().any(|word| ["--head", "--spider"].contains(word));
        let is_output = words.iter().any(|word| ["--output", "--output-document"].contains(word));
        let dir = match (has_dir, is_head || is_output) {
            (true, _) => "--names=flat",
            (_, true) => "--quiet",
            _ => "--dir=d",
        };
        let words = [&["fetch", dir, "http://a.test/"], words].concat();
        let command = parse(words.iter().map(OsString::from), &empty_environment(true));
        command.map(|command| format!("{command:?}")).map_err(|usage| usage.text)
    }

    #[test]
    fn every_flag_of_the_table_is_typed_and_does_what_the_table_says() {
        let value = |own: &str| match own {
            "dir" => Some("other"),
            "jobs" | "retry" | "tries" | "max-redirs" | "min-speed" | "min-speed-time" => Some("4"),
            "interface" => Some("127.0.0.1"),
            "output" => Some("body"),
            "input-file" => Some("sites.txt"),
            "cacert" | "cert" | "key" => Some("some.pem"),
            "proxy" => Some("http://p.test:1"),
            "cookie" | "cookie-jar" => Some("cookies.txt"),
            _ => None,
        };
        for (own, names) in ALIASES {
            let typed = |flag: &str| {
                let beside = (*own == "key").then_some("--cert=client.pem");
                let words: Vec<_> =
                    [Some(flag), value(own), beside].into_iter().flatten().collect();
                typed(&words).expect(flag)
            };
            let expected = typed(&format!("--{own}"));
            assert!(names.iter().all(|name| typed(name) == expected), "{names:?}: {expected}");
        }
        for (long, short, _) in ACCEPTED {
            let expected = typed(&[]).unwrap();
            assert_eq!(typed(&[&format!("--{long}")]).as_ref(), Ok(&expected), "--{long}");
            assert_eq!(typed(&[&format!("-{short}")]).as_ref(), Ok(&expected), "-{short}");
        }
        for (flags, hint) in HINTS {
            for flag in *flags {
                let text = typed(&[flag]).unwrap_err();
                let start = format!("error: unexpected argument '{flag}' found\n\n  tip: {hint}\n");
                assert!(text.starts_with(&start), "{flag}: {text}");
            }
        }
        assert_eq!(typed(&["--tries=1"]), typed(&["--tries", "1"]));
        for (words, said) in [
            (&["-t", "0"][..], "1"),
            (&["-t2", "--retry=1"], "cannot be used with"),
            (&["-x", "16"], "for parallel transfers use --jobs, --per-host or --split"),
            (&["-m", "5"], "tip: for curl's -m SECONDS use --max-time"),
            (&["-s16"], "'-s16' found\n\n  tip: -s is --quiet here; for the parts of a file"),
            (&["-x16", "-s16"], "use --split N"),
            (&["-k1M"], "'-k1M' found\n\n  tip: -k is --insecure here; for the size of parts"),
            (&["-k4M"], "use --min-split-size SIZE"),
            (&["-qO-"], "tip: use -o -, which writes the body"),
            (&["-O", "-"], "tip: use -o -, which writes the body"),
            (&["-qO", "-"], "tip: use -o -, which writes the body"),
            (&["--conditional-get=true"], "tip: a flag takes no value: leave out =true"),
            (&["--http1=false"], "tip: a flag takes no value: leave out the option"),
            (&["--check-certificate=false"], "tip: on by default, unless --insecure is given"),
            (&["--digest", "-u", "a:b"], "tip: --digest computes digests of bodies; to log in"),
            (&["--digest", "http://a.test/"], "to log in use --user, which sends Basic"),
            (&["-U", "me:hunter2"], "tip: for a proxy user (-U of curl) use --proxy with a user"),
        ] {
            let text = typed(words).unwrap_err();
            assert!(text.contains(said) && !text.contains("hunter2"), "{words:?}: {text}");
        }
        assert_eq!(typed(&["-s4"]), typed(&["-s", "-4"]), "as in curl");
        for disarming in ["--insecur", "--forc", "--overwrit", "--no-redac"] {
            let text = typed(&[disarming]).unwrap_err();
            assert!(
                !DISARMING.iter().any(|option| text.contains(&format!("'--{option}'"))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_flag_that_is_only_vaguely_like_an_option_is_answered_without_a_suggestion() {
        for flag in [
            "--get",
            "--negotiate",
            "--server-response",
            "--save-headers",
            "--no-cookie",
            "--delete-after",
            "--trace",
            "--local-port",
            "--ciphers",
            "--crlfile",
            "--content-on-error",
            "--trace-ascii",
            "--ca-directory",
            "--retry-wait",
            "--location-trusted",
            "--no-netrc",
        ] {
            let text = typed(&[flag]).unwrap_err();
            assert!(!text.contains("similar"), "{flag}: {text}");
        }
        for (flag, own) in [
            ("--ouput", "--output"),
            ("--hedaer", "--header"),
            ("--ca-certificat", "--cacert"),
            ("--max-redir", "--max-redirs"),
            ("--dry", "--dry-run"),
            ("--verison", "--version"),
        ] {
            let text = typed(&[flag]).unwrap_err();
            assert!(text.contains(&format!("tip: a similar argument exists: '{own}'\n")), "{text}");
        }
    }

    #[test]
    fn the_chapter_has_every_row_of_the_table_and_no_other() {
        let chapter = manual::chapter("coming-from").unwrap().text;
        let items: Vec<_> = chapter.split("\n- ").skip(1).collect();
        let in_chapter: BTreeSet<_> = items
            .iter()
            .map(|item| item.split("\n\n").next().unwrap_or_default())
            .map(|item| item.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let code = |flags: &[&str]| {
            let flags: Vec<_> = flags.iter().map(|flag| format!("`{flag}`")).collect();
            flags.join(", ")
        };
        let mut in_table = BTreeSet::new();
        in_table.extend(ALIASES.iter().map(|(own, names)| format!("{}: `--{own}`", code(names))));
        in_table.extend(
            ACCEPTED.iter().map(|(long, short, why)| format!("`-{short}`, `--{long}`: {why}")),
        );
        in_table.extend(HINTS.iter().map(|(flags, hint)| format!("{}: {hint}", code(flags))));
        let (missing, extra): (Vec<_>, Vec<_>) = (
            in_table.difference(&in_chapter).collect(),
            in_chapter.difference(&in_table).collect(),
        );
        assert!(missing.is_empty() && extra.is_empty(), "missing: {missing:#?}; extra: {extra:#?}");
    }
}
