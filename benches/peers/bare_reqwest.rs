//! The least that a client of reqwest can do: a list, a client with the settings of `fetch`, tasks on one event loop that
//! read or save each body, and nothing else. What `fetch` takes beyond it is its own.
//!
//! `bare_reqwest JOBS LIST [FOLDER [AUTHORITY [http1]]]` saves each body under the last segment of its URL, or only counts
//! it if FOLDER is `-`. AUTHORITY is a file in PEM with the certificates that servers are trusted by. With `http1` it
//! speaks HTTP/1.1 only.

use std::cell::Cell;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use reqwest::{Client, redirect, retry};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::LocalSet;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Bytes that a server may send ahead over HTTP/2: over a connection, and so divided by the jobs in a stream.
const WINDOWS: u32 = 10 * 1024 * 1024;

/// What the jobs share.
struct Shared {
    client: Client,
    urls: Vec<String>,
    next: Cell<usize>,
    bytes: Cell<u64>,
    folder: Option<PathBuf>,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: bare_reqwest JOBS LIST [FOLDER [AUTHORITY [http1]]]";
    let jobs: usize = arguments.next().ok_or(usage)?.parse()?;
    let text = fs::read_to_string(arguments.next().ok_or("there is no list")?)?;
    let folder = arguments.next().filter(|folder| folder != "-").map(PathBuf::from);
    let (authority, version) = (arguments.next(), arguments.next());
    let shared = Rc::new(Shared {
        client: client(jobs, authority.as_deref(), version.as_deref() == Some("http1"))?,
        urls: text.lines().map(str::to_owned).collect(),
        next: Cell::new(0),
        bytes: Cell::new(0),
        folder,
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let tasks: Vec<_> =
            (0..jobs).map(|_| tokio::task::spawn_local(work(Rc::clone(&shared)))).collect();
        for task in tasks {
            task.await??;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    println!("Read {} from {} URLs", shared.bytes.get(), shared.urls.len());
    Ok(())
}

/// A client with the settings of `fetch` that apply to a plain request.
fn client(jobs: usize, authority: Option<&str>, is_http1: bool) -> Result<Client> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = authority {
        for certificate in CertificateDer::pem_file_iter(file)? {
            roots.add(certificate?)?;
        }
    }
    let tls = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()?
    .with_root_certificates(roots)
    .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .retry(retry::never().max_retries_per_request(0))
        .referer(false)
        .user_agent("fetch")
        .connect_timeout(Duration::from_secs(10))
        .http1_max_headers(256)
        .http2_initial_stream_window_size(WINDOWS / jobs as u32)
        .http2_initial_connection_window_size(WINDOWS)
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_nodelay(true)
        .no_proxy();
    Ok(if is_http1 { client.http1_only() } else { client }.build()?)
}

/// Takes URLs until there are none.
async fn work(shared: Rc<Shared>) -> Result<()> {
    while let Some(url) = shared.urls.get(shared.next.replace(shared.next.get() + 1)) {
        let mut file = shared.folder.as_deref().map(|folder| create(folder, url)).transpose()?;
        let mut response = shared.client.get(url).send().await?.error_for_status()?;
        while let Some(chunk) = response.chunk().await? {
            if let Some(file) = &mut file {
                file.write_all(&chunk)?;
            }
            shared.bytes.set(shared.bytes.get() + chunk.len() as u64);
        }
    }
    Ok(())
}

fn create(folder: &Path, url: &str) -> io::Result<File> {
    File::create(folder.join(url.rsplit('/').next().unwrap_or(url)))
}
