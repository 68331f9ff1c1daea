//! Loads credentials that options only refer to: header lines in files (`--header @FILE`), the password of a user, and the
//! netrc file. Reads each file once: it may be a pipe.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use http::header::AUTHORIZATION;

use super::args::{CredentialArgs, HttpArgs};
use super::config_layers::LayerValue;
use super::{Environment, UsageOutput, UsageStream};
use crate::credentials::{GeneralAuthorization, Netrc, ParsedNetrc, basic, parse_user};
use crate::list;
use crate::plan::HttpOptions;
use crate::text::io_message;

/// The maximum length of a file with credentials, so that another file given by mistake is not read.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where an option was set. The first level takes precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OptionLevel {
    CommandLine,
    Environment,
    ConfigFile,
}

/// The files with header lines (`--header @FILE`) that were read.
pub(super) struct HeaderFiles<'a> {
    stdin: &'a dyn Fn() -> io::Result<Vec<u8>>,
    read: RefCell<BTreeMap<PathBuf, Vec<String>>>,
}

impl<'a> HeaderFiles<'a> {
    pub(super) fn new(around: &'a Environment) -> Self {
        Self::of(around.stdin)
    }

    pub(super) fn of(stdin: &'a dyn Fn() -> io::Result<Vec<u8>>) -> Self {
        Self { stdin, read: RefCell::default() }
    }

    /// The files that were read, standard input aside.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let read = self.read.borrow();
        read.keys().filter(|path| *path != Path::new("-")).cloned().collect()
    }

    /// Replaces each `@FILE` by the header lines of the file, and `@-` by those on standard input.
    ///
    /// # Errors
    /// A message with the file and, if there is one, the line; without values.
    pub(super) fn expand(&self, headers: &mut Vec<String>) -> Result<(), String> {
        if !headers.iter().any(|header| header.starts_with('@')) {
            return Ok(());
        }
        let mut expanded = Vec::new();
        for header in headers.drain(..) {
            match header.strip_prefix('@') {
                Some(path) => expanded.extend(self.lines(Path::new(path))?),
                None => expanded.push(header),
            }
        }
        *headers = expanded;
        Ok(())
    }

    /// As [`expand`](Self::expand), for the header option of the environment or of a configuration file, which names files
    /// relative to `folder`. `@-` is an error.
    ///
    /// # Errors
    /// As [`expand`](Self::expand).
    pub(super) fn expand_setting(
        &self,
        value: LayerValue,
        folder: Option<&Path>,
    ) -> Result<LayerValue, String> {
        let LayerValue::Given(texts) = value else { return Ok(value) };
        let mut expanded = Vec::new();
        for text in texts {
            match text.as_bytes().strip_prefix(b"@").map(OsStr::from_bytes) {
                Some(path) if path == "-" => {
                    return Err("@- can only be given on the command line".to_owned());
                }
                Some(path) => {
                    let path = folder.map_or_else(|| path.into(), |folder| folder.join(path));
                    expanded.extend(self.lines(&path)?.into_iter().map(OsString::from));
                }
                None => expanded.push(text),
            }
        }
        Ok(LayerValue::Given(expanded))
    }

    fn lines(&self, path: &Path) -> Result<Vec<String>, String> {
        if let Some(lines) = self.read.borrow().get(path) {
            return Ok(lines.clone());
        }
        if path.as_os_str().is_empty() {
            return Err("expected the name of a file after @".to_owned());
        }
        let bytes = if path == Path::new("-") { (self.stdin)() } else { read(path) };
        let bytes = bytes.map_err(|error| cannot_read(path, &error))?;
        let lines = header_lines(&bytes)
            .map_err(|(line, complaint)| format!("{}:{line}: {complaint}", path.display()))?;
        self.read.borrow_mut().insert(path.to_owned(), lines.clone());
        Ok(lines)
    }
}

/// The lines of a file of headers, without blank ones. Checks each line; an error has its number.
fn header_lines(bytes: &[u8]) -> Result<Vec<String>, (usize, String)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = Vec::new();
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        let line = str::from_utf8(line.trim_ascii()).map_err(|_| (number, "not UTF-8".into()))?;
        if !line.is_empty() {
            list::field(line).map_err(|complaint| (number, complaint))?;
            lines.push(line.to_owned());
        }
    }
    Ok(lines)
}

/// Ensures that standard input is not both the list and a file of headers.
pub(super) fn ensure_stdin_is_read_once(
    headers: &[String],
    sources: &[OsString],
    is_default: bool,
) -> Result<(), String> {
    let is_list = sources.iter().any(|source| source == "-") || sources.is_empty() && is_default;
    let uses = headers.iter().filter(|header| *header == "@-").count();
    match uses {
        0 => Ok(()),
        1 if !is_list => Ok(()),
        1 => Err("stdin cannot be both the list and the headers (--header @-)".to_owned()),
        _ => Err("--header @- can only be given once".to_owned()),
    }
}

/// Leaves one Authorization for all requests: of `--user` and an Authorization in `--header`, the one that was set at
/// the higher level; at the same level, that of `--header`, as in curl. Returns whether it takes precedence over that of a
/// host.
pub(super) fn choose_general(
    typed: &mut HttpArgs,
    user: OptionLevel,
    header: OptionLevel,
) -> GeneralAuthorization {
    let is_authorization =
        |text: &String| list::field(text).is_ok_and(|(name, _)| name == AUTHORIZATION);
    let has_field = typed.headers.iter().any(is_authorization);
    let level = match (&typed.credentials.user, has_field) {
        (Some(_), true) if user < header => {
            typed.headers.retain(|text| !is_authorization(text));
            user
        }
        (Some(_), false) => user,
        (Some(_), true) => {
            typed.credentials.user = None;
            header
        }
        (None, true) => header,
        (None, false) => return GeneralAuthorization::default(),
    };
    match level {
        OptionLevel::CommandLine | OptionLevel::Environment => GeneralAuthorization::OverHosts,
        OptionLevel::ConfigFile => GeneralAuthorization::UnderHosts,
    }
}

/// The Authorization of a user as it was typed; a password that is missing is empty.
pub(super) fn authorization_of(user: &str) -> Result<http::HeaderValue, String> {
    let (user, password) =
        parse_user(user).map_err(|complaint| format!("invalid value for --user: {complaint}"))?;
    Ok(basic(user.as_bytes(), password.unwrap_or_default().as_bytes()))
}

/// The name of a user whose password was not given; `None` if it was, or if there is no user.
pub(super) fn user_without_password(user: Option<&str>) -> Option<&str> {
    user.filter(|user| parse_user(user).is_ok_and(|(_, password)| password.is_none()))
}

/// Asks on the terminal for the password of a user. `place` is where the user was set, if not on the command line.
pub(super) fn ask_password(
    user: &str,
    place: Option<&str>,
    around: &Environment,
) -> Result<String, UsageOutput> {
    let shown = user.escape_debug();
    (around.ask)(&format!("Password for user '{shown}': ")).map_err(|error| match error.kind() {
        ErrorKind::Interrupted => {
            UsageOutput { text: String::new(), to: UsageStream::Stderr, code: 130 }
        }
        _ => {
            let (place, hint) = match place {
                None => ("--user".to_owned(), ", for example in the variable FETCH_USER"),
                Some(place) => (format!("the user in {place}"), ""),
            };
            let reason = io_message(&error);
            UsageOutput::error(&format!(
                "{place} has no password, and it cannot be asked for ({reason}); give USER:PASSWORD{hint}"
            ))
        }
    })
}

/// Sets the password that was asked for in the Authorization of all requests.
pub(super) fn set_password(http: &mut HttpOptions, user: &str, password: &str) {
    for (name, value) in &mut http.headers {
        if *name == AUTHORIZATION {
            *value = basic(user.as_bytes(), password.as_bytes());
        }
    }
}

/// Reads the netrc file that the options ask for; returns it and its path. `None` if they ask for none, or if the default
/// file is missing, which is a warning.
///
/// # Errors
/// A message with the file and, if there is one, the line; without values.
pub(super) fn netrc(
    typed: &CredentialArgs,
    around: &Environment,
) -> Result<Option<(Netrc, PathBuf)>, String> {
    let Some((path, is_default)) = netrc_path(typed, around) else { return Ok(None) };
    let bytes = match read_netrc(&path, around.warn) {
        Err(error) if is_default && error.kind() == ErrorKind::NotFound => {
            (around.warn)(&format!("--netrc: {}: no such file", path.display()));
            return Ok(None);
        }
        bytes => bytes.map_err(|error| cannot_read(&path, &error))?,
    };
    let parsed = Netrc::parse(&bytes).map_err(|error| format!("{}:{error}", path.display()))?;
    warn_of_netrc(&parsed, &path.display().to_string(), around.warn);
    Ok(Some((parsed.netrc, path)))
}

/// Warns of parts of a netrc file that have no effect.
fn warn_of_netrc(parsed: &ParsedNetrc, file: &str, warn: &dyn Fn(&str)) {
    if parsed.netrc.is_empty() {
        warn(&format!(
            "{file}: no entry in this file (expected machine HOST login USER password WORD)"
        ));
    } else if let Some(line) = parsed.ignored {
        let hint =
            "expected machine, default, login or password; quote a password with a blank in it";
        warn(&format!("{file}:{line}: ignoring an unknown word ({hint})"));
    }
    if let Some(line) = parsed.no_host {
        warn(&format!(
            "{file}:{line}: this machine fits no host (expected a name or an address without scheme, port and brackets)"
        ));
    }
}

/// The netrc file to read, and whether it is a default (`$NETRC` or `~/.netrc`).
fn netrc_path(typed: &CredentialArgs, around: &Environment) -> Option<(PathBuf, bool)> {
    if let Some(path) = &typed.netrc_file {
        return Some((path.clone(), false));
    }
    if !typed.netrc {
        return None;
    }
    let named = (around.variable)("NETRC").filter(|path| !path.is_empty()).map(PathBuf::from);
    let in_home = || around.home.as_ref().map(|home| home.join(".netrc"));
    Some((named.or_else(in_home)?, true))
}

fn read_netrc(path: &Path, warn: &dyn Fn(&str)) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o044 != 0 {
        let path = path.display();
        warn(&format!("{path}: other users can read the passwords in it; run chmod 600"));
    }
    read_all(file)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_all(File::open(path)?)
}

/// Reads everything; an error if it is longer than [`MAX_FILE_BYTES`].
pub(super) fn read_all(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    Ok(bytes)
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    let name = if path == Path::new("-") { "stdin".into() } else { path.to_string_lossy() };
    format!("cannot read {name}: {}", io_message(error))
}
