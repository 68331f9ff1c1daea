//! TLS: which certificates are trusted, and the configuration that all clients share.

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
use rustls_platform_verifier::Verifier as SystemVerifier;

use crate::plan::{CertVerification, HttpOptions, HttpVersions};

/// A certificate file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--cacert {}: {reason}", .file.display())]
pub struct TlsError {
    file: PathBuf,
    reason: String,
}

/// Reads the certificate files of `--cacert`.
///
/// # Errors
/// The first file that has no certificate, or one that cannot be used.
pub fn read_cacerts(http: &HttpOptions) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut roots = RootCertStore::empty();
    let mut certificates = Vec::new();
    for file in &http.cacert {
        for certificate in certificates_in(file)? {
            let complaint = |error: Error| unusable(file, error.to_string());
            roots.add(certificate.clone()).map_err(complaint)?;
            certificates.push(certificate);
        }
    }
    Ok(certificates)
}

/// The TLS configuration of every client; a clone shares the roots and the session tickets. `certificates` (DER) are trusted
/// in addition to the system's. The system's are read for the first handshake that the given ones do not vouch for, so that
/// a run that does not need them does not wait for them.
pub fn client_config(http: &HttpOptions, certificates: &[Vec<u8>]) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let mode = match http.verification {
        CertVerification::Full => VerifyMode::Roots(RootStore::new(certificates, &provider)),
        CertVerification::Off => VerifyMode::Insecure,
    };
    let verifier = Arc::new(Verifier { provider: Arc::clone(&provider), mode });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = match http.versions {
        HttpVersions::Negotiated => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersions::Http1 => vec![b"http/1.1".to_vec()],
    };
    config
}

fn certificates_in(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
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

/// Verifies the server's certificate as configured, and the signatures of the handshake in any case.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    mode: VerifyMode,
}

/// Which certificates are trusted.
#[derive(Debug)]
enum VerifyMode {
    /// Any (`--insecure`).
    Insecure,
    /// Those that the system trusts, and those given by the user.
    Roots(RootStore),
}

/// The certificate verifiers, in the order in which they are asked.
#[derive(Debug)]
struct RootStore {
    certificates: Vec<CertificateDer<'static>>,
    /// Knows the given certificates only; `None` if there are none.
    given: Option<Arc<WebPkiServerVerifier>>,
    /// Knows the system's certificates too. Made when it is first needed; `None` if there are no certificates at all.
    all: OnceLock<Option<SystemVerifier>>,
}

impl RootStore {
    fn new(certificates: &[Vec<u8>], provider: &Arc<CryptoProvider>) -> Self {
        let der = certificates.iter().cloned().map(CertificateDer::from);
        let certificates: Vec<_> = der.collect();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let given = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
        Self { certificates, given: given.build().ok(), all: OnceLock::new() }
    }

    /// Calls `verify` with the verifier of the given certificates, and if that fails, with the one of all.
    fn verify(
        &self,
        provider: &Arc<CryptoProvider>,
        verify: impl Fn(&dyn ServerCertVerifier) -> Result<ServerCertVerified, Error>,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(given) = self.given.as_deref()
            && let Ok(verified) = verify(given)
        {
            return Ok(verified);
        }
        let all = self.all.get_or_init(|| {
            let given = self.certificates.iter().cloned();
            SystemVerifier::new_with_extra_roots(given, Arc::clone(provider)).ok()
        });
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        verify(all.as_ref().ok_or(unknown)?)
    }
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
        match &self.mode {
            VerifyMode::Insecure => Ok(ServerCertVerified::assertion()),
            VerifyMode::Roots(roots) => roots.verify(&self.provider, |verifier| {
                verifier.verify_server_cert(
                    end_entity,
                    intermediates,
                    server_name,
                    ocsp_response,
                    now,
                )
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
