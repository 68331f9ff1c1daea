//! Finds the name that is closest to a misspelt one. A wrong suggestion is worse than none.

/// A longer word is not compared: it is no misspelt name.
const MAX_CHARACTERS: usize = 64;

/// The canonical name that `typed` is closest to. `names` are pairs of a name and its canonical name. A name is close if it
/// differs by at most two typing errors, and one in three characters; else if it is the only canonical name that begins with
/// `typed`, which then has at least three characters.
pub(super) fn nearest<'a>(typed: &str, names: &[(&'a str, &'a str)]) -> Option<&'a str> {
    let length = typed.chars().count();
    if length > MAX_CHARACTERS {
        return None;
    }
    let errors =
        names.iter().map(|(name, canonical)| (strsim::osa_distance(typed, name), *canonical));
    let near = errors.filter(|(errors, _)| *errors <= (length / 3).min(2));
    if let Some((_, canonical)) = near.min_by_key(|(errors, _)| *errors) {
        return Some(canonical);
    }
    let mut longer =
        names.iter().filter(|(name, canonical)| name == canonical && name.starts_with(typed));
    match (longer.next(), longer.next()) {
        (Some((name, _)), None) if length >= 3 => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_with_few_errors_or_by_its_beginning() {
        let names = [
            ("jobs", "jobs"),
            ("rate", "rate"),
            ("cert", "cert"),
            ("certificate", "cert"),
            ("latency", "latency"),
        ];
        for (typed, expected) in [
            ("jbos", Some("jobs")),
            ("job", Some("jobs")),
            ("certifcat", Some("cert")),
            ("lat", Some("latency")),
            ("trace", None),
            ("get", None),
            ("certific", None),
            ("la", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, &names), expected, "{typed}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), &names), None);
    }
}
