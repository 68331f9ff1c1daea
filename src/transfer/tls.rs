//! Whom TLS believes: the system's roots and those given by hand, loaded once for all clients.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::plan::{CertVerification, HttpOptions, HttpVersions};

/// A certificate file that is of no use.
#[derive(Debug, thiserror::Error)]
#[error("--cacert {}: {reason}", .file.display())]
pub struct TlsError {
    file: PathBuf,
    reason: String,
}

/// A certificate that is trusted beside the system's.
pub type ExtraCert = CertificateDer<'static>;

/// The certificates given by hand.
///
/// # Errors
/// The first file that has none, or one that is of no use.
pub fn read_cacerts(http: &HttpOptions) -> Result<Vec<ExtraCert>, TlsError> {
    let mut store = RootCertStore::empty();
    let mut certificates = Vec::new();
    for file in &http.cacert {
        for certificate in certificates_in(file)? {
            let complaint = |error: Error| unusable(file, error.to_string());
            store.add(certificate.clone()).map_err(complaint)?;
            certificates.push(certificate);
        }
    }
    Ok(certificates)
}

/// The TLS settings of every client; a clone shares the roots and the session tickets. Whoever does not need the system's
/// roots does not pay for them: they are loaded for the first handshake that the given certificates do not vouch for.
pub fn tls_settings(http: &HttpOptions, certificates: Vec<ExtraCert>) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let believes = match http.verification {
        CertVerification::Full => VerifyMode::Roots(RootStore::new(certificates, &provider)),
        CertVerification::Off => VerifyMode::Insecure,
    };
    let verifier = Arc::new(Verifier { provider: Arc::clone(&provider), believes });
    let mut settings = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider speaks TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    settings.alpn_protocols = match http.versions {
        HttpVersions::Negotiated => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersions::Http1 => vec![b"http/1.1".to_vec()],
    };
    settings
}

/// What of the system's store cannot be read is left out, as every client on the machine does: a site that needs
/// it fails with class `tls`.
fn system_roots() -> Vec<ExtraCert> {
    rustls_native_certs::load_native_certs().certs
}

fn certificates_in(file: &Path) -> Result<Vec<ExtraCert>, TlsError> {
    let text = std::fs::read(file).map_err(|error| unusable(file, error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err(unusable(file, "no certificate in it; it must be in PEM form".to_owned()))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(file, error.to_string())),
    }
}

fn unusable(file: &Path, reason: String) -> TlsError {
    TlsError { file: file.to_owned(), reason }
}

/// Checks who answers, and whatever that leads to, that the handshake itself is sound.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    believes: VerifyMode,
}

/// Who is believed to be who they say.
#[derive(Debug)]
enum VerifyMode {
    /// Whoever answers (`--insecure`).
    Insecure,
    /// Whom the system believes, and who has a certificate given by hand.
    Roots(RootStore),
}

#[derive(Debug)]
struct RootStore {
    certificates: Vec<ExtraCert>,
    /// Asks those alone; `None` where there are none.
    given: Option<Arc<WebPkiServerVerifier>>,
    /// Asks those and the system's. Made when it is first wanted; `None` where nobody is believed.
    all: OnceLock<Option<Arc<WebPkiServerVerifier>>>,
}

impl RootStore {
    fn new(certificates: Vec<ExtraCert>, provider: &Arc<CryptoProvider>) -> Self {
        let given = verifier(certificates.iter().cloned(), provider);
        Self { certificates, given, all: OnceLock::new() }
    }

    /// Asks those who were given; where they do not know, everyone.
    fn verify(
        &self,
        provider: &Arc<CryptoProvider>,
        ask: impl Fn(&WebPkiServerVerifier) -> Result<ServerCertVerified, Error>,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(Ok(verified)) = self.given.as_deref().map(&ask) {
            return Ok(verified);
        }
        let everyone = || self.certificates.iter().cloned().chain(system_roots());
        let all = self.all.get_or_init(|| verifier(everyone(), provider)).as_deref();
        ask(all.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?)
    }
}

/// What asks these roots; `None` if there are none that can be asked.
fn verifier(
    roots: impl Iterator<Item = ExtraCert>,
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<WebPkiServerVerifier>> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots);
    WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build().ok()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.believes {
            VerifyMode::Insecure => Ok(ServerCertVerified::assertion()),
            VerifyMode::Roots(web) => web.verify(&self.provider, |roots| {
                roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
