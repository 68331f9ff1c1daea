//! Carried columns (`--carry`): the columns of a table's row that its record repeats, as the text of a JSON object.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use memchr::memchr2;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::redaction::{masked_text, redacted_text, shows_secrets};

/// Columns of a row with their names, in the order in which they were requested. Cloning shares the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedColumns(Arc<str>);

impl CarriedColumns {
    /// The maximum length of the text in bytes: together with the option lines of its target it fits into one entry of a
    /// list, and together with the fields of a saved file into one line of the manifest.
    pub const MAX_BYTES: usize = 32 * 1024;

    /// Parses a JSON object on one line; `None` if it is something else, or too long.
    pub fn parse(text: &str) -> Option<Self> {
        let is_object = text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok();
        (is_object && text.len() <= Self::MAX_BYTES && !text.contains(['\n', '\r']))
            .then(|| Self(text.into()))
    }

    /// The text of the object, on one line.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// The text of a column, or its value as JSON if it is not a string; `None` if it is null or missing.
    pub fn text_of(&self, name: &str) -> Option<String> {
        let columns: serde_json::Map<String, Value> = serde_json::from_str(&self.0).ok()?;
        match columns.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            value => Some(value.to_string()),
        }
    }

    /// The columns with the secrets of the URLs in their texts masked, unless secrets are shown.
    pub(crate) fn redacted(&self) -> Self {
        if shows_secrets() { self.clone() } else { self.masked() }
    }

    /// The columns with these secrets always masked, for what is kept on disk.
    pub(crate) fn masked(&self) -> Self {
        match masked_json(&self.0) {
            Cow::Borrowed(_) => self.clone(),
            Cow::Owned(text) => Self(text.into()),
        }
    }
}

/// The identifier and carried columns of an entry with their secrets masked, unless secrets are shown.
pub(crate) fn shown_labels(
    id: Option<&Arc<str>>,
    carried: Option<&CarriedColumns>,
) -> (Option<Arc<str>>, Option<CarriedColumns>) {
    let id = id.map(|id| match redacted_text(id) {
        Cow::Owned(redacted) => redacted.into(),
        Cow::Borrowed(_) => Arc::clone(id),
    });
    (id, carried.map(CarriedColumns::redacted))
}

/// Builds the JSON object of a row, column by column.
#[derive(Debug, Default)]
pub(crate) struct CarriedWriter {
    text: String,
}

impl CarriedWriter {
    /// Adds a column with this text.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.push_name(name);
        push_string(&mut self.text, text);
    }

    /// Adds a column with this JSON value, which must be on one line.
    pub(crate) fn json(&mut self, name: &str, value: &str) {
        self.push_name(name);
        self.text.push_str(value);
    }

    /// The length of the text so far, in bytes.
    pub(crate) fn length(&self) -> usize {
        self.text.len()
    }

    /// The columns; `None` if they are too long.
    pub(crate) fn finish(mut self) -> Option<CarriedColumns> {
        if self.text.is_empty() {
            self.text.push('{');
        }
        self.text.push('}');
        (self.text.len() <= CarriedColumns::MAX_BYTES).then(|| CarriedColumns(self.text.into()))
    }

    fn push_name(&mut self, name: &str) {
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        push_string(&mut self.text, name);
        self.text.push(':');
    }
}

fn push_string(text: &mut String, string: &str) {
    let quoted = serde_json::to_string(string).expect("a text is JSON");
    text.push_str(&quoted);
}

/// The JSON text with the secrets in its strings masked; borrowed if there are none.
fn masked_json(json: &str) -> Cow<'_, str> {
    // As in `redaction`: without `@` and `=` there is nothing to mask. Either may be written as an escape.
    if memchr2(b'@', b'=', json.as_bytes()).is_none() && !json.contains("\\u00") {
        return Cow::Borrowed(json);
    }
    let (mut masked, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(start) = rest.find('"') {
        let end = start + end_of_string(&rest[start..]);
        let string: Result<String, _> = serde_json::from_str(&rest[start..end]);
        masked.push_str(&rest[..start]);
        match string.as_deref().map(masked_text) {
            Ok(Cow::Owned(string)) => push_string(&mut masked, &string),
            _ => masked.push_str(&rest[start..end]),
        }
        rest = &rest[end..];
    }
    masked.push_str(rest);
    if masked == json { Cow::Borrowed(json) } else { Cow::Owned(masked) }
}

/// The position after the string that a JSON text begins with.
fn end_of_string(json: &str) -> usize {
    let mut is_escaped = false;
    let end = json.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(json.len(), |end| end + 2)
}

/// Serialized as the object itself.
impl Serialize for CarriedColumns {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let object: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        object.serialize(out)
    }
}

impl<'de> Deserialize<'de> for CarriedColumns {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ColumnsVisitor)
    }
}

struct ColumnsVisitor;

impl<'de> Visitor<'de> for ColumnsVisitor {
    type Value = CarriedColumns;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object with carried columns")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CarriedColumns, A::Error> {
        let mut columns = CarriedWriter::default();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            columns.json(&name, &value.to_string());
        }
        columns.finish().ok_or_else(|| A::Error::custom("the carried columns are too long"))
    }
}

/// Serialized as a string, which preserves the text exactly: for child processes and the spill file.
pub(super) mod as_text {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        columns: &Option<CarriedColumns>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        columns.as_ref().map(CarriedColumns::as_json).serialize(out)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<CarriedColumns>, D::Error> {
        Ok(Option::<Arc<str>>::deserialize(from)?.map(CarriedColumns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> CarriedColumns {
        CarriedColumns::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn an_object_is_written_as_it_is_and_read_back_in_its_order() {
        let text = r#"{"z":"a \"b\"\n","a":1.50,"n":null,"o":{"y":[1,2],"x":true}}"#;
        assert_eq!(serde_json::to_string(&columns(text)).unwrap(), text);
        let back: CarriedColumns = serde_json::from_str(text).unwrap();
        assert_eq!(
            back.as_json(),
            r#"{"z":"a \"b\"\n","a":1.5,"n":null,"o":{"x":true,"y":[1,2]}}"#
        );
    }

    #[test]
    fn only_an_object_on_one_line_of_bounded_length_is_taken() {
        for text in ["", "[]", "1", "{", "{}x", "{\"a\":\n1}", "null", "{\"a\"}"] {
            assert_eq!(CarriedColumns::parse(text), None, "{text}");
        }
        let text = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
        columns(&text(CarriedColumns::MAX_BYTES));
        assert_eq!(CarriedColumns::parse(&text(CarriedColumns::MAX_BYTES + 1)), None);
    }

    #[test]
    fn secrets_in_its_strings_are_masked_and_the_rest_stays() {
        for (text, shown) in [
            (r#"{"a":"b@c","d":"e=f"}"#, r#"{"a":"b@c","d":"e=f"}"#),
            (
                r#"{"a":"see http:\/\/u:hunter2@a.b\/ \"x\"","b":1}"#,
                r#"{"a":"see http://u:***@a.b/ \"x\"","b":1}"#,
            ),
            (
                r#"{"a":{"b":["https://a.b/?token=hunter2\"&x=1"]}}"#,
                r#"{"a":{"b":["https://a.b/?token=***\"&x=1"]}}"#,
            ),
            (r#"{"a":"http://u:hunter2\u0040a.b/"}"#, r#"{"a":"http://u:***@a.b/"}"#),
        ] {
            assert_eq!(columns(text).masked().as_json(), shown);
        }
    }
}
