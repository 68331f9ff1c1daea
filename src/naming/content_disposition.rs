//! Parses the file name of a Content-Disposition header (RFC 6266); a malformed header is read as browsers do. Pure.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::sanitize::safe_if_any;

/// The sanitized file name of a Content-Disposition header, for any disposition type; `None` if it has none, or nothing is
/// left of it. A valid `filename*` (RFC 8187, UTF-8 or ISO-8859-1) is preferred to `filename`; of a path, only the text
/// after the last `/` or `\` is used.
pub(crate) fn of_disposition(field: &str) -> Option<String> {
    let find = |wanted: &str| {
        parameters(field)
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value)
    };
    find("filename*")
        .and_then(|value| decode_extended(&value))
        .and_then(|path| file_name(&path))
        .or_else(|| find("filename").and_then(|path| file_name(&path)))
}

fn file_name(path: &str) -> Option<String> {
    let name = path.rsplit(['/', '\\']).next()?;
    safe_if_any(name).map(Cow::into_owned)
}

/// Decodes an extended value, `UTF-8'en'caf%C3%A9` (RFC 8187 section 3.2); `None` if it is invalid.
fn decode_extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, escaped) = rest.split_once('\'')?;
    let bytes = percent_decode_str(escaped);
    if charset.eq_ignore_ascii_case("UTF-8") {
        return bytes.decode_utf8().ok().map(Cow::into_owned);
    }
    charset.eq_ignore_ascii_case("ISO-8859-1").then(|| bytes.map(char::from).collect())
}

/// The parameters after the disposition, in order: `; name=token`, `; name="quoted"`.
fn parameters(field: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let mut rest = field.split_once(';').map_or("", |(_, parameters)| parameters);
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(|character: char| {
                character == ';' || character.is_whitespace()
            });
            let end = rest.find([';', '='])?;
            let name = rest[..end].trim_end();
            let is_given = rest[end..].starts_with('=');
            rest = &rest[end + 1..];
            if is_given {
                let (value, after) = split_value(rest.trim_start());
                rest = after;
                return Some((name, value));
            }
        }
    })
}

/// Splits the text after the `=` of a parameter into its value and the parameters that follow. A value without quotes may
/// contain spaces, as many servers write them.
fn split_value(text: &str) -> (Cow<'_, str>, &str) {
    if let Some(text) = text.strip_prefix('"') {
        let (value, after) = split_quoted(text);
        return (Cow::Owned(value), after.split_once(';').map_or("", |(_, after)| after));
    }
    let (value, after) = text.split_once(';').unwrap_or((text, ""));
    (Cow::Borrowed(value.trim_end()), after)
}

/// Splits the text after an opening quote into the content of the quoted string (RFC 9110 section 5.6.4) and the text
/// after its closing quote. If that is missing, the string ends with the text.
fn split_quoted(text: &str) -> (String, &str) {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => value.extend(characters.next()),
            _ => value.push(character),
        }
    }
    (value, characters.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_proposed_name_is_read_as_browsers_do() {
        let table = [
            (r#"attachment; filename="report.pdf""#, Some("report.pdf")),
            ("attachment; filename=report.pdf", Some("report.pdf")),
            ("ATTACHMENT;FILENAME = report.pdf ; size=3", Some("report.pdf")),
            ("inline; filename=two words.pdf", Some("two words.pdf")),
            (r#"attachment; filename="a \"b\" \c.txt""#, Some("a _b_ c.txt")),
            (r#"attachment; note="x; filename=no"; filename=yes"#, Some("yes")),
            (r#"attachment; filename="a;b=c.txt""#, Some("a;b=c.txt")),
            (r#"attachment; filename="open.txt"#, Some("open.txt")),
            (r#"attachment; x; =y; filename="a.txt"z; filename=b.txt"#, Some("a.txt")),
            (r#"attachment; filename="50%25.txt""#, Some("50%25.txt")),
            ("attachment; filename=ü.txt", Some("ü.txt")),
            ("attachment", None),
            ("", None),
            ("filename=x", None),
            ("attachment; filename", None),
            ("attachment; filename=", None),
            ("attachment; filenamex=a; xfilename=b; filename*0=c", None),
        ];
        for (field, name) in table {
            assert_eq!(of_disposition(field).as_deref(), name, "{field}");
        }
    }

    #[test]
    fn an_extended_name_goes_before_a_plain_one_if_it_can_be_read() {
        let table = [
            ("filename*=UTF-8''caf%C3%A9.txt; filename=cafe.txt", "café.txt"),
            ("filename=cafe.txt; filename*=utf-8'fr'caf%C3%A9.txt", "café.txt"),
            ("filename=cafe.txt; filename*=ISO-8859-1''caf%E9.txt", "café.txt"),
            (r#"filename=x; filename*="UTF-8''quoted.txt""#, "quoted.txt"),
            ("filename=plain; filename*=UTF-8''caf%E9", "plain"),
            ("filename=plain; filename*=KOI8-R''x", "plain"),
            ("filename=plain; filename*=UTF-8'x", "plain"),
            ("filename=plain; filename*=UTF-8''", "plain"),
            ("filename=plain; filename*=UTF-8''%2e%2e", "plain"),
        ];
        for (parameters, name) in table {
            let field = format!("attachment; {parameters}");
            assert_eq!(of_disposition(&field).as_deref(), Some(name), "{field}");
        }
    }

    #[test]
    fn a_proposed_path_counts_from_its_last_separator_and_is_made_safe() {
        let table = [
            ("/etc/passwd", Some("passwd")),
            ("../../x", Some("x")),
            (r"C:\\dir\\x.txt", Some("x.txt")),
            (r"..\\..\\.bashrc", Some("_bashrc")),
            ("x/con.txt", Some("_con.txt")),
            ("a.part", Some("a.part_")),
            ("..", None),
            ("a/", None),
            (" . ", None),
            ("\u{202e}\u{200b}", None),
        ];
        for (path, name) in table {
            let field = format!("attachment; filename=\"{path}\"");
            assert_eq!(of_disposition(&field).as_deref(), name, "{field}");
        }
        let field = "attachment; filename*=UTF-8''..%2F..%5C%2efetch";
        assert_eq!(of_disposition(field).as_deref(), Some("_fetch"));
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_is_read_back(text in any::<String>(), before in "[a-w;= ]{0,9}") {
            let escaped = text.replace('\\', r"\\").replace('"', "\\\"");
            let field = format!("{before}; x=\"{escaped}\"; y=1");
            let found = parameters(&field).find(|(name, _)| *name == "x");
            prop_assert_eq!(found.map(|(_, value)| value.into_owned()), Some(text));
        }

        #[test]
        fn no_field_is_too_broken_to_read(field in any::<String>(), rest in "[;=\"\\\\ a'*]{0,30}") {
            of_disposition(&field);
            of_disposition(&format!("x;filename{rest}"));
        }
    }
}
