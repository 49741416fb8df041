//! A server for tests that sends exactly the bytes that it is given.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An action of the server after it has read a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends one chunk of a chunked body.
    Chunk(String),
    /// Waits.
    Wait(Duration),
    /// Closes the connection.
    Close,
    /// Closes the connection with a reset.
    Reset,
    /// Sends nothing more, and keeps the connection open.
    Hang,
}

pub(crate) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// Returns a token's event.
pub(crate) fn token(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

/// Returns the acts of a complete stream of `n_tokens` tokens, `gap` apart.
pub(crate) fn stream(n_tokens: usize, gap: Duration) -> Vec<Act> {
    let mut acts = vec![Act::Send(STREAM_HEAD.into())];
    for i in 0..n_tokens {
        acts.push(Act::Wait(gap));
        acts.push(Act::Chunk(token(&format!("t{i} "))));
    }
    acts.push(Act::Chunk(
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":COUNT}}\n\ndata: [DONE]\n\n"
            .replace("COUNT", &n_tokens.to_string()),
    ));
    acts.push(Act::Send("0\r\n\r\n".into()));
    acts
}

/// A running server. Its threads end with the test's process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
    pub(crate) n_requests: Arc<AtomicU64>,
    pub(crate) n_connections: Arc<AtomicU64>,
}

/// Starts a server that acts on each request's body.
pub(crate) fn serve(acts: impl Fn(&str) -> Vec<Act> + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let n_requests = Arc::new(AtomicU64::new(0));
    let n_connections = Arc::new(AtomicU64::new(0));
    let server = Server {
        address,
        url: format!("http://{address}"),
        n_requests: Arc::clone(&n_requests),
        n_connections: Arc::clone(&n_connections),
    };
    let acts = Arc::new(acts);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { break };
            n_connections.fetch_add(1, Ordering::Relaxed);
            let (acts, n_requests) = (Arc::clone(&acts), Arc::clone(&n_requests));
            std::thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                serve_connection(stream, &*acts, &n_requests);
            });
        }
    });
    server
}

fn serve_connection(
    mut stream: TcpStream,
    acts: &(impl Fn(&str) -> Vec<Act> + ?Sized),
    n_requests: &AtomicU64,
) {
    while let Some(body) = read_request(&mut stream) {
        n_requests.fetch_add(1, Ordering::Relaxed);
        for act in acts(&body) {
            let sent = match act {
                Act::Send(bytes) => stream.write_all(&bytes),
                Act::Chunk(text) => {
                    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
                }
                Act::Wait(time) => {
                    std::thread::sleep(time);
                    Ok(())
                }
                Act::Close => {
                    // A client that has already closed cannot be told of an error.
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
                Act::Reset => {
                    let socket = socket2::Socket::from(stream);
                    socket.set_linger(Some(Duration::ZERO)).unwrap();
                    return;
                }
                Act::Hang => {
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest);
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(head_end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            let length: usize = length.parse().ok()?;
            if bytes.len() >= head_end + 4 + length {
                return Some(String::from_utf8_lossy(&bytes[head_end + 4..]).into_owned());
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}
