//! Connects to the address of a host that answers first (RFC 8305). The library connects only to the addresses that the
//! resolver returns, and takes no connection that was made elsewhere. So it is given one address. While that does not answer,
//! this module tries the others beside it, one more every 250 ms, and the library is then sent to the first of them that
//! answers.

use std::collections::VecDeque;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hyper_util::client::legacy::connect::Connection;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::outgoing;
use super::request_state::RequestState;
use super::resolver::Resolver;
use crate::plan::NetworkInterface;

/// How long an address has to answer before the next one is tried as well (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The addresses to which the connection for a request may be made.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    host: String,
    /// The address that the library connects to; `None` if the resolver was not asked.
    current: Option<IpAddr>,
    /// The addresses that are left, in the order in which they are tried.
    others: Vec<SocketAddr>,
    /// The number of the others that have been tried.
    tried: usize,
    /// The addresses to which the connection has failed.
    failed: Vec<IpAddr>,
    /// How often another address has replaced the current one.
    switches: usize,
}

/// Which addresses are left after the connection to one has failed.
#[derive(Debug, PartialEq, Eq)]
enum Remaining {
    /// None that should be used.
    None,
    /// An address to connect to at once.
    Next,
    /// Addresses that are being tried already.
    BeingTried,
}

impl Candidates {
    /// Chooses the address of `host` to connect to among `usable`; `answered` is the one that has answered before.
    pub(super) fn choose(
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
        let mut ordered = ordered.into_iter();
        let first = ordered.next().expect("there is a usable address");
        host.clone_into(&mut self.host);
        self.current = Some(first);
        self.others = ordered.map(|address| SocketAddr::new(address, port)).collect();
        self.tried = 0;
        first
    }

    /// Takes the next address to try beside the current one.
    fn next_to_try(&mut self) -> Option<SocketAddr> {
        let next = self.others.get(self.tried).copied();
        self.tried += usize::from(next.is_some());
        next
    }

    /// Prefers the current address from now on, because it has answered.
    fn on_connected(&mut self, resolver: &Resolver) {
        if let Some(current) = self.current.take()
            && !(self.others.is_empty() && self.failed.is_empty())
        {
            resolver.prefer(&self.host, current);
        }
    }

    /// Prefers another address, which has answered, so that it becomes the current one.
    fn switch_to(&mut self, answered: IpAddr, resolver: &Resolver) {
        self.current = None;
        self.switches += 1;
        resolver.prefer(&self.host, answered);
    }

    /// Gives up the current address, because the connection to it has failed. If it failed in the TLS handshake, the address
    /// has answered, and no other is used.
    fn give_up(&mut self, is_in_tls_handshake: bool, resolver: &Resolver) -> Remaining {
        let Some(failed) = self.current.take() else { return Remaining::None };
        resolver.stop_preferring(&self.host, failed);
        if self.others.is_empty() || is_in_tls_handshake {
            return Remaining::None;
        }
        if self.tried > 0 {
            return Remaining::BeingTried;
        }
        self.failed.push(failed);
        self.switches += 1;
        Remaining::Next
    }
}

/// The addresses in the order in which they are tried: the one that has answered before, then the two families in turn (RFC
/// 8305 section 4).
fn in_order(addresses: &[IpAddr], answered: Option<IpAddr>) -> Vec<IpAddr> {
    let first_is_v4 = addresses.first().is_some_and(IpAddr::is_ipv4);
    let (mut first_family, mut other_family): (VecDeque<IpAddr>, VecDeque<IpAddr>) =
        addresses.iter().partition(|address| address.is_ipv4() == first_is_v4);
    let mut ordered = Vec::new();
    while ordered.len() < addresses.len() {
        ordered.extend(first_family.pop_front());
        ordered.extend(other_family.pop_front());
    }
    if let Some(at) = ordered.iter().position(|address| Some(*address) == answered) {
        ordered[..=at].rotate_right(1);
    }
    ordered
}

/// Waits for `connecting`, the connection for `request`. `None` if the library has to connect again, to another address.
///
/// # Errors
/// If it fails and no other address is left.
pub(super) async fn connect<C: Connection, E>(
    connecting: impl Future<Output = Result<C, E>>,
    request: &RequestState,
    resolver: &Resolver,
) -> Result<Option<C>, E> {
    let others = first_of_others(request, resolver.interface());
    tokio::pin!(connecting, others);
    let mut are_exhausted = false;
    let error = {
        let connected = tokio::select! {
            biased;
            connected = &mut connecting => connected,
            answered = &mut others => match answered {
                Some(answered) => {
                    request.candidates().switch_to(answered, resolver);
                    return Ok(None);
                }
                None => {
                    are_exhausted = true;
                    connecting.await
                }
            }
        };
        match connected {
            Ok(connection) => {
                request.candidates().on_connected(resolver);
                return Ok(Some(connection));
            }
            Err(error) => error,
        }
    };
    let remaining = request.candidates().give_up(request.is_in_tls_handshake(), resolver);
    match remaining {
        Remaining::Next => return Ok(None),
        Remaining::BeingTried if !are_exhausted => {}
        Remaining::BeingTried | Remaining::None => return Err(error),
    }
    let answered = others.await.ok_or(error)?;
    request.candidates().switch_to(answered, resolver);
    Ok(None)
}

/// Tries the other addresses of the host, and returns the first that answers; `None` if none does, or once the current one has
/// answered.
async fn first_of_others(
    request: &RequestState,
    interface: Option<&NetworkInterface>,
) -> Option<IpAddr> {
    let mut attempts = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(attempt) = attempts.join_next() => {
                if let Ok(Some(answered)) = attempt {
                    return Some(answered);
                }
            }
            () = sleep(ATTEMPT_DELAY) => {
                if request.is_in_tls_handshake() {
                    return None;
                }
                let next = request.candidates().next_to_try();
                match next {
                    Some(address) => drop(attempts.spawn(probe(interface.cloned(), address))),
                    None if attempts.is_empty() => return None,
                    None => {}
                }
            }
        }
    }
}

/// Connects to the address and closes the connection; the address, if that succeeds.
async fn probe(interface: Option<NetworkInterface>, address: SocketAddr) -> Option<IpAddr> {
    let connected = outgoing::connect(interface.as_ref(), address).await;
    connected.ok().map(|_| address.ip())
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
    fn an_address_that_has_failed_is_not_tried_again_while_there_are_others() {
        let usable = parsed(&["127.0.0.1", "127.0.0.2"]);
        let mut candidates = Candidates::default();
        let choose = |candidates: &mut Candidates| candidates.choose("a", &usable, None, 80);
        assert_eq!(choose(&mut candidates), usable[0]);
        assert_eq!(candidates.next_to_try().map(|address| address.ip()), Some(usable[1]));
        assert_eq!(candidates.next_to_try(), None);
        candidates.failed.push(usable[0]);
        assert_eq!(choose(&mut candidates), usable[1]);
        assert_eq!(candidates.next_to_try(), None);
        candidates.failed.push(usable[1]);
        assert_eq!(choose(&mut candidates), usable[0], "all have failed");
    }
}
