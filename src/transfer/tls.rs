//! TLS: the configuration that all clients share, the verification of server certificates, and the messages for TLS errors.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage,
    PeerIncompatible, SignatureScheme,
};
use rustls_platform_verifier::Verifier as SystemVerifier;

use super::client_certificate::{MISSING, ShownCertificate, WITHHELD};
use super::request_state::RequestState;
use super::trust::{
    GivenCertificates, Refusal, cause, date, is_readable, is_self_issued, now, seconds,
};
use crate::plan::{CertVerification, HttpOptions, HttpVersions};
use crate::text::io_message;

/// Why a certificate file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--{option} {}: {reason}", .file.display())]
pub(crate) struct TlsError {
    /// The option that names the file, without its dashes.
    pub(super) option: &'static str,
    pub(super) file: PathBuf,
    pub(super) reason: String,
}

/// Reads the certificate files of `--cacert`.
///
/// # Errors
/// If a file cannot be read, or has no certificate or a malformed one.
pub(super) fn read_cacerts(http: &HttpOptions) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut certificates = Vec::new();
    for file in &http.cacert {
        certificates.extend(certificates_in(file)?);
    }
    Ok(certificates)
}

/// The TLS configuration that those of all clients are made from; clones share the trusted certificates. `certificates` (DER)
/// are trusted in addition to the system's. The system's are read for the first handshake that the given ones do not vouch for,
/// so that a run that does not need them does not wait for them.
pub(super) fn client_config(http: &HttpOptions, certificates: &[Vec<u8>]) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let mode = match http.verification {
        CertVerification::Full => VerifyMode::Roots(RootStore::new(certificates)),
        CertVerification::Off => VerifyMode::Insecure,
    };
    let verifier = Arc::new(Verifier { provider: Arc::clone(&provider), mode });
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(WallClock))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = alpn_protocols(http.versions);
    config
}

/// The same configuration for a client of these versions of HTTP.
pub(super) fn with_http_versions(config: &ClientConfig, versions: HttpVersions) -> ClientConfig {
    let mut config = config.clone();
    config.alpn_protocols = alpn_protocols(versions);
    config
}

/// The protocols that the handshake offers (ALPN, RFC 7301).
fn alpn_protocols(versions: HttpVersions) -> Vec<Vec<u8>> {
    match versions {
        HttpVersions::Negotiated => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersions::Http1 => vec![b"http/1.1".to_vec()],
    }
}

/// The system's clock. A time before 1970 counts as 1970, when no certificate was valid yet; the library's own clock panics
/// then.
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

/// The certificates in a PEM file of `--cacert`.
fn certificates_in(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = std::fs::read(file).map_err(|error| unusable(file, io_message(&error)))?;
    let mut certificates = Vec::new();
    for found in CertificateDer::pem_slice_iter(&text) {
        let number = certificates.len() + 1;
        let broken = |what: &str| unusable(file, format!("certificate {number}: {what}"));
        let certificate = found.map_err(|error| broken(pem_fault(&error)))?;
        if !is_readable(&certificate) {
            return Err(broken("malformed certificate"));
        }
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err(unusable(
            file,
            "no PEM certificate found (DER? convert it with openssl x509 -inform der)".to_owned(),
        ));
    }
    Ok(certificates)
}

/// What is wrong with a PEM file.
pub(super) fn pem_fault(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "no END line (is the file complete?)",
        pem::Error::IllegalSectionStart { .. } => "malformed BEGIN line",
        pem::Error::Base64Decode(_) => "invalid base64 between the BEGIN and END lines",
        pem::Error::SectionTooLarge => "too large",
        _ => "malformed PEM",
    }
}

fn unusable(file: &Path, reason: String) -> TlsError {
    TlsError { option: "cacert", file: file.to_owned(), reason }
}

/// The message for a TLS error: a sentence of our own, without the library's text.
pub(super) fn describe(error: &Error) -> String {
    let message = match error {
        Error::InvalidCertificate(error) => return describe_certificate(error),
        Error::AlertReceived(alert) => return describe_alert(*alert),
        Error::PeerIncompatible(reason) => return describe_incompatible(reason),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "server does not speak TLS on this port",
        Error::InvalidMessage(_) | Error::PeerSentOversizedRecord => {
            "TLS error: malformed message from the server"
        }
        Error::NoApplicationProtocol => "TLS handshake failed: no common application protocol",
        Error::NoCertificatesPresented => "TLS handshake failed: the server sent no certificate",
        Error::DecryptError => "TLS error: a message from the server cannot be decrypted",
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => {
            "TLS error: the server violates the protocol"
        }
        Error::UnsupportedNameType => "invalid host name for TLS",
        Error::FailedToGetCurrentTime => "TLS error: the system has no usable time",
        Error::FailedToGetRandomBytes => "TLS error: the system has no random numbers",
        _ => "TLS error: the handshake failed",
    };
    message.to_owned()
}

/// The message for a TLS error of a connection whose server has asked for a client certificate. `shown` is what was shown to
/// it.
pub(super) fn describe_with_certificate(error: &Error, shown: ShownCertificate) -> String {
    let Error::AlertReceived(alert) = error else { return describe(error) };
    let last = match shown {
        ShownCertificate::Shown(last) => last,
        ShownCertificate::Withheld => return describe_missing(*alert, WITHHELD),
        ShownCertificate::None => return describe_missing(*alert, MISSING),
    };
    let reason = match alert {
        AlertDescription::CertificateExpired => format!("it expired on {}", date(last)),
        AlertDescription::UnknownCA => "the server does not trust its issuer".to_owned(),
        AlertDescription::CertificateRevoked => "it is revoked".to_owned(),
        AlertDescription::UnsupportedCertificate => {
            "it is of a kind that the server does not support".to_owned()
        }
        AlertDescription::CertificateRequired => {
            "no key of it has a signature algorithm that the server supports".to_owned()
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::HandshakeFailure
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => {
            alert.as_str().map_or_else(String::new, camel_case_to_words)
        }
        other => return describe_alert(*other),
    };
    format!("the server rejected the client certificate: {reason}")
}

/// The message for an alert of a server that has asked for a client certificate and got none: `missing`, if the alert may be
/// due to that.
fn describe_missing(alert: AlertDescription, missing: &str) -> String {
    match alert {
        AlertDescription::CertificateRequired
        | AlertDescription::HandshakeFailure
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::NoCertificate
        | AlertDescription::AccessDenied => missing.to_owned(),
        other => describe_alert(other),
    }
}

/// The message for a server that asks for a client certificate and closes each connection without a reply or an alert. `shown`
/// is what was shown to it.
pub(super) fn describe_silent_refusal(shown: ShownCertificate) -> String {
    let last = match shown {
        ShownCertificate::Shown(last) => last,
        ShownCertificate::Withheld => return WITHHELD.to_owned(),
        ShownCertificate::None => return MISSING.to_owned(),
    };
    let reason = match last < now() {
        true => format!("it expired on {}", date(last)),
        false => "the connection is closed".to_owned(),
    };
    format!("the server rejected the client certificate: {reason}")
}

/// Whether the server has ended the connection because of the client certificate, or because there was none. With TLS 1.3 it
/// does so after the handshake.
pub(super) fn is_about_certificate(error: &Error) -> bool {
    matches!(
        error,
        Error::AlertReceived(
            AlertDescription::CertificateRequired
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
        )
    )
}

/// The alert that the server has sent, read from the text of an error: where a library has wrapped a TLS error, only its
/// text is left.
pub(super) fn alert_in(message: &str) -> Option<Error> {
    let (_, name) = message.split_once("received fatal alert: ")?;
    let has_name = |code: &u8| AlertDescription::from(*code).as_str() == Some(name.trim());
    let alert = (0..=u8::MAX).find(has_name)?;
    Some(Error::AlertReceived(AlertDescription::from(alert)))
}

/// The message for a handshake that the server has ended with this alert.
fn describe_alert(alert: AlertDescription) -> String {
    let reason = match alert {
        AlertDescription::CertificateRequired => return MISSING.to_owned(),
        AlertDescription::ProtocolVersion => "no common TLS version (1.2 or 1.3)".to_owned(),
        AlertDescription::HandshakeFailure => {
            "no common cipher suite, or it requires a client certificate (handshake failure)"
                .to_owned()
        }
        AlertDescription::InsufficientSecurity => "no common cipher suite".to_owned(),
        AlertDescription::NoApplicationProtocol => "no common application protocol".to_owned(),
        AlertDescription::UnrecognisedName => "it does not know this host name".to_owned(),
        other => other.as_str().map_or_else(|| "unknown alert".to_owned(), camel_case_to_words),
    };
    format!("TLS handshake rejected by the server: {reason}")
}

fn describe_incompatible(reason: &PeerIncompatible) -> String {
    use PeerIncompatible::*;
    let reason = match reason {
        ServerDoesNotSupportTls12Or13 | ServerTlsVersionIsDisabledByOurConfig => {
            "no common TLS version (1.2 or 1.3)"
        }
        NoCertificateRequestSignatureSchemesInCommon | NoSignatureSchemesInCommon => {
            "no common signature algorithm"
        }
        _ => "no common cipher suite or key exchange",
    };
    format!("TLS handshake failed: {reason}")
}

fn describe_certificate(error: &CertificateError) -> String {
    use CertificateError::*;
    if let Some(refusal) = cause::<Refusal>(error) {
        return format!("certificate verification failed: {refusal}");
    }
    let reason = match error {
        UnknownIssuer => "unknown issuer (see --cacert)",
        ExpiredContext { not_after, .. } => {
            return format!("certificate expired on {}", date(seconds(*not_after)));
        }
        NotValidYetContext { not_before, .. } => {
            return format!("certificate is not valid before {}", date(seconds(*not_before)));
        }
        NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| plain_name(name)).collect();
            let names = match names.is_empty() {
                true => "it names no host".to_owned(),
                false => format!("valid for: {}", names.join(", ")),
            };
            return format!("certificate is not valid for {} ({names})", expected.to_str());
        }
        Expired => "certificate has expired",
        NotValidYet => "certificate is not valid yet",
        NotValidForName => "certificate is not valid for this host name",
        Revoked => "certificate is revoked",
        BadEncoding => "malformed certificate",
        BadSignature => "invalid signature, or an RSA key of less than 2048 bits",
        UnhandledCriticalExtension => "unsupported critical extension",
        InvalidPurpose | InvalidPurposeContext { .. } => "not a server certificate",
        UnsupportedSignatureAlgorithmContext { .. }
        | UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "unsupported signature algorithm"
        }
        Other(other) => match cause::<webpki::Error>(error) {
            Some(error) => path_fault(error),
            // The library's error for invalid extensions has no public type.
            None if other.to_string().contains("invalid extensions") => "not a server certificate",
            None => "the certificate cannot be used",
        },
        _ => "the certificate cannot be used",
    };
    format!("certificate verification failed: {reason}")
}

/// What is wrong with a certificate chain, for errors of path validation that the TLS library has no error of its own for.
fn path_fault(error: &webpki::Error) -> &'static str {
    use webpki::Error::*;
    match error {
        CaUsedAsEndEntity => "a CA certificate is used as server certificate",
        EndEntityUsedAsCa => "it is signed by a certificate that is not a CA certificate",
        NameConstraintViolation => "a CA certificate of the chain is not for this host name",
        PathLenConstraintViolated => {
            "more intermediate certificates than a CA certificate of the chain allows"
        }
        MaximumPathDepthExceeded
        | MaximumPathBuildCallsExceeded
        | MaximumSignatureChecksExceeded
        | MaximumNameConstraintComparisonsExceeded => "the chain of certificates is too long",
        UnsupportedSignatureAlgorithmContext(_)
        | UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | SignatureAlgorithmMismatch => "unsupported signature algorithm",
        UnsupportedCertVersion => "unsupported X.509 version (version 3 is needed)",
        UnsupportedCriticalExtension => "unsupported critical extension",
        _ => "malformed certificate",
    }
}

/// A name in a certificate without the type that the library puts around it: `localhost` for `DnsName("localhost")`.
fn plain_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

/// Splits a name in camel case into lower-case words: `handshake failure` for `HandshakeFailure`.
fn camel_case_to_words(name: &str) -> String {
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

/// The trusted certificates, in the order in which they are tried.
#[derive(Debug)]
struct RootStore {
    given: GivenCertificates,
    /// Verifies by the system's certificates. Made when it is first needed; `None` if that fails, as it does if
    /// there are none.
    system: OnceLock<Option<SystemVerifier>>,
}

/// The certificate that a server presents, and what is needed to verify it.
struct Presented<'a> {
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
    now: UnixTime,
}

impl RootStore {
    fn new(certificates: &[Vec<u8>]) -> Self {
        Self { given: GivenCertificates::new(certificates), system: OnceLock::new() }
    }

    /// Verifies by the given certificates, and if they do not vouch, by the system's. If both fail, returns the error of the
    /// given ones, unless that is only an unknown issuer.
    fn verify(
        &self,
        presented: &Presented<'_>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<(), Error> {
        let Presented { end_entity, intermediates, name, now } = *presented;
        let algorithms = provider.signature_verification_algorithms.all;
        let Err(error) = self.given.verify(end_entity, intermediates, name, now, algorithms) else {
            return Ok(());
        };
        let system = self.system.get_or_init(|| SystemVerifier::new(Arc::clone(provider)).ok());
        let verified = match system {
            Some(system) => {
                system.verify_server_cert(end_entity, intermediates, name, &[], now).map(drop)
            }
            None => Err(Refusal::NoSystemCertificates.into()),
        };
        verified.map_err(|by_system| match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => by_system,
            known => known,
        })
    }
}

/// Replaces an error that says that the issuer is not trusted, if the certificate is its own issuer.
fn name_self_signed(error: Error, end_entity: &CertificateDer<'_>) -> Error {
    let Error::InvalidCertificate(reason) = &error else { return error };
    let is_unknown = matches!(reason, CertificateError::UnknownIssuer)
        || matches!(cause(reason), Some(webpki::Error::CaUsedAsEndEntity))
        || matches!(cause(reason), Some(Refusal::NoSystemCertificates));
    match is_unknown && is_self_issued(end_entity) {
        true => Refusal::SelfSigned.into(),
        false => error,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let VerifyMode::Roots(roots) = &self.mode {
            let presented = Presented { end_entity, intermediates, name: server_name, now };
            let verified = roots.verify(&presented, &self.provider);
            verified.map_err(|error| name_self_signed(error, end_entity))?;
        }
        Ok(ServerCertVerified::assertion())
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

    /// The library calls this when a handshake begins, to write its first message; so the handshake is noted here.
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

    fn certificate(error: CertificateError) -> String {
        describe(&Error::InvalidCertificate(error))
    }

    fn path(error: webpki::Error) -> String {
        certificate(CertificateError::Other(OtherError(Arc::new(error))))
    }

    #[test]
    fn each_certificate_error_has_a_sentence_without_debug_text() {
        use CertificateError::*;
        let day = |secs| UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs));
        let (time, old) = (day(1_795_953_840), day(1_580_428_800));
        let expected = ServerName::try_from("other.test").unwrap().to_owned();
        let presented =
            vec!["DnsName(\"localhost\")".to_owned(), "IpAddress(127.0.0.1)".to_owned()];
        let unsupported = UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: vec![6, 9, 42],
            supported_algorithms: Vec::new(),
        };
        let failed = |reason: &str| format!("certificate verification failed: {reason}");
        for (message, expected) in [
            (certificate(UnknownIssuer), failed("unknown issuer (see --cacert)")),
            (
                certificate(NotValidForNameContext { expected: expected.clone(), presented }),
                "certificate is not valid for other.test (valid for: localhost, 127.0.0.1)".into(),
            ),
            (
                certificate(NotValidForNameContext { expected, presented: Vec::new() }),
                "certificate is not valid for other.test (it names no host)".into(),
            ),
            (
                certificate(ExpiredContext { time, not_after: old }),
                "certificate expired on 2020-01-31".into(),
            ),
            (
                certificate(NotValidYetContext { time: old, not_before: time }),
                "certificate is not valid before 2026-11-29".into(),
            ),
            (certificate(unsupported), failed("unsupported signature algorithm")),
            (
                certificate(BadSignature),
                failed("invalid signature, or an RSA key of less than 2048 bits"),
            ),
            (certificate(BadEncoding), failed("malformed certificate")),
            (
                path(webpki::Error::CaUsedAsEndEntity),
                failed("a CA certificate is used as server certificate"),
            ),
            (
                path(webpki::Error::EndEntityUsedAsCa),
                failed("it is signed by a certificate that is not a CA certificate"),
            ),
            (
                path(webpki::Error::NameConstraintViolation),
                failed("a CA certificate of the chain is not for this host name"),
            ),
            (path(webpki::Error::InvalidSerialNumber), failed("malformed certificate")),
            (
                describe(&Refusal::SelfSigned.into()),
                failed("self-signed certificate that is not trusted (see --cacert)"),
            ),
        ] {
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn each_handshake_error_has_a_sentence_without_debug_text() {
        let rejected = "TLS handshake rejected by the server: ";
        for (error, message) in [
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "server does not speak TLS on this port".to_owned(),
            ),
            (Error::AlertReceived(AlertDescription::CertificateRequired), MISSING.to_owned()),
            (
                Error::AlertReceived(AlertDescription::ProtocolVersion),
                format!("{rejected}no common TLS version (1.2 or 1.3)"),
            ),
            (
                Error::AlertReceived(AlertDescription::InternalError),
                format!("{rejected}internal error"),
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "TLS handshake failed: no common cipher suite or key exchange".to_owned(),
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
                "TLS handshake failed: no common TLS version (1.2 or 1.3)".to_owned(),
            ),
            (
                Error::General("anything at all".to_owned()),
                "TLS error: the handshake failed".to_owned(),
            ),
        ] {
            assert_eq!(describe(&error), message);
        }
    }
}
