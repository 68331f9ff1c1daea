//! Fuzz targets for configuration files and host rules.

use std::path::Path;

use super::config_file::parse;
use super::credentials::HeaderFiles;
use super::host_rules::host_rule;
use super::option_table::{self, OptionTable};
use crate::plan::HostRule;

/// Parses the text of a configuration file: an error names the file, and has no value of an option that may be secret.
pub fn config_file(data: &[u8]) {
    const SECRET: &str = "hunter2";
    let text = String::from_utf8_lossy(data).replace(SECRET, "");
    let Some(complaint) = complaint(&text) else { return };
    assert!(complaint.starts_with("/nowhere/config.toml"), "{complaint}");
    let value = text.lines().next().unwrap_or_default().replace(['"', '\\'], "");
    let value = value.split_at(value.floor_char_boundary(value.len() / 2));
    for name in option_table::secrets() {
        // The first word may be the name of a header field, which is shown.
        let line = format!("{name} = \"x {}{SECRET}{}\"", value.0, value.1);
        let complaint = self::complaint(&line).unwrap_or_default();
        assert!(!complaint.contains(SECRET), "{line}: {complaint}");
    }
}

fn complaint(text: &str) -> Option<String> {
    // A header option may name any file, which would be read.
    if ["@/", "@\\", "\\u", "\\U", "\\x"].iter().any(|risk| text.contains(risk)) {
        return None;
    }
    let stdin = || Ok(Vec::new());
    let (options, headers) = (OptionTable::of_fetch(), HeaderFiles::of(&stdin));
    parse(text, Path::new("/nowhere/config.toml"), &options, &headers).err()
}

/// Parses a value of `--allow-host` or `--deny-host`: its displayed form is parsed into the same rule.
pub fn host_rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(rule) = host_rule(&text) else { return };
    assert_eq!(host_rule(&rule.to_string()).as_ref(), Ok(&rule), "{text:?}");
    match &rule {
        HostRule::Name(name) | HostRule::Domain(name) => {
            assert!(!name.is_empty() && !name.starts_with('.') && !name.ends_with('.'), "{text:?}");
            assert!(!name.contains(char::is_uppercase) && name.is_ascii(), "{text:?}");
        }
        HostRule::Network(block) => assert!(block.contains(block.first), "{text:?}"),
    }
}
