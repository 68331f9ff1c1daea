//! The environment -> a layer: `FETCH_JOBS=8` for `--jobs 8`. A variable that is empty says nothing.

use std::ffi::{OsStr, OsString};

use super::layers::{Layer, Options, Setting, Takes, Value, quotable};

/// Asks for the variable of every option.
///
/// # Errors
/// A sentence that names the variable.
pub(super) fn layer(
    options: &Options,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Layer, String> {
    let mut layer = Layer::default();
    for (option, takes) in options.in_environment() {
        let name = variable_of(option);
        let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
        let words = format!("{name}={}", text.display());
        let shown = if quotable(option, &words) { words } else { name.clone() };
        let value = value(takes, &text).map_err(|complaint| format!("{shown}: {complaint}"))?;
        layer.set(option, Setting { value, place: name, shown })?;
    }
    layer.plan().map_err(|complaint| layer.trace(complaint))?;
    Ok(layer)
}

fn variable_of(option: &str) -> String {
    format!("FETCH_{}", option.to_uppercase().replace('-', "_"))
}

fn value(takes: Takes, text: &OsStr) -> Result<Value, String> {
    match (takes, text.to_str()) {
        (Takes::Nothing, Some("1" | "true")) => Ok(Value::On),
        (Takes::Nothing, Some("0" | "false")) => Ok(Value::Off),
        (Takes::Nothing, _) => Err("write 1 or 0".to_owned()),
        // No such value has a line break in it.
        (Takes::Many, Some(text)) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            Ok(Value::Given(lines.map(OsString::from).collect()))
        }
        _ => Ok(Value::Given(vec![text.to_owned()])),
    }
}
