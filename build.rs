//! Passes facts about the build on to `fetch --version --verbose`.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for (fact, variable) in [("BUILD_TARGET", "TARGET"), ("BUILD_PROFILE", "PROFILE")] {
        let value = env::var(variable).expect("cargo sets it");
        println!("cargo::rustc-env={fact}={value}");
    }
}
