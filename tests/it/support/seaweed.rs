//! SeaweedFS, an S3 server, on free ports of the loopback, and boto3 as an independent client to inspect it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::clock::until;
use super::run::Run;
use super::tools::tool;

/// The bucket that every server has.
pub const BUCKET: &str = "bucket";

/// A script that carries out one command with boto3; what it finds is printed as JSON.
const CLIENT: &str = r#"
import base64, boto3, hashlib, json, sys
from botocore.config import Config
client = boto3.client("s3", endpoint_url=sys.argv[1], aws_access_key_id="key", aws_secret_access_key="secret",
                      region_name="us-east-1", config=Config(retries={"max_attempts": 1}))
what, words = sys.argv[2], sys.argv[3:]
if what == "create":
    client.create_bucket(Bucket=words[0])
elif what == "put":
    client.put_object(Bucket=words[0], Key=words[1], Body=words[2].encode())
elif what == "delete":
    client.delete_object(Bucket=words[0], Key=words[1])
elif what == "list":
    found = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=words[0], Prefix=words[1]):
        for entry in page.get("Contents", []):
            key = entry["Key"]
            object = client.get_object(Bucket=words[0], Key=key, ChecksumMode="ENABLED")
            body = object["Body"].read()
            checksum = base64.b64decode(object.get("ChecksumSHA256", "").split("-")[0]).hex()
            found[key] = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(), "type": object["ContentType"],
                          "mark": object["Metadata"].get("fetchid"), "checksum": checksum,
                          "text": body[:100000].decode("utf-8", "replace")}
    print(json.dumps(found))
elif what == "save":
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=words[0], Prefix=words[1]):
        for entry in page.get("Contents", []):
            if ".fetch/" not in entry["Key"]:
                client.download_file(words[0], entry["Key"], words[2] + "/" + entry["Key"].split("/")[-1])
"#;

/// The server. Dropping it ends it.
pub struct Seaweed {
    child: Child,
    folder: TempDir,
    ports: Vec<u16>,
}

impl Seaweed {
    /// A server with an empty bucket.
    pub fn start() -> Self {
        let identity = json!({
            "name": "test",
            "credentials": [{"accessKey": "key", "secretKey": "secret"}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        });
        Self::start_for(Some(json!({ "identities": [identity] })))
    }

    /// A server with an empty bucket that needs no credentials.
    pub fn start_for_all() -> Self {
        Self::start_for(None)
    }

    fn start_for(identities: Option<Value>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(identities) = identities {
            fs::write(folder.path().join("s3.json"), identities.to_string()).unwrap();
        }
        fs::create_dir(folder.path().join("data")).unwrap();
        // All are open until all ports are known, so that they differ.
        let listeners: Vec<_> = (0..8).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> =
            listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let child = Self::spawn(&folder, &ports);
        let server = Self { child, folder, ports };
        server.wait_until_ready();
        server.client(&["create", BUCKET]);
        server
    }

    fn spawn(folder: &TempDir, ports: &[u16]) -> Child {
        let log = File::create(folder.path().join("log")).unwrap();
        let identities = folder.path().join("s3.json");
        let has_identities = identities.exists();
        let options = [
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "s3.port",
            "s3.port.grpc",
        ];
        tool("weed")
            .arg("server")
            .arg(format!("-dir={}", folder.path().join("data").display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-volume.max=50"])
            .args(["-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(has_identities.then(|| format!("-s3.config={}", identities.display())))
            .args(options.iter().zip(ports).map(|(name, port)| format!("-{name}={port}")))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("weed is installed")
    }

    fn port(&self) -> u16 {
        self.ports[6]
    }

    /// The URL of its S3 interface.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Waits until objects can be stored. The server answers before its parts have found each other: with 503, or without a
    /// volume.
    fn wait_until_ready(&self) {
        until("an answer of SeaweedFS", || {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port())) else {
                return false;
            };
            let mut head = [0; 12];
            let sent = stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n");
            sent.and_then(|()| stream.read_exact(&mut head)).is_ok() && head.ends_with(b"200")
        });
        until("a volume of SeaweedFS", || {
            let assign = format!("http://127.0.0.1:{}/dir/assign", self.ports[0]);
            let reply = tool("python").args(["-c", "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())", &assign]).output();
            reply.is_ok_and(|reply| String::from_utf8_lossy(&reply.stdout).contains("\"fid\""))
        });
    }

    /// Kills it. Its data are kept.
    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, with its data.
    pub fn start_again(&mut self) {
        self.child = Self::spawn(&self.folder, &self.ports);
        self.wait_until_ready();
    }

    /// A run with the endpoint and the keys of the server.
    pub fn run(&self, mode: &str) -> Run {
        with_keys(Run::json(mode), &self.endpoint())
    }

    fn client(&self, words: &[&str]) -> String {
        let output = tool("python").args(["-c", CLIENT, &self.endpoint()]).args(words).output();
        let output = output.expect("python is installed");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "boto3 is needed: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The objects whose names begin with `prefix`, as boto3 finds them.
    pub fn objects(&self, prefix: &str) -> BTreeMap<String, Value> {
        serde_json::from_str(&self.client(&["list", BUCKET, prefix])).unwrap()
    }

    /// Saves the objects whose names begin with `prefix` in a folder, except for those of the manifest.
    pub fn save(&self, prefix: &str, folder: &Path) {
        self.client(&["save", BUCKET, prefix, folder.to_str().unwrap()]);
    }

    /// Puts an object.
    pub fn put(&self, name: &str, text: &str) {
        self.client(&["put", BUCKET, name, text]);
    }

    /// Removes an object.
    pub fn delete(&self, name: &str) {
        self.client(&["delete", BUCKET, name]);
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run with this endpoint and the keys of a [`Seaweed`].
pub fn with_keys(run: Run, endpoint: &str) -> Run {
    without_profile(run, endpoint)
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
}

/// A run with this endpoint and without keys, those of the user and of the machine included.
pub fn without_profile(run: Run, endpoint: &str) -> Run {
    run.env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
        .env("AWS_CONFIG_FILE", "/nowhere")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
}
