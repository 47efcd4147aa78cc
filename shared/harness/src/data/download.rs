use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_RANGE, RANGE};

use super::{DataError, FetchEvent};

/// How often one address is asked again after a connection that broke; progress starts the count anew.
const TRIES: usize = 3;

/// Errors of a connection that was there.
const BREAKS: [io::ErrorKind; 5] = [
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::TimedOut,
    io::ErrorKind::UnexpectedEof,
];

/// One file to have from one of several addresses.
pub(super) struct Request<'a> {
    /// The data set, for messages.
    pub(super) dataset: &'a str,
    /// What is downloaded, for messages.
    pub(super) file: &'a str,
    /// Where it can be had, in the order to try.
    pub(super) urls: &'a [String],
    /// Its size.
    pub(super) bytes: u64,
    /// Its SHA-256, where that is known.
    pub(super) sha256: Option<&'a str>,
}

/// A file that grows over several connections, held by this process alone.
struct Part<'a> {
    path: &'a Path,
    file: File,
    len: u64,
}

/// Why an address did not give the file.
enum Failure {
    /// Asking again may help: the connection broke. The text says how.
    Broken(String),
    /// Asking again will not help.
    Refused(String),
    /// The problem is here, not there.
    Local(DataError),
}

pub(super) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        // The files are compressed as they are; their bytes are what is counted and hashed.
        .accept_encoding("identity")
        .user_agent(concat!("rekindle-data/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(Duration::from_secs(30)))
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .build()
        .new_agent()
}

/// Downloads to `part`, continuing what is there, until it has the right size and hash; returns its SHA-256.
///
/// With `any_hash` a file of the right size is taken whatever its hash. Otherwise one with a wrong hash is deleted and
/// downloaded once more as a whole, since the beginning may have been of another file, before the next address is tried.
pub(super) fn download(
    agent: &Agent,
    request: &Request<'_>,
    part: &Path,
    any_hash: bool,
    event: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<String, DataError> {
    let mut attempts = Vec::new();
    for url in request.urls {
        let mut resumed = part.metadata().is_ok_and(|it| it.len() > 0);
        loop {
            match complete(agent, request, url, part, event) {
                Ok(()) => {}
                Err(Failure::Local(error)) => return Err(error),
                Err(Failure::Broken(reason) | Failure::Refused(reason)) => {
                    event(FetchEvent::Failed { url, reason: &reason });
                    attempts.push(format!("{url}: {reason}"));
                    break;
                }
            }
            let sha256 = super::sha256_of(part).map_err(|source| DataError::read(part, source))?;
            if any_hash || request.sha256.is_none_or(|expected| expected == sha256) {
                return Ok(sha256);
            }
            std::fs::remove_file(part).map_err(|source| DataError::write(part, source))?;
            let expected = request.sha256.unwrap_or_default();
            let reason = format!("its SHA-256 is {sha256}, the registered one {expected}; it was deleted");
            event(FetchEvent::Failed { url, reason: &reason });
            if !std::mem::take(&mut resumed) {
                attempts.push(format!("{url}: {reason}"));
                break;
            }
        }
    }
    if part.metadata().is_ok_and(|it| it.len() == 0) {
        std::fs::remove_file(part).map_err(|source| DataError::write(part, source))?;
    }
    Err(DataError::Download { dataset: request.dataset.into(), file: request.file.into(), attempts })
}

/// Downloads from one address until the part has all its bytes.
fn complete(
    agent: &Agent,
    request: &Request<'_>,
    url: &str,
    part: &Path,
    event: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<(), Failure> {
    let mut part = Part::open(part, request.bytes)?;
    let mut tries = 0;
    while part.len < request.bytes {
        event(FetchEvent::Started { file: request.file, url, done: part.len, total: request.bytes });
        let before = part.len;
        match connection(agent, url, &mut part, request.bytes, event) {
            Err(Failure::Broken(reason)) => {
                tries = if part.len > before { 1 } else { tries + 1 };
                if tries == TRIES {
                    return Err(Failure::Broken(reason));
                }
                event(FetchEvent::Failed { url, reason: &format!("{reason}; trying again") });
            }
            outcome => outcome?,
        }
    }
    part.file.sync_all().map_err(|source| part.error(source))?;
    event(FetchEvent::Finished { file: request.file });
    Ok(())
}

/// One request, from where the part ends.
fn connection(
    agent: &Agent,
    url: &str,
    part: &mut Part<'_>,
    total: u64,
    event: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<(), Failure> {
    let mut request = agent.get(url);
    if part.len > 0 {
        request = request.header(RANGE, format!("bytes={}-", part.len));
    }
    let mut response = request.call().map_err(|error| match &error {
        ureq::Error::Timeout(_) => Failure::Broken(error.to_string()),
        ureq::Error::Io(io) if BREAKS.contains(&io.kind()) => Failure::Broken(error.to_string()),
        _ => Failure::Refused(error.to_string()),
    })?;
    let range = response.headers().get(CONTENT_RANGE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    match response.status() {
        StatusCode::PARTIAL_CONTENT if range.starts_with(&format!("bytes {}-", part.len)) => {}
        // The server sends the whole file, or can't continue this one.
        StatusCode::OK => part.restart()?,
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if part.len > 0 => {
            part.restart()?;
            return Err(Failure::Broken("the server can't continue a download".into()));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Failure::Broken(format!("the server answers {status}")));
        }
        status => return Err(Failure::Refused(format!("the server answers {status}"))),
    }
    let missing = total - part.len;
    if let Some(length) = response.body().content_length().filter(|&length| length != missing) {
        let reason = format!("the server has {} bytes, the registered file {total}", part.len + length);
        return Err(Failure::Refused(reason));
    }
    let mut reader = response.body_mut().as_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) if part.len == total => return Ok(()),
            Ok(0) => return Err(Failure::Broken(format!("the connection ended after {} bytes of {total}", part.len))),
            Ok(n) if part.len + n as u64 > total => {
                part.restart()?;
                return Err(Failure::Refused(format!("the server sends more than the registered {total} bytes")));
            }
            Ok(n) => part.append(&buffer[..n])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Broken(format!("{error}, after {} bytes of {total}", part.len))),
        }
        event(FetchEvent::Advanced { done: part.len });
    }
}

impl<'a> Part<'a> {
    /// Opens what an earlier run left, or a new file.
    fn open(path: &'a Path, total: u64) -> Result<Self, Failure> {
        let failure = |source| Failure::Local(DataError::write(path, source));
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(failure)?;
        file.try_lock().map_err(|_| {
            let reason = "another process downloads it; wait for that one";
            failure(io::Error::new(io::ErrorKind::ResourceBusy, reason))
        })?;
        let len = file.metadata().map_err(failure)?.len();
        let mut part = Self { path, file, len };
        if len > total {
            part.restart()?;
        }
        Ok(part)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|source| self.error(source))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Failure> {
        self.file.set_len(0).map_err(|source| self.error(source))?;
        self.file.seek(SeekFrom::Start(0)).map_err(|source| self.error(source))?;
        self.len = 0;
        Ok(())
    }

    fn error(&self, source: io::Error) -> Failure {
        Failure::Local(DataError::write(self.path, source))
    }
}
