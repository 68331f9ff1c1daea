//! The heads of a request and its response as an archive keeps them.
//!
//! The HTTP library gives the fields of a response, not its bytes. So the head is rebuilt: the status line with the reason that
//! was sent, the names of the fields in lower case and in the order of their first lines, fields of one name one after
//! another, without whitespace around the values. The transfer coding of the body is already decoded; so the field that names
//! it is renamed, and readers do not decode it again.

use std::time::SystemTime;

use hyper::ext::ReasonPhrase;
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERER, TRANSFER_ENCODING,
    USER_AGENT,
};
use reqwest::{Response, Version};
use url::Position;

use super::client::ProxyRoute;
use super::context::TransferContext;
use super::heads::is_harmless_in_request;
use super::request_state::RequestState;
use crate::model::{CapturedHeads, HttpVersion, Job, RequestMethod};
use crate::redaction::{masked_text, redacted_field, redacted_url};

/// The name under which the transfer coding of a response is kept.
const ORIGINAL_CODING: &str = "x-archive-orig-transfer-encoding";

/// Memory in bytes that is reserved for a head in addition to its target; most heads need no more.
const HEAD_CAPACITY: usize = 512;

/// The heads of the request for `job`, which had these fields, and of its response. Fields of the request that may be
/// secret are left out.
pub(super) fn heads(
    context: &TransferContext,
    method: RequestMethod,
    job: &Job,
    fields: &HeaderMap,
    response: &Response,
    request_state: &RequestState,
) -> CapturedHeads {
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|field| field.to_str().ok());
    let media_type = media_type.map(|field| field.split(';').next().unwrap_or(field).trim());
    let address = response.remote_addr().filter(|_| request_state.route() == ProxyRoute::Direct);
    let is_http2 = response.version() == Version::HTTP_2;
    let mut uri = job.url.clone();
    uri.set_fragment(None);
    // A URL without a host has no user either.
    let _ = uri.set_username("").and_then(|()| uri.set_password(None));
    CapturedHeads {
        at: SystemTime::now() - request_state.elapsed(),
        uri: redacted_url(&uri).into_owned(),
        request: head_of_request(context, method, job, fields),
        response: head_of_response(response),
        status: response.status().as_u16(),
        media_type: media_type.filter(|text| !text.is_empty()).map(str::to_ascii_lowercase),
        version: if is_http2 { HttpVersion::Http2 } else { HttpVersion::Http11 },
        address: address.map(|address| address.ip().to_canonical()),
    }
}

fn head_of_request(
    context: &TransferContext,
    method: RequestMethod,
    job: &Job,
    fields: &HeaderMap,
) -> Vec<u8> {
    let target = redacted_field(&job.url[Position::BeforePath..Position::AfterQuery]);
    let host = &job.url[Position::BeforeHost..Position::AfterPort];
    let mut head = Vec::with_capacity(target.len() + HEAD_CAPACITY);
    for part in [&*method.to_string(), " ", &*target, " HTTP/1.1\r\nhost: ", host, "\r\n"] {
        head.extend(part.as_bytes());
    }
    let any_type = HeaderValue::from_static("*/*");
    for (name, value) in [(USER_AGENT, &context.config.http.user_agent), (ACCEPT, &any_type)] {
        if !fields.contains_key(&name) {
            push_field(&mut head, name.as_str(), value);
        }
    }
    let shown = |(name, _): &(&HeaderName, &HeaderValue)| is_harmless_in_request(name);
    for (name, value) in fields.iter().filter(shown) {
        if name == REFERER {
            let referer = String::from_utf8_lossy(value.as_bytes());
            head.extend(format!("{name}: {}\r\n", masked_text(&referer)).into_bytes());
        } else {
            push_field(&mut head, name.as_str(), value);
        }
    }
    head.extend(b"\r\n");
    head
}

fn head_of_response(response: &Response) -> Vec<u8> {
    let version = if response.version() == Version::HTTP_10 { "1.0" } else { "1.1" };
    let status = response.status();
    let sent = response.extensions().get::<ReasonPhrase>().map(ReasonPhrase::as_bytes);
    let reason = sent.unwrap_or(status.canonical_reason().unwrap_or_default().as_bytes());
    let mut head = Vec::with_capacity(HEAD_CAPACITY);
    for part in ["HTTP/", version, " ", status.as_str(), " "] {
        head.extend(part.as_bytes());
    }
    head.extend(reason);
    head.extend(b"\r\n");
    for (name, value) in response.headers() {
        let name = if name == TRANSFER_ENCODING { ORIGINAL_CODING } else { name.as_str() };
        push_field(&mut head, name, value);
    }
    head.extend(b"\r\n");
    head
}

fn push_field(head: &mut Vec<u8>, name: &str, value: &HeaderValue) {
    head.extend(name.as_bytes());
    head.extend(b": ");
    head.extend(value.as_bytes());
    head.extend(b"\r\n");
}
