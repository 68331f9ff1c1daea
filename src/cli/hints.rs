//! What to use in place of a flag that people know from curl, wget or aria2.

const GET_ONLY: &str = "not supported: fetch sends only GET and HEAD requests";
const NO_LINKS: &str = "not supported: fetch does not follow links in pages";

/// Flags, and what to use instead.
const HINTS: &[(&[&str], &str)] = &[
    (&["-O", "-P", "--remote-name", "--remote-name-all"], "use --dir DIR to save files"),
    (&["--output-dir", "--directory-prefix"], "use --dir DIR to save files"),
    (&["--out"], "use --dir DIR, and out=NAME on an indented line below a URL of the list"),
    (&["--create-dirs"], "always on: --dir creates directories"),
    (&["-i", "--input-file"], "give the list as an argument: fetch sites.txt"),
    (&["-C", "--continue", "--continue-at", "--resume"], "always on with --dir"),
    (
        &["-c"],
        "for cookies (-c of curl) use --cookie-jar FILE; to continue files (-c of wget and aria2) \
         use --dir DIR, which always does",
    ),
    (&["-r", "--range"], "not supported: fetch downloads whole files"),
    (&["-T", "--timeout"], "use --max-time (per attempt) or --stall-timeout (no data)"),
    (&["-L", "--location"], "always on: redirects are followed (see --max-redirs)"),
    (&["-s", "-S", "--silent", "--show-error"], "use --quiet (-q)"),
    (&["-f", "--fail", "--fail-with-body"], "always on: an HTTP error is a failure"),
    (&["-X", "--request"], "not supported: fetch sends only GET and HEAD (--head)"),
    (&["-F", "--data", "--data-binary", "--form", "--post-data", "--post-file"], GET_ONLY),
    (&["--junk-session-cookies"], "not supported: delete lines of the --cookie file with expiry 0"),
    (&["--keep-session-cookies"], "always on with --cookie-jar"),
    (&["--no-cookies"], "on by default: only redirects set cookies, for their own URL"),
    (&["--http-user", "--http-password", "--http-passwd"], "use --user USER:PASSWORD"),
    (&["--netrc-optional", "--no-netrc"], "use --netrc: a user in the URL counts more"),
    (&["-N", "-z", "--timestamping", "--conditional-get", "--time-cond"], "use --refresh"),
    (&["--no-clobber", "--skip-existing"], "always on, unless --overwrite is given"),
    (&["-t", "--tries", "--max-tries", "--retries"], "use --retry N (attempts after the first)"),
    (&["-w"], "use --host-delay (wget), or --json for what curl writes out"),
    (&["--wait", "--random-wait", "--delay"], "use --host-delay"),
    (&["--write-out"], "use --json, e.g. fetch --json URL | jq"),
    (&["--max-overall-download-limit", "--max-download-limit"], "use --limit-rate"),
    (&["--max-connection-per-server"], "use --per-host (files) or --split (parts of a file)"),
    (&["--no-check-certificate"], "use --insecure (-k)"),
    (&["-Z", "--parallel", "--parallel-max", "--max-concurrent-downloads"], "use --jobs N (-j)"),
    (&["--concurrency", "--threads", "--workers"], "use --jobs N (-j)"),
    (&["--retry-all-errors", "--retry-connrefused"], "see fetch help politeness"),
    (&["--retry-max-time"], "use --deadline"),
    (&["-U"], "use --user-agent (-A)"),
    (&["--content-disposition", "--trust-server-names"], "use --remote-header-name (-J)"),
    (&["--no-verbose"], "use --quiet (-q)"),
    (
        &["--no-directories", "--force-directories", "--cut-dirs"],
        "use --names flat or --names tree",
    ),
    (&["-l", "-p", "--recursive", "--level", "--page-requisites", "--mirror"], NO_LINKS),
    (&["--max-redirect"], "use --max-redirs"),
    (&["--ca-certificate"], "use --cacert"),
    (&["--http1.1", "--http1.0"], "use --http1"),
    (&["--http2"], "on by default: HTTP/2 is used if the server has it"),
    (&["--http3"], "not supported: HTTP/3"),
    (&["--tlsv1.2", "--tlsv1.3", "--tls-max"], "on by default: TLS 1.2 and 1.3"),
    (&["--proto", "--proto-redir"], "always on: only http and https"),
    (&["--dns-servers"], "not supported; see --resolve"),
    (&["--noproxy", "--no-proxy"], "use --proxy '' or the variable no_proxy"),
    (&["--all-proxy", "--http-proxy", "--https-proxy"], "use --proxy"),
    (&["--allow-overwrite"], "use --overwrite"),
    (&["--auto-file-renaming"], "always on: different URLs get different file names"),
    (&["--file-allocation", "--summary-interval"], "not supported"),
    (&["--console-log-level"], "use --quiet or --verbose"),
    (&["--save-session"], "use --failed FILE"),
    (&["--on-download-complete"], "use fetch --json sites.txt | while read -r line; do ...; done"),
    (&["-#", "--progress", "--progress-bar", "--show-progress"], "shown on a terminal"),
    (&["-K"], "not supported; --config FILE reads options in TOML"),
    (&["-D", "--dump-header"], "not supported: response headers are not saved"),
    (&["-R", "--remote-time"], "always on with --dir"),
    (&["-g", "--globoff"], "always on: brackets in a URL have no meaning"),
];

/// What to use in place of a flag, if it is known.
pub(super) fn hint(flag: &str) -> Option<&'static str> {
    HINTS.iter().find(|(flags, _)| flags.contains(&flag)).map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Arguments;

    #[test]
    fn no_flag_with_a_hint_exists_and_every_option_in_a_hint_does() {
        let command = Arguments::command();
        let exists = |flag: &str| {
            command.get_arguments().any(|argument| {
                argument.get_long().is_some_and(|long| flag == format!("--{long}"))
                    || argument.get_short().is_some_and(|short| flag == format!("-{short}"))
            })
        };
        let mut seen = BTreeSet::new();
        for (flags, hint) in HINTS {
            for flag in *flags {
                assert!(!exists(flag), "{flag} exists: its hint is out of date");
                assert!(seen.insert(flag), "{flag} has two hints");
            }
            let words = hint.split([' ', ',', '(', ')', ':', ';']);
            for option in words.filter(|word| word.starts_with("--")) {
                assert!(exists(option), "{option} does not exist: {hint}");
            }
        }
    }
}
