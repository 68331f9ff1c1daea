//! Whom TLS believes: the system's roots and those given by hand, loaded once for all clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::plan::{Http, Verification, Versions};

/// A certificate file that is of no use.
#[derive(Debug, thiserror::Error)]
#[error("--cacert {}: {reason}", .file.display())]
pub struct TrustError {
    file: PathBuf,
    reason: String,
}

/// The TLS settings of every client; a clone shares the roots and the session tickets.
pub fn tls_settings(http: &Http) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider speaks TLS 1.2 and 1.3");
    let mut settings = match http.verification {
        Verification::Full => {
            versions.with_root_certificates(roots(&http.cacert)?).with_no_client_auth()
        }
        Verification::Off => versions
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
            .with_no_client_auth(),
    };
    settings.alpn_protocols = match http.versions {
        Versions::Negotiated => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Versions::Http1 => vec![b"http/1.1".to_vec()],
    };
    Ok(settings)
}

/// What of the system's store cannot be read is left out, as every client on the machine does: a site that needs
/// it fails with class `tls`.
fn roots(files: &[PathBuf]) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for file in files {
        for certificate in certificates(file)? {
            let complaint = |error: rustls::Error| unusable(file, error.to_string());
            roots.add(certificate).map_err(complaint)?;
        }
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
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

fn unusable(file: &Path, reason: String) -> TrustError {
    TrustError { file: file.to_owned(), reason }
}

/// Believes whoever answers (`--insecure`); that the handshake itself is sound is still checked.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
