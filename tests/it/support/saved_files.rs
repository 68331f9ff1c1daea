//! What a run has left in its folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// The files in a folder and below, by their relative names; the bookkeeping aside.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    gather(folder, "", &mut files);
    files
}

fn gather(folder: &Path, above: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{above}{}", entry.file_name().into_string().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true if name == ".fetch" => {}
            true => gather(&entry.path(), &format!("{name}/"), files),
            false => drop(files.insert(name, fs::read(entry.path()).unwrap())),
        }
    }
}

/// The names of those files.
pub fn names(folder: &Path) -> Vec<String> {
    files(folder).into_keys().collect()
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
