//! The files that a run has saved, and its manifest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::folder::{There, all_in};

/// The regular files in a folder and below, by their relative paths, without those of `.fetch/`.
pub fn saved_in(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = all_in(folder).into_iter().filter_map(|(name, there)| match there {
        There::File(bytes) if !name.starts_with(".fetch/") => Some((name, bytes)),
        _ => None,
    });
    files.collect()
}

/// The names of those files.
pub fn names(folder: &Path) -> Vec<String> {
    saved_in(folder).into_keys().collect()
}

/// Every line of the manifest, each of which is an object.
pub fn manifest(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(".fetch/manifest.jsonl")).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "torn: {text}");
    text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

/// The last entry of the manifest about a name.
pub fn entry(folder: &Path, name: &str) -> Value {
    let entry = manifest(folder).into_iter().rfind(|entry| entry["path"] == name);
    entry.unwrap_or_else(|| panic!("{name} is not in the manifest"))
}
