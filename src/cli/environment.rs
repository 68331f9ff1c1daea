//! The environment -> a layer: `FETCH_JOBS=8` for `--jobs 8`. A variable that is empty says nothing.

use std::ffi::{OsStr, OsString};

use super::config_layers::{
    ConfigLayer, LayerOption, LayerValue, OptionWords, ValueCount, quotable,
};

/// Asks for the variable of every option.
///
/// # Errors
/// A sentence that names the variable.
pub(super) fn layer(
    options: &OptionWords,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<ConfigLayer, String> {
    let mut layer = ConfigLayer::default();
    for (option, takes) in options.in_environment() {
        let name = variable_of(option);
        let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
        let words = format!("{name}={}", text.display());
        let shown = if quotable(option, &words) { words } else { name.clone() };
        let value = value(takes, &text).map_err(|complaint| format!("{shown}: {complaint}"))?;
        layer.set(option, LayerOption { value, place: name, shown })?;
    }
    layer.plan().map_err(|complaint| layer.trace(complaint))?;
    Ok(layer)
}

fn variable_of(option: &str) -> String {
    format!("FETCH_{}", option.to_uppercase().replace('-', "_"))
}

fn value(takes: ValueCount, text: &OsStr) -> Result<LayerValue, String> {
    match (takes, text.to_str()) {
        (ValueCount::Nothing, Some("1" | "true")) => Ok(LayerValue::On),
        (ValueCount::Nothing, Some("0" | "false")) => Ok(LayerValue::Off),
        (ValueCount::Nothing, _) => Err("write 1 or 0".to_owned()),
        // No such value has a line break in it.
        (ValueCount::Many, Some(text)) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            Ok(LayerValue::Given(lines.map(OsString::from).collect()))
        }
        _ => Ok(LayerValue::Given(vec![text.to_owned()])),
    }
}
