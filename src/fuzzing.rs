//! Fuzz targets: properties that hold for any input, one function per target. `tests/fuzz` has a program for each target,
//! and inputs that fuzzing has found; a test runs the targets on all of these.

use crate::list::fuzzing::read;
use crate::model::Entry;
use crate::naming::of_url;
use crate::plan::NamingScheme;
use crate::report::fuzzing::failed_entry;

pub use crate::cli::fuzzing::{config_file, host_rules};
pub use crate::compare::export::fuzzing::comparison;
pub use crate::cookies::fuzzing::{cookie_date, cookies_txt, set_cookie};
pub use crate::credentials::fuzzing::netrc;
pub use crate::digest::fuzzing::{checksum_file, digest_fields};
pub use crate::engine::fuzzing::child_messages;
pub use crate::list::fuzzing::{list, list_options};
pub use crate::naming::fuzzing::{content_disposition, names};
pub use crate::policy::fuzzing::{addresses, content_range, retry_after, robots};
pub use crate::redaction::fuzzing::redaction;
pub use crate::report::fuzzing::{report, terminal};
pub use crate::store::fuzzing::{manifest, saved_folder};
pub use crate::transfer::fuzzing::decoders;

/// Input: a list. Each target, written as an entry of the list of failed targets and parsed again, is the same target with
/// the same name.
pub fn failed_list(data: &[u8]) {
    let message = String::from_utf8_lossy(data);
    for entry in read([data]) {
        let Entry::Target(target) = entry else { continue };
        let name = of_url(NamingScheme::Tree, target.url(), target.index);
        for name in [None, Some(&*name)] {
            let entry = failed_entry(&target, name, &message);
            let mut again = match &read([&entry[..]])[..] {
                [Entry::Target(again)] => again.clone(),
                other => panic!("{}: {other:?}", String::from_utf8_lossy(&entry)),
            };
            if name.is_some() {
                assert_eq!(again.options.out.as_deref(), name);
                again.options.out.clone_from(&target.options.out);
            }
            assert_eq!((again.urls, again.options), (target.urls.clone(), target.options.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::panic::catch_unwind;
    use std::path::{Path, PathBuf};

    type Property = fn(&[u8]);

    /// All targets, by name.
    const TARGETS: &[(&str, Property)] = &[
        ("addresses", super::addresses),
        ("checksum_file", super::checksum_file),
        ("child_messages", super::child_messages),
        ("comparison", super::comparison),
        ("config_file", super::config_file),
        ("content_disposition", super::content_disposition),
        ("content_range", super::content_range),
        ("cookie_date", super::cookie_date),
        ("cookies_txt", super::cookies_txt),
        ("decoders", super::decoders),
        ("digest_fields", super::digest_fields),
        ("failed_list", super::failed_list),
        ("host_rules", super::host_rules),
        ("list", super::list),
        ("list_options", super::list_options),
        ("manifest", super::manifest),
        ("names", super::names),
        ("netrc", super::netrc),
        ("redaction", super::redaction),
        ("report", super::report),
        ("retry_after", super::retry_after),
        ("robots", super::robots),
        ("saved_folder", super::saved_folder),
        ("set_cookie", super::set_cookie),
        ("terminal", super::terminal),
    ];

    fn fuzz_folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
    }

    /// The entries of a folder; none if the folder does not exist.
    fn entries(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn every_target_holds_for_what_fuzzing_has_found() {
        let mut failed = Vec::new();
        for (name, target) in TARGETS {
            let corpus = entries(&fuzz_folder().join("corpus").join(name));
            assert!(!corpus.is_empty(), "{name} has no corpus");
            for file in corpus.into_iter().chain(entries(&fuzz_folder().join("found").join(name))) {
                let data = fs::read(&file).unwrap();
                if catch_unwind(|| target(&data)).is_err() {
                    failed.push(file);
                }
            }
        }
        assert!(failed.is_empty(), "{failed:?}");
    }

    #[test]
    fn every_target_has_a_program_and_there_is_no_corpus_of_another() {
        let names: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        let names_in = |folder: &str| {
            let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
            entries(&fuzz_folder().join(folder)).into_iter().map(stem).collect::<BTreeSet<_>>()
        };
        assert_eq!(names_in("targets"), names);
        assert_eq!(names_in("corpus"), names);
        assert!(names_in("found").is_subset(&names));
        let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
        for name in names {
            assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"targets/{name}.rs\"")));
        }
    }

    #[test]
    fn the_corpus_is_small() {
        let folders = entries(&fuzz_folder().join("corpus"));
        let files = folders.iter().flat_map(|folder| entries(folder));
        let bytes: u64 = files.map(|file| fs::metadata(file).unwrap().len()).sum();
        assert!(bytes < 300 * 1024, "{bytes}");
    }
}
