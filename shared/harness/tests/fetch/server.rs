use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// What the server does with a request for its file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behavior {
    /// Sends it, or the range asked for.
    Good,
    /// Always sends it from the beginning.
    IgnoresRange,
    /// Promises what was asked for and closes the connection after so many bytes.
    Breaks {
        /// Bytes of each body that are sent.
        after: usize,
    },
    /// Sends other bytes of the same length.
    WrongContent,
    /// Sends one byte too many, and says so.
    Longer,
    /// Sends one byte too many, and gives no length.
    LongerWithoutLength,
}

/// A server on this machine with one file; anything else is not found.
pub(crate) struct Server {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(path: &'static str, content: Vec<u8>, behavior: Behavior) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A client that closes early is its own business.
                drop(answer(&stream.unwrap(), path, &content, behavior));
            }
        });
        Self { port, stop, thread: Some(thread) }
    }

    /// The address of its folder.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        self.thread.take().unwrap().join().unwrap();
    }
}

fn answer(stream: &TcpStream, path: &str, content: &[u8], behavior: Behavior) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut start = None;
    for line in lines {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse::<usize>().ok();
        }
    }
    let mut stream = stream;
    if request.split(' ').nth(1) != Some(path) {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let mut content = content.to_vec();
    match behavior {
        Behavior::WrongContent => content[3] ^= 1,
        Behavior::Longer | Behavior::LongerWithoutLength => content.push(0),
        _ => {}
    }
    let start = start.filter(|_| !matches!(behavior, Behavior::IgnoresRange));
    let body = &content[start.unwrap_or(0)..];
    match start {
        Some(start) => {
            let range = format!("bytes {start}-{}/{}", content.len() - 1, content.len());
            write!(stream, "HTTP/1.1 206 Partial Content\r\nContent-Range: {range}\r\n")?;
        }
        None => write!(stream, "HTTP/1.1 200 OK\r\n")?,
    }
    if !matches!(behavior, Behavior::LongerWithoutLength) {
        write!(stream, "Content-Length: {}\r\n", body.len())?;
    }
    write!(stream, "Connection: close\r\n\r\n")?;
    match behavior {
        Behavior::Breaks { after } => stream.write_all(&body[..body.len().min(after)]),
        _ => stream.write_all(body),
    }
}
