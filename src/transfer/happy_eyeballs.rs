//! Connects to the address of a host that answers first (RFC 8305). The library dials what the resolver names, and takes no
//! connection that it has not made. So it is given one address; where that does not answer within a moment, the others are
//! tried beside it, and the first of them that answers is dialled in its place.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hyper_util::client::legacy::connect::Connection;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::request_state::RequestState;
use super::resolver::Resolver;

/// How long an address has to answer before the next one is tried as well (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The addresses that the connection for a request may be made to.
#[derive(Debug, Default)]
pub struct Candidates {
    host: String,
    current: Option<SocketAddr>,
    /// Those that are left, in the order in which they are tried.
    others: Vec<SocketAddr>,
    failed: Vec<IpAddr>,
    /// How often another address was dialled than the one before.
    switches: usize,
}

impl Candidates {
    /// The address of `host` to dial. `answered` is the one that has answered before.
    pub fn choose(
        &mut self,
        host: &str,
        usable: &[IpAddr],
        answered: Option<IpAddr>,
        port: u16,
    ) -> IpAddr {
        let mut ordered = in_order(usable, answered);
        if usable.iter().any(|address| !self.failed.contains(address)) {
            ordered.retain(|address| !self.failed.contains(address));
        }
        if self.switches > usable.len() {
            ordered.truncate(1);
        }
        let mut ordered = ordered.into_iter().map(|address| SocketAddr::new(address, port));
        let first = ordered.next().expect("there is an address that may be used");
        host.clone_into(&mut self.host);
        self.current = Some(first);
        self.others = ordered.collect();
        first.ip()
    }
}

/// The addresses, the one that has answered before first, else as they came but of the two families in turn (RFC 8305
/// section 4).
fn in_order(addresses: &[IpAddr], answered: Option<IpAddr>) -> Vec<IpAddr> {
    let first_is_v4 = addresses.first().is_some_and(IpAddr::is_ipv4);
    let (mut one, mut other): (VecDeque<IpAddr>, VecDeque<IpAddr>) =
        addresses.iter().partition(|address| address.is_ipv4() == first_is_v4);
    let mut ordered = Vec::new();
    while ordered.len() < addresses.len() {
        ordered.extend(one.pop_front());
        ordered.extend(other.pop_front());
    }
    if let Some(at) = ordered.iter().position(|address| Some(*address) == answered) {
        ordered[..=at].rotate_right(1);
    }
    ordered
}

/// Waits for the connection for `request`; `None` if another address is to be dialled for it.
///
/// # Errors
/// If it fails, and there is no other address.
pub async fn connect<C: Connection, E>(
    connecting: impl Future<Output = Result<C, E>>,
    request: &RequestState,
    resolver: &Resolver,
) -> Result<Option<C>, E> {
    let connected = tokio::select! {
        biased;
        connected = connecting => connected,
        (host, answered) = another_answers(request) => {
            resolver.prefer(&host, answered);
            request.candidates().switches += 1;
            return Ok(None);
        }
    };
    let mut candidates = request.candidates();
    let Some(current) = candidates.current.take() else { return connected.map(Some) };
    match connected {
        Ok(connection) => {
            if !candidates.others.is_empty() || !candidates.failed.is_empty() {
                resolver.prefer(&candidates.host, current.ip());
            }
            Ok(Some(connection))
        }
        Err(error) => {
            resolver.no_longer_prefer(&candidates.host, current.ip());
            // Who has answered, but does not shake hands, is who was asked for.
            if candidates.others.is_empty() || request.is_shaking_hands() {
                return Err(error);
            }
            candidates.failed.push(current.ip());
            candidates.switches += 1;
            Ok(None)
        }
    }
}

/// The first other address of the host that answers while the one that is dialled does not.
async fn another_answers(request: &RequestState) -> (String, IpAddr) {
    let mut attempts = JoinSet::new();
    let mut tried = 0;
    loop {
        let next = async {
            sleep(ATTEMPT_DELAY).await;
            if request.is_shaking_hands() {
                pending::<()>().await;
            }
            let others = request.candidates().others.get(tried).copied();
            match others {
                Some(address) => address,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(Ok(Some(answered))) = attempts.join_next() => {
                return (request.candidates().host.clone(), answered);
            }
            address = next => {
                tried += 1;
                attempts.spawn(async move {
                    TcpStream::connect(address).await.ok().map(|_| address.ip())
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(addresses: &[&str]) -> Vec<IpAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_what_has_answered_goes_first() {
        let all = parsed(&["::1", "::2", "::3", "127.0.0.1", "127.0.0.2"]);
        let turns = parsed(&["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]);
        assert_eq!(in_order(&all, None), turns);
        assert_eq!(in_order(&all, "127.0.0.9".parse().ok()), turns);
        let preferred = parsed(&["127.0.0.2", "::1", "127.0.0.1", "::2", "::3"]);
        assert_eq!(in_order(&all, "127.0.0.2".parse().ok()), preferred);
        assert!(in_order(&[], None).is_empty());
    }

    #[test]
    fn an_address_that_has_failed_is_not_dialled_again_while_there_are_others() {
        let usable = parsed(&["127.0.0.1", "127.0.0.2"]);
        let mut candidates = Candidates::default();
        let choose = |candidates: &mut Candidates| candidates.choose("a", &usable, None, 80);
        assert_eq!(choose(&mut candidates), usable[0]);
        candidates.failed.push(usable[0]);
        assert_eq!(choose(&mut candidates), usable[1]);
        assert!(candidates.others.is_empty());
        candidates.failed.push(usable[1]);
        assert_eq!(choose(&mut candidates), usable[0], "all have failed");
    }
}
