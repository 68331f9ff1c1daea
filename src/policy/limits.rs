//! What a host may be asked at most: the plan's manners, as far as they concern it. Pure.

use std::time::Duration;

use url::{Host, Url};

use super::lane::Limits;
use crate::plan::{HostManners, Manners, PerHost};
use crate::units::Rate;

/// What browsers do.
const PER_HOST: usize = 6;

/// What the host of a URL may be asked at most.
pub fn limits_of(manners: &Manners, url: &Url) -> Limits {
    let own = url.host_str().and_then(|name| manners.hosts.get(name));
    let delay = own.and_then(|own: &HostManners| own.delay).unwrap_or(manners.host_delay);
    let rate = own.and_then(|own| own.rate).or(manners.host_rate);
    Limits {
        ceiling: match own.and_then(|own| own.per_host).unwrap_or(manners.per_host) {
            PerHost::NoLimit => None,
            PerHost::Default if is_written_as_loopback(url) => None,
            PerHost::Default => Some(PER_HOST),
            PerHost::Most(most) => Some(most.get()),
        },
        gap: delay.max(rate.map_or(Duration::ZERO, spread)),
        failures: manners.host_failures.get(),
        patience: manners.host_patience,
    }
}

/// The time between two events that are spread evenly over the rate's window.
pub fn spread(rate: Rate) -> Duration {
    rate.per / rate.events.get()
}

/// Whether the URL itself says that its host is this machine; a name that only resolves to it does not count.
pub fn is_written_as_loopback(url: &Url) -> bool {
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

    fn ceiling(manners: &Manners, url: &str) -> Option<usize> {
        limits_of(manners, &url.parse().unwrap()).ceiling
    }

    #[test]
    fn a_host_is_asked_six_at_a_time_unless_it_is_written_as_this_machine() {
        let manners = Manners::default();
        assert_eq!(ceiling(&manners, "http://example.org/"), Some(6));
        assert_eq!(ceiling(&manners, "http://localhost.example.org/"), Some(6));
        for local in ["http://localhost:8080/", "http://127.9.9.9/", "https://[::1]/"] {
            assert_eq!(ceiling(&manners, local), None, "{local}");
        }
    }

    #[test]
    fn an_explicit_limit_binds_this_machine_too_and_zero_lifts_it() {
        let most = NonZeroUsize::new(2).unwrap();
        let manners = Manners { per_host: PerHost::Most(most), ..Manners::default() };
        assert_eq!(ceiling(&manners, "http://localhost/"), Some(2));
        let manners = Manners { per_host: PerHost::NoLimit, ..Manners::default() };
        assert_eq!(ceiling(&manners, "http://example.org/"), None);
    }

    #[test]
    fn what_is_said_of_one_host_wins_and_the_longer_gap_counts() {
        let own = HostManners {
            delay: Some(Duration::from_millis(100)),
            rate: Some(crate::units::rate("5/s").unwrap()),
            ..HostManners::default()
        };
        let mut manners = Manners { host_delay: Duration::from_secs(1), ..Manners::default() };
        manners.hosts.insert("example.org".to_owned(), own);
        let gap = |url: &str| limits_of(&manners, &url.parse().unwrap()).gap;
        assert_eq!(gap("https://example.org:8443/"), Duration::from_millis(200));
        assert_eq!(gap("http://www.example.org/"), Duration::from_secs(1));
    }
}
