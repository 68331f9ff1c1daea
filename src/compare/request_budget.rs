//! How often the hosts of others may be asked: a comparison repeats requests that nobody needs. Pure.

use std::collections::BTreeMap;

use url::Url;

use super::{LEAST_RUNS, ServerOwner};
use crate::model::HostStats;
use crate::scheduler::is_written_as_loopback;

/// Requests to one host, warm-ups included.
pub(super) const MOST_REQUESTS: u64 = 300;

/// What was asked of each host.
pub(super) struct RequestBudget {
    servers: ServerOwner,
    spent: BTreeMap<String, BudgetExceeded>,
}

#[derive(Default)]
struct BudgetExceeded {
    before: u64,
    this_block: u64,
    most_a_block: u64,
}

impl RequestBudget {
    pub(super) fn new(servers: ServerOwner) -> Self {
        Self { servers, spent: BTreeMap::new() }
    }

    /// How many runs there can be where a sample asks hosts so often; redirects and retries will show.
    ///
    /// # Errors
    /// A sentence that says what to do if they are too few.
    pub(super) fn runs(
        &self,
        asked: &BTreeMap<String, u64>,
        contestants: usize,
        warmup: usize,
    ) -> Result<usize, String> {
        let most = asked.iter().max_by_key(|(_, count)| **count);
        let Some((host, count)) = most.filter(|_| self.servers == ServerOwner::OfOthers) else {
            return Ok(usize::MAX);
        };
        let blocks = (MOST_REQUESTS / (count * contestants as u64)) as usize;
        let runs = blocks.saturating_sub(warmup);
        if runs < LEAST_RUNS {
            let asked = count * (contestants * (LEAST_RUNS + warmup)) as u64;
            return Err(format!(
                "{host} would be asked {asked} times for {LEAST_RUNS} runs; it may be asked \
                 {MOST_REQUESTS} times at most: name fewer URLs, modes or jobs, or say \
                 --i-run-this-server if you do"
            ));
        }
        Ok(runs)
    }

    /// Whether another block like the largest one so far fits.
    pub(super) fn has_room_for_a_block(&self) -> bool {
        let fits = |spent: &BudgetExceeded| spent.before + spent.most_a_block <= MOST_REQUESTS;
        self.servers == ServerOwner::Own || self.spent.values().all(fits)
    }

    pub(super) fn spend(&mut self, hosts: &[HostStats]) {
        let is_of_others = |host: &&HostStats| {
            host.host.parse::<Url>().map_or(true, |url: Url| !is_written_as_loopback(&url))
        };
        for host in hosts.iter().filter(is_of_others) {
            self.spent.entry(host.host.to_string()).or_default().this_block += host.requests;
        }
    }

    pub(super) fn end_of_block(&mut self) {
        for spent in self.spent.values_mut() {
            spent.most_a_block = spent.most_a_block.max(spent.this_block);
            spent.before += std::mem::take(&mut spent.this_block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(count: u64) -> BTreeMap<String, u64> {
        [("https://a.b".to_owned(), count), ("https://c.d".to_owned(), 1)].into()
    }

    fn host(name: &str, requests: u64) -> HostStats {
        HostStats { requests, ..HostStats::of(&name.into()) }
    }

    #[test]
    fn runs_shrink_until_no_host_is_asked_more_than_300_times() {
        let budget = RequestBudget::new(ServerOwner::OfOthers);
        // Four contestants and fifteen pages: sixty requests a block, so five blocks.
        assert_eq!(budget.runs(&asked(15), 4, 1), Ok(4));
        assert_eq!(budget.runs(&asked(15), 4, 2), Ok(3));
        assert_eq!(budget.runs(&asked(1), 1, 0), Ok(300));
        assert_eq!(budget.runs(&BTreeMap::new(), 4, 1), Ok(usize::MAX));
    }

    #[test]
    fn fewer_than_three_runs_are_refused_unless_the_server_is_ones_own() {
        let complaint =
            RequestBudget::new(ServerOwner::OfOthers).runs(&asked(15), 4, 3).unwrap_err();
        assert!(complaint.contains("https://a.b would be asked 360 times"), "{complaint}");
        assert!(complaint.contains("--i-run-this-server"), "{complaint}");
        assert_eq!(RequestBudget::new(ServerOwner::Own).runs(&asked(1000), 4, 3), Ok(usize::MAX));
    }

    #[test]
    fn requests_that_no_list_tells_of_count_too() {
        let mut budget = RequestBudget::new(ServerOwner::OfOthers);
        for _ in 0..2 {
            assert!(budget.has_room_for_a_block());
            budget.spend(&[host("https://a.b", 120), host("http://127.0.0.1:8080", 5000)]);
            budget.end_of_block();
        }
        assert!(!budget.has_room_for_a_block());
    }
}
