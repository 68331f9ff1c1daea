//! Certificates for the tests, and an origin that speaks TLS with them.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};
use tempfile::TempDir;

use super::raw::{HeadOf, Raw};

/// A certificate authority.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, both also as PEM files.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        Self::named("an authority of the tests")
    }

    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        std::fs::write(folder.path().join("authority.pem"), pem).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    /// The file to give to `--cacert`.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// A certificate for these names and addresses.
    pub fn identity(&self, names: &[&str]) -> Identity {
        self.sign(params(names))
    }

    /// A certificate that expired at the end of 2020.
    pub fn expired_identity(&self, names: &[&str]) -> Identity {
        let mut params = params(names);
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 12, 31));
        self.sign(params)
    }

    /// A certificate that expires in this number of days.
    pub fn identity_until(&self, names: &[&str], days: u64) -> Identity {
        let mut params = params(names);
        params.not_after = (SystemTime::now() + Duration::from_secs(86_400 * days)).into();
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let number = std::fs::read_dir(self.folder.path()).unwrap().count();
        let file = |name| self.folder.path().join(format!("{name}-{number}.pem"));
        let (certificate_file, key_file) = (file("certificate"), file("key"));
        std::fs::write(&certificate_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        Identity {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            certificate_file,
            key_file,
        }
    }
}

/// A certificate of any kind, and its key: it can sign others even if it must not.
pub struct Signed {
    params: CertificateParams,
    key: KeyPair,
    certificate: Certificate,
}

impl Signed {
    pub fn by_itself(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { params, key, certificate }
    }

    /// A certificate that this one has signed.
    pub fn sign(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Self { params, key, certificate }
    }

    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The identity of a server that presents this certificate and those in between.
    pub fn identity(&self, between: &[&Self]) -> Identity {
        let chain = std::iter::once(&self).chain(between);
        Identity {
            chain: chain.map(|each| each.certificate.der().clone()).collect(),
            key: PrivateKeyDer::try_from(self.key.serialize_der()).unwrap(),
            certificate_file: PathBuf::new(),
            key_file: PathBuf::new(),
        }
    }
}

impl Identity {
    /// The settings of a server that has this certificate and speaks these protocols (ALPN).
    pub fn server(&self, protocols: &[&[u8]]) -> ServerConfig {
        let mut settings = self.server_of_versions(rustls::ALL_VERSIONS);
        settings.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        settings
    }

    /// The settings of a server that asks for a client certificate of the authority `clients`; `needs` says whether it requires
    /// one.
    pub fn server_asking(
        &self,
        clients: &Authority,
        needs: Needs,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(clients.file()).unwrap();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let clients = match needs {
            Needs::Certificate => clients,
            Needs::Nothing => clients.allow_unauthenticated(),
        };
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .unwrap()
    }

    /// The settings of a server for these versions of TLS, without ALPN.
    fn server_of_versions(&self, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .unwrap()
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

/// Whether a server that asks for a client certificate requires one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// A trusted certificate.
    Certificate,
    /// None, but one that is sent must be trusted.
    Nothing,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its head.
    pub head: HeadOf,
    /// The name that the handshake asked for (SNI).
    pub sni: Option<String>,
    /// `TLSv1_2` or `TLSv1_3`.
    pub version: String,
    /// Whether the client has shown a certificate.
    pub is_certified: bool,
}

/// What happens to a connection after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It waits for the next request.
    KeepAlive,
    /// It is closed properly, with close_notify.
    Close,
    /// It is closed without close_notify, as by a device in between.
    Cut,
}

/// A whole reply with this body; the connection is kept.
pub fn whole(body: &str) -> (String, Then) {
    (format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()), Then::KeepAlive)
}

/// The server. Dropping it ends it.
pub struct TlsOrigin {
    raw: Raw,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl TlsOrigin {
    /// A server of this identity that answers each request with `answer`.
    pub fn new(
        identity: &Identity,
        answer: impl Fn(&Asked) -> (String, Then) + Send + Sync + 'static,
    ) -> Self {
        Self::of_versions(identity, rustls::ALL_VERSIONS, answer)
    }

    /// The same, for these versions of TLS.
    pub fn of_versions(
        identity: &Identity,
        versions: &[&'static SupportedProtocolVersion],
        answer: impl Fn(&Asked) -> (String, Then) + Send + Sync + 'static,
    ) -> Self {
        Self::with_settings(identity.server_of_versions(versions), answer)
    }

    /// The same with these settings.
    pub fn with_settings(
        settings: ServerConfig,
        answer: impl Fn(&Asked) -> (String, Then) + Send + Sync + 'static,
    ) -> Self {
        let settings = Arc::new(settings);
        let seen = Arc::<Mutex<Vec<Asked>>>::default();
        let shared = Arc::clone(&seen);
        let raw = Raw::new(move |stream, _| {
            let connection = ServerConnection::new(Arc::clone(&settings)).unwrap();
            serve(StreamOwned::new(connection, stream), &answer, &shared);
        });
        Self { raw, seen }
    }

    pub fn port(&self) -> u16 {
        self.raw.port()
    }

    pub fn address(&self) -> SocketAddr {
        self.raw.address()
    }

    /// The arguments that send the requests for a name here.
    pub fn stands_for(&self, name: &str) -> [String; 2] {
        ["--connect-to".into(), format!("{name}:443:127.0.0.1:{}", self.port())]
    }

    /// All requests so far, in the order of their arrival.
    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }

    /// Connections accepted so far, with or without a handshake.
    pub fn connections(&self) -> usize {
        self.raw.connections()
    }
}

fn serve(
    stream: StreamOwned<ServerConnection, TcpStream>,
    answer: &impl Fn(&Asked) -> (String, Then),
    seen: &Mutex<Vec<Asked>>,
) {
    let mut reader = BufReader::new(stream);
    while let Some(head) = HeadOf::read(&mut reader) {
        let tls = &reader.get_ref().conn;
        let sni = tls.server_name().map(str::to_owned);
        let version = format!("{:?}", tls.protocol_version().unwrap());
        let is_certified = tls.peer_certificates().is_some();
        let asked = Asked { head, sni, version, is_certified };
        seen.lock().unwrap().push(asked.clone());
        let (reply, then) = answer(&asked);
        let stream = reader.get_mut();
        if stream.write_all(reply.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
        match then {
            Then::KeepAlive => continue,
            Then::Close => {
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
            Then::Cut => {}
        }
        return hang_up(&mut stream.sock);
    }
    // A handshake that failed has sent an alert, which a reset would overtake.
    hang_up(&mut reader.get_mut().sock);
}

/// Ends the stream and waits until the peer does, because closing it with unread data would be a reset.
pub fn hang_up(socket: &mut TcpStream) {
    let _ = socket.shutdown(Shutdown::Write);
    let mut rest = [0; 1024];
    loop {
        match socket.read(&mut rest) {
            Ok(0) => return,
            Err(error) if error.kind() != ErrorKind::Interrupted => return,
            _ => {}
        }
    }
}
