//! Reads the files of `--cookie` and the cookie jar (`--cookie-jar`), and writes the jar.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{anyhow, bail};

use crate::cookies::{CookieFile, CookieJar, MAX_PER_DOMAIN, MAX_PER_JAR};
use crate::engine::RunCookies;
use crate::plan::Plan;
use crate::report::{AtomicFile, written_path};
use crate::text::{counted, io_message};

/// The maximum length of a file; 3,000 cookies are shorter.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Invalid lines of a file that are warned of one by one.
const MAX_WARNINGS: usize = 5;

/// The cookies that a run begins with, and warnings about lines that are not cookies.
///
/// # Errors
/// If a file is missing, cannot be read, or has invalid lines and no cookie. The jar may be missing or empty; but because it
/// is replaced, an invalid line in it is an error.
pub(in super::super) fn read(plan: &Plan) -> anyhow::Result<(CookieJar, Vec<String>)> {
    let (mut cookies, mut warnings) = (CookieJar::default(), Vec::new());
    let now = SystemTime::now();
    let jar = plan.cookies.jar.as_deref();
    if let Some(jar) = jar
        && let Some(text) = read_text(jar, true)?
    {
        let file = cookies.read(&text, now);
        if let Some((line, error)) = file.errors.first() {
            bail!("{}:{line}: {error} (--cookie-jar would replace the file)", jar.display());
        }
        warnings.extend(warning_of_limit(jar, &file));
    }
    for path in &plan.cookies.files {
        let is_jar = jar.is_some_and(|jar| written_path(jar) == written_path(path));
        let Some(text) = read_text(path, is_jar)?.filter(|_| !is_jar) else { continue };
        let file = cookies.read(&text, now);
        if let (0, Some((line, error))) = (file.cookies, file.errors.first()) {
            bail!("{}:{line}: {error}", path.display());
        }
        // An empty device is intended: `-b /dev/null` makes curl keep the cookies of redirects.
        if file.cookies == 0 && path.is_file() {
            warnings.push(format!("{}: no cookie in this file", path.display()));
        }
        warnings.extend(warnings_of_lines(path, &file));
        warnings.extend(file.for_suffix.map(|line| {
            let why = "nobody may set cookies for all hosts below it";
            format!(
                "{}:{line}: the cookie is only for the host of this name; {why}",
                path.display()
            )
        }));
        warnings.extend(warning_of_limit(path, &file));
    }
    Ok((cookies, warnings))
}

/// Reads a file. `None` if it is the jar, and is missing or no regular file.
fn read_text(path: &Path, is_jar: bool) -> anyhow::Result<Option<Vec<u8>>> {
    let cannot_read =
        |reason: &str| anyhow!("cannot read cookies from {}: {reason}", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && is_jar => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(cannot_read(match path == Path::new("-") {
                true => "they are not read from stdin; give the cookies.txt file itself",
                false => "no such file (a cookie itself is NAME=VALUE)",
            }));
        }
        Err(error) => return Err(cannot_read(&io_message(&error))),
        Ok(metadata) if metadata.is_dir() => return Err(cannot_read("it is a directory")),
        // A device or a pipe has no cookies of an earlier run.
        Ok(metadata) if is_jar && !metadata.is_file() => return Ok(None),
        Ok(_) => {}
    }
    let mut text = Vec::new();
    let file =
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text));
    file.map_err(|error| cannot_read(&io_message(&error)))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(cannot_read("it has more than 64 MiB"));
    }
    Ok(Some(text))
}

fn warnings_of_lines(path: &Path, file: &CookieFile) -> impl Iterator<Item = String> {
    let shown = file.errors.iter().take(MAX_WARNINGS);
    let shown = shown.map(|(line, error)| format!("{}:{line}: {error}", path.display()));
    let further = file.errors.len().saturating_sub(MAX_WARNINGS) as u64;
    let further = (further > 0).then(|| {
        format!("{}: {} more that are no cookies", path.display(), counted(further, "line"))
    });
    shown.chain(further).collect::<Vec<_>>().into_iter()
}

fn warning_of_limit(path: &Path, file: &CookieFile) -> Option<String> {
    let left_out = (file.left_out > 0).then(|| counted(file.left_out as u64, "cookie"))?;
    let path = path.display();
    Some(format!(
        "{path}: {left_out} left out (at most {MAX_PER_DOMAIN} per domain and {MAX_PER_JAR} in all)"
    ))
}

/// Creates the jar, under a temporary name until it is complete. `None` if the run has none.
///
/// # Errors
/// `InvalidInput` if it is an input of the run or a saved file, else those of creating it. They name the file.
pub(super) fn create_jar(plan: &Plan) -> io::Result<Option<AtomicFile>> {
    let create = |path| AtomicFile::create_private(path, &plan.inputs_but_cookies());
    plan.cookies.jar.as_deref().map(create).transpose().map_err(jar_error)
}

/// Writes the cookies that have not expired, and renames the jar to its name.
///
/// # Errors
/// Those of the file; they name it. The previous file is kept then.
pub(super) fn write_jar(mut jar: AtomicFile, cookies: &RunCookies) -> io::Result<()> {
    jar.lines().extend(cookies.to_file(SystemTime::now()));
    jar.finish().map_err(jar_error)
}

/// An error of the jar, with the name of the option.
fn jar_error(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("--cookie-jar: {error}"))
}
