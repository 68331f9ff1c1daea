//! Checksum files, as `sha256sum` writes and checks them (GNU coreutils manual, "md5sum invocation" and "cksum output
//! modes"), and the digests that bodies must have, by such a file or by `--checksum`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};

use super::{Algorithm, Digest};

/// SHA-256 checksums by file name. Memory: each name and its checksum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChecksumFile(HashMap<Box<str>, Digest>);

/// The digests that bodies must have, by `--checksum` and `--sha256sums`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExpectedDigests {
    /// That of the only body.
    pub checksum: Option<Digest>,
    /// Those of the bodies that are, or would be, saved under a name.
    pub sums: Option<ChecksumFile>,
}

impl ExpectedDigests {
    /// The digests that the body of this name must have, each with the option that says so.
    pub(crate) fn of(&self, name: &str) -> impl Iterator<Item = (Digest, &'static str)> {
        let checksum = self.checksum.map(|digest| (digest, "--checksum"));
        checksum.into_iter().chain(self.listed(name).map(|digest| (digest, "--sha256sums")))
    }

    /// Whether there is a checksum file that does not list this name.
    pub(crate) fn leaves_out(&self, name: &str) -> bool {
        self.sums.is_some() && self.listed(name).is_none()
    }

    /// The expected digests of this name only.
    pub(crate) fn restricted_to(&self, name: &str) -> Self {
        let listed = self.listed(name).map(|digest| (name.into(), digest));
        let sums = self.sums.as_ref().map(|_| ChecksumFile(listed.into_iter().collect()));
        Self { checksum: self.checksum, sums }
    }

    fn listed(&self, name: &str) -> Option<Digest> {
        self.sums.as_ref().and_then(|sums| sums.of(name)).copied()
    }
}

/// Why a checksum file is invalid. `Display` follows `NAME:`, and starts with the line number, but for `ClearSigned`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChecksumFileError {
    /// A line is malformed.
    #[error("{line}: not in sha256sum format (64 hex digits, two spaces and a name)")]
    Line {
        /// The line number, from 1.
        line: usize,
    },
    /// It is signed within its text. The signature would be ignored, so it has to be checked first.
    #[error(
        "clear-signed (PGP) message; check its signature and extract the sums, e.g. gpg --output SUMS --decrypt FILE"
    )]
    ClearSigned,
    /// A name has two different checksums.
    #[error("{line}: {name:?} is listed above with a different sum")]
    Contradiction {
        /// The line number of the second one, from 1.
        line: usize,
        /// The name.
        name: String,
    },
}

impl ChecksumFile {
    /// Parses a checksum file, one entry per line: `HEX  NAME` (text), `HEX *NAME` (binary, which is the same), or
    /// `SHA256 (NAME) = HEX`. In a line that starts with `\`, the name has `\n`, `\r` and `\\` for characters that
    /// would break the line. Blank lines and those that start with `#` are ignored; a byte order mark and CRLF are
    /// accepted.
    ///
    /// # Errors
    /// The first line that is malformed, or that gives a name a second, different checksum; a clear-signed text.
    pub(crate) fn parse(text: &str) -> Result<Self, ChecksumFileError> {
        let mut sums = HashMap::<Box<str>, Digest>::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with("-----BEGIN PGP ") {
                return Err(ChecksumFileError::ClearSigned);
            }
            let (name, digest) =
                parse_line(line).ok_or(ChecksumFileError::Line { line: number })?;
            match sums.entry(without_dot_slash(&name).into()) {
                Entry::Vacant(place) => {
                    place.insert(digest);
                }
                Entry::Occupied(known) if *known.get() == digest => {}
                Entry::Occupied(known) => {
                    let name = known.key().to_string();
                    return Err(ChecksumFileError::Contradiction { line: number, name });
                }
            }
        }
        Ok(Self(sums))
    }

    /// The checksum of the file with this relative path.
    pub(crate) fn of(&self, name: &str) -> Option<&Digest> {
        self.0.get(without_dot_slash(name))
    }
}

/// Parses a line into a name and its checksum.
fn parse_line(line: &str) -> Option<(Cow<'_, str>, Digest)> {
    let line = line.trim_start_matches([' ', '\t']);
    let (line, is_escaped) = match line.strip_prefix('\\') {
        Some(rest) => (rest, true),
        None => (line, false),
    };
    let (name, digits) = tagged(line).or_else(|| untagged(line))?;
    let digest = Digest::parse_hex(Algorithm::Sha256, digits)?;
    let name: Cow<'_, str> = if is_escaped { unescaped(name)?.into() } else { name.into() };
    Some((name, digest)).filter(|(name, _)| !without_dot_slash(name).is_empty())
}

/// `SHA256 (NAME) = HEX`, as the BSDs and `--tag` write it; OpenSSL omits the spaces and may write `SHA2-256`.
fn tagged(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("SHA256").or_else(|| line.strip_prefix("SHA2-256"))?;
    let (name, rest) = rest.trim_start().strip_prefix('(')?.rsplit_once(')')?;
    Some((name, rest.trim_start().strip_prefix('=')?.trim()))
}

/// `HEX  NAME` or `HEX *NAME`; the BSDs' `HEX NAME` has only one space.
fn untagged(line: &str) -> Option<(&str, &str)> {
    let (digits, rest) = line.split_once([' ', '\t'])?;
    Some((rest.strip_prefix([' ', '*']).unwrap_or(rest), digits))
}

/// The name without its escapes; `None` if a backslash precedes anything else.
fn unescaped(name: &str) -> Option<String> {
    let mut unescaped = String::with_capacity(name.len());
    let mut characters = name.chars();
    while let Some(character) = characters.next() {
        unescaped.push(match character {
            '\\' => match characters.next()? {
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            _ => character,
        });
    }
    Some(unescaped)
}

/// The name without leading `./`.
fn without_dot_slash(mut name: &str) -> &str {
    while let Some(rest) = name.strip_prefix("./") {
        name = rest.trim_start_matches('/');
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    const TWO: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// The digits of the sum that this file gives for a name.
    fn given(text: &str, name: &str) -> Option<String> {
        ChecksumFile::parse(text).unwrap().of(name).map(Digest::hex)
    }

    #[test]
    fn every_form_of_a_line_is_read() {
        for line in [
            format!("{ONE}  a b"),
            format!("{ONE} *a b"),
            format!("{ONE} a b"),
            format!("  {ONE}  a b"),
            format!("{}  a b", ONE.to_uppercase()),
            format!("\\{ONE}  a b"),
            format!("SHA256 (a b) = {ONE}"),
            format!("SHA256(a b)= {ONE}"),
            format!("SHA2-256(a b)= {ONE}"),
            format!("{ONE}  a b\r\n"),
            format!("SHA256 (a b) = {ONE}\r\n"),
            format!("\u{feff}{ONE}  a b"),
        ] {
            assert_eq!(given(&line, "a b").as_deref(), Some(ONE), "{line}");
        }
    }

    #[test]
    fn blank_lines_and_comments_are_skipped() {
        let text = format!("# all\n\n \t\r\n{ONE}  a\r\n#{TWO}  b\n{TWO}  #c");
        assert_eq!(given(&text, "a").as_deref(), Some(ONE));
        assert_eq!(given(&text, "b"), None);
        assert_eq!(given(&text, "#c").as_deref(), Some(TWO));
        assert_eq!(ChecksumFile::parse(""), Ok(ChecksumFile::default()));
    }

    #[test]
    fn a_name_is_looked_up_whole() {
        let text = format!("{ONE}  docs/a.txt\n{TWO}  a.txt\n{ONE}  end (1)) \n");
        assert_eq!(given(&text, "docs/a.txt").as_deref(), Some(ONE));
        assert_eq!(given(&text, "a.txt").as_deref(), Some(TWO));
        assert_eq!(given(&text, "end (1)) ").as_deref(), Some(ONE));
        assert_eq!(given(&text, "end (1))"), None);
        assert_eq!(given(&text, "txt"), None);
        let tagged = format!("SHA256 (a (1) = b) = {ONE}");
        assert_eq!(given(&tagged, "a (1) = b").as_deref(), Some(ONE));
    }

    #[test]
    fn a_leading_dot_folder_says_nothing() {
        let text = format!("{ONE}  ./a\n{TWO} *././/b\n");
        for name in ["a", "./a", "././a"] {
            assert_eq!(given(&text, name).as_deref(), Some(ONE));
        }
        assert_eq!(given(&text, "b").as_deref(), Some(TWO));
        assert_eq!(given(&text, "../a"), None);
        assert_eq!(given(&format!("{ONE}  .a"), ".a").as_deref(), Some(ONE));
    }

    #[test]
    fn escaped_names_are_read_as_they_were() {
        let text = format!("\\{ONE}  a\\nb\\\\n\\r\n\\SHA256 (c\\n) = {TWO}\n{TWO}  d\\n\n");
        assert_eq!(given(&text, "a\nb\\n\r").as_deref(), Some(ONE));
        assert_eq!(given(&text, "c\n").as_deref(), Some(TWO));
        assert_eq!(given(&text, "d\\n").as_deref(), Some(TWO));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        for line in [
            "hello".to_owned(),
            ONE.to_owned(),
            format!("{ONE}  "),
            format!("{ONE}  ./"),
            format!("{ONE}a"),
            format!("{}  a", &ONE[1..]),
            format!("{ONE}00  a"),
            format!("{}g  a", &ONE[1..]),
            format!("\\{ONE}  a\\t"),
            format!("\\{ONE}  a\\"),
            format!("SHA256 () = {ONE}"),
            format!("SHA256 (a) {ONE}"),
            format!("SHA256 (a = {ONE}"),
            format!("SHA512 (a) = {ONE}"),
            "d41d8cd98f00b204e9800998ecf8427e  a".to_owned(),
            format!("é{ONE}  a"),
        ] {
            let text = format!("# sums\n{ONE}  fine\n{line}\n");
            assert_eq!(
                ChecksumFile::parse(&text),
                Err(ChecksumFileError::Line { line: 3 }),
                "{line}"
            );
        }
        let error = ChecksumFile::parse("x").unwrap_err().to_string();
        assert_eq!(error, "1: not in sha256sum format (64 hex digits, two spaces and a name)");
    }

    #[test]
    fn a_clear_signed_text_is_refused_as_such() {
        let text = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{ONE}  a\n-----BEGIN PGP SIGNATURE-----\nx\n"
        );
        assert_eq!(ChecksumFile::parse(&text), Err(ChecksumFileError::ClearSigned));
        assert_eq!(
            ChecksumFile::parse(text.split_once("\n\n").unwrap().1),
            Err(ChecksumFileError::ClearSigned),
            "only its end is left"
        );
    }

    #[test]
    fn a_name_may_come_twice_with_one_sum_but_not_with_two() {
        assert!(ChecksumFile::parse(&format!("{ONE}  a\nSHA256 (./a) = {ONE}\n")).is_ok());
        let error = ChecksumFile::parse(&format!("{ONE}  a\n\n{TWO} *./a\n")).unwrap_err();
        assert_eq!(error.to_string(), "3: \"a\" is listed above with a different sum");
    }

    /// The line that `sha256sum` writes for a name.
    fn written(name: &str) -> String {
        let escaped = name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
        format!("{}{ONE}  {escaped}\n", if escaped == name { "" } else { "\\" })
    }

    proptest! {
        #[test]
        fn what_sha256sum_writes_is_found_again(name in "[a-z \\\\\n\r)=*#.é]{1,12}") {
            prop_assume!(!without_dot_slash(&name).is_empty());
            let digits = given(&written(&name), &name);
            prop_assert_eq!(digits.as_deref(), Some(ONE));
        }

        #[test]
        fn no_text_is_too_odd(text in "(SHA256 ?\\(|\\\\|[0-9a-f]{64}|[ *)=a\r\n\\PC]){0,12}") {
            let _ = ChecksumFile::parse(&text);
        }
    }
}
