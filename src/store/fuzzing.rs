//! Fuzz targets for manifests, and directories with one.

use std::fs;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use tempfile::TempDir;

use super::entry::ManifestEntry;
use super::manifest::{Manifest, ManifestLine, TailState};
use super::saved_folder::{OpenMode, SavedFolder};

/// The name of the manifest.
const NAME: &str = "manifest.jsonl";

/// A manifest, cut where the first two bytes say, as by a run that was killed: all lines before the cut are kept, as they
/// are, and entries can be appended.
pub fn manifest(data: &[u8]) {
    let Some((cut, text)) = data.split_first_chunk::<2>() else { return };
    let text = &text[..text.len() - usize::from(u16::from_le_bytes(*cut)) % (text.len() + 1)];
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let folder = folder_with(text);
    let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).expect("it is there");
    let looked = Manifest::look(&dir).expect("it can be read").expect("it is there");
    assert_eq!(lines(&looked), lines_of(&text[..whole]));

    let (manifest, tail) = Manifest::open(&dir).expect("it can be repaired");
    let kept = fs::read(folder.path().join(NAME)).expect("it is there");
    let expected = match tail {
        TailState::Ended => [text, b"\n"].concat(),
        _ => text[..whole].to_vec(),
    };
    assert_eq!(kept, expected);
    assert_eq!(tail == TailState::Whole, whole == text.len());
    assert_eq!(lines(&manifest), lines_of(&kept));
    append_again(&manifest, kept.len() as u64);
    let (again, tail) = Manifest::open(&dir).expect("it can be opened again");
    assert_eq!((tail, lines(&again)), (TailState::Whole, lines(&manifest)));
}

/// A directory with files and this manifest, which may be that of somebody else: it is looked at and repaired, and no file
/// that is not in it changes, nor any that has its final name.
pub fn saved_folder(data: &[u8]) {
    let outside = tempfile::tempdir().expect("a folder");
    let folder = outside.path().join("folder");
    fs::create_dir_all(folder.join(".fetch")).expect("a folder");
    fs::create_dir(folder.join("d")).expect("a folder");
    fs::write(folder.join(".fetch").join(NAME), data).expect("a file");
    let files = ["a", "d/b", "c.part", "d/d.part", "../x", "../c.part"];
    files.iter().for_each(|name| fs::write(folder.join(name), name).expect("a file"));
    std::os::unix::fs::symlink("..", folder.join("up")).expect("a link");
    look_at(&folder, OpenMode::Look);
    files.iter().for_each(|name| assert_content(&folder, name));
    look_at(&folder, OpenMode::Repair);
    ["../x", "../c.part"].iter().for_each(|name| assert_content(&folder, name));
    for final_name in ["a", "d/b"] {
        let content = fs::read_to_string(folder.join(final_name)).expect("it is there");
        // A complete file may have the name of an older version, if the manifest says that it replaces it.
        assert!(content == final_name || content.ends_with(".part"), "{final_name}: {content}");
    }
    assert_eq!(fs::read_dir(outside.path()).expect("a folder").count(), 3);
}

fn assert_content(folder: &Path, name: &str) {
    assert_eq!(fs::read_to_string(folder.join(name)).expect("it is there"), name);
}

fn look_at(folder: &Path, mode: OpenMode) {
    let opened = SavedFolder::open(folder, mode, |notice| {
        assert!(!notice.contains('\n'), "{notice:?}");
    });
    let saved = match opened {
        Ok(saved) => saved,
        Err(error) => panic!("{error}"),
    };
    let mut checked = 0;
    let each = saved.each(|_, entry| {
        if let Some(ManifestEntry::Saved(entry)) = &entry {
            let _ = saved.compare(entry);
        }
        checked += 1;
        Ok(())
    });
    each.expect("the manifest can be read");
    let extras = saved.extras().expect("the folder can be read");
    assert!(extras.count() <= 8);
    assert!(checked <= 4096);
}

fn folder_with(text: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(NAME), text).expect("a file");
    folder
}

/// The number and the place of each line.
fn lines(manifest: &Manifest) -> Vec<(u64, u64)> {
    let mut lines = Vec::new();
    let visited = manifest.visit(|line: ManifestLine<'_>| {
        if let Ok(summary) = &line.summary
            && let Ok(entry) = manifest.read(line.at)
        {
            assert_eq!(entry.path(), summary.path);
        }
        lines.push((line.number, line.at));
        Ok(())
    });
    visited.expect("it can be read");
    lines
}

/// The same of a text.
fn lines_of(text: &[u8]) -> Vec<(u64, u64)> {
    let starts = text.split_inclusive(|byte| *byte == b'\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len() as u64;
        Some(start)
    });
    (1..).zip(starts).collect()
}

/// Appends each entry of a manifest once more: it is read back as it is.
fn append_again(manifest: &Manifest, mut length: u64) {
    let places: Vec<_> = lines(manifest).into_iter().map(|(_, at)| at).collect();
    for place in places {
        let Ok(entry) = manifest.read(place) else { continue };
        let at = manifest.append(&entry).expect("it is no longer than it was");
        assert_eq!(at, length);
        let again = manifest.read(at).expect("it was appended");
        assert_eq!(again.path(), entry.path());
        let line = serde_json::to_string(&again).expect("an entry is JSON");
        length += line.len() as u64 + 1;
        assert_eq!(serde_json::from_str::<ManifestEntry<'_>>(&line).expect("it is one"), again);
    }
}
