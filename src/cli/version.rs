//! `fetch --version --verbose`: what is known when the program is built.

use std::ffi::OsString;

use super::proxy;
use crate::digest::Algorithm;

/// The version with the facts of the build, as far as they are known here: lines, the last newline included.
#[derive(Debug)]
pub struct VersionPage(pub String);

/// Whether the words that ask for the version ask for more than that.
pub(super) fn is_verbose(words: &[OsString]) -> bool {
    let words = words.iter().skip(1).filter_map(|word| word.to_str());
    words.take_while(|word| *word != "--").any(|word| match word.strip_prefix('-') {
        Some("-verbose") => true,
        Some(letters) => letters.contains('v') && letters.chars().all(|c| matches!(c, 'v' | 'V')),
        None => false,
    })
}

pub(super) fn page() -> VersionPage {
    VersionPage(format!(
        "fetch {}\nTarget: {}\nProfile: {}\nDigests: {}\nProxies: {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("BUILD_TARGET"),
        env!("BUILD_PROFILE"),
        Algorithm::ALL.map(Algorithm::name).join(", "),
        proxy::SCHEMES.join(", "),
    ))
}
