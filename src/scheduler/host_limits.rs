//! The limits of one host, from the plan. Pure.

use std::time::Duration;

use url::{Host, Url};

use super::host_queue::HostLimits;
use crate::plan::{HostLimitOptions, HostOverrides, MaxPerHost};
use crate::units::Rate;

/// The default limit of requests in progress per host, as browsers have it.
const PER_HOST: usize = 6;

/// The limits of the host of a URL.
pub(crate) fn host_limits(limits: &HostLimitOptions, url: &Url) -> HostLimits {
    let own = url.host_str().and_then(|name| limits.hosts.get(name));
    let delay = own.and_then(|own: &HostOverrides| own.delay).unwrap_or(limits.host_delay);
    let rate = own.and_then(|own| own.rate).or(limits.host_rate);
    HostLimits {
        ceiling: match own.and_then(|own| own.per_host).unwrap_or(limits.per_host) {
            MaxPerHost::NoLimit => None,
            MaxPerHost::Default if is_written_as_loopback(url) => None,
            MaxPerHost::Default => Some(PER_HOST),
            MaxPerHost::Most(most) => Some(most.get()),
        },
        gap: delay.max(rate.map_or(Duration::ZERO, interval_of)),
        failures: limits.host_failures.get(),
        patience: limits.host_patience,
    }
}

/// The time between two events that are evenly spaced at this rate.
pub(crate) fn interval_of(rate: Rate) -> Duration {
    rate.per / rate.events.get()
}

/// Whether the URL is written with a loopback host; a name that only resolves to one does not count.
pub(crate) fn is_written_as_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn ceiling(limits: &HostLimitOptions, url: &str) -> Option<usize> {
        host_limits(limits, &url.parse().unwrap()).ceiling
    }

    #[test]
    fn a_host_is_asked_six_at_a_time_unless_it_is_written_as_this_machine() {
        let limits = HostLimitOptions::default();
        assert_eq!(ceiling(&limits, "http://example.org/"), Some(6));
        assert_eq!(ceiling(&limits, "http://localhost.example.org/"), Some(6));
        for local in ["http://localhost:8080/", "http://127.9.9.9/", "https://[::1]/"] {
            assert_eq!(ceiling(&limits, local), None, "{local}");
        }
    }

    #[test]
    fn an_explicit_limit_binds_this_machine_too_and_zero_lifts_it() {
        let most = NonZeroUsize::new(2).unwrap();
        let limits =
            HostLimitOptions { per_host: MaxPerHost::Most(most), ..HostLimitOptions::default() };
        assert_eq!(ceiling(&limits, "http://localhost/"), Some(2));
        let limits =
            HostLimitOptions { per_host: MaxPerHost::NoLimit, ..HostLimitOptions::default() };
        assert_eq!(ceiling(&limits, "http://example.org/"), None);
    }

    #[test]
    fn what_is_said_of_one_host_wins_and_the_longer_gap_counts() {
        let own = HostOverrides {
            delay: Some(Duration::from_millis(100)),
            rate: Some(crate::units::rate("5/s").unwrap()),
            ..HostOverrides::default()
        };
        let mut limits =
            HostLimitOptions { host_delay: Duration::from_secs(1), ..HostLimitOptions::default() };
        limits.hosts.insert("example.org".to_owned(), own);
        let gap = |url: &str| host_limits(&limits, &url.parse().unwrap()).gap;
        assert_eq!(gap("https://example.org:8443/"), Duration::from_millis(200));
        assert_eq!(gap("http://www.example.org/"), Duration::from_secs(1));
    }
}
