//! Reads the fields of an X.509 certificate that decide when it is valid and what it may vouch for (RFC 5280 section 4). The
//! TLS library reads neither the dates nor the constraints of a trust anchor.

use jiff::civil::DateTime;
use jiff::tz::Offset;

const SEQUENCE: u8 = 0x30;
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// Object identifiers in DER: of a part of a name, of extensions, of the types of PKCS#7 (a prefix), and of a purpose in the
/// extended key usage.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const PKCS7: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07];
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// Bits of the key usage, as they are in its first byte.
const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_ENCIPHERMENT: u8 = 0x20;
const KEY_AGREEMENT: u8 = 0x08;
const KEY_CERT_SIGN: u8 = 0x04;

/// The fields of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CertificateFields {
    /// First and last moment at which it is valid, in seconds of Unix time.
    pub validity: (i64, i64),
    /// Whether issuer and subject are the same.
    pub is_self_issued: bool,
    /// Whether it is an X.509 version 1 certificate, which has no extensions.
    pub is_version_1: bool,
    is_ca: bool,
    /// The maximum number of CA certificates that may follow it in a chain, if there is one.
    pub path_length: Option<usize>,
    key_usage: Option<u8>,
    is_for_servers: bool,
    has_alternative_names: bool,
    common_name: Option<String>,
}

impl CertificateFields {
    /// Reads a certificate in DER; `None` if it is malformed.
    pub(super) fn read(certificate: &[u8]) -> Option<Self> {
        let mut tbs = Der(Der(Der(certificate).expect(SEQUENCE)?).expect(SEQUENCE)?);
        let version = tbs.optional(VERSION);
        tbs.expect(INTEGER)?;
        tbs.expect(SEQUENCE)?;
        let issuer = tbs.expect(SEQUENCE)?;
        let mut validity = Der(tbs.expect(SEQUENCE)?);
        let validity = (validity.time()?, validity.time()?);
        let subject = tbs.expect(SEQUENCE)?;
        tbs.expect(SEQUENCE)?;
        let mut fields = Self {
            validity,
            is_self_issued: issuer == subject,
            is_version_1: version.is_none(),
            is_ca: false,
            path_length: None,
            key_usage: None,
            is_for_servers: true,
            has_alternative_names: false,
            common_name: common_name(subject)?,
        };
        while let Some((tag, content)) = tbs.element()? {
            if tag == EXTENSIONS {
                fields.read_extensions(content)?;
            }
        }
        Some(fields)
    }

    /// Whether it may sign certificates of servers. A self-issued one of version 1 may, as that version has no field to say so.
    pub(super) fn may_sign(&self) -> bool {
        let is_ca = self.is_ca || (self.is_version_1 && self.is_self_issued);
        is_ca && self.is_for_servers && self.has_usage(KEY_CERT_SIGN)
    }

    /// Whether it may be the certificate of a server.
    pub(super) fn may_serve(&self) -> bool {
        let usages = DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_AGREEMENT;
        self.is_for_servers && self.has_usage(usages)
    }

    /// The common name of the subject, if the certificate has no subject alternative names.
    pub(super) fn only_name(&self) -> Option<&str> {
        self.common_name.as_deref().filter(|_| !self.has_alternative_names)
    }

    /// Whether the key usage has one of these bits, or is not restricted.
    fn has_usage(&self, bits: u8) -> bool {
        self.key_usage.is_none_or(|usage| usage & bits != 0)
    }

    fn read_extensions(&mut self, content: &[u8]) -> Option<()> {
        let mut extensions = Der(Der(content).expect(SEQUENCE)?);
        while let Some((tag, extension)) = extensions.element()? {
            let mut extension = Der((tag == SEQUENCE).then_some(extension)?);
            let name = extension.expect(OBJECT_IDENTIFIER)?;
            extension.optional(BOOLEAN);
            self.read_extension(name, Der(extension.expect(OCTET_STRING)?))?;
        }
        Some(())
    }

    fn read_extension(&mut self, name: &[u8], mut value: Der<'_>) -> Option<()> {
        match name {
            BASIC_CONSTRAINTS => {
                let mut constraints = Der(value.expect(SEQUENCE)?);
                self.is_ca = constraints.optional(BOOLEAN).is_some_and(|is_ca| is_ca != [0]);
                let length = constraints.optional(INTEGER).map(unsigned);
                self.path_length = length.map(|length| length.unwrap_or(usize::MAX));
            }
            KEY_USAGE => {
                // The first byte is the number of unused bits.
                let bits = value.expect(BIT_STRING)?;
                self.key_usage = Some(bits.get(1).copied().unwrap_or(0));
            }
            EXTENDED_KEY_USAGE => {
                let mut purposes = Der(value.expect(SEQUENCE)?);
                self.is_for_servers = false;
                while let Some((_, purpose)) = purposes.element()? {
                    self.is_for_servers |= purpose == SERVER_AUTH;
                }
            }
            ALTERNATIVE_NAMES => self.has_alternative_names = true,
            _ => {}
        }
        Some(())
    }
}

/// Whether these bytes are a PKCS#12 file (RFC 7292 section 4): version 3, and a content of a type of PKCS#7.
pub(super) fn is_pkcs12(bytes: &[u8]) -> bool {
    let read = || {
        let mut file = Der(Der(bytes).expect(SEQUENCE)?);
        let version = file.expect(INTEGER)?;
        let kind = Der(file.expect(SEQUENCE)?).expect(OBJECT_IDENTIFIER)?;
        Some(version == [3] && kind.starts_with(PKCS7))
    };
    read().unwrap_or(false)
}

/// The last common name in a subject; `Some(None)` if it has none.
fn common_name(subject: &[u8]) -> Option<Option<String>> {
    let (mut parts, mut found) = (Der(subject), None);
    while let Some((tag, part)) = parts.element()? {
        let mut part = Der(Der((tag == SET).then_some(part)?).expect(SEQUENCE)?);
        let name = part.expect(OBJECT_IDENTIFIER)?;
        let (_, text) = part.element()??;
        if name == COMMON_NAME {
            found = Some(String::from_utf8_lossy(text).into_owned());
        }
    }
    Some(found)
}

/// An unsigned number in big-endian order; `None` if it is too large.
fn unsigned(bytes: &[u8]) -> Option<usize> {
    bytes
        .iter()
        .try_fold(0usize, |sum, byte| sum.checked_mul(256).map(|sum| sum + usize::from(*byte)))
}

/// A reader of elements in DER (X.690): the bytes that are left.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The tag and the content of the next element, `Some(None)` at the end; `None` if it is malformed.
    fn element(&mut self) -> Option<Option<(u8, &'a [u8])>> {
        let [tag, length, rest @ ..] = self.0 else {
            return self.0.is_empty().then_some(None);
        };
        let (length, rest) = match *length {
            short @ 0..0x80 => (usize::from(short), rest),
            long => {
                let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                (unsigned(bytes)?, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Some((*tag, content)))
    }

    /// The content of the next element, which must have this tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content) = self.element()??;
        (found == tag).then_some(content)
    }

    /// The content of the next element if it has this tag; otherwise nothing is read.
    fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        let content = (self.0.first() == Some(&tag)).then(|| self.element())???.1;
        Some(content)
    }

    /// A moment, in seconds of Unix time.
    fn time(&mut self) -> Option<i64> {
        let (tag, text) = self.element()??;
        let text = std::str::from_utf8(text).ok()?;
        let (year, rest) = match tag {
            UTC_TIME => {
                let (year, rest) = text.split_at_checked(2)?;
                let year: i16 = year.parse().ok()?;
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME => {
                let (year, rest) = text.split_at_checked(4)?;
                (year.parse().ok()?, rest)
            }
            _ => return None,
        };
        let part = |index: usize| rest.get(index..index + 2)?.parse::<i8>().ok();
        let (hour, minute, second) = (part(4)?, part(6)?, part(8)?);
        let moment = DateTime::new(year, part(0)?, part(2)?, hour, minute, second, 0).ok()?;
        // The library's timestamps end a little before 9999-12-31T23:59:59Z, which means "never" (RFC 5280 section 4.1.2.5).
        Some(Offset::UTC.to_timestamp(moment).map_or(i64::MAX, |stamp| stamp.as_second()))
    }
}
