//! Client certificates: reads their files, and decides which one a connection shows. Each certificate has a library client of
//! its own, so that a connection made with it is never used by a request that may not show it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::future::Future;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption,
    Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, Error, InconsistentKeys, NamedGroup, SignatureScheme};
use serde::{Deserialize, Serialize};
use url::{Origin, Url};

use super::certificate::{CertificateFields, is_pkcs12};
use super::client::ProxyRules;
use super::context::OriginSet;
use super::tls::{TlsError, pem_fault};
use super::trust::{date, now};
use crate::model::Job;
use crate::plan::{ClientCertificate, Plan};
use crate::policy::carries_secrets;
use crate::text::{io_message, shell_word};

/// The maximum size of a certificate or key file, in case a device or a list is given by mistake.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The maximum number of TLS sessions that a client keeps for resumption.
const MAX_SESSIONS: usize = 256;

/// A certificate with its chain and its key.
#[derive(Clone, Serialize, Deserialize)]
struct ClientIdentity {
    /// DER, the client's own certificate first.
    chain: Vec<Vec<u8>>,
    /// DER in one of its three forms (PKCS#8, PKCS#1, SEC1).
    key: Vec<u8>,
}

impl fmt::Debug for ClientIdentity {
    /// Leaves out the key.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ClientIdentity").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// The client certificates of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct ClientIdentities {
    identities: Vec<ClientIdentity>,
    /// The number of the certificate for the listed origins.
    general: Option<usize>,
    /// The number of the certificate for each host that has one of its own.
    hosts: BTreeMap<String, usize>,
}

impl ClientIdentities {
    /// Reads the certificate files of a plan. `warn` is called with each warning.
    ///
    /// # Errors
    /// For the first file that cannot be used.
    pub(super) fn read(plan: &Plan, warn: &mut dyn FnMut(String)) -> Result<Self, TlsError> {
        let mut all = Self::default();
        let mut add = |files: &ClientCertificate| -> Result<usize, TlsError> {
            all.identities.push(read_identity(files, warn)?);
            Ok(all.identities.len() - 1)
        };
        let general = plan.http.client_certificate.as_ref().map(&mut add).transpose()?;
        let mut hosts = BTreeMap::new();
        for (name, host) in &plan.host_limits.hosts {
            if let Some(files) = &host.client_certificate {
                let number = add(files).map_err(|error| error.in_section(name, plan))?;
                hosts.insert(name.clone(), number);
            }
        }
        Ok(Self { general, hosts, ..all })
    }

    /// The number of certificates.
    pub(super) fn count(&self) -> usize {
        self.identities.len()
    }

    /// The number of the certificate that the connection for `job` may show: the one given for its host, or the one for listed
    /// origins. `None` if there is none.
    pub(super) fn of(&self, job: &Job) -> Option<usize> {
        if job.url.scheme() != "https" {
            return None;
        }
        let own = job.url.host_str().and_then(|host| self.hosts.get(host).copied());
        own.or_else(|| self.general.filter(|_| carries_secrets(job)))
    }

    /// The TLS settings of a client that shows the certificate with this number, or none. Origins that ask for one are added to
    /// `asked`.
    fn settings(
        &self,
        number: Option<usize>,
        config: &ClientConfig,
        asked: &Arc<OriginSet>,
    ) -> ClientConfig {
        let identity = number.map(|number| &self.identities[number]);
        let own = identity.and_then(|identity| certified_key(identity).ok()).map(Arc::new);
        let mut config = config.clone();
        let asked = Arc::clone(asked);
        config.client_auth_cert_resolver = Arc::new(CertificateChoice { own, asked });
        // A resumed session counts as showing the certificate with which it began; so clients do not share sessions.
        let sessions = ClientSessionMemoryCache::new(MAX_SESSIONS);
        config.resumption = Resumption::store(Arc::new(CountedSessions(sessions)));
        config
    }

    /// The TLS settings of all clients: of the one without a certificate, then of the one for each certificate.
    pub(super) fn all_settings(
        &self,
        config: &ClientConfig,
        asked: &Arc<OriginSet>,
    ) -> Vec<ClientConfig> {
        let numbers = std::iter::once(None).chain((0..self.count()).map(Some));
        numbers.map(|number| self.settings(number, config, asked)).collect()
    }

    /// What is shown to the server of `job` if it asks for a certificate.
    pub(super) fn shown_to(&self, job: &Job) -> ShownCertificate {
        match self.of(job) {
            Some(number) => ShownCertificate::Shown(self.expiry(number).unwrap_or(i64::MAX)),
            None if self.general.is_some() => ShownCertificate::Withheld,
            None => ShownCertificate::None,
        }
    }

    /// When the certificate with this number expires, in seconds of Unix time.
    fn expiry(&self, number: usize) -> Option<i64> {
        let own = self.identities.get(number)?.chain.first()?;
        CertificateFields::read(own).map(|fields| fields.validity.1)
    }
}

/// What is shown to a server that asks for a client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShownCertificate {
    /// Nothing: no certificate is given for it.
    None,
    /// Nothing: a redirect led there, and the certificate is for listed origins.
    Withheld,
    /// A certificate that expires at this moment, in seconds of Unix time.
    Shown(i64),
}

/// The TLS handshakes of a connection that is being made. An https proxy has a handshake of its own before that of the origin,
/// and must not be shown the certificate that is for the origin; so they are counted.
#[derive(Debug)]
pub(super) struct Handshakes {
    /// The number of handshakes begun.
    begun: AtomicU32,
    /// Which handshake is that with the origin, from 1; `u32::MAX` if none is.
    of_origin: u32,
    origin: Origin,
}

tokio::task_local! {
    /// The handshakes of the connection that is being made. Unlike the current request, they stay the same when the library
    /// moves an unfinished connection to a task of its own.
    static HANDSHAKES: Arc<Handshakes>;
}

impl Handshakes {
    /// The handshakes of the connection for a request to `url`, which may use a proxy of these rules.
    pub(super) fn of(url: &Url, proxies: &ProxyRules) -> Arc<Self> {
        let proxy = proxies.proxy_for(url);
        let has_proxy = proxy.is_some_and(|proxy| proxy.uri().scheme_str() == Some("https"));
        // Without a tunnel no handshake is with the origin.
        let of_origin = if url.scheme() == "https" { 1 + u32::from(has_proxy) } else { u32::MAX };
        Arc::new(Self { begun: AtomicU32::new(0), of_origin, origin: url.origin() })
    }

    /// Makes a connection, and counts its handshakes.
    pub(super) async fn during<T>(self: Arc<Self>, connecting: impl Future<Output = T>) -> T {
        HANDSHAKES.scope(self, connecting).await
    }

    fn is_with_origin(&self) -> bool {
        self.begun.load(Relaxed) == self.of_origin
    }
}

/// Shows the certificate to an origin that asks for one, and notes that it has asked.
#[derive(Debug)]
struct CertificateChoice {
    own: Option<Arc<CertifiedKey>>,
    asked: Arc<OriginSet>,
}

impl ResolvesClientCert for CertificateChoice {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let handshakes = HANDSHAKES.try_with(Arc::clone).ok()?;
        if !handshakes.is_with_origin() {
            return None;
        }
        self.asked.insert(handshakes.origin.clone());
        self.own.clone().filter(|own| own.key.choose_scheme(schemes).is_some())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The TLS sessions of a client. Counts handshakes as well: the library looks up the key exchange once at the start of each.
#[derive(Debug)]
struct CountedSessions(ClientSessionMemoryCache);

impl ClientSessionStore for CountedSessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        let _ = HANDSHAKES.try_with(|handshakes| handshakes.begun.fetch_add(1, Relaxed));
        self.0.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(server_name, value);
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server_name)
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.0.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(
        &self,
        server_name: ServerName<'static>,
        value: Tls13ClientSessionValue,
    ) {
        self.0.insert_tls13_ticket(server_name, value);
    }

    fn take_tls13_ticket(
        &self,
        server_name: &ServerName<'static>,
    ) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(server_name)
    }
}

/// Reads and checks the files of one certificate.
fn read_identity(
    files: &ClientCertificate,
    warn: &mut dyn FnMut(String),
) -> Result<ClientIdentity, TlsError> {
    let cert_file = &files.cert;
    let text = read_pem(cert_file, "cert", "x509")?;
    let chain: Vec<_> = certificates_in(&text, cert_file)?;
    let (key, key_file) = match &files.key {
        None => (key_in(&text, cert_file, "cert")?, cert_file),
        Some(file) => (key_in(&read_pem(file, "key", "pkey")?, file, "key")?, file),
    };
    let identity = ClientIdentity { chain, key };
    let Ok(certified) = certified_key(&identity) else {
        let reason = "unsupported private key (expected RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or \
                      Ed25519)";
        return Err(unusable(files.key_option(), key_file, reason.to_owned()));
    };
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(Error::InconsistentKeys(_)) => {
            let (cert, key) = (shell_path(cert_file), shell_path(key_file));
            let reason = format!(
                "the private key does not belong to the certificate in {} (compare openssl x509 -in {cert} -noout \
                 -pubkey with openssl pkey -in {key} -pubout)",
                cert_file.display()
            );
            return Err(unusable(files.key_option(), key_file, reason));
        }
        // The library rejects the certificate when it reads its key.
        Err(_) => {
            let own = identity.chain.first().and_then(|own| CertificateFields::read(own));
            let reason = match own.is_some_and(|own| own.is_version_1) {
                true => {
                    "an X.509 version 1 certificate; issue it as version 3 (openssl x509 -req with -extfile FILE)"
                }
                false => "certificate 1: unsupported certificate",
            };
            return Err(unusable("cert", cert_file, reason.to_owned()));
        }
    }
    warn_about(&identity, cert_file, key_file, warn);
    Ok(identity)
}

impl ClientCertificate {
    /// The option that names the file of the key.
    fn key_option(&self) -> &'static str {
        if self.key.is_some() { "key" } else { "cert" }
    }
}

fn unusable(option: &'static str, file: &Path, reason: String) -> TlsError {
    TlsError { option, file: file.to_owned(), reason }
}

impl TlsError {
    /// Adds to the error that the `[hosts]` section of this host names the file.
    fn in_section(mut self, host: &str, plan: &Plan) -> Self {
        let file = plan.config.as_ref().map(|file| format!(" of {}", file.display()));
        self.reason += &format!(" ([hosts.\"{host}\"]{})", file.unwrap_or_default());
        self
    }
}

/// The path of a file, quoted for a shell command.
fn shell_path(file: &Path) -> String {
    shell_word(&file.to_string_lossy())
}

/// The text of a PEM file. `command` is the subcommand of openssl that converts such a file from DER.
fn read_pem(file: &Path, option: &'static str, command: &str) -> Result<Vec<u8>, TlsError> {
    let unusable = |reason: String| unusable(option, file, reason);
    let mut text = Vec::new();
    let read =
        File::open(file).and_then(|open| open.take(MAX_FILE_BYTES + 1).read_to_end(&mut text));
    read.map_err(|error| unusable(io_message(&error)))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(unusable("larger than 1 MiB".to_owned()));
    }
    if text.is_empty() {
        return Err(unusable("the file is empty".to_owned()));
    }
    let name = shell_path(file);
    if is_pkcs12(&text) {
        return Err(unusable(format!(
            "a PKCS#12 file; convert it to PEM with openssl pkcs12 -in {name} -nodes -out client.pem"
        )));
    }
    if text[0] == 0x30 && !text.windows(11).any(|window| window == b"-----BEGIN ") {
        return Err(unusable(format!(
            "a file in DER; convert it to PEM with openssl {command} -inform der -in {name} -out client.pem"
        )));
    }
    Ok(text)
}

/// The certificates in a PEM file, in DER.
fn certificates_in(text: &[u8], file: &Path) -> Result<Vec<Vec<u8>>, TlsError> {
    let mut chain = Vec::new();
    for found in CertificateDer::pem_slice_iter(text) {
        let broken =
            |what: &str| unusable("cert", file, format!("certificate {}: {what}", chain.len() + 1));
        let certificate = found.map_err(|error| broken(pem_fault(&error)))?;
        if CertificateFields::read(&certificate).is_none() {
            return Err(broken("malformed certificate"));
        }
        chain.push(certificate.to_vec());
    }
    match chain.is_empty() {
        true => Err(unusable("cert", file, "no PEM certificate found".to_owned())),
        false => Ok(chain),
    }
}

/// The first private key in a PEM file, in DER.
fn key_in(text: &[u8], file: &Path, option: &'static str) -> Result<Vec<u8>, TlsError> {
    let has = |words: &str| text.windows(words.len()).any(|window| window == words.as_bytes());
    let name = shell_path(file);
    if has("-----BEGIN ENCRYPTED PRIVATE KEY-----") || has("Proc-Type: 4,ENCRYPTED") {
        return Err(unusable(
            option,
            file,
            format!(
                "the private key is encrypted; decrypt it with openssl pkey -in {name} -out key.pem, and use --key key.pem"
            ),
        ));
    }
    if has("-----BEGIN OPENSSH PRIVATE KEY-----") {
        let reason =
            "a key of OpenSSH; convert a copy of it to PEM with ssh-keygen -p -m PEM -f COPY";
        return Err(unusable(option, file, reason.to_owned()));
    }
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key.secret_der().to_vec()),
        Err(rustls::pki_types::pem::Error::NoItemsFound) if option == "cert" => {
            let reason = "no private key in the file; give it with --key FILE";
            Err(unusable(option, file, reason.to_owned()))
        }
        Err(rustls::pki_types::pem::Error::NoItemsFound) => {
            Err(unusable(option, file, "no PEM private key found".to_owned()))
        }
        Err(error) => Err(unusable(option, file, format!("private key: {}", pem_fault(&error)))),
    }
}

/// The certificate and its key as the TLS library takes them.
fn certified_key(identity: &ClientIdentity) -> Result<CertifiedKey, Error> {
    let malformed = || Error::General("malformed private key".to_owned());
    let key = PrivateKeyDer::try_from(identity.key.clone()).map_err(|_| malformed())?;
    let key = ring::sign::any_supported_type(&key)?;
    let chain = identity.chain.iter().cloned().map(CertificateDer::from).collect();
    Ok(CertifiedKey::new(chain, key))
}

/// Warns about a key that other users can read, and about a certificate that is not valid now.
fn warn_about(
    identity: &ClientIdentity,
    cert_file: &Path,
    key_file: &Path,
    warn: &mut dyn FnMut(String),
) {
    if is_readable_by_others(key_file) {
        let name = shell_path(key_file);
        warn(format!(
            "{}: other users can read this private key; use chmod 600 {name}",
            key_file.display()
        ));
    }
    let Some(fields) = identity.chain.first().and_then(|own| CertificateFields::read(own)) else {
        return;
    };
    let (first, last) = fields.validity;
    let file = cert_file.display();
    if now() > last {
        warn(format!("{file}: the client certificate expired on {}", date(last)));
    } else if now() < first {
        warn(format!("{file}: the client certificate is not valid before {}", date(first)));
    }
}

#[cfg(unix)]
fn is_readable_by_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o044 != 0)
}

/// Why a server that has asked for a certificate may have refused a request with 400 or 403.
pub(super) fn reason_of_refusal(shown: ShownCertificate) -> String {
    match shown {
        ShownCertificate::None => MISSING.to_owned(),
        ShownCertificate::Withheld => WITHHELD.to_owned(),
        ShownCertificate::Shown(last) if now() > last => {
            format!("the client certificate expired on {}", date(last))
        }
        ShownCertificate::Shown(_) => "the server may not accept the client certificate".to_owned(),
    }
}

/// The message for a server that requires a certificate, if none is given for it.
pub(super) const MISSING: &str = "the server requires a client certificate; use --cert FILE";

/// The message for a server that requires a certificate, if a redirect led to it.
pub(super) const WITHHELD: &str = "the server requires a client certificate, and none is shown to another origin after a \
                                   redirect; list this URL";
