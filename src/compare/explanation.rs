//! What the figures say, in sentences: each follows from figures of the table, and names them. Pure.

use super::statistics::is_shown;
use crate::record::{Pair, Standing};

/// A share of the time above which something is what most of it goes to.
const MOST: f64 = 0.6;

/// A share of a core above which there is little of it left.
const BUSY: f64 = 0.8;

/// The sentences about these contestants.
pub(super) fn explanation(contestants: &[Standing], pairs: &[Pair]) -> Vec<String> {
    let mut sentences = Vec::new();
    sentences.extend(where_the_time_goes(contestants));
    sentences.extend(contestants.iter().filter_map(bound_by_the_processor));
    sentences.extend(pairs.iter().filter_map(|pair| difference(pair, contestants)));
    sentences
}

fn where_the_time_goes(contestants: &[Standing]) -> Option<String> {
    let waiting: Option<Vec<f64>> = contestants.iter().map(|one| one.waiting).collect();
    let waiting = waiting?;
    let (least, most) = range(&waiting);
    if least >= MOST {
        return Some(format!(
            "Of a URL's time {} is waiting for the first byte: what counts is how many URLs wait \
             at the same time.",
            percent(least, most)
        ));
    }
    if most <= 1.0 - MOST {
        return Some(format!(
            "Of a URL's time {} is reading the body: what counts is how fast bytes come.",
            percent(1.0 - most, 1.0 - least)
        ));
    }
    Some(format!(
        "Of a URL's time {} is waiting for the first byte, the rest reading the body.",
        percent(least, most)
    ))
}

/// Few threads that are as busy as they can be.
fn bound_by_the_processor(one: &Standing) -> Option<String> {
    let share = one.cpu_share?;
    if share < BUSY * one.worker_threads {
        return None;
    }
    let threads = if one.worker_threads == 1.0 {
        "its one thread has".to_owned()
    } else {
        format!("its {} threads have", one.worker_threads)
    };
    Some(format!(
        "{} keeps {share:.2} cores busy: {threads} no time left, so the processor bounds it.",
        name(one)
    ))
}

fn difference(pair: &Pair, contestants: &[Standing]) -> Option<String> {
    let (first, second) = (name(&contestants[pair.first]), name(&contestants[pair.second]));
    let speed_up = pair.speed_up;
    if !is_shown(speed_up.p) {
        return Some(format!(
            "Between {first} and {second} no difference is shown (p = {}).",
            probability(speed_up.p)
        ));
    }
    (pair.first == 0).then(|| {
        let (ratio, word) = match speed_up.ratio {
            ratio if ratio < 1.0 => (1.0 / ratio, "slow"),
            ratio => (ratio, "fast"),
        };
        format!("{second} is {ratio:.2} times as {word} as {first}.")
    })
}

/// What a contestant is called.
pub(super) fn name(one: &Standing) -> String {
    if one.jobs == 1 { one.mode.clone() } else { format!("{} ({} jobs)", one.mode, one.jobs) }
}

/// A probability as it is told.
pub(super) fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

fn range(shares: &[f64]) -> (f64, f64) {
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    (least, shares.iter().copied().fold(0.0, f64::max))
}

fn percent(least: f64, most: f64) -> String {
    match (format!("{:.0}", 100.0 * least), format!("{:.0}", 100.0 * most)) {
        (least, most) if least == most => format!("{most} %"),
        (least, most) => format!("{least} to {most} %"),
    }
}
