//! `fetch --version --verbose`: the version with the facts of the build.

use std::env::consts;
use std::ffi::OsString;

use super::proxy;
use crate::digest::Algorithm;

const LIBC: &str = match (cfg!(target_env = "gnu"), cfg!(target_env = "musl")) {
    (true, _) => "gnu",
    (_, true) => "musl",
    _ => "unknown",
};

/// The version with the facts of the build, as far as they are known here: lines, the last newline included.
#[derive(Debug)]
pub struct VersionPage(pub String);

/// Whether a command line that asks for the version has `--verbose`, too.
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
        "fetch {}\nTarget: {}-{}-{}\nProfile: {}\nDigests: {}\nProxies: {}\n",
        env!("CARGO_PKG_VERSION"),
        consts::ARCH,
        consts::OS,
        LIBC,
        if cfg!(debug_assertions) { "debug" } else { "release" },
        Algorithm::ALL.map(Algorithm::name).join(", "),
        proxy::SCHEMES.join(", "),
    ))
}
