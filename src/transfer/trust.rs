//! Verifies server certificates by those of `--cacert`. A CA certificate vouches for the certificates that it has signed
//! (path validation of RFC 5280, with its own dates and constraints); any certificate vouches for a server that presents the
//! very same one.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::verify_server_name;
use rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, OtherError};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

use super::certificate::CertificateFields;

/// A reason to refuse a certificate for which the TLS library has no error of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is signed by itself and not trusted.
    #[error("self-signed certificate that is not trusted (see --cacert)")]
    SelfSigned,
    /// No given certificate has signed it, and the system has no certificates.
    #[error(
        "unknown issuer, and no system certificates were found (install ca-certificates, or see \
         --cacert)"
    )]
    NoSystemCertificates,
    /// It is signed by a given certificate that may not sign.
    #[error("the certificate of --cacert that signed it is not a CA certificate for servers")]
    NotCa,
    /// It is signed by a given certificate that has expired.
    #[error("the CA certificate that signed it expired on {}", date(*.0))]
    CaExpired(i64),
    /// It is signed by a given certificate that is not valid yet.
    #[error("the CA certificate that signed it is not valid before {}", date(*.0))]
    CaNotValidYet(i64),
    /// There are more intermediate CA certificates than the given one allows.
    #[error("more intermediate certificates than a CA certificate of the chain allows")]
    PathTooLong,
    /// Its extensions restrict it to purposes other than that of a server.
    #[error("not a server certificate")]
    NotForServers,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

/// The certificates of `--cacert`.
#[derive(Debug)]
pub(super) struct GivenCertificates {
    certificates: Vec<Given>,
    /// The anchors for path validation, each with the index of its certificate.
    anchors: Vec<TrustAnchor<'static>>,
}

#[derive(Debug)]
struct Given {
    der: CertificateDer<'static>,
    fields: CertificateFields,
}

impl Given {
    /// The certificate, and the anchor for path validation; `None` if it is malformed.
    fn read(der: CertificateDer<'static>) -> Option<(Self, TrustAnchor<'static>)> {
        let anchor = anchor_from_trusted_cert(&der).ok()?.to_owned();
        let fields = CertificateFields::read(&der)?;
        Some((Self { der, fields }, anchor))
    }
}

/// Whether a certificate can be read.
pub(super) fn is_readable(certificate: &CertificateDer<'static>) -> bool {
    Given::read(certificate.clone()).is_some()
}

impl GivenCertificates {
    /// Takes those of the certificates (DER) that can be read.
    pub(super) fn new(certificates: &[Vec<u8>]) -> Self {
        let der = certificates.iter().cloned().map(CertificateDer::from);
        let (certificates, anchors) = der.filter_map(Given::read).unzip();
        Self { certificates, anchors }
    }

    /// Fails unless one of them vouches for the certificate of a server.
    ///
    /// # Errors
    /// Why the certificate is refused.
    pub(super) fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), Error> {
        match self.certificates.iter().find(|given| given.der == *end_entity) {
            Some(same) => {
                verify_presented(&same.fields, now)?;
                // The common name counts here: the user trusts this very certificate, so nobody else can have chosen the name.
                let only = same.fields.only_name();
                if only.is_some_and(|only| only.eq_ignore_ascii_case(&name.to_str())) {
                    return Ok(());
                }
            }
            None => self.verify_path(end_entity, intermediates, now, algorithms)?,
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)
    }

    /// Fails unless there is a path from one of them to the certificate.
    fn verify_path(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), Error> {
        let refusal = RefCell::new(None);
        let check_anchor = |path: &VerifiedPath<'_>| {
            self.check_anchor(path, now).map_err(|reason| {
                refusal.replace(Some(reason));
                webpki::Error::UnknownIssuer
            })
        };
        let certificate = EndEntityCert::try_from(end_entity).map_err(certificate_error)?;
        let purpose = KeyUsage::server_auth();
        let (anchors, check) = (&self.anchors, Some(&check_anchor as _));
        let verified = certificate
            .verify_for_usage(algorithms, anchors, intermediates, now, purpose, None, check)
            .map(drop);
        match refusal.into_inner() {
            Some(reason) if verified.is_err() => Err(reason.into()),
            _ => verified.map_err(certificate_error),
        }
    }

    /// Fails unless a given certificate at the end of this path may vouch for it. Several can have the same name and key.
    fn check_anchor(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Result<(), Refusal> {
        let between = path.intermediate_certificates();
        let between = between.filter(|each| each.issuer() != each.subject()).count();
        let candidates = self.anchors.iter().zip(&self.certificates);
        let candidates = candidates.filter(|(anchor, _)| *anchor == path.anchor());
        let mut refusal = Refusal::NotCa;
        for (_, given) in candidates {
            match check_ca(&given.fields, between, now) {
                Ok(()) => return Ok(()),
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }
}

/// Fails unless a CA certificate may vouch for another one at `now`, with `between` CA certificates in between.
fn check_ca(ca: &CertificateFields, between: usize, now: UnixTime) -> Result<(), Refusal> {
    let now = seconds(now);
    let (first, last) = ca.validity;
    if !ca.may_sign() {
        return Err(Refusal::NotCa);
    }
    if now > last {
        return Err(Refusal::CaExpired(last));
    }
    if now < first {
        return Err(Refusal::CaNotValidYet(first));
    }
    match ca.path_length {
        Some(max) if between > max => Err(Refusal::PathTooLong),
        _ => Ok(()),
    }
}

/// Fails unless a given certificate that a server presents is valid at `now` and may be used by a server.
fn verify_presented(fields: &CertificateFields, now: UnixTime) -> Result<(), Error> {
    let (first, last) = fields.validity;
    let moment = |seconds: i64| {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
    };
    if seconds(now) > last {
        let not_after = moment(last);
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    if seconds(now) < first {
        let not_before = moment(first);
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if !fields.may_serve() {
        return Err(Refusal::NotForServers.into());
    }
    Ok(())
}

/// Whether a certificate is its own issuer.
pub(super) fn is_self_issued(certificate: &CertificateDer<'_>) -> bool {
    CertificateFields::read(certificate).is_some_and(|fields| fields.is_self_issued)
}

/// The error that an error of the TLS library wraps, if it is a `T`.
pub(super) fn cause<T: StdError + 'static>(error: &CertificateError) -> Option<&T> {
    match error {
        CertificateError::Other(OtherError(cause)) => cause.downcast_ref(),
        _ => None,
    }
}

/// The date of a moment in UTC, as `2020-01-31`.
pub(super) fn date(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(stamp) => stamp.to_string().chars().take_while(|each| *each != 'T').collect(),
        Err(_) => "an unknown date".to_owned(),
    }
}

/// A moment in UTC, as `2020-01-31T12:00:00Z`.
pub(super) fn rfc3339(seconds: i64) -> String {
    let last = jiff::Timestamp::MAX.as_second();
    let stamp = jiff::Timestamp::from_second(seconds.min(last));
    stamp.map_or_else(|_| String::new(), |stamp| stamp.to_string())
}

/// The present moment in seconds of Unix time.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// A moment in seconds of Unix time.
pub(super) fn seconds(moment: UnixTime) -> i64 {
    i64::try_from(moment.as_secs()).unwrap_or(i64::MAX)
}

/// Converts an error of path validation to one of the TLS library.
fn certificate_error(error: webpki::Error) -> Error {
    use webpki::Error::*;
    Error::InvalidCertificate(match error {
        BadDer | BadDerTime | TrailingData(_) => CertificateError::BadEncoding,
        CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        UnknownIssuer => CertificateError::UnknownIssuer,
        InvalidSignatureForPublicKey => CertificateError::BadSignature,
        RequiredEkuNotFoundContext(_) => return Refusal::NotForServers.into(),
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}
