//! The least that a client can do: threads with blocking sockets, a kept connection each, no checks worth the name.
//! What it takes is the floor under every other program.
//!
//! `floor JOBS LIST [FOLDER]` saves each body under the last segment of its URL, or only counts it. It knows the
//! `http://ADDRESS:PORT/PATH` and `Content-Length` of the server beside it and nothing else.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;

/// Bytes taken from a socket at a time.
const BUFFER: usize = 256 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let jobs: usize = arguments.next().ok_or("usage: floor JOBS LIST [FOLDER]")?.parse()?;
    let text = fs::read_to_string(arguments.next().ok_or("there is no list")?)?;
    let urls: Vec<_> = text.lines().collect();
    let folder = arguments.next().map(PathBuf::from);

    let (next, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let work = || work(&urls, folder.as_deref(), &next, &bytes);
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    println!("Read {} from {} URLs", bytes.into_inner(), urls.len());
    Ok(())
}

/// Takes URLs until there are none.
fn work(
    urls: &[&str],
    folder: Option<&Path>,
    next: &AtomicUsize,
    bytes: &AtomicU64,
) -> io::Result<()> {
    let mut client = Client { kept: None, buffer: vec![0; BUFFER] };
    while let Some(url) = urls.get(next.fetch_add(1, Relaxed)) {
        let (host, path) = split(url).ok_or(ErrorKind::InvalidInput)?;
        let name = path.rsplit('/').next().unwrap_or(path);
        let mut file = folder.map(|folder| File::create(folder.join(name))).transpose()?;
        bytes.fetch_add(client.get(host, path, file.as_mut())?, Relaxed);
    }
    Ok(())
}

/// `http://HOST/PATH` as `HOST` and `/PATH`.
fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    rest.split_at_checked(rest.find('/')?)
}

struct Client<'a> {
    kept: Option<(&'a str, TcpStream)>,
    buffer: Vec<u8>,
}

impl<'a> Client<'a> {
    /// Asks for a body and hands it on; gives back its length.
    fn get(&mut self, host: &'a str, path: &str, mut file: Option<&mut File>) -> io::Result<u64> {
        let Self { kept, buffer } = self;
        let mut stream = match kept.take() {
            Some((known, stream)) if known == host => stream,
            _ => connect(host)?,
        };
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
        let (head, mut filled) = read_head(&mut stream, buffer)?;
        let length = content_length(&buffer[..head]).ok_or(ErrorKind::InvalidData)?;

        let (mut from, mut left) = (head, length);
        loop {
            let chunk = &buffer[from..filled];
            left = left.checked_sub(chunk.len() as u64).ok_or(ErrorKind::InvalidData)?;
            if let Some(file) = &mut file {
                file.write_all(chunk)?;
            }
            if left == 0 {
                break;
            }
            (from, filled) = (0, read_some(&mut stream, buffer)?);
        }
        *kept = Some((host, stream));
        Ok(length)
    }
}

fn connect(host: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(host)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads until the head is whole; tells where it ends, and where what was read ends.
fn read_head(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<(usize, usize)> {
    let mut filled = 0;
    loop {
        filled += read_some(stream, &mut buffer[filled..])?;
        if let Some(end) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok((end + 4, filled));
        }
    }
}

fn read_some(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    match stream.read(buffer)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        read => Ok(read),
    }
}

/// The length that a reply with status 200 promises.
fn content_length(head: &[u8]) -> Option<u64> {
    let head = std::str::from_utf8(head).ok()?;
    let fields = head.strip_prefix("HTTP/1.1 200 ")?;
    let mut fields = fields.lines().filter_map(|line| line.split_once(": "));
    let (_, length) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    length.parse().ok()
}
