//! The result of a comparison in one sentence, or why there is none. Pure.

use fastrand::Rng;

use super::conditions::Conditions;
use super::statistics::{
    can_be_significant, is_significant, median, rank_sum_test, samples_needed,
};
use crate::compare::result::{ModeStats, PairwiseResult, Sample};

/// A contestant uses the least of something if it uses at most this share of what each other one uses.
const LEAST_SHARE: f64 = 0.9;

/// The sentence. `runs`: number of samples of each contestant.
pub(super) fn verdict(
    contestants: &[ModeStats],
    pairs: &[PairwiseResult],
    runs: usize,
    reasons: &[String],
    conditions: &Conditions<'_>,
) -> String {
    if let Some((first, more)) = reasons.split_first() {
        return match more.len() {
            0 => format!("Not comparable: {first}."),
            _ => format!("Not comparable: {first}; and {} more below.", more.len()),
        };
    }
    if contestants.len() < 2 {
        return "No verdict: a single contestant has nothing to be compared with.".to_owned();
    }
    if let Some(too_few) = too_few(runs, contestants.len()) {
        return format!("No verdict: {too_few}.");
    }
    if let Some(retries) = conditions.mostly_retries() {
        return format!("No verdict: {retries}.");
    }
    let result = Ranking { contestants, pairs, samples: conditions.samples }.sentence();
    if conditions.is_busy() { format!("{result} The machine was busy.") } else { result }
}

/// Why no difference can be significant, if there are too few samples.
pub(super) fn too_few(runs: usize, contestants: usize) -> Option<String> {
    let pairs = contestants * (contestants - 1) / 2;
    if can_be_significant(runs, runs, pairs) {
        return None;
    }
    Some(format!(
        "{runs} runs each are too few for any difference between {contestants} contestants to \
         reach the 5% level; use --runs {} or more",
        samples_needed(pairs)
    ))
}

/// The contestants compared with the first one.
struct Ranking<'a> {
    contestants: &'a [ModeStats],
    pairs: &'a [PairwiseResult],
    samples: &'a [Sample],
}

impl Ranking<'_> {
    fn sentence(&self) -> String {
        let (mut faster, mut slower, mut equal) = (Vec::new(), Vec::new(), Vec::new());
        for other in 1..self.contestants.len() {
            match self.significant_ratio(0, other) {
                Some(ratio) if ratio > 1.0 => faster.push((other, ratio)),
                Some(ratio) => slower.push((other, 1.0 / ratio)),
                None => equal.push(other),
            }
        }
        let base = self.contestants[0].name();
        let mut clauses = Vec::new();
        if !faster.is_empty() {
            let of: Vec<usize> = faster.iter().map(|(one, _)| *one).collect();
            let ratio = self.ratios(&faster);
            let among = self.among(&of);
            clauses.push(format!("{} {ratio}x as fast as {base}{among}", self.are(&of)));
        }
        if !slower.is_empty() {
            let of: Vec<usize> = slower.iter().map(|(one, _)| *one).collect();
            clauses.push(format!(
                "{base} is {}x as fast as {}",
                self.ratios(&slower),
                self.names(&of)
            ));
        }
        if !equal.is_empty() {
            clauses.push(format!(
                "no significant difference between {base} and {}",
                self.names(&equal)
            ));
        }
        let fastest = if faster.is_empty() {
            std::iter::once(0).chain(equal).collect()
        } else {
            faster.iter().map(|(one, _)| *one).collect::<Vec<_>>()
        };
        clauses.extend(self.least_used(&fastest));
        let sentence = clauses.join("; ");
        let mut characters = sentence.chars();
        // Names of contestants are not capitalized.
        match characters.next() {
            Some('n') if sentence.starts_with("no significant") => {
                format!("N{}.", characters.as_str())
            }
            _ => format!("{sentence}."),
        }
    }

    /// How many times as fast as `first` the contestant `second` is, if the difference is significant.
    fn significant_ratio(&self, first: usize, second: usize) -> Option<f64> {
        let pair = self.pairs.iter().find(|pair| (pair.first, pair.second) == (first, second))?;
        is_significant(pair.speed_up.deciding_p()).then_some(pair.speed_up.ratio)
    }

    /// How the faster ones differ from each other, as part of the sentence.
    fn among(&self, faster: &[usize]) -> String {
        let differ = |one: usize, other: usize| {
            self.significant_ratio(one.min(other), one.max(other)).is_some()
        };
        if faster.len() < 2 {
            return String::new();
        }
        let others = |one: usize| faster.iter().copied().filter(move |other| *other != one);
        if faster.iter().all(|one| others(*one).all(|other| !differ(*one, other))) {
            return ", with no significant difference among them".to_owned();
        }
        let median = |one: &&usize| self.contestants[**one].wall.median;
        let fastest = faster.iter().min_by(|one, other| median(one).total_cmp(&median(other)));
        match fastest {
            Some(fastest) if others(*fastest).all(|other| differ(*fastest, other)) => {
                format!(", {} the fastest", self.contestants[*fastest].name())
            }
            _ => String::new(),
        }
    }

    /// Which of several contestants uses least, if one does.
    fn least_used(&self, of: &[usize]) -> Option<String> {
        let cpu = self.least(of, |sample| Some(sample.cpu_user? + sample.cpu_system?));
        let memory = self.least(of, |sample| sample.peak_memory.map(|bytes| bytes as f64));
        let name = |one: usize| self.contestants[one].name();
        match (cpu, memory) {
            (Some(cpu), Some(memory)) if cpu == memory => {
                Some(format!("{} uses the least CPU time and memory", name(cpu)))
            }
            (Some(cpu), Some(memory)) => Some(format!(
                "{} uses the least CPU time, {} the least memory",
                name(cpu),
                name(memory)
            )),
            (Some(cpu), None) => Some(format!("{} uses the least CPU time", name(cpu))),
            (None, Some(memory)) => Some(format!("{} uses the least memory", name(memory))),
            (None, None) => None,
        }
    }

    /// The contestant with the lowest figure, if it differs significantly from every other one and none of them is the same
    /// variant.
    fn least(&self, of: &[usize], figure: impl Fn(&Sample) -> Option<f64>) -> Option<usize> {
        let figures = |one: usize| {
            let samples = self.samples.iter().filter(move |sample| sample.contestant == one);
            samples.map(&figure).collect::<Option<Vec<f64>>>()
        };
        let figures = of.iter().map(|one| Some((*one, figures(*one)?)));
        let mut figures = figures.collect::<Option<Vec<_>>>()?;
        figures.sort_by(|(_, one), (_, other)| median(one).total_cmp(&median(other)));
        let ((one, least), others) = figures.split_first()?;
        // Adjusted for all pairs, because any of the contestants could have had the lowest figure.
        let pairs = (figures.len() * others.len() / 2) as f64;
        let is_less = |(other, more): &(usize, Vec<f64>)| {
            !self.is_same(*one, *other)
                && median(least) <= LEAST_SHARE * median(more)
                && is_significant(pairs * rank_sum_test(least, more, &mut Rng::with_seed(0)))
        };
        (!others.is_empty() && others.iter().all(is_less)).then_some(*one)
    }

    /// Whether two contestants are the same variant, so that any difference between them is by chance.
    fn is_same(&self, one: usize, other: usize) -> bool {
        let variant = |one: usize| {
            let ModeStats { mode, jobs, command, .. } = &self.contestants[one];
            (mode, jobs, command)
        };
        variant(one) == variant(other)
    }

    fn ratios(&self, of: &[(usize, f64)]) -> String {
        let ratios = of.iter().map(|(_, ratio)| *ratio);
        let least = format!("{:.2}", ratios.clone().fold(f64::INFINITY, f64::min));
        let most = format!("{:.2}", ratios.fold(0.0, f64::max));
        if least == most { most } else { format!("{least}-{most}") }
    }

    fn are(&self, of: &[usize]) -> String {
        format!("{} {}", self.names(of), if of.len() == 1 { "is" } else { "are" })
    }

    fn names(&self, of: &[usize]) -> String {
        let names: Vec<_> = of.iter().map(|one| self.contestants[*one].name()).collect();
        match &names[..] {
            [one] => one.clone(),
            [few @ .., last] => format!("{} and {last}", few.join(", ")),
            [] => String::new(),
        }
    }
}
