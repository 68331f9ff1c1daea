//! nginx in the foreground, from a configuration in a temporary folder, on free ports of the loopback.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::clock::until;
use super::tls::{Authority, Identity};

/// The echo module, which can delay replies, where Debian installs it.
const ECHO: &str = "/usr/lib/nginx/modules/ngx_http_echo_module.so";

/// The server. Dropping it ends it.
pub struct Nginx {
    child: Child,
    folder: TempDir,
    authority: Authority,
    /// Its address for TLS.
    pub secure: SocketAddr,
    /// Its address for plain HTTP.
    pub plain: SocketAddr,
}

impl Nginx {
    /// Starts a server for these names. `inside` is the content of both `server` blocks.
    pub fn start(names: &[&str], inside: &str) -> Self {
        let authority = Authority::new();
        let identity = authority.identity(names);
        Self::with_identity(authority, &identity, inside)
    }

    /// As [`start`](Self::start), with this certificate of `authority`.
    pub fn with_identity(authority: Authority, identity: &Identity, inside: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pages")).unwrap();
        // Both are open until both ports are known, so that they differ.
        let [secure, plain] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [secure, plain] = [secure, plain].map(|listener| listener.local_addr().unwrap());
        let text = configuration(folder.path(), identity, secure, plain, inside);
        fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let child = Command::new("nginx")
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        let mut nginx = Self { child, folder, authority, secure, plain };
        nginx.wait_until_listening();
        nginx
    }

    /// The folder of the files that it serves.
    pub fn pages(&self) -> PathBuf {
        self.folder.path().join("pages")
    }

    /// The file to give to `--cacert`.
    pub fn authority(&self) -> PathBuf {
        self.authority.file()
    }

    /// Makes it reload its configuration: new workers start, the old ones finish their requests.
    pub fn reload(&self) {
        let kill = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    fn wait_until_listening(&mut self) {
        let listens = |address| TcpStream::connect(address).is_ok();
        let mut has_ended = false;
        until("nginx listens", || {
            has_ended = self.child.try_wait().unwrap().is_some();
            has_ended || (listens(self.secure) && listens(self.plain))
        });
        assert!(!has_ended, "nginx has ended");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The workers end with a master that is terminated, not with one that is killed.
        let terminated =
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        if !terminated.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn configuration(
    folder: &Path,
    identity: &Identity,
    secure: SocketAddr,
    plain: SocketAddr,
    inside: &str,
) -> String {
    let module =
        if Path::new(ECHO).exists() { format!("load_module {ECHO};") } else { String::new() };
    let folder = folder.display();
    let (certificate, key) = (identity.certificate_file.display(), identity.key_file.display());
    format!(
        "{module}
daemon off;
user root;
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log {folder}/access.log;
    default_type text/html;
    client_body_temp_path {folder}/client;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    root {folder}/pages;
    server {{
        listen {secure} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
{inside}
    }}
    server {{
        listen {plain};
{inside}
    }}
}}
"
    )
}
