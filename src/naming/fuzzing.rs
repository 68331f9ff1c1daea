//! Fuzz targets for file names: a name stays in its folder and is valid for a plain file on every system.

use url::Url;

use super::{
    DEEPEST, LONGEST_COMPONENT, LONGEST_PATH, NameOwner, identity, key, of_disposition, of_option,
    of_url, part_of, unique_name,
};
use crate::plan::NamingScheme;
use crate::text::is_hidden;

/// Input: two bytes that determine which names are taken, then a URL or a path.
pub fn names(data: &[u8]) {
    let Some((taken, text)) = data.split_first_chunk::<2>() else { return };
    let text = String::from_utf8_lossy(text);
    let taken = u16::from_le_bytes(*taken);
    let option = of_option(&text);
    check_path(&option, LONGEST_PATH);
    assert_eq!(of_option(&option), option, "a name stays as it is");
    let Some(url) = url_of(&text) else { return };
    let schemes = [NamingScheme::Flat, NamingScheme::Tree, NamingScheme::Hash, NamingScheme::Index];
    for name in schemes.map(|scheme| of_url(scheme, &url, u64::from(taken))).iter().chain([&option])
    {
        check_path(name, LONGEST_PATH);
        assert_eq!(&of_option(name), name, "a list that names the file gives it the same name");
        check_unique(name, &url, taken);
    }
}

/// Input: a Content-Disposition header. Its file name is parsed to the same name again, in the quoted and the extended
/// form.
pub fn content_disposition(data: &[u8]) {
    let Some(name) = of_disposition(&String::from_utf8_lossy(data)) else { return };
    check_path(&name, LONGEST_COMPONENT);
    assert!(!name.contains('/'));
    let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
    let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for field in
        [format!("attachment; filename=\"{quoted}\""), format!("x; filename*=UTF-8''{encoded}")]
    {
        assert_eq!(of_disposition(&field).as_ref(), Some(&name), "{field}");
    }
}

fn url_of(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let base = || Url::parse("http://a.test/b/").expect("a URL");
    url.or_else(|| base().join(&format!("./{text}")).ok()).filter(Url::has_host)
}

/// Checks the unique name made from `wanted`. Two bits of `taken` determine each answer about the owner of a name.
fn check_unique(wanted: &str, url: &Url, taken: u16) {
    let mut asked = 0;
    let depth = wanted.split('/').count();
    let unique = unique_name(wanted, &identity(url), |key| {
        let owner = match taken >> (asked % 16) & 3 {
            0 => NameOwner::Nobody,
            1 => NameOwner::Folder,
            2 => NameOwner::Other,
            _ => NameOwner::Mine,
        };
        asked += 1;
        assert!(key.split('/').count() <= depth);
        owner
    });
    assert!(asked <= 5 * depth);
    let Some(unique) = unique else { return };
    check_path(&unique.name, LONGEST_PATH + depth * 65);
    assert_eq!(unique.name.split('/').count(), depth);
    assert!(part_of(&unique.name).len() <= LONGEST_PATH + depth * 65 + 5);
}

fn check_path(path: &str, longest: usize) {
    assert!((1..=longest).contains(&path.len()), "{path:?}");
    assert!(path.split('/').count() <= DEEPEST, "{path:?}");
    path.split('/').for_each(check_component);
    assert_eq!(key(path).split('/').count(), path.split('/').count(), "{path:?}");
}

fn check_component(name: &str) {
    assert!((1..=LONGEST_COMPONENT).contains(&name.len()), "{name:?}");
    assert!(!name.starts_with('.') && !name.ends_with('.'), "{name:?}");
    assert!(name.trim() == name, "{name:?}");
    assert!(!name.contains(['\\', '<', '>', ':', '"', '|', '?', '*']), "{name:?}");
    assert!(!name.contains(is_hidden), "{name:?}");
    assert!(!name.to_ascii_lowercase().ends_with(".part"), "{name:?}");
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    assert!(!matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "COM1" | "LPT9"), "{name:?}");
}
