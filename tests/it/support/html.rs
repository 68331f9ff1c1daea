//! Checks of the HTML reports.

/// Asserts that a page is self-contained: it refers to no other resource, and its policy forbids requests.
pub fn ensure_it_asks_nobody(page: &str) {
    let (_, policy) = page.split_once("http-equiv=\"Content-Security-Policy\" content=\"").unwrap();
    let policy = policy.split_once('"').unwrap().0;
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    for part in [" src=", "<link", "<img", "@import", "url(", "<iframe", "fetch(", "XMLHttpRequest"]
    {
        assert!(!page.contains(part), "{part}");
    }
}
