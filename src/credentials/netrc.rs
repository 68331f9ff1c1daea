//! Parses netrc files, which contain users and passwords by host, in the syntax that curl documents and reads.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

use std::fmt;

use serde::{Deserialize, Serialize};

/// The users and passwords of a netrc file.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Netrc(Vec<NetrcEntry>);

/// The entry of one host, or the default entry. Names and passwords are bytes because the file has no defined encoding.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct NetrcEntry {
    /// The host; `None` for any.
    machine: Option<Vec<u8>>,
    login: Vec<u8>,
    password: Vec<u8>,
}

/// The result of parsing a netrc file.
#[derive(Debug)]
pub(crate) struct ParsedNetrc {
    /// Its entries.
    pub netrc: Netrc,
    /// The line of the first unknown or misplaced word, from 1; such words are ignored.
    pub ignored: Option<usize>,
    /// The line of the first machine whose name is more than a host name, such as a URL, from 1; it matches no host.
    pub no_host: Option<usize>,
}

/// A syntax error in a netrc file. It quotes no word, since any may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {fault}")]
pub(crate) struct NetrcError {
    /// The line, from 1.
    line: usize,
    fault: NetrcFault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum NetrcFault {
    #[error("missing closing quote (expected \" on the same line)")]
    Unclosed,
    #[error("text directly after a closing quote (expected a blank)")]
    Joined,
    #[error("'{0}' has no value (quote one that begins with #)")]
    NoValue(Keyword),
}

/// A keyword of the syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keyword {
    Machine,
    Default,
    Login,
    Password,
    Account,
    Macdef,
}

impl Keyword {
    const ALL: [Self; 6] =
        [Self::Machine, Self::Default, Self::Login, Self::Password, Self::Account, Self::Macdef];

    fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Default => "default",
            Self::Login => "login",
            Self::Password => "password",
            Self::Account => "account",
            Self::Macdef => "macdef",
        }
    }

    fn of(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|keyword| word.eq_ignore_ascii_case(keyword.name().as_bytes()))
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

impl fmt::Debug for Netrc {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Netrc({} entries)", self.0.len())
    }
}

impl Netrc {
    /// Parses the content of a file.
    ///
    /// # Errors
    /// If a quote is not closed, or a keyword has no value.
    pub(crate) fn parse(content: &[u8]) -> Result<ParsedNetrc, NetrcError> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let mut parser = NetrcParser::default();
        for line in content.split(|byte| *byte == b'\n') {
            parser.line += 1;
            parser.parse_line(line)?;
        }
        parser.finish()
    }

    /// The user and password for a host, from the first matching entry that has both or, if none has, from the first that
    /// has one of them. A default entry matches every host. `None` if there is no such entry.
    pub(crate) fn user_at(&self, host: &str) -> Option<(&[u8], &[u8])> {
        let mut incomplete = None;
        for entry in self.entries_for(host) {
            match (&*entry.login, &*entry.password) {
                ([], []) => {}
                both @ ([_, ..], [_, ..]) => return Some(both),
                one => incomplete = incomplete.or(Some(one)),
            }
        }
        incomplete
    }

    /// Whether it has no entries.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The password of this user for a host: that of the first matching entry that has one, and this login or none.
    pub(crate) fn password_at(&self, host: &str, user: &[u8]) -> Option<&[u8]> {
        let fits = |entry: &&NetrcEntry| entry.login.is_empty() || entry.login == user;
        let mut entries = self.entries_for(host).filter(fits);
        entries.find(|entry| !entry.password.is_empty()).map(|entry| &*entry.password)
    }

    fn entries_for(&self, host: &str) -> impl Iterator<Item = &NetrcEntry> {
        self.0.iter().filter(move |entry| {
            let machine = entry.machine.as_ref();
            machine.is_none_or(|machine| machine.eq_ignore_ascii_case(host.as_bytes()))
        })
    }
}

/// The parser's state, line by line.
#[derive(Default)]
struct NetrcParser {
    entries: Vec<NetrcEntry>,
    /// The number of the current line.
    line: usize,
    /// The keyword whose value comes next, and its line.
    awaited: Option<(Keyword, usize)>,
    /// Whether the line is part of a macro, which ends with an empty line.
    is_in_macro: bool,
    ignored: Option<usize>,
    no_host: Option<usize>,
}

impl NetrcParser {
    fn parse_line(&mut self, line: &[u8]) -> Result<(), NetrcError> {
        if self.is_in_macro {
            self.is_in_macro = !matches!(line, b"" | b"\r");
            return Ok(());
        }
        let mut rest = line.trim_ascii_start();
        while !rest.is_empty() && !self.is_in_macro {
            if rest[0] == b'#' {
                return self.check_comment();
            }
            let word = self.next_word(&mut rest)?;
            self.add_word(word);
        }
        Ok(())
    }

    /// Skips the comment at the end of a line. A keyword of the line that still lacks its value makes it an error, because
    /// the supposed comment may be that value.
    fn check_comment(&self) -> Result<(), NetrcError> {
        match self.awaited {
            Some((keyword, line)) if line == self.line => {
                Err(NetrcError { line, fault: NetrcFault::NoValue(keyword) })
            }
            _ => Ok(()),
        }
    }

    /// Takes the next word off `rest`, and the whitespace after it.
    fn next_word(&self, rest: &mut &[u8]) -> Result<Vec<u8>, NetrcError> {
        let word = match rest.strip_prefix(b"\"") {
            Some(quoted) => self.quoted_word(quoted, rest)?,
            None => {
                let end = rest.iter().position(is_space).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                *rest = after;
                word.to_vec()
            }
        };
        let spaces = rest.iter().take_while(|byte| is_space(byte)).count();
        *rest = &rest[spaces..];
        Ok(word)
    }

    /// Parses a quoted word without its opening quote, and sets `rest` to what follows it.
    fn quoted_word<'a>(
        &self,
        quoted: &'a [u8],
        rest: &mut &'a [u8],
    ) -> Result<Vec<u8>, NetrcError> {
        let (mut word, mut bytes) = (Vec::new(), quoted.iter());
        let error = |fault| Err(NetrcError { line: self.line, fault });
        loop {
            match bytes.next() {
                None => return error(NetrcFault::Unclosed),
                Some(b'"') => break,
                Some(b'\\') => match bytes.next() {
                    None => return error(NetrcFault::Unclosed),
                    Some(b'n') => word.push(b'\n'),
                    Some(b'r') => word.push(b'\r'),
                    Some(b't') => word.push(b'\t'),
                    Some(other) => word.push(*other),
                },
                Some(other) => word.push(*other),
            }
        }
        *rest = bytes.as_slice();
        if rest.first().is_some_and(|next| !is_space(next)) {
            return error(NetrcFault::Joined);
        }
        Ok(word)
    }

    fn add_word(&mut self, word: Vec<u8>) {
        match self.awaited.take() {
            Some((keyword, _)) => self.set(keyword, word),
            None => match Keyword::of(&word) {
                Some(Keyword::Default) => self.entries.push(NetrcEntry::default()),
                // The rest of the line, with the name of the macro, is ignored.
                Some(Keyword::Macdef) => self.is_in_macro = true,
                Some(keyword) => self.awaited = Some((keyword, self.line)),
                None => _ = self.ignored.get_or_insert(self.line),
            },
        }
    }

    fn set(&mut self, keyword: Keyword, value: Vec<u8>) {
        if keyword == Keyword::Machine {
            if !is_host(&value) {
                self.no_host.get_or_insert(self.line);
            }
            self.entries.push(NetrcEntry { machine: Some(value), ..NetrcEntry::default() });
            return;
        }
        let Some(entry) = self.entries.last_mut() else {
            self.ignored.get_or_insert(self.line);
            return;
        };
        // Until the entry has both, a later value replaces an earlier one.
        let is_complete = !entry.login.is_empty() && !entry.password.is_empty();
        match keyword {
            Keyword::Login if !is_complete => entry.login = value,
            Keyword::Password if !is_complete => entry.password = value,
            // HTTP has no accounts.
            _ => {}
        }
    }

    fn finish(self) -> Result<ParsedNetrc, NetrcError> {
        match self.awaited {
            Some((keyword, line)) => Err(NetrcError { line, fault: NetrcFault::NoValue(keyword) }),
            None => {
                let Self { entries, ignored, no_host, .. } = self;
                Ok(ParsedNetrc { netrc: Netrc(entries), ignored, no_host })
            }
        }
    }
}

/// Whether the name of a machine may be a host: it has no scheme, path, user, wildcard, port or brackets.
fn is_host(name: &[u8]) -> bool {
    let colons = name.iter().filter(|byte| **byte == b':').count();
    colons != 1 && !name.iter().any(|byte| b"/*[]@".contains(byte))
}

/// Whether C's `isspace` is true for the byte.
fn is_space(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || *byte == 0x0b
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complaint(text: &str) -> String {
        Netrc::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_without_a_secret() {
        for (text, part) in [
            ("\nmachine a login u password \"hunter2", "2: missing closing quote"),
            ("machine a login u password \"hunter2\\", "1: missing closing quote"),
            ("machine a\nlogin u password \"hunter2\"x", "2: text directly after a closing quote"),
            ("machine a login u\npassword #hunter2\n", "2: 'password' has no value"),
            ("machine a login hunter2\npassword", "2: 'password' has no value"),
            ("machine\n\n", "1: 'machine' has no value"),
        ] {
            let complaint = complaint(text);
            assert!(complaint.starts_with(part) && !complaint.contains("hunter2"), "{complaint}");
        }
    }

    #[test]
    fn a_word_without_a_meaning_is_ignored_and_its_line_known() {
        let ignored = |text: &str| Netrc::parse(text.as_bytes()).unwrap().ignored;
        assert_eq!(ignored("machine a login u password p account q # x\ndefault\n"), None);
        assert_eq!(ignored("machine a\nlogin u password my secret phrase"), Some(2));
        assert_eq!(ignored("login u\nmachine a"), Some(1));
        assert_eq!(ignored("machine a macdef x y\nz z\n\nlogin u"), None);
    }

    #[test]
    fn a_machine_that_is_no_host_is_known_by_its_line() {
        let no_host = |text: &str| Netrc::parse(text.as_bytes()).unwrap().no_host;
        for name in ["a.test:80", "http://a.test", "a.test/", "[::1]", "*.a.test", "u@a.test"] {
            assert_eq!(no_host(&format!("machine b login u\nmachine {name}\n")), Some(2), "{name}");
        }
        for name in ["a.test", "127.0.0.1", "::1", "fe80::1"] {
            assert_eq!(no_host(&format!("machine {name}\n")), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_as_it_was(word in "\\PC{0,20}|[a\"\\\\# \t\n\r]{1,9}") {
            let quoted = word.replace('\\', "\\\\").replace('"', "\\\"");
            let quoted = quoted.replace('\n', "\\n").replace('\r', "\\r");
            let text = format!("machine a login \"x{quoted}\" password p");
            let netrc = Netrc::parse(text.as_bytes()).unwrap().netrc;
            let expected = format!("x{word}");
            prop_assert_eq!(netrc.user_at("a"), Some((expected.as_bytes(), &b"p"[..])));
        }

        #[test]
        fn any_bytes_are_parsed(
            bytes in prop::collection::vec(prop_oneof![
                any::<u8>(), prop::sample::select(&b"machine default login \"\\\n# "[..])
            ], 0..80)
        ) {
            if let Ok(parsed) = Netrc::parse(&bytes) {
                let _ = (parsed.netrc.user_at("a"), parsed.netrc.password_at("a", b"u"));
            }
        }
    }
}
