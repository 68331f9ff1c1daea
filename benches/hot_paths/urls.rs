//! URLs as lists have them.

use std::sync::Arc;

use fetch::Target;
use fetch::bench::model::EntryOptions;
use url::Url;

/// The nth URL of a list, on one of so many hosts.
pub fn nth(number: usize, hosts: usize) -> String {
    let host = number % hosts;
    format!("https://host{host}.example.org/films/by-year/{number}/list.html?page={number}")
}

/// The target of that URL.
pub fn target(number: usize, hosts: usize) -> Target {
    Target {
        index: number as u64,
        source: Arc::from("sites.txt"),
        line: Some(number as u64),
        listed: None,
        urls: vec![parsed(number, hosts)],
        options: EntryOptions::default(),
    }
}

/// The same URL, parsed.
pub fn parsed(number: usize, hosts: usize) -> Url {
    nth(number, hosts).parse().expect("a URL")
}
