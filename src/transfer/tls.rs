//! TLS: which certificates are trusted, and the configuration that all clients share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage,
    RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier as SystemVerifier;

use super::request_state::RequestState;
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
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(WallClock))
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

/// The system's clock. One that stands before 1970 counts as 1970, when no certificate was valid yet; the library's own
/// clock panics then.
#[derive(Debug)]
struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(SystemTime::now()))
    }
}

fn unix_time(moment: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(moment.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn certificates_in(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = std::fs::read(file).map_err(|error| unusable(file, error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(unusable(
            file,
            "no PEM certificate found (DER? convert it with openssl x509 -inform der)".to_owned(),
        )),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(file, error.to_string())),
    }
}

fn unusable(file: &Path, reason: String) -> TlsError {
    TlsError { file: file.to_owned(), reason }
}

/// The message for a TLS error: a sentence of our own, without the library's debug text.
pub fn describe(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => describe_certificate(error),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "server does not speak TLS on this port".to_owned()
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "server requires a client certificate".to_owned()
        }
        Error::AlertReceived(alert) => {
            let name = alert.as_str().map_or_else(|| "unknown alert".to_owned(), spaced);
            format!("TLS handshake rejected by the server: {name}")
        }
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => {
            "TLS handshake failed: no common version, cipher suite or protocol".to_owned()
        }
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => {
            "TLS error: the server violates the protocol".to_owned()
        }
        Error::InvalidMessage(_) => "TLS error: malformed message from the server".to_owned(),
        other => format!("TLS error: {other}"),
    }
}

fn describe_certificate(error: &CertificateError) -> String {
    use CertificateError::*;
    let reason = match error {
        UnknownIssuer => "unknown issuer (see --cacert)",
        Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "self-signed CA certificate used as server certificate"
        }
        ExpiredContext { not_after, .. } => {
            return format!("certificate expired on {}", date(*not_after));
        }
        NotValidYetContext { not_before, .. } => {
            return format!("certificate is not valid before {}", date(*not_before));
        }
        NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| plain_name(name)).collect();
            let names = names.join(", ");
            return format!(
                "certificate is not valid for {} (valid for: {names})",
                expected.to_str()
            );
        }
        Other(other) if other.to_string().contains("invalid extensions") => {
            "not a server certificate"
        }
        Expired => "certificate has expired",
        NotValidYet => "certificate is not valid yet",
        NotValidForName => "certificate is not valid for this host name",
        Revoked => "certificate is revoked",
        BadEncoding => "malformed certificate",
        BadSignature => "invalid signature",
        UnhandledCriticalExtension => "unsupported critical extension",
        InvalidPurpose | InvalidPurposeContext { .. } => "not a server certificate",
        UnsupportedSignatureAlgorithmContext { .. }
        | UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "unsupported signature algorithm"
        }
        _ => "the certificate cannot be used",
    };
    format!("certificate verification failed: {reason}")
}

/// The date of a moment in UTC, as `2020-01-31`.
fn date(moment: UnixTime) -> String {
    let seconds = i64::try_from(moment.as_secs()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_second(seconds) {
        Ok(stamp) => stamp.to_string().chars().take_while(|each| *each != 'T').collect(),
        Err(_) => "an unknown date".to_owned(),
    }
}

/// A name of a certificate without the library's type of it: `localhost` for `DnsName("localhost")`.
fn plain_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

/// The words of a name in camel case: `handshake failure` for `HandshakeFailure`.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    for each in name.chars() {
        if each.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(each.to_lowercase());
    }
    words
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

    /// Asked for when a handshake begins, to write the first message of it.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        RequestState::note_handshake();
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::OtherError;

    use super::*;

    #[test]
    fn a_clock_before_1970_is_no_panic() {
        let before = UNIX_EPOCH - std::time::Duration::from_secs(86_400);
        assert_eq!(unix_time(before).as_secs(), 0);
        assert_eq!(unix_time(UNIX_EPOCH + std::time::Duration::from_secs(5)).as_secs(), 5);
    }

    #[derive(Debug, thiserror::Error)]
    #[error("CaUsedAsEndEntity")]
    struct CaUsedAsEndEntity;

    #[test]
    fn each_tls_error_has_a_sentence_without_debug_text() {
        use CertificateError::*;
        let day = |secs| UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs));
        let other = OtherError(Arc::new(CaUsedAsEndEntity));
        let names = vec!["DnsName(\"localhost\")".to_owned(), "IpAddress(127.0.0.1)".to_owned()];
        let expected = ServerName::try_from("other.test").unwrap();
        for (error, message) in [
            (
                Error::InvalidCertificate(UnknownIssuer),
                "certificate verification failed: unknown issuer (see --cacert)",
            ),
            (
                Error::InvalidCertificate(Other(other)),
                "certificate verification failed: self-signed CA certificate used as server certificate",
            ),
            (
                Error::InvalidCertificate(NotValidForNameContext { expected, presented: names }),
                "certificate is not valid for other.test (valid for: localhost, 127.0.0.1)",
            ),
            (
                Error::InvalidCertificate(ExpiredContext {
                    time: day(1_795_953_840),
                    not_after: day(1_580_428_800),
                }),
                "certificate expired on 2020-01-31",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "server does not speak TLS on this port",
            ),
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                "server requires a client certificate",
            ),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "TLS handshake rejected by the server: handshake failure",
            ),
        ] {
            assert_eq!(describe(&error), message);
        }
    }
}
