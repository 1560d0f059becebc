//! A token endpoint on loopback that says what it is told to.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What it does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// These bytes, and closes.
    Bytes(String),
    /// These bytes, and then others for as long as they are taken.
    Endless(&'static str),
    /// Nothing, until the other side goes.
    Silence,
    /// Closes.
    Close,
}

/// A complete answer.
pub(crate) fn json(status: u16, body: &str) -> Reply {
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    Reply::Bytes(head + body)
}

/// Serves until the test ends.
pub(crate) struct Issuer {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Issuer {
    /// The last of the replies is given again and again.
    pub(crate) fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (replies, seen) = (Mutex::new(replies.into_iter().collect::<VecDeque<_>>()), asked.clone());
        let replies = Arc::new(replies);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (replies, seen) = (replies.clone(), seen.clone());
                thread::spawn(move || serve(stream, &replies, &seen));
            }
        });
        Self { port, asked }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/token", self.address())
    }

    /// The requests so far, as text.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut stream: TcpStream, replies: &Mutex<VecDeque<Reply>>, asked: &Mutex<Vec<String>>) {
    let Some(request) = request(&mut stream) else { return };
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let reply = {
        let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
        if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
    };
    match reply {
        Some(Reply::Bytes(bytes)) => drop(stream.write_all(bytes.as_bytes())),
        Some(Reply::Endless(head)) => {
            let mut more = stream.write_all(head.as_bytes());
            while more.is_ok() {
                more = stream.write_all(&[b'x'; 4_096]);
            }
        }
        Some(Reply::Silence) => drop(stream.read(&mut [0])),
        Some(Reply::Close) | None => {}
    }
}

/// Head and body. None if the other side said nothing.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().filter_map(|line| line.split_once(": "));
            let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, n)| n).next();
            if body.len() >= length.and_then(|n| n.parse().ok()).unwrap_or(0) {
                return Some(text);
            }
        }
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
            _ => return None,
        }
    }
}
