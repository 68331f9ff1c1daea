//! The connection to an object store, and the thread that all requests to it are made on.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpClient, HttpConnector};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, CredentialProvider, ObjectStore, RetryConfig};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::ObjectError;
use super::profile::AwsProfile;
use crate::plan::{ObjectService, ObjectUrl};
use crate::text::{io_message, is_hidden};

/// How long connecting may take, how long the store may be silent during a request, and how long a request may take in all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(180);

/// How long credentials are looked for outside the environment.
const CREDENTIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Bounds of the wait before a request is repeated.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// The codes of S3, Google Cloud Storage and Azure for a bucket, or container, that does not exist.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];

/// More than are ever made: retries are bounded by their time.
const MAX_RETRIES: usize = 1000;

/// A connection to an object store. Its requests are made on a thread of their own: connections belong to the event loop that
/// made them, and those of workers end before the last request is made.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub store: Arc<dyn ObjectStore>,
    /// The path that all objects are below.
    root: Path,
    /// The folder of fetch's own objects, below that path.
    own: Arc<str>,
    url: Arc<ObjectUrl>,
    thread: Arc<RequestThread>,
}

/// Why a request has failed, for good.
#[derive(Debug)]
pub(crate) enum ObjectFault {
    /// Something has to be changed by the user: credentials, rights, the bucket.
    Refused(String),
    /// The store cannot be reached, or fails.
    Broken(String),
}

impl fmt::Display for ObjectFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) | Self::Broken(reason) => out.write_str(reason),
        }
    }
}

impl From<ObjectFault> for io::Error {
    fn from(fault: ObjectFault) -> Self {
        Self::other(fault.to_string())
    }
}

impl From<object_store::Error> for ObjectFault {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as E;
        let reason = printable(&reason_of(&error));
        match error {
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
                Self::Refused(format!("the object store refuses the credentials ({reason})"))
            }
            E::NotFound { .. } if NO_BUCKET.iter().any(|code| reason.contains(code)) => {
                Self::Refused(format!("no such bucket ({reason})"))
            }
            E::NotSupported { .. } | E::NotImplemented { .. } | E::InvalidPath { .. } => {
                Self::Refused(reason)
            }
            _ => Self::Broken(reason),
        }
    }
}

/// What an error says, without the names of types: the code and the message of the store, else the innermost cause.
fn reason_of(error: &object_store::Error) -> String {
    let mut innermost: &dyn Error = error;
    let mut texts = vec![error.to_string()];
    while let Some(source) = innermost.source() {
        innermost = source;
        texts.push(source.to_string());
    }
    let element = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once(&format!("</{name}>"))?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    for text in texts.iter().rev() {
        if let Some(code) = element(text, "Code") {
            return match element(text, "Message") {
                Some(message) => format!("{code}: {message}"),
                None => code,
            };
        }
    }
    match innermost.downcast_ref::<io::Error>() {
        Some(error) => format!("cannot reach the object store: {}", io_message(error)),
        None => texts.pop().unwrap_or_default(),
    }
}

/// The most characters of a reason; servers may send any number.
const MAX_REASON_CHARS: usize = 300;

/// A reason without invisible characters, shortened for a message.
fn printable(reason: &str) -> String {
    let plain = reason.chars().map(|character| if is_hidden(character) { ' ' } else { character });
    plain.take(MAX_REASON_CHARS).collect::<String>().trim().to_owned()
}

#[derive(Debug)]
struct RequestThread {
    handle: Handle,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<Infallible>,
}

impl RequestThread {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<Infallible>();
        thread::Builder::new().name("object store".into()).spawn(move || {
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _stop: stop })
    }
}

/// Makes the library use this HTTP client, whatever its own options say.
#[derive(Debug, Clone)]
struct Connector(reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

fn http_client() -> Result<reqwest::Client, String> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_platform_verifier())
        .map_err(|error| error.to_string())?
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("fetch/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .timeout(REQUEST_TIMEOUT);
    client.build().map_err(|error| error.to_string())
}

impl Remote {
    /// Connects to the store of this URL, with the credentials that its own tools would find. A request is repeated for
    /// as long as `patience`.
    ///
    /// # Errors
    /// If there are no credentials, or no thread can be started.
    pub(crate) fn open(url: &ObjectUrl, patience: Duration) -> Result<Self, ObjectError> {
        Self::open_with(url, ".fetch".to_owned(), patience)
    }

    /// Connects to the store of a URL whose last segment is the beginning of names, such as those of archives, or a whole name.
    /// Returns that segment too; the names of other objects are relative to the path above it.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and if there is no such segment.
    pub(crate) fn open_beside(
        url: &ObjectUrl,
        patience: Duration,
    ) -> Result<(Self, String), ObjectError> {
        let (folder, stem) = url.prefix.rsplit_once('/').unwrap_or(("", &url.prefix));
        if stem.is_empty() {
            return Err(ObjectError::Refused {
                url: url.to_string(),
                reason: "expected a bucket and the beginning of a name, e.g. s3://BUCKET/crawl"
                    .to_owned(),
            });
        }
        let parent = ObjectUrl { prefix: folder.to_owned(), ..url.clone() };
        Ok((Self::open_with(&parent, format!("{stem}.fetch"), patience)?, stem.to_owned()))
    }

    fn open_with(url: &ObjectUrl, own: String, patience: Duration) -> Result<Self, ObjectError> {
        let refused = |reason: String| ObjectError::Refused { url: url.to_string(), reason };
        if url.bucket.is_empty() {
            return Err(refused("expected a bucket, e.g. s3://BUCKET/PREFIX".to_owned()));
        }
        let root = Path::parse(&url.prefix).map_err(|error| refused(error.to_string()))?;
        let thread = RequestThread::start().map_err(|error| ObjectError::Unusable {
            url: url.to_string(),
            reason: format!("cannot start a thread: {}", io_message(&error)),
        })?;
        // The library looks for a runtime while it builds a client.
        let entered = thread.handle.enter();
        let (store, credentials) = connect(url, patience).map_err(refused)?;
        drop(entered);
        let (thread, url) = (Arc::new(thread), Arc::new(url.clone()));
        let remote = Self { store, root, own: own.into(), url, thread };
        remote.wait(credentials).map_err(refused)?;
        Ok(remote)
    }

    /// The URL of the store.
    pub(crate) fn url(&self) -> &ObjectUrl {
        &self.url
    }

    /// The path that all objects are below; `None` if it is empty.
    pub(crate) fn root(&self) -> Option<&Path> {
        Some(&self.root).filter(|root| !root.as_ref().is_empty())
    }

    /// The path of the object of this name; `None` if no object can have it.
    pub(crate) fn path(&self, name: &str) -> Option<Path> {
        let whole = match self.root.as_ref() {
            "" => name.to_owned(),
            root => format!("{root}/{name}"),
        };
        Path::parse(whole).ok()
    }

    /// The name of one of fetch's own objects.
    pub(crate) fn own_name(&self, name: &str) -> String {
        format!("{}/{name}", self.own)
    }

    /// The path of one of fetch's own objects.
    pub(crate) fn own_path(&self, name: &str) -> Path {
        self.path(&self.own_name(name)).unwrap_or_default()
    }

    /// The name of the object at this path; `None` if it is not below the URL.
    pub(crate) fn name<'a>(&self, path: &'a Path) -> Option<&'a str> {
        match self.root.as_ref() {
            "" => Some(path.as_ref()),
            root => path.as_ref().strip_prefix(root)?.strip_prefix('/'),
        }
    }

    /// Runs `work` on the thread of the store. The future returned waits for its result.
    pub(crate) fn spawn<T: Send + 'static, W: Future<Output = T> + Send + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = T> + Send + use<T, W> {
        let task = self.thread.handle.spawn(work);
        async { task.await.expect("a request does not panic") }
    }

    /// Runs `work` on the thread of the store, and blocks until it ends. Must not be called on the thread of an event loop.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let (sender, receiver) = mpsc::channel();
        drop(self.thread.handle.spawn(async move {
            let _ = sender.send(work.await);
        }));
        receiver.recv().expect("a request does not panic")
    }
}

/// A future that fails if there are no credentials.
type CredentialCheck = std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

fn connect(
    url: &ObjectUrl,
    patience: Duration,
) -> Result<(Arc<dyn ObjectStore>, CredentialCheck), String> {
    let connector = Connector(http_client()?);
    let backoff = BackoffConfig { init_backoff: FIRST_BACKOFF, max_backoff: MAX_BACKOFF, base: 2. };
    let retry = RetryConfig { backoff, max_retries: MAX_RETRIES, retry_timeout: patience };
    let credentials = CredentialHint::of(url.service);
    let fault = |error: object_store::Error| credentials.explain_invalid_settings(&error);
    match url.service {
        ObjectService::S3 => {
            let builder = AwsProfile::of_environment()?.add_to(AmazonS3Builder::from_env());
            let builder = builder
                .with_bucket_name(&url.bucket)
                .with_checksum_algorithm(Checksum::SHA256)
                .with_allow_http(true)
                .with_http_connector(connector)
                .with_retry(retry);
            let store = builder.build().map_err(fault)?;
            let check = credentials.check(Arc::clone(store.credentials()));
            Ok((Arc::new(store), check))
        }
        ObjectService::Gcs => {
            let builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(&url.bucket)
                .with_http_connector(connector)
                .with_retry(retry);
            let store = builder.build().map_err(fault)?;
            let check = credentials.check(Arc::clone(store.credentials()));
            Ok((Arc::new(store), check))
        }
        ObjectService::Azure => {
            let builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(&url.bucket)
                .with_allow_http(true)
                .with_http_connector(connector)
                .with_retry(retry);
            let store = builder.build().map_err(fault)?;
            let check = credentials.check(Arc::clone(store.credentials()));
            Ok((Arc::new(store), check))
        }
    }
}

/// Advice on how credentials can be given.
struct CredentialHint(&'static str);

impl CredentialHint {
    fn of(service: ObjectService) -> Self {
        let hint = match service {
            ObjectService::S3 => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for a profile of ~/.aws/credentials"
            }
            ObjectService::Gcs => {
                "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run gcloud auth application-default login"
            }
            ObjectService::Azure => {
                "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_SAS_KEY"
            }
        };
        Self(hint)
    }

    /// The message about settings of the environment, or of a file that they name, with which no client can be built.
    fn explain_invalid_settings(&self, error: &object_store::Error) -> String {
        format!("invalid credentials or settings ({}); {}", printable(&reason_of(error)), self.0)
    }

    /// Looks for credentials, so that missing ones are not reported as a failure of the store.
    fn check<P: CredentialProvider + ?Sized + 'static>(self, provider: Arc<P>) -> CredentialCheck {
        Box::pin(async move {
            let reason = match timeout(CREDENTIAL_TIMEOUT, provider.get_credential()).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => printable(&reason_of(&error)),
                Err(_) => "no answer from the metadata service of the machine".to_owned(),
            };
            Err(format!("no credentials found ({reason}); {}", self.0))
        })
    }
}
