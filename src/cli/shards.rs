//! Decides which shard of the targets a run takes: `--shard I/N`, or `--shard auto` by the variables of an array job.

use std::str::FromStr;

use super::proxy::Variable;
use crate::plan::{Shard, ShardKey};

/// A value of `--shard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShardChoice {
    /// The shard that the environment names.
    Auto,
    /// The index of the shard, from 0, and the number of shards.
    Numbered(u32, u32),
}

/// Reads a value of `--shard`.
pub(super) fn choice(text: &str) -> Result<ShardChoice, String> {
    if text == "auto" {
        return Ok(ShardChoice::Auto);
    }
    let numbers = text.split_once('/');
    let numbers = numbers.and_then(|(index, count)| Some((number(index)?, number(count)?)));
    let Some((index, count)) = numbers else {
        return Err("expected INDEX/COUNT with INDEX from 0, e.g. 0/4, or 'auto'".to_owned());
    };
    ensure_shard_exists(index, count).map(|()| ShardChoice::Numbered(index, count))
}

/// The shard of a run; `None`: it takes all targets.
///
/// # Errors
/// A message with the environment variable that is missing or invalid.
pub(super) fn choose(
    typed: Option<ShardChoice>,
    by: Option<ShardKey>,
    variable: Variable<'_>,
) -> Result<Option<Shard>, String> {
    let (index, count) = match typed {
        None if by.is_some() => return Err("--shard-by requires --shard".to_owned()),
        None => return Ok(None),
        Some(ShardChoice::Numbered(index, count)) => (index, count),
        Some(ShardChoice::Auto) => shard_of_environment(variable)
            .map_err(|complaint| format!("--shard auto: {complaint}"))?,
    };
    Ok(Shard::new(index, count, by.unwrap_or_default()))
}

/// The shard that the environment names: that of `FETCH_SHARD`, of a Kubernetes Indexed Job, or of a Slurm array.
fn shard_of_environment(variable: Variable<'_>) -> Result<(u32, u32), String> {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    if let Some(text) = variable("FETCH_SHARD").filter(|text| !text.is_empty() && text != "auto") {
        return match choice(&text.to_string_lossy()) {
            Ok(ShardChoice::Numbered(index, count)) => Ok((index, count)),
            Ok(ShardChoice::Auto) => unreachable!("it is another text"),
            Err(complaint) => Err(format!("FETCH_SHARD: {complaint}")),
        };
    }
    let (index, count) = if is_set("JOB_COMPLETION_INDEX") {
        let count = read("JOB_COMPLETIONS", variable)
            .map_err(|error| format!("{error}; set it to the completions of the job"))?;
        (read("JOB_COMPLETION_INDEX", variable)?, count)
    } else if is_set("SLURM_ARRAY_TASK_ID") {
        of_slurm(variable)?
    } else {
        return Err(
            "set FETCH_SHARD, or JOB_COMPLETION_INDEX and JOB_COMPLETIONS (Kubernetes), or \
                    SLURM_ARRAY_TASK_ID (Slurm); or give --shard INDEX/COUNT"
                .to_owned(),
        );
    };
    ensure_shard_exists(index, count).map(|()| (index, count))
}

/// The index of a task in its array, and the number of tasks. Slurm numbers tasks from any number, in steps.
fn of_slurm(variable: Variable<'_>) -> Result<(u32, u32), String> {
    let read = |name: &str| read::<u32>(&format!("SLURM_ARRAY_TASK_{name}"), variable);
    let (id, first, count) = (read("ID")?, read("MIN")?, read("COUNT")?);
    let step = match variable("SLURM_ARRAY_TASK_STEP") {
        Some(text) if !text.is_empty() => read("STEP")?.max(1),
        _ => 1,
    };
    let place = id.checked_sub(first).filter(|place| place % step == 0).map(|place| place / step);
    place.filter(|place| *place < count).map(|place| (place, count)).ok_or_else(|| {
        format!(
            "task {id} is not in an array of {count} from {first} in steps of {step}; use an array without gaps \
             (--array=0-{}), or FETCH_SHARD",
            count.saturating_sub(1)
        )
    })
}

/// Reads a number from an environment variable.
fn read<T: FromStr>(name: &str, variable: Variable<'_>) -> Result<T, String> {
    let text = variable(name).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| format!("{name} is not set"))?;
    let number = text.to_str().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| format!("{name} is not a number: '{}'", text.to_string_lossy()))
}

/// A number without a sign.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

fn ensure_shard_exists(index: u32, count: u32) -> Result<(), String> {
    match Shard::new(index, count, ShardKey::Host) {
        Some(_) => Ok(()),
        None if count > Shard::MAX_COUNT => {
            Err(format!("at most {} shards are possible", Shard::MAX_COUNT))
        }
        None if count == 0 => Err("there is no shard of 0".to_owned()),
        None => Err(format!("shards are numbered from 0; the last of {count} is {}", count - 1)),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn shard(variables: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let shard = choose(Some(ShardChoice::Auto), None, &variable)?;
        Ok(shard.expect("one was chosen").to_string())
    }

    fn slurm(id: &str, min: &str, count: &str, step: &str) -> Result<String, String> {
        shard(&[
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_MIN", min),
            ("SLURM_ARRAY_TASK_COUNT", count),
            ("SLURM_ARRAY_TASK_STEP", step),
        ])
    }

    #[test]
    fn the_environment_of_an_array_job_names_the_shard() {
        let indexed = [("JOB_COMPLETION_INDEX", "2"), ("JOB_COMPLETIONS", "3")];
        assert_eq!(shard(&indexed).unwrap(), "2/3");
        assert_eq!(slurm("7", "5", "4", "").unwrap(), "2/4");
        assert_eq!(slurm("0", "0", "1", "1").unwrap(), "0/1");
        assert_eq!(slurm("30", "10", "3", "10").unwrap(), "2/3");
        let own = [&indexed[..], &[("FETCH_SHARD", "1/8")]].concat();
        assert_eq!(shard(&own).unwrap(), "1/8");
        assert_eq!(shard(&[&indexed[..], &[("FETCH_SHARD", "auto")]].concat()).unwrap(), "2/3");
    }

    #[test]
    fn what_the_environment_lacks_is_named() {
        let lone = [("JOB_COMPLETION_INDEX", "2")];
        for (seen, part) in [
            (shard(&[]), "set FETCH_SHARD, or"),
            (shard(&lone), "JOB_COMPLETIONS is not set; set it to the completions"),
            (shard(&[("FETCH_SHARD", "3/3")]), "FETCH_SHARD: shards are numbered from 0"),
            (
                shard(&[("JOB_COMPLETION_INDEX", "x"), ("JOB_COMPLETIONS", "3")]),
                "not a number: 'x'",
            ),
            (
                shard(&[("JOB_COMPLETION_INDEX", "3"), ("JOB_COMPLETIONS", "3")]),
                "the last of 3 is 2",
            ),
            (slurm("7", "5", "", ""), "SLURM_ARRAY_TASK_COUNT is not set"),
            (slurm("7", "3", "2", "1"), "task 7 is not in an array of 2 from 3"),
            (slurm("15", "10", "3", "10"), "in steps of 10; use an array without gaps"),
        ] {
            let complaint = seen.unwrap_err();
            assert!(complaint.contains(part), "{complaint}");
        }
    }

    #[test]
    fn a_shard_is_typed_as_index_and_count() {
        assert_eq!(choice("auto"), Ok(ShardChoice::Auto));
        assert_eq!(choice("0/1"), Ok(ShardChoice::Numbered(0, 1)));
        for text in
            ["", "1", "/", "1/", "-1/4", "+1/4", "a/b", "1/2/3", "Auto", "1/1", "0/0", "0/1000001"]
        {
            assert!(choice(text).is_err(), "{text}");
        }
        assert!(choose(None, Some(ShardKey::Url), &|_| None).is_err());
    }
}
