//! robots.txt (RFC 9309): what the file, or the failure to get it, allows. Pure.
//!
//! `robotxt` reads the file and matches patterns. It follows the RFC, not a search engine's habits: it merges the groups
//! of one robot, compares percent-encodings by their meaning, and matches without regular expressions in time linear
//! in pattern and path, whatever a file holds.

use http::HeaderValue;
use robotxt::{BYTE_LIMIT, Robots, Rule};
use url::{Position, Url};

use crate::model::Failure;

/// The most bytes of a robots.txt that are read (section 2.5); the rest is ignored, and so is a line that the limit cuts.
pub(crate) const MAX_BYTES: usize = BYTE_LIMIT;

/// The most redirects that are followed to a robots.txt (section 2.3.1.2).
pub(crate) const MAX_REDIRECTS: u32 = 5;

/// The rules of one host for this robot. They are shared by reference counting: a large file takes megabytes.
#[derive(Debug, Clone)]
pub struct RobotsRules(Robots);

/// The result of requesting a robots.txt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RobotsReply<'a> {
    /// The body of a final 2xx, or more than its first [`MAX_BYTES`] bytes if it is longer.
    Body(&'a [u8]),
    /// Anything else, after all tries.
    Failed(&'a Failure),
}

/// The rules that follow from a reply (section 2.3.1).
///
/// A host without a robots.txt (4xx, a redirect that leads nowhere or where nothing may be requested) allows everything; one
/// that may not be connected to does as well, as its URLs fail for that reason. One that may have one and does not
/// deliver it (5xx, no whole reply) allows nothing. The RFC lets a robot treat 429 like the former; here a host that asks
/// for fewer requests does not get more (its failure is `RateLimited`, not `Status`).
pub(crate) fn rules_of_reply(reply: RobotsReply<'_>, product_token: &str) -> RobotsRules {
    match reply {
        RobotsReply::Body(body) => RobotsRules::parse(body, product_token),
        RobotsReply::Failed(
            Failure::Status(400..=499)
            | Failure::Redirect(_)
            | Failure::BlockedAddress(_)
            | Failure::InvalidUrl(_),
        ) => RobotsRules::everything(),
        RobotsReply::Failed(_) => RobotsRules::nothing(),
    }
}

impl RobotsRules {
    /// Parses a robots.txt for the robot of this name. Never fails: lines that are no rules are ignored.
    pub fn parse(body: &[u8], product_token: &str) -> Self {
        let robots = Robots::parse(body, product_token);
        // True of most files, which then take no memory.
        match robots.always() {
            Some(true) => Self::everything(),
            Some(false) => Self::nothing(),
            None => Self(robots),
        }
    }

    /// Rules that allow everything.
    pub fn everything() -> Self {
        Self(Robots::allow_all())
    }

    /// Rules that allow nothing but robots.txt itself.
    pub fn nothing() -> Self {
        Self(Robots::disallow_all())
    }

    /// Whether a URL of the host may be fetched. The most specific rule decides, the one with the longest pattern; of
    /// two as long the one that allows; without a rule the URL is allowed (section 2.2.2).
    pub fn allows(&self, url: &Url) -> bool {
        let path = &url[Position::BeforePath..Position::AfterQuery];
        if !path.contains(['*', '$']) {
            return self.0.is_allowed(path);
        }
        // Patterns write these two as %2A and %24 (section 2.2.3); a URL may have them in either form.
        let encoded = path.replace('*', "%2A").replace('$', "%24");
        let rules = [path, &encoded].into_iter().filter_map(|path| self.0.matching_rule(path));
        rules.max_by_key(|rule| (rule.pattern().len(), rule.is_allow())).is_none_or(Rule::is_allow)
    }
}

/// The URL of the robots.txt of a URL's host, without user information: one file is for all users.
pub(crate) fn robots_url(url: &Url) -> Url {
    // Only a URL that is not HTTP has none.
    robotxt::robots_url(url).unwrap_or_else(|_| url.clone())
}

/// The product token that robots.txt files know this robot by: the beginning of its User-Agent, as far as it consists of
/// letters, `_` and `-` (section 2.2.1). Empty if there is none; then the rules for all robots apply.
pub(crate) fn product_token(user_agent: &HeaderValue) -> &str {
    let text = user_agent.to_str().unwrap_or_default();
    let end =
        text.find(|character: char| !character.is_ascii_alphabetic() && !"-_".contains(character));
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn url(path: &str) -> Url {
        format!("https://example.org{path}").parse().unwrap()
    }

    /// Whether the robot `fetch` may have a path by these lines.
    fn allowed(lines: &str, path: &str) -> bool {
        RobotsRules::parse(lines.as_bytes(), "fetch").allows(&url(path))
    }

    /// Whether it may by these lines, where they are for all robots.
    fn allowed_to_all(lines: &str, path: &str) -> bool {
        allowed(&format!("User-agent: *\n{lines}"), path)
    }

    #[test]
    fn rules_can_be_shared_between_threads() {
        fn ensure_shared<T: Send + Sync + std::fmt::Debug>() {}
        ensure_shared::<RobotsRules>();
    }

    #[test]
    fn the_group_of_the_robot_goes_before_the_group_of_all() {
        let lines = "User-agent: *\nDisallow: /\n\nUser-agent: fetch\nDisallow: /private\n";
        assert!(allowed(lines, "/public"));
        assert!(!allowed(lines, "/private"));
        let other = RobotsRules::parse(lines.as_bytes(), "other");
        assert!(!other.allows(&url("/public")));
    }

    #[test]
    fn the_name_is_compared_whole_and_in_any_case() {
        for name in ["fetch", "FETCH", "Fetch"] {
            assert!(!allowed(&format!("User-agent: {name}\nDisallow: /"), "/x"), "{name}");
        }
        for name in ["fetcher", "fet", "fetch-images", "a fetch"] {
            assert!(allowed(&format!("User-agent: {name}\nDisallow: /"), "/x"), "{name}");
        }
    }

    #[test]
    fn groups_of_one_robot_are_one_group() {
        let lines = "User-agent: fetch\nDisallow: /a\n\nUser-agent: other\nDisallow: /b\n\n\
                     User-agent: fetch\nDisallow: /c\n";
        assert!(!allowed(lines, "/a"));
        assert!(allowed(lines, "/b"));
        assert!(!allowed(lines, "/c"));
    }

    #[test]
    fn one_group_may_be_for_several_robots() {
        let lines = "User-agent: other\nUser-agent: fetch\nDisallow: /a\n";
        assert!(!allowed(lines, "/a"));
    }

    #[test]
    fn a_group_without_rules_allows_everything() {
        assert!(allowed("User-agent: *\nDisallow: /\n\nUser-agent: fetch\n", "/x"));
        assert!(allowed("User-agent: *\nDisallow: /\n\nUser-agent: fetch\nDisallow:\n", "/x"));
    }

    #[test]
    fn without_a_group_that_fits_everything_is_allowed() {
        assert!(allowed("User-agent: other\nDisallow: /\n", "/x"));
        assert!(allowed("Disallow: /\n", "/x"), "a rule before any group is nobody's");
        assert!(allowed("", "/x"));
    }

    #[test]
    fn lines_of_other_kinds_end_no_group_and_comments_are_no_rules() {
        let lines = "# Hello.\nUser-agent: fetch # us\nSitemap: https://a.b/map.xml\n\
                     User-agent: other\nhello\nDisallow: /a # for now\n";
        assert!(!allowed(lines, "/a"));
        assert!(!allowed(lines, "/ab"));
        assert!(allowed(lines, "/b"));
    }

    #[test]
    fn keys_are_read_in_any_case_and_lines_end_in_any_way() {
        for end in ["\n", "\r\n", "\r"] {
            let lines = format!("USER-AGENT:fetch{end}  disALLOW :\t/a  {end}");
            assert!(!allowed(&lines, "/a"), "{end:?}");
            assert!(allowed(&lines, "/b"), "{end:?}");
        }
        assert!(!allowed("\u{feff}User-agent: *\nDisallow: /", "/x"), "a byte order mark");
    }

    #[test]
    fn the_longest_pattern_decides_wherever_it_stands() {
        let lines = "Allow: /shop/\nDisallow: /\nDisallow: /shop/cart\nAllow: /shop/cart/help\n";
        assert!(!allowed_to_all(lines, "/"));
        assert!(allowed_to_all(lines, "/shop/tea"));
        assert!(!allowed_to_all(lines, "/shop/cart?item=1"));
        assert!(allowed_to_all(lines, "/shop/cart/help.html"));
    }

    #[test]
    fn of_two_patterns_as_long_the_one_that_allows_decides() {
        assert!(allowed_to_all("Disallow: /page\nAllow: /page\n", "/page"));
        assert!(allowed_to_all("Allow: /page\nDisallow: /page\n", "/page"));
        assert!(allowed_to_all("Disallow: /*.htm\nAllow: /page*\n", "/page.html"));
    }

    #[test]
    fn patterns_are_beginnings_in_their_own_case() {
        for path in ["/fish", "/fish.html", "/fish/salmon", "/fishing?rod=1"] {
            assert!(!allowed_to_all("Disallow: /fish", path), "{path}");
        }
        for path in ["/Fish", "/a/fish", "/?fish", "/fis"] {
            assert!(allowed_to_all("Disallow: /fish", path), "{path}");
        }
    }

    #[test]
    fn a_star_is_any_number_of_any_bytes() {
        for path in ["/a.gif", "/a/b.gif", "/.gif", "/a.gif?size=1", "/a.gifs"] {
            assert!(!allowed_to_all("Disallow: /*.gif", path), "{path}");
        }
        assert!(allowed_to_all("Disallow: /*.gif", "/gif"));
        for path in ["/a/x/b", "/a//b", "/a/x/y/b/c"] {
            assert!(!allowed_to_all("Disallow: /a/*/b", path), "{path}");
        }
        assert!(allowed_to_all("Disallow: /a/*/b", "/a/b"));
        assert!(!allowed_to_all("Disallow: *", "/x"));
        assert!(!allowed_to_all("Disallow: /**a**b***", "/xaxbx"));
    }

    #[test]
    fn a_dollar_at_the_end_is_the_end() {
        assert!(!allowed_to_all("Disallow: /*.gif$", "/a.gif"));
        assert!(!allowed_to_all("Disallow: /*.gif$", "/a.gif/b.gif"));
        assert!(allowed_to_all("Disallow: /*.gif$", "/a.gif?size=1"));
        assert!(!allowed_to_all("Disallow: /$", "/"));
        assert!(allowed_to_all("Disallow: /$", "/x"));
        assert!(!allowed_to_all("Disallow: /a$b", "/a$bc"), "elsewhere it is a dollar");
    }

    #[test]
    fn an_encoded_star_or_dollar_is_itself_and_no_sign() {
        for path in ["/a-*.html", "/a-%2A.html", "/a-%2a.html"] {
            assert!(!allowed_to_all("Disallow: /a-%2A.html", path), "{path}");
        }
        assert!(allowed_to_all("Disallow: /a-%2A.html", "/a-x.html"));
        for path in ["/foo-$", "/foo-%24", "/foo-$x"] {
            assert!(!allowed_to_all("Disallow: /foo-%24", path), "{path}");
        }
        assert!(allowed_to_all("Disallow: /foo-%24", "/foo-"));
        let lines = "Disallow: /foo-*\nAllow: /foo-%24\n";
        assert!(allowed_to_all(lines, "/foo-$"));
    }

    #[test]
    fn percent_encoding_is_compared_by_its_meaning() {
        assert!(!allowed_to_all("Disallow: /foo/bar/\u{30c4}", "/foo/bar/\u{30c4}"));
        assert!(!allowed_to_all("Disallow: /foo/bar/\u{30c4}", "/foo/bar/%E3%83%84"));
        assert!(!allowed_to_all("Disallow: /foo/bar/%e3%83%84", "/foo/bar/\u{30c4}"));
        assert!(!allowed_to_all("Disallow: /foo/bar/%62%61%7A", "/foo/bar/baz"));
        assert!(!allowed_to_all("Disallow: /foo/bar/baz", "/foo/bar/%62%61%7a"));
        assert!(!allowed_to_all("Disallow: /two words", "/two%20words"));
    }

    #[test]
    fn an_encoded_slash_or_question_mark_is_not_the_sign() {
        assert!(allowed_to_all("Disallow: /a/b", "/a%2Fb"));
        assert!(!allowed_to_all("Disallow: /a%2fb", "/a%2Fb"));
        assert!(allowed_to_all("Disallow: /a?b", "/a%3Fb"));
    }

    #[test]
    fn the_query_counts_and_the_fragment_does_not() {
        assert!(!allowed_to_all("Disallow: /*?session=", "/a?session=1"));
        assert!(allowed_to_all("Disallow: /*?session=", "/a"));
        assert!(allowed_to_all("Disallow: /*secret", "/a#secret"));
        assert!(!allowed_to_all("Disallow: /a$", "/a#b"));
    }

    #[test]
    fn robots_txt_itself_is_always_allowed() {
        for rules in [
            RobotsRules::nothing(),
            RobotsRules::parse(b"User-agent: *\nDisallow: /r\nAllow: /x", ""),
        ] {
            assert!(rules.allows(&url("/robots.txt")));
            assert!(!rules.allows(&url("/robots.txt.bak")));
        }
    }

    #[test]
    fn what_is_no_robots_txt_allows_everything() {
        let page = b"<!DOCTYPE html><html><body>Disallow: / is what it does not say</body></html>";
        assert!(RobotsRules::parse(page, "fetch").allows(&url("/x")));
        assert!(RobotsRules::parse(&[0, 255, 13, 10, 7].repeat(999), "fetch").allows(&url("/x")));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_matched_as_they_are() {
        let rules = RobotsRules::parse(b"User-agent: *\nDisallow: /\xe9t\xe9", "fetch");
        assert!(!rules.allows(&url("/%E9t%E9")));
        assert!(rules.allows(&url("/%C3%A9t")));
    }

    #[test]
    fn what_lies_beyond_the_first_500_kib_does_not_count() {
        let filler = "# a comment of 32 bytes in all..\n";
        let mut lines = "User-agent: *\nDisallow: /early\n".to_owned();
        lines.push_str(&filler.repeat(MAX_BYTES / filler.len() - 2));
        let inside = format!("{lines}\nDisallow: /in\n");
        assert!(inside.len() < MAX_BYTES);
        assert!(!allowed(&inside, "/in"));
        let beyond = format!("{lines}{}Disallow: /out\n", filler.repeat(3));
        assert!(!allowed(&beyond, "/early"));
        assert!(allowed(&beyond, "/out"));
    }

    #[test]
    fn a_rule_that_the_limit_cuts_does_not_count() {
        let mut body = b"User-agent: *\nAllow: /a\nDisallow: /b\n#".to_vec();
        body.resize(MAX_BYTES - "\nDisallow: /".len(), b'.');
        body.extend_from_slice(b"\nDisallow: /private\n");
        let rules = RobotsRules::parse(&body, "fetch");
        assert!(rules.allows(&url("/x")));
        assert!(!rules.allows(&url("/b")));
    }

    #[test]
    fn a_hostile_pattern_does_not_take_long() {
        let lines = format!("User-agent: *\nAllow: /z\nDisallow: /{}z$\n", "a*".repeat(20_000));
        let rules = RobotsRules::parse(lines.as_bytes(), "fetch");
        // Where time were exponential, or only quadratic with backtracking, this would not end.
        assert!(rules.allows(&url(&format!("/{}", "a".repeat(60_000)))));
    }

    #[test]
    fn a_reply_is_rules() {
        let of = |reply| {
            let rules = rules_of_reply(reply, "fetch");
            (rules.allows(&url("/a")), rules.allows(&url("/b")))
        };
        let body = b"User-agent: fetch\nDisallow: /a\n";
        assert_eq!(of(RobotsReply::Body(body)), (false, true));
        assert_eq!(of(RobotsReply::Body(b"")), (true, true));
        let nothing_there = [
            Failure::Status(400),
            Failure::Status(401),
            Failure::Status(404),
            Failure::Status(410),
            Failure::Status(499),
            Failure::Redirect("no Location".to_owned()),
            Failure::BlockedAddress("no".to_owned()),
            Failure::InvalidUrl("no".to_owned()),
        ];
        for failure in &nothing_there {
            assert_eq!(of(RobotsReply::Failed(failure)), (true, true), "{failure}");
        }
        let unreachable = [
            Failure::Status(500),
            Failure::Status(503),
            Failure::RateLimited { status: 429, wait: None },
            Failure::Dns { host: "a".to_owned(), reason: "no".to_owned() },
            Failure::HostDown("no".to_owned()),
            Failure::Connect("no".to_owned()),
            Failure::Tls("no".to_owned()),
            Failure::Timeout(Duration::from_secs(1)),
            Failure::Stalled(Duration::from_secs(1)),
            Failure::Truncated { received: 3, promised: Some(4) },
            Failure::Protocol("no".to_owned()),
        ];
        for failure in &unreachable {
            assert_eq!(of(RobotsReply::Failed(failure)), (false, false), "{failure}");
        }
    }

    #[test]
    fn the_file_is_at_the_root_of_the_host_without_a_user() {
        let of = |text: &str| robots_url(&text.parse().unwrap()).to_string();
        assert_eq!(of("https://u:p@a.b:8443/x/y?q#z"), "https://a.b:8443/robots.txt");
        assert_eq!(of("http://[::1]/"), "http://[::1]/robots.txt");
    }

    #[test]
    fn the_name_is_the_product_of_the_user_agent() {
        let of = |text: &'static str| product_token(&HeaderValue::from_static(text)).to_owned();
        assert_eq!(of("fetch/0.1.0"), "fetch");
        assert_eq!(of("fetch"), "fetch");
        assert_eq!(of("My_Robot-x (+https://a.b)"), "My_Robot-x");
        assert_eq!(of("Mozilla/5.0 (X11; Linux)"), "Mozilla");
        assert_eq!(of("robot2/1"), "robot");
        assert_eq!(of("2robot"), "");
        assert_eq!(of(""), "");
        assert!(!RobotsRules::parse(b"User-agent: *\nDisallow: /", "").allows(&url("/x")));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_they_are_rules(
            body in any::<Vec<u8>>(),
            lines in "((user-agent|allow|disallow): [*/a$%2]{0,9}[\r\n]{0,2}){0,9}",
            path in "/[*$%2a/?#]{0,20}",
        ) {
            RobotsRules::parse(&body, "fetch").allows(&url(&path));
            RobotsRules::parse(lines.as_bytes(), "a").allows(&url(&path));
        }

        #[test]
        fn a_url_is_a_pattern_for_itself(path in "/[a-z%/?&=.~é -]{0,20}") {
            let url = url(&path);
            let pattern = &url[Position::BeforePath..Position::AfterQuery];
            prop_assume!(pattern != "/robots.txt");
            let lines = format!("User-agent: *\nDisallow: {pattern}\nAllow: /-\n");
            prop_assert!(pattern.starts_with("/-") || !RobotsRules::parse(lines.as_bytes(), "a").allows(&url));
        }
    }
}
