//! The list of the targets that failed permanently, which fetches them again: each target as it was listed, options
//! included, below a comment that says why it failed. This module knows the syntax of lists, but not how they are read.
//!
//! Entries are appended as the targets fail, and only whole entries are written, so that the file is a valid list at every
//! moment; it is empty if nothing failed. Invalid lines are left out: they name nothing that could be fetched again. Secrets
//! are written as they were listed, or the list would not fetch the same; only its owner may read a new file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};
use tempfile::NamedTempFile;

use super::atomic_file::{
    cannot_write, ensure_it_is_no_bookkeeping, ensure_it_is_no_input, ensure_it_is_no_saved_file,
    written_path,
};
use super::buffered::Buffered;
use super::escape::printable;
use crate::model::{FailureClass, Outcome, Record, RecordError, Target};
use crate::plan::{FailedList, Source};

/// The writer of the list, if one was asked for.
#[derive(Debug)]
pub struct FailedListWriter(Option<OpenFailedList>);

#[derive(Debug)]
struct OpenFailedList {
    path: PathBuf,
    /// The file, and entries that are not in it yet.
    buffer: Buffered<File>,
    /// Whether it is a regular file, which can be truncated.
    is_regular: bool,
    classes: Vec<FailureClass>,
    keeps_names: bool,
    /// Bytes of the complete entries in the file.
    written: u64,
}

impl FailedListWriter {
    /// A writer that writes no list.
    pub fn nowhere() -> Self {
        Self(None)
    }

    /// Opens the list, if one was asked for, and empties it. A file that is one of `sources` is left as it is.
    ///
    /// # Errors
    /// `InvalidInput` if it is one of the sources, else those of opening it. They name the file.
    pub fn create(list: Option<&FailedList>, sources: &[Source]) -> io::Result<Self> {
        let Some(FailedList { path, classes, keeps_names }) = list else {
            return Ok(Self::nowhere());
        };
        let open = OpenFailedList::new(path, classes, *keeps_names, sources);
        Ok(Self(Some(open.map_err(|error| cannot_write(path, &error))?)))
    }

    /// Adds a finished target if it failed and its class was asked for. `name` is the name of its file, if it has one.
    ///
    /// # Errors
    /// As [`write_out`](Self::write_out).
    pub(super) fn add(
        &mut self,
        record: &Record,
        target: Option<&Target>,
        name: Option<&str>,
    ) -> io::Result<()> {
        let Some(open) = &mut self.0 else { return Ok(()) };
        let (Outcome::Failed, Some(error), Some(target)) = (record.outcome, &record.error, target)
        else {
            return Ok(());
        };
        if !open.classes.is_empty() && !open.classes.contains(&error.class) {
            return Ok(());
        }
        let name = name.filter(|_| open.keeps_names);
        entry(target, name, error, &mut open.buffer.lines)?;
        if open.buffer.is_full() { open.write_out() } else { Ok(()) }
    }

    /// Writes the entries that are not in the file yet.
    ///
    /// # Errors
    /// Those of the file; they name it. A regular file still consists of complete entries then.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), OpenFailedList::write_out)
    }

    /// Ends the list. `unread` says that entries are missing because they were not read; it becomes a comment at the top,
    /// or at the end if the file is not a regular one.
    ///
    /// # Errors
    /// As [`write_out`](Self::write_out).
    pub(super) fn finish(&mut self, unread: Option<&str>) -> io::Result<()> {
        let (Some(open), Some(unread)) = (&mut self.0, unread) else { return self.write_out() };
        let comment = format!("# {unread}\n");
        if !open.is_regular {
            open.buffer.lines.extend_from_slice(comment.as_bytes());
            return open.write_out();
        }
        open.write_out()?;
        open.prepend(&comment).map_err(|error| cannot_write(&open.path, &error))
    }
}

/// If the report breaks off, the failures so far are still written.
impl Drop for FailedListWriter {
    fn drop(&mut self) {
        // An error can no longer be reported.
        let _ = self.write_out();
    }
}

impl OpenFailedList {
    fn new(
        path: &Path,
        classes: &[FailureClass],
        keeps_names: bool,
        sources: &[Source],
    ) -> io::Result<Self> {
        let place = written_path(path);
        ensure_it_is_no_bookkeeping(&place)?;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let existing = file.metadata()?;
        let is_regular = existing.is_file();
        if is_regular {
            ensure_it_is_no_input(&file, sources)?;
            ensure_it_is_no_saved_file(&place)?;
        }
        if is_regular && existing.nlink() > 1 {
            // Its other name may be that of a saved file, which keeps its content.
            file = replace_with_empty(&place)?;
        } else if is_regular {
            file.set_len(0)?;
        }
        let (path, classes) = (path.to_owned(), classes.to_vec());
        let buffer = Buffered::new(file);
        Ok(Self { path, buffer, is_regular, classes, keeps_names, written: 0 })
    }

    /// Inserts a line at the top by replacing the file, so that it is a complete list at every moment.
    fn prepend(&self, line: &str) -> io::Result<()> {
        let place = written_path(&self.path);
        let mut old = File::open(&place)?;
        let mut new = create_beside(&place)?;
        new.write_all(line.as_bytes())?;
        io::copy(&mut old, &mut new)?;
        new.as_file().set_permissions(old.metadata()?.permissions())?;
        new.persist(&place)?;
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        let length = self.buffer.lines.len() as u64;
        let done = self.buffer.write_out();
        match &done {
            Ok(()) => self.written += length,
            // Remove what was written in part: half a URL may be a valid URL. Only the first error is reported.
            Err(_) if self.is_regular => drop(self.buffer.get_ref().set_len(self.written)),
            Err(_) => {}
        }
        done.map_err(|error| cannot_write(&self.path, &error))
    }
}

/// Replaces a file by a new, empty one.
fn replace_with_empty(path: &Path) -> io::Result<File> {
    Ok(create_beside(path)?.persist(path)?)
}

/// Creates an empty temporary file in the folder of `path`, to replace it.
fn create_beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".fetch-failed-").tempfile_in(folder)
}

/// Writes one target in the syntax of lists. `name` is the name of its file: in a shorter list it might get another one.
pub(super) fn entry(
    target: &Target,
    name: Option<&str>,
    error: &RecordError,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let Target { urls, options, .. } = target;
    writeln!(out, "# {}: {}", error.class, printable(&error.message))?;
    for (place, url) in urls.iter().enumerate() {
        write!(out, "{}{url}", if place == 0 { "" } else { "\t" })?;
    }
    writeln!(out)?;
    if let Some(name) = name.or(options.out.as_deref()) {
        writeln!(out, "  out={name}")?;
    }
    if let Some(digest) = &options.checksum {
        writeln!(out, "  checksum={digest}")?;
    }
    if let Some(id) = &options.id {
        writeln!(out, "  id={id}")?;
    }
    if let Some(carried) = &options.carried {
        // JSON allows this control character unescaped, a list does not.
        writeln!(out, "  carry={}", carried.as_json().replace('\u{7f}', "\\u007f"))?;
    }
    options.headers.iter().try_for_each(|(name, value)| header(name, value, out))
}

/// Writes one header field. An empty value is written as `NAME;`.
fn header(name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) -> io::Result<()> {
    let value = value.as_bytes().trim_ascii();
    if value.is_empty() {
        return writeln!(out, "  header={name};");
    }
    write!(out, "  header={name}: ")?;
    out.extend_from_slice(value);
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;

    use insta::assert_snapshot;

    use super::*;
    use crate::model::test_fixtures::{self, target};
    use crate::model::{CarriedColumns, EntryOptions, Failure, StopCause};

    fn list_of(path: &Path, classes: &[FailureClass]) -> FailedListWriter {
        let list =
            FailedList { path: path.to_owned(), classes: classes.to_vec(), keeps_names: true };
        FailedListWriter::create(Some(&list), &[]).unwrap()
    }

    /// The content of the list after these failures.
    fn list_after(classes: &[FailureClass], failures: &[(Target, Failure)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.txt");
        let mut list = list_of(&path, classes);
        for (target, failure) in failures {
            let record = test_fixtures::record(target.url().as_str()).failed(failure, 1);
            list.add(&record, Some(target), None).unwrap();
        }
        list.write_out().unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_target_is_written_as_it_was_listed_below_the_reason() {
        let field = |name: &'static str, value: &'static str| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let options = EntryOptions {
            out: Some("a = b".to_owned()),
            checksum: Some(format!("sha-256={}", "ab".repeat(32)).parse().unwrap()),
            headers: vec![field("accept", "text/html"), field("x-nothing", "")],
            id: Some("7 b".into()),
            carried: CarriedColumns::parse("{\"n\":1.50,\"c\":\"a\u{7f}\\nb\"}"),
        };
        let urls = ["https://u:p@a.b/x?y#z", "http://c.d/x"].map(|url| url.parse().unwrap());
        let listed = Target { urls: urls.into(), options, ..target("https://a.b/") };
        let failures = [
            (listed, Failure::Status(404)),
            (target("https://e.f/"), Failure::Cancelled(StopCause::Deadline)),
        ];
        assert_snapshot!(list_after(&[], &failures).replace('\t', "␉"), @r#"
        # http_4xx: HTTP 404 Not Found
        https://u:p@a.b/x?y#z␉http://c.d/x
          out=a = b
          checksum=sha-256=abababababababababababababababababababababababababababababababab
          id=7 b
          carry={"n":1.50,"c":"a\u007f\nb"}
          header=accept: text/html
          header=x-nothing;
        # cancelled: cancelled: the deadline passed
        https://e.f/
        "#);
    }

    #[test]
    fn only_the_classes_asked_for_are_written() {
        let failures = [
            (target("https://a.b/404"), Failure::Status(404)),
            (target("https://a.b/503"), Failure::Status(503)),
        ];
        assert_snapshot!(list_after(&[FailureClass::Http5xx, FailureClass::Dns], &failures), @r"
        # http_5xx: HTTP 503 Service Unavailable
        https://a.b/503
        ");
    }

    #[test]
    fn a_reason_stays_on_its_line_and_inert() {
        let failure = Failure::Redirect("to \nhttp://evil/\u{1b}[2J".to_owned());
        assert_snapshot!(list_after(&[], &[(target("https://a.b/"), failure)]), @r"
        # redirect: to \u{a}http://evil/\u{1b}[2J
        https://a.b/
        ");
    }

    #[test]
    fn where_nothing_failed_the_list_is_there_and_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.txt");
        fs::write(&path, "https://of.last.time/\n").unwrap();
        let mut list = list_of(&path, &[]);
        assert_eq!(fs::read(&path).unwrap(), b"");
        let url = target("https://a.b/");
        list.add(&test_fixtures::record("https://a.b/"), Some(&url), None).unwrap();
        list.add(&test_fixtures::invalid("sites.txt", Some(1), "htp", "no"), None, None).unwrap();
        list.write_out().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn much_that_waits_is_written_without_being_asked_for_in_whole_entries() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.txt");
        let mut list = list_of(&path, &[]);
        let url = target("https://a.b/");
        let record = test_fixtures::record("https://a.b/").failed(&Failure::Status(404), 1);
        while fs::read(&path).unwrap().is_empty() {
            list.add(&record, Some(&url), None).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.len() >= 64 * 1024);
        assert!(text.ends_with("Not Found\nhttps://a.b/\n"));
    }

    #[test]
    fn a_list_that_is_being_read_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sites.txt");
        fs::write(&path, "https://a.b/\n").unwrap();
        let list = FailedList { path: path.clone(), classes: Vec::new(), keeps_names: true };
        let sources = [Source::File(folder.path().join(".").join("sites.txt"))];
        let error = FailedListWriter::create(Some(&list), &sources).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let advice = "sites.txt: it is an input of this command; name another file";
        assert!(error.to_string().ends_with(advice), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"https://a.b/\n");
    }

    #[test]
    fn a_list_that_cannot_be_created_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("again.txt");
        let list = FailedList { path: path.clone(), classes: Vec::new(), keeps_names: true };
        let error = FailedListWriter::create(Some(&list), &[]).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("cannot write {}: ", path.display())),
            "{error}"
        );
    }

    #[test]
    fn a_report_that_is_dropped_in_the_middle_leaves_what_had_failed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.txt");
        let mut list = list_of(&path, &[]);
        let record = test_fixtures::record("https://a.b/").failed(&Failure::Status(404), 1);
        list.add(&record, Some(&target("https://a.b/")), None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        drop(list);
        assert!(fs::read_to_string(&path).unwrap().ends_with("https://a.b/\n"));
    }

    #[test]
    fn a_new_list_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.txt");
        list_of(&path, &[]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_list_without_room_is_an_error_with_its_name() {
        let mut list = list_of(Path::new("/dev/full"), &[]);
        let record = test_fixtures::record("https://a.b/").failed(&Failure::Status(404), 1);
        list.add(&record, Some(&target("https://a.b/")), None).unwrap();
        let error = list.write_out().unwrap_err();
        assert!(error.to_string().starts_with("cannot write /dev/full: "), "{error}");
        list.write_out().expect("what could not be written does not wait");
    }
}
