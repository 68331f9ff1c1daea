//! The request budget of a comparison: limits the number of requests to servers that are not the user's own. Pure.

use std::collections::BTreeMap;

use url::Url;

use super::{LEAST_RUNS, ServerOwner};
use crate::model::HostStats;
use crate::scheduler::is_written_as_loopback;

/// Maximum number of requests to one host, including warm-ups.
pub(super) const MAX_REQUESTS: u64 = 300;

/// The requests to each host so far.
pub(super) struct RequestBudget {
    servers: ServerOwner,
    spent: BTreeMap<String, SpentRequests>,
}

/// The requests to one host.
#[derive(Default)]
struct SpentRequests {
    earlier_blocks: u64,
    this_block: u64,
    largest_block: u64,
}

impl RequestBudget {
    pub(super) fn new(servers: ServerOwner) -> Self {
        Self { servers, spent: BTreeMap::new() }
    }

    /// Number of runs that the budget allows if a sample sends `requests` to each host. Redirects and retries are not
    /// known yet.
    ///
    /// # Errors
    /// A message if they are too few.
    pub(super) fn runs(
        &self,
        requests: &BTreeMap<String, u64>,
        contestants: usize,
        warmup: usize,
    ) -> Result<usize, String> {
        let most = requests.iter().max_by_key(|(_, count)| **count);
        let Some((host, count)) = most.filter(|_| self.servers == ServerOwner::OfOthers) else {
            return Ok(usize::MAX);
        };
        let blocks = (MAX_REQUESTS / (count * contestants as u64)) as usize;
        let runs = blocks.saturating_sub(warmup);
        if runs < LEAST_RUNS {
            let needed = count * (contestants * (LEAST_RUNS + warmup)) as u64;
            return Err(format!(
                "{LEAST_RUNS} runs would send {needed} requests to {host} (limit {MAX_REQUESTS}); \
                 use fewer URLs, modes or jobs, or --i-run-this-server if the server is yours"
            ));
        }
        Ok(runs)
    }

    /// Whether the budget allows another block like the largest one so far.
    pub(super) fn has_room_for_a_block(&self) -> bool {
        let fits =
            |spent: &SpentRequests| spent.earlier_blocks + spent.largest_block <= MAX_REQUESTS;
        self.servers == ServerOwner::Own || self.spent.values().all(fits)
    }

    /// Adds the requests of one sample.
    pub(super) fn add(&mut self, hosts: &[HostStats]) {
        let is_of_others = |host: &&HostStats| {
            host.host.parse::<Url>().map_or(true, |url: Url| !is_written_as_loopback(&url))
        };
        for host in hosts.iter().filter(is_of_others) {
            self.spent.entry(host.host.to_string()).or_default().this_block += host.requests;
        }
    }

    /// Ends a block: one sample of each variant.
    pub(super) fn end_block(&mut self) {
        for spent in self.spent.values_mut() {
            spent.largest_block = spent.largest_block.max(spent.this_block);
            spent.earlier_blocks += std::mem::take(&mut spent.this_block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests_per_host(count: u64) -> BTreeMap<String, u64> {
        [("https://a.b".to_owned(), count), ("https://c.d".to_owned(), 1)].into()
    }

    fn host(name: &str, requests: u64) -> HostStats {
        HostStats { requests, ..HostStats::of(&name.into()) }
    }

    #[test]
    fn runs_shrink_until_no_host_gets_more_than_300_requests() {
        let budget = RequestBudget::new(ServerOwner::OfOthers);
        // Four variants and fifteen pages: sixty requests per block, so five blocks.
        assert_eq!(budget.runs(&requests_per_host(15), 4, 1), Ok(4));
        assert_eq!(budget.runs(&requests_per_host(15), 4, 2), Ok(3));
        assert_eq!(budget.runs(&requests_per_host(1), 1, 0), Ok(300));
        assert_eq!(budget.runs(&BTreeMap::new(), 4, 1), Ok(usize::MAX));
    }

    #[test]
    fn fewer_than_three_runs_are_refused_unless_the_server_is_ones_own() {
        let complaint = RequestBudget::new(ServerOwner::OfOthers)
            .runs(&requests_per_host(15), 4, 3)
            .unwrap_err();
        assert!(complaint.contains("360 requests to https://a.b (limit 300)"), "{complaint}");
        assert!(complaint.contains("--i-run-this-server"), "{complaint}");
        assert_eq!(
            RequestBudget::new(ServerOwner::Own).runs(&requests_per_host(1000), 4, 3),
            Ok(usize::MAX)
        );
    }

    #[test]
    fn requests_beyond_the_listed_urls_count_too() {
        let mut budget = RequestBudget::new(ServerOwner::OfOthers);
        for _ in 0..2 {
            assert!(budget.has_room_for_a_block());
            budget.add(&[host("https://a.b", 120), host("http://127.0.0.1:8080", 5000)]);
            budget.end_block();
        }
        assert!(!budget.has_room_for_a_block());
    }
}
