//! Whether a URL may be requested, and an address connected to: `--public-only`, `--allow-host`, `--deny-host`,
//! `--https-only`. Pure.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::special_addresses::{carried, why_not_public};
use crate::model::{Attempt, AttemptOutcome, Failure, FailureClass, Job};
use crate::plan::{AddressScope, HostRule, TargetRules, UrlSchemes};

/// Fails if the URL of a job may not be requested, whatever the addresses of its host are. Nothing is looked up before.
///
/// # Errors
/// The rule that forbids it.
pub(crate) fn ensure_job_allowed(rules: &TargetRules, job: &Job) -> Result<(), Failure> {
    if rules.allow_all() {
        return Ok(());
    }
    if is_bad_scheme(rules, &job.url) {
        return Err(match job.url == job.target.urls[job.mirror] {
            true => Failure::InvalidUrl("http is not allowed (--https-only); use https".to_owned()),
            false => Failure::Redirect("redirect to http is not allowed (--https-only)".to_owned()),
        });
    }
    ensure_host_allowed(rules, &job.url)
}

/// Whether no URL with the scheme and host of this one may be requested, whatever the addresses of the host are.
pub(crate) fn is_forbidden(rules: &TargetRules, url: &Url) -> bool {
    !rules.allow_all() && (is_bad_scheme(rules, url) || ensure_host_allowed(rules, url).is_err())
}

/// Whether the attempt has made no request, because its target is forbidden. Its host need not be spared for it.
pub(crate) fn was_forbidden(attempt: &Attempt) -> bool {
    let failed = match &attempt.outcome {
        AttemptOutcome::Failed(failure) => Some(failure.class()),
        _ => None,
    };
    let is_it = |class| {
        use FailureClass::{BlockedAddress, InvalidUrl, Redirect};
        matches!(class, BlockedAddress | InvalidUrl | Redirect)
    };
    attempt.head.is_none() && failed.is_some_and(is_it)
}

fn is_bad_scheme(rules: &TargetRules, url: &Url) -> bool {
    rules.schemes == UrlSchemes::HttpsOnly && url.scheme() != "https"
}

fn ensure_host_allowed(rules: &TargetRules, url: &Url) -> Result<(), Failure> {
    let name = match url.host() {
        Some(Host::Domain(name)) => name,
        Some(Host::Ipv4(address)) => return ensure_address_allowed(rules, "", address.into()),
        Some(Host::Ipv6(address)) => return ensure_address_allowed(rules, "", address.into()),
        None => return Ok(()),
    };
    if let Some(rule) = rules.denied.iter().find(|rule| is_about_name(rule, name)) {
        return Err(denied(name, rule));
    }
    // Such a name is one of this machine without being looked up (RFC 6761 section 6.3).
    let may_be_reached = |address: IpAddr| ensure_address_allowed(rules, name, address).is_ok();
    let is_local = is_below(name, "localhost");
    if is_local
        && ![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].into_iter().any(may_be_reached)
    {
        return Err(Failure::BlockedAddress(format!(
            "{name} is a loopback name (RFC 6761); see --public-only"
        )));
    }
    Ok(())
}

/// Fails if the address may not be connected to for a URL with this host.
///
/// # Errors
/// [`Failure::BlockedAddress`] with the reason.
pub(crate) fn ensure_address_allowed(
    rules: &TargetRules,
    host: &str,
    address: IpAddr,
) -> Result<(), Failure> {
    let canonical = address.to_canonical();
    let contains = |rule: &HostRule, address| match rule {
        HostRule::Network(block) => block.contains(address),
        HostRule::Name(_) | HostRule::Domain(_) => false,
    };
    let carried = match canonical {
        IpAddr::V4(_) => Vec::new(),
        IpAddr::V6(address) => carried(address),
    };
    let is_denied = |rule: &&HostRule| {
        contains(rule, canonical) || carried.iter().any(|inner| contains(rule, (*inner).into()))
    };
    if let Some(rule) = rules.denied.iter().find(is_denied) {
        return Err(denied(address, rule));
    }
    let is_exception = |rule: &HostRule| contains(rule, canonical) || is_about_name(rule, host);
    if rules.addresses == AddressScope::Any || rules.allowed.iter().any(is_exception) {
        return Ok(());
    }
    match why_not_public(address) {
        None => Ok(()),
        Some(why) => Err(Failure::BlockedAddress(format!("{address} is {why}; see --public-only"))),
    }
}

fn denied(what: impl Display, rule: &HostRule) -> Failure {
    Failure::BlockedAddress(format!("{what} is denied (--deny-host {rule})"))
}

/// Whether a rule is about the host with this name.
fn is_about_name(rule: &HostRule, host: &str) -> bool {
    match rule {
        HostRule::Name(name) => host.trim_end_matches('.') == name,
        HostRule::Domain(name) => is_below(host, name),
        HostRule::Network(_) => false,
    }
}

/// Whether a host has this name, or one below it.
fn is_below(host: &str, name: &str) -> bool {
    let rest = host.trim_end_matches('.').strip_suffix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::AddressBlock;
    use crate::policy::next_action::tests::job;

    fn network(first: &str, bits: u32) -> HostRule {
        HostRule::Network(AddressBlock::new(first.parse().unwrap(), bits).unwrap())
    }

    fn public_only() -> TargetRules {
        TargetRules { addresses: AddressScope::Public, ..TargetRules::default() }
    }

    fn verdict(rules: &TargetRules, host: &str, address: &str) -> Result<(), String> {
        let verdict = ensure_address_allowed(rules, host, address.parse().unwrap());
        verdict.map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_is_denied_is_denied_whatever_is_allowed_and_in_every_form() {
        let rules = TargetRules {
            allowed: vec![HostRule::Name("a.test".into()), network("10.0.0.0", 8)],
            denied: vec![network("10.9.0.0", 16), network("8.8.8.8", 32)],
            ..public_only()
        };
        assert_eq!(verdict(&rules, "a.test", "10.0.0.1"), Ok(()));
        assert_eq!(verdict(&rules, "b.test", "::ffff:10.0.0.1"), Ok(()));
        let denied = "10.9.0.1 is denied (--deny-host 10.9.0.0/16)";
        assert_eq!(verdict(&rules, "a.test", "10.9.0.1"), Err(denied.to_owned()));
        for form in ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::"] {
            let message = verdict(&rules, "a.test", form).unwrap_err();
            assert!(message.ends_with("is denied (--deny-host 8.8.8.8)"), "{message}");
        }
        assert!(
            verdict(&rules, "b.test", "64:ff9b::10.0.0.1").is_err(),
            "an exception is as written"
        );
    }

    #[test]
    fn an_exception_for_a_name_holds_for_that_name_alone() {
        let rules = TargetRules {
            allowed: vec![HostRule::Name("a.test".into()), HostRule::Domain("b.test".into())],
            ..public_only()
        };
        for host in ["a.test", "a.test.", "b.test", "x.y.b.test"] {
            assert_eq!(verdict(&rules, host, "10.0.0.1"), Ok(()), "{host}");
        }
        for host in ["x.a.test", "ab.test", "xb.test", "", "test"] {
            let blocked = "10.0.0.1 is a private address (RFC 1918); see --public-only".to_owned();
            assert_eq!(verdict(&rules, host, "10.0.0.1"), Err(blocked), "{host}");
        }
    }

    #[test]
    fn a_denied_name_is_refused_before_it_is_looked_up() {
        let denied = vec![HostRule::Name("a.test".into()), HostRule::Domain("b.test".into())];
        let rules = TargetRules { denied, ..TargetRules::default() };
        for url in ["http://a.test", "http://A.TEST./x", "https://b.test:1", "http://x.b.test"] {
            assert!(is_forbidden(&rules, &url.parse().unwrap()), "{url}");
        }
        for url in ["http://x.a.test", "http://xb.test", "http://10.0.0.1", "http://localhost"] {
            assert!(!is_forbidden(&rules, &url.parse().unwrap()), "{url}");
        }
    }

    #[test]
    fn a_name_of_this_machine_is_judged_without_a_lookup() {
        let forbidden = |rules: &TargetRules, url: &str| is_forbidden(rules, &url.parse().unwrap());
        let allows = |rule| TargetRules { allowed: vec![rule], ..public_only() };
        for url in ["http://localhost", "http://LOCALHOST.", "http://x.localhost:1/"] {
            assert!(forbidden(&public_only(), url), "{url}");
            assert!(!forbidden(&allows(network("127.0.0.1", 32)), url), "{url}");
            assert!(!forbidden(&allows(network("::1", 128)), url), "{url}");
            assert!(!forbidden(&allows(HostRule::Domain("localhost".into())), url), "{url}");
        }
        assert!(!forbidden(&public_only(), "http://notlocalhost"));
    }

    #[test]
    fn only_https_is_requested_if_that_is_asked_for() {
        let rules = TargetRules { schemes: UrlSchemes::HttpsOnly, ..TargetRules::default() };
        let mut job = job("http://a.test/ https://a.test/");
        let message = ensure_job_allowed(&rules, &job).unwrap_err();
        assert_eq!(
            message,
            Failure::InvalidUrl("http is not allowed (--https-only); use https".to_owned())
        );
        job.mirror = 1;
        assert!(matches!(ensure_job_allowed(&rules, &job), Err(Failure::Redirect(_))));
        job.url = job.target.urls[1].clone();
        assert_eq!(ensure_job_allowed(&rules, &job), Ok(()));
    }
}
