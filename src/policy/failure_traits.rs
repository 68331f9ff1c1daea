//! What each failure means for its target and its host: one table, without a default, so that a new failure has to be
//! given its place. Pure.

use crate::model::Failure;

/// What a failure means for what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailureTraits {
    /// What may still get the target.
    pub remedy: Remedy,
    /// What the failure says of the host.
    pub evidence: HostEvidence,
}

/// What may still get a target after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Another attempt at the same URL, later, or at another mirror.
    Retry,
    /// Another mirror only: this URL will fail again.
    OtherMirror,
    /// Nothing: this run or this machine refuses, so that no server and no mirror can help.
    Nothing,
}

/// What a failure says of the host of its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostEvidence {
    /// It cannot be reached, if no reply arrived.
    Unreachable,
    /// It asks for fewer requests, or is too busy.
    Refused,
    /// It replies as it should; the failure is about this URL or this run.
    Replied,
    /// It breaks connections off: it is strained if that was in the middle of a reply, and only reachable otherwise.
    BrokeOff,
    /// It fell silent: it is strained if that was in the middle of a reply; otherwise nothing is known.
    FellSilent,
    /// It can be reached; its reply is incomplete or not HTTP, or the TLS handshake with it fails.
    Garbled,
    /// Nothing: the host was not asked, or the attempt ended for another reason.
    Nothing,
}

/// The traits of a failure.
pub(crate) fn failure_traits(failure: &Failure) -> FailureTraits {
    use HostEvidence::{BrokeOff, FellSilent, Garbled, Refused, Replied, Unreachable};
    use Remedy::{OtherMirror, Retry};

    let (remedy, evidence) = match failure {
        Failure::Connect(_) | Failure::ProxyLost(_) => (Retry, Unreachable),
        Failure::Reset(_) => (Retry, BrokeOff),
        Failure::Stalled(_) => (Retry, FellSilent),
        Failure::Truncated { .. } => (Retry, Garbled),
        // Waiting for the host would change neither its certificate nor what is trusted here.
        Failure::Tls(_) | Failure::Protocol(_) => (OtherMirror, Garbled),
        // 520 to 524, 529 and 530 are what proxies before overloaded or unreachable origins send.
        Failure::Status(425 | 503 | 520..=524 | 529 | 530)
        | Failure::RateLimited { wait: None, .. } => (Retry, Refused),
        Failure::RateLimited { wait: Some(_), .. } => (OtherMirror, Refused),
        Failure::Status(202 | 408 | 500 | 502 | 504) => (Retry, Replied),
        Failure::Status(_)
        | Failure::NotAccepted(_)
        | Failure::ExplainedStatus { .. }
        | Failure::Checksum { .. }
        | Failure::TooLarge { .. }
        | Failure::TooDense { .. } => (OtherMirror, Replied),
        Failure::Timeout(_) | Failure::TooSlow { .. } | Failure::Worker(_) => {
            (Retry, HostEvidence::Nothing)
        }
        Failure::Dns { .. }
        | Failure::HostDown(_)
        | Failure::HostRefused(_)
        | Failure::Robots
        | Failure::Pinned(_)
        | Failure::BlockedAddress(_)
        | Failure::Proxy(_)
        | Failure::Redirect(_)
        | Failure::InvalidUrl(_) => (OtherMirror, HostEvidence::Nothing),
        // The status is that of the proxy, and says nothing about the host. An unknown one may be one that passes.
        Failure::ProxyStatus(None | Some(429)) => (Retry, HostEvidence::Nothing),
        Failure::ProxyStatus(Some(status)) => {
            (failure_traits(&Failure::Status(*status)).remedy, HostEvidence::Nothing)
        }
        Failure::Quota { .. } => (Remedy::Nothing, Replied),
        Failure::Name(_) | Failure::Disk(_) | Failure::Cancelled(_) => {
            (Remedy::Nothing, HostEvidence::Nothing)
        }
    };
    FailureTraits { remedy, evidence }
}

/// Whether another attempt at the same URL may succeed.
pub(crate) fn is_transient(failure: &Failure) -> bool {
    failure_traits(failure).remedy == Remedy::Retry
}

/// Whether this run or this machine refuses, so that no server and no mirror can help.
pub(crate) fn is_local(failure: &Failure) -> bool {
    failure_traits(failure).remedy == Remedy::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_waiting_may_heal_is_transient() {
        for status in [202, 408, 425, 500, 502, 503, 504, 520, 522, 524, 529, 530] {
            assert!(is_transient(&Failure::Status(status)), "{status}");
        }
        for status in [201, 205, 207, 226, 299, 400, 403, 404, 410, 501, 505, 525, 531] {
            assert!(!is_transient(&Failure::Status(status)), "{status}");
        }
        assert!(is_transient(&Failure::RateLimited { status: 429, wait: None }));
        assert!(!is_transient(&Failure::Protocol("x".into())));
        assert!(!is_transient(&Failure::Tls("x".into())));
        assert!(is_transient(&Failure::ProxyLost("x".into())));
        assert!(!is_transient(&Failure::Proxy("x".into())));
        assert!(is_transient(&Failure::ProxyStatus(None)));
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(is_transient(&Failure::ProxyStatus(Some(status))), "{status}");
        }
        for status in [400, 403, 404, 407] {
            assert!(!is_transient(&Failure::ProxyStatus(Some(status))), "{status}");
        }
        assert!(is_transient(&Failure::Connect("x".into())));
        assert!(is_transient(&Failure::Worker("x".into())));
        assert!(!is_transient(&Failure::Pinned("x".into())));
        assert!(!is_transient(&Failure::BlockedAddress("x".into())));
    }
}
