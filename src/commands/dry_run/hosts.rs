//! Counts the targets of each host of the lists. Pure.

use std::collections::HashMap;

use url::Url;

use crate::model::host_of;
use crate::plan::HostLimitOptions;
use crate::scheduler::{HostLimits, host_limits};
use crate::transfer::is_sent_to;

/// Hosts with counts of their own. Of further hosts only the targets are counted, so that memory is bounded.
const MAX_COUNTED: usize = 1_000;

/// One host.
pub(super) struct PreviewHost {
    /// Scheme, name and port.
    pub name: String,
    /// Its targets.
    pub targets: u64,
    /// Its limits.
    pub limits: HostLimits,
    /// The header fields that only requests to this host have, values masked.
    pub headers: Vec<String>,
    /// The names of its header fields that are left out because they are only sent over https.
    pub withheld: Vec<String>,
}

/// The hosts so far.
#[derive(Default)]
pub(super) struct PreviewHosts {
    /// The first of them, in list order.
    pub reported: Vec<PreviewHost>,
    /// Targets of all other hosts.
    pub further: u64,
    places: HashMap<String, usize>,
}

impl PreviewHosts {
    /// Counts a target for the host of its URL.
    pub(super) fn count(&mut self, options: &HostLimitOptions, url: &Url) {
        let name = host_of(url);
        if let Some(place) = self.places.get(name.as_ref()) {
            self.reported[*place].targets += 1;
        } else if self.reported.len() < MAX_COUNTED {
            let name = name.into_owned();
            self.places.insert(name.clone(), self.reported.len());
            let own = url.host_str().and_then(|name| options.hosts.get(name));
            let headers = own.map(|own| &own.headers[..]).unwrap_or_default().iter();
            let (sent, withheld): (Vec<_>, Vec<_>) =
                headers.map(|(name, _)| name).partition(|name| is_sent_to(url, name));
            self.reported.push(PreviewHost {
                name,
                targets: 1,
                limits: host_limits(options, url),
                headers: sent.iter().map(|name| format!("{name}: ***")).collect(),
                withheld: withheld.iter().map(ToString::to_string).collect(),
            });
        } else {
            self.further += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::HostOverrides;

    #[test]
    fn what_is_only_sent_over_https_is_not_among_the_headers_of_http() {
        let fields = ["x-key", "accept"].map(|name| (name.parse().unwrap(), "x".parse().unwrap()));
        let own = HostOverrides { headers: fields.to_vec(), ..HostOverrides::default() };
        let hosts = ["a.test", "localhost"].map(|name| (name.to_owned(), own.clone()));
        let options = HostLimitOptions { hosts: hosts.into(), ..HostLimitOptions::default() };
        let mut hosts = PreviewHosts::default();
        for url in ["https://a.test/", "http://localhost/", "http://a.test/"] {
            hosts.count(&options, &url.parse().unwrap());
        }
        let shown = hosts.reported.iter().map(|host| (host.headers.len(), host.withheld.join(" ")));
        let all = (2, String::new());
        assert_eq!(shown.collect::<Vec<_>>(), [all.clone(), all, (1, "x-key".to_owned())]);
    }

    #[test]
    fn hosts_beyond_the_first_thousand_are_counted_by_target() {
        let mut hosts = PreviewHosts::default();
        for number in 0..1_010 {
            let url = format!("http://h{number}.example/").parse().unwrap();
            hosts.count(&HostLimitOptions::default(), &url);
            hosts.count(&HostLimitOptions::default(), &url);
        }
        assert_eq!((hosts.reported.len(), hosts.further), (1_000, 20));
        assert_eq!(
            (hosts.reported[7].name.as_str(), hosts.reported[7].targets),
            ("http://h7.example", 2)
        );
    }
}
