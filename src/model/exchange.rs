//! The messages of one attempt as an archive keeps them: a request, and its response with the body as it came.

use std::net::IpAddr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::HttpVersion;
use super::serde_helpers::encoded_bytes;

/// The heads of a request and its response.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CapturedHeads {
    /// When the request was made.
    pub at: SystemTime,
    /// The URL of the request, as it may be shown.
    pub uri: String,
    /// The head of the request, without secrets.
    #[serde(with = "encoded_bytes")]
    pub request: Vec<u8>,
    /// The head of the response.
    #[serde(with = "encoded_bytes")]
    pub response: Vec<u8>,
    /// The status of the response.
    pub status: u16,
    /// The media type of the response, without parameters; `None` if there is none.
    pub media_type: Option<String>,
    /// The version of HTTP of the response.
    pub version: HttpVersion,
    /// The address of the server; `None` if it is not known.
    pub address: Option<IpAddr>,
}

/// The messages of one attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CapturedExchange {
    /// Their heads.
    pub heads: CapturedHeads,
    /// The body of the response.
    pub body: CapturedBody,
    /// Whether that is all of it.
    pub ended: CapturedEnd,
}

/// Whether all of a body was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CapturedEnd {
    /// All of it was read.
    Whole,
    /// The rest was not read, as it is of no use.
    CutOff,
    /// The attempt has failed, for this reason, before all of it was there.
    Broken(TruncationReason),
}

/// Why a body was not read to its end, by the names of WARC-Truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TruncationReason {
    /// It is too long.
    Length,
    /// It took too long.
    Time,
    /// The connection broke.
    Disconnect,
    /// Another one.
    Unspecified,
}

/// A body, encoded as its archive needs it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CapturedBody {
    /// The length of the body, in bytes.
    pub bytes: u64,
    /// The SHA-256 of the body.
    #[serde(with = "encoded_bytes")]
    pub payload: Vec<u8>,
    /// The SHA-256 of the head of the response and the body.
    #[serde(with = "encoded_bytes")]
    pub block: Vec<u8>,
    /// The CRC-32 of what was encoded: the body, and in a WARC what ends its record.
    pub crc: u32,
    /// The length of that, in bytes.
    pub plain: u64,
    /// The length of what that was encoded to, in bytes.
    pub length: u64,
    /// The encoded bytes.
    pub data: CapturedData,
}

/// Where the encoded bytes of a body are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum CapturedData {
    /// In memory.
    Memory(#[serde(with = "encoded_bytes")] Vec<u8>),
    /// In a file of this name, in the folder for bodies that are under way.
    File(String),
}
