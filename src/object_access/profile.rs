//! Reads a profile of the AWS tools from the files that they share, `~/.aws/credentials` and `~/.aws/config`.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

use crate::text::io_message;

/// The settings of a profile, by their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AwsProfile(HashMap<String, String>);

/// The settings that are used, and the options of the client that they set.
const SETTINGS: [(&str, AmazonS3ConfigKey); 5] = [
    ("aws_access_key_id", AmazonS3ConfigKey::AccessKeyId),
    ("aws_secret_access_key", AmazonS3ConfigKey::SecretAccessKey),
    ("aws_session_token", AmazonS3ConfigKey::Token),
    ("region", AmazonS3ConfigKey::Region),
    ("endpoint_url", AmazonS3ConfigKey::Endpoint),
];

impl AwsProfile {
    /// The profile that `AWS_PROFILE` names, else the default one, which may be missing.
    ///
    /// # Errors
    /// If a file cannot be read, or the named profile is missing.
    pub(super) fn of_environment() -> Result<Self, String> {
        let named = env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
        let name = named.as_deref().unwrap_or("default");
        let mut settings = HashMap::new();
        let mut is_there = false;
        for (variable, file) in
            [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")]
        {
            let path = match env::var_os(variable) {
                Some(path) => PathBuf::from(path),
                None => match env::home_dir() {
                    Some(home) => home.join(".aws").join(file),
                    None => continue,
                },
            };
            let text = match fs::read_to_string(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                text => text.map_err(|error| {
                    format!("cannot read {}: {}", path.display(), io_message(&error))
                })?,
            };
            if let Some(section) = section(&text, name) {
                is_there = true;
                settings.extend(section);
            }
        }
        match named {
            Some(name) if !is_there => Err(format!("AWS_PROFILE names no profile: '{name}'")),
            _ => Ok(Self(settings)),
        }
    }

    /// Adds the settings that the environment has not set. Keys and tokens of the profile are ignored if the environment has a
    /// key.
    pub(super) fn add_to(self, mut builder: AmazonS3Builder) -> AmazonS3Builder {
        let has_key = builder.get_config_value(&AmazonS3ConfigKey::AccessKeyId).is_some();
        for (name, key) in SETTINGS {
            let is_secret = name.starts_with("aws_");
            let is_set = builder.get_config_value(&key).is_some() || is_secret && has_key;
            if let Some(value) = self.0.get(name).filter(|_| !is_set) {
                builder = builder.with_config(key, value);
            }
        }
        builder
    }
}

/// The settings of the section of a profile; `None` if there is none. Indented lines belong to the setting before them.
fn section(text: &str, profile: &str) -> Option<HashMap<String, String>> {
    let mut found = None;
    let mut is_in_section = false;
    for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(head) = line.trim().strip_prefix('[').and_then(|line| line.split_once(']')) {
            let name = head.0.trim();
            is_in_section = name.strip_prefix("profile ").unwrap_or(name).trim() == profile;
            if is_in_section {
                found.get_or_insert_with(HashMap::new);
            }
        } else if is_in_section
            && !line.starts_with([' ', '\t'])
            && let Some((name, value)) = line.split_once('=')
            && let Some(settings) = &mut found
        {
            settings.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_found_by_the_name_of_its_profile() {
        let text = "# a\n[default]\naws_access_key_id = A\ns3 =\n  region = no\n[ profile other ]\nregion=x\n";
        let of = |name: &str| section(text, name);
        let default = of("default").unwrap();
        assert_eq!(default.get("aws_access_key_id").map(String::as_str), Some("A"));
        assert_eq!(default.get("region"), None);
        assert_eq!(of("other").unwrap().get("region").map(String::as_str), Some("x"));
        assert_eq!(of("none"), None);
    }
}
