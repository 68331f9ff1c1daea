//! Binds outgoing connections to the interface of `--interface`, those of the HTTP library and those made without it, and
//! checks that the interface exists.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use tokio::net::{TcpSocket, TcpStream};

use crate::plan::NetworkInterface;
use crate::text::io_message;

/// Why connections cannot be made from an interface.
#[derive(Debug, thiserror::Error)]
#[error("--interface {interface}: {reason}")]
pub(crate) struct InterfaceError {
    interface: NetworkInterface,
    reason: String,
}

/// Connects to an address without the HTTP library, from the given interface if there is one.
///
/// # Errors
/// Those of the system.
pub(super) async fn connect(
    interface: Option<&NetworkInterface>,
    address: SocketAddr,
) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    match interface {
        None => {}
        Some(NetworkInterface::Address(own)) => socket.bind(SocketAddr::new(*own, 0))?,
        Some(NetworkInterface::Name(name)) => bind_device(&socket, name)?,
    }
    socket.connect(address).await
}

/// Fails if no connection can be made from the interface: there is none of this name, or the address is not one of this
/// machine.
///
/// # Errors
/// The reason; for an unknown name, with the names of all interfaces.
pub(super) fn ensure_usable(interface: Option<&NetworkInterface>) -> Result<(), InterfaceError> {
    let Some(interface) = interface else { return Ok(()) };
    let bound = match interface {
        NetworkInterface::Address(own) => bind_address(*own),
        NetworkInterface::Name(name) => {
            TcpSocket::new_v4().and_then(|socket| bind_device(&socket, name))
        }
    };
    bound.map_err(|error| {
        let reason = match (interface, error.kind()) {
            (NetworkInterface::Address(_), io::ErrorKind::AddrNotAvailable) => {
                "not an address of this machine".to_owned()
            }
            (NetworkInterface::Name(_), _) if is_unknown(&error) => match interface_names() {
                names if names.is_empty() => "no such interface".to_owned(),
                names => format!("no such interface (there are {})", names.join(", ")),
            },
            _ => io_message(&error),
        };
        InterfaceError { interface: interface.clone(), reason }
    })
}

fn bind_address(own: IpAddr) -> io::Result<()> {
    UdpSocket::bind(SocketAddr::new(own, 0)).map(drop)
}

/// Whether the system does not know the interface, or its name is invalid.
fn is_unknown(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, None | Some(Errno::ENODEV | Errno::EINVAL | Errno::ENXIO))
}

/// The names of the system's interfaces, sorted; empty if the system does not list them.
fn interface_names() -> Vec<String> {
    let mut names: Vec<_> = nix::net::if_::if_nameindex().map_or_else(
        |_| Vec::new(),
        |all| all.iter().map(|one| one.name().to_string_lossy().into_owned()).collect(),
    );
    names.sort_unstable();
    names
}

#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
fn bind_device(socket: &TcpSocket, name: &str) -> io::Result<()> {
    socket.bind_device(Some(name.as_bytes()))
}

#[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
fn bind_device(_: &TcpSocket, _: &str) -> io::Result<()> {
    Err(io::Error::other("only an address is possible on this system"))
}

/// Makes the connections of the HTTP library from the interface, if there is one.
pub(super) fn bind_client(
    builder: reqwest::ClientBuilder,
    interface: Option<&NetworkInterface>,
) -> reqwest::ClientBuilder {
    match interface {
        None => builder,
        Some(NetworkInterface::Address(own)) => builder.local_address(*own),
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        Some(NetworkInterface::Name(name)) => builder.interface(name),
        #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
        Some(NetworkInterface::Name(_)) => builder,
    }
}
