//! A client's connection to the other side of a migration, for a thread that may wait.
//!
//! Every wait has an end: connecting, sending and each answer. Not known here: what is moved.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_wire::resp::Value;
use holdfast_wire::resp::request::encode_into;
use holdfast_wire::resp::value::Parser;
use rustls::{ClientConnection, StreamOwned};

use crate::tls::{Contexts, server_name};

/// How to prove who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Credentials {
    /// The user; empty for the default one.
    pub(crate) user: Vec<u8>,
    /// The password; without one no AUTH is sent.
    pub(crate) password: Option<Vec<u8>>,
}

/// Why the other side cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// Nobody could be reached.
    #[error("failed to connect to {address}: {reason}")]
    Connect {
        /// Where.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The connection broke or its time ran out: what was sent may or may not have been done.
    #[error("failed to talk to the target: {0}")]
    Broken(String),
    /// The target said no.
    #[error("the target replied with an error: {0}")]
    Refused(String),
}

/// A socket, in the clear or secured by TLS.
enum Stream {
    Plain(TcpStream),
    Secured(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Secured(secured) => &secured.sock,
        }
    }

    /// `name`: the host name that the other node announced, or the host that somebody named.
    fn secured(socket: TcpStream, contexts: &Contexts, name: &str) -> Result<Self, String> {
        let ip = socket.peer_addr().map_err(|error| error.to_string())?.ip();
        let config = Arc::clone(&contexts.client);
        let session = ClientConnection::new(config, server_name(name, ip));
        let session = session.map_err(|error| error.to_string())?;
        Ok(Self::Secured(Box::new(StreamOwned::new(session, socket))))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Secured(secured) => secured.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Secured(secured) => secured.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Secured(secured) => secured.flush(),
        }
    }
}

/// One connection.
pub(crate) struct Peer {
    stream: Stream,
    parser: Parser,
    inbox: Vec<u8>,
    patience: Duration,
    db: Option<usize>,
}

impl Peer {
    /// Connects and authenticates. `patience` is for connecting and for each answer; with
    /// `contexts` the connection is secured, and the certificate must be that of `name`.
    pub(crate) fn open(
        (host, name): (&str, &str),
        port: u16,
        contexts: Option<&Contexts>,
        credentials: &Credentials,
        patience: Duration,
    ) -> Result<Self, PeerError> {
        let failed =
            |reason: String| PeerError::Connect { address: format!("{host}:{port}"), reason };
        let address = address_of(host, port).map_err(failed)?;
        let stream = TcpStream::connect_timeout(&address, patience)
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|error| failed(error.to_string()))?;
        let stream = match contexts {
            None => Stream::Plain(stream),
            Some(contexts) => {
                // The handshake happens within the first request.
                let timed = stream.set_read_timeout(Some(patience));
                timed.map_err(|error| failed(error.to_string()))?;
                Stream::secured(stream, contexts, name).map_err(failed)?
            }
        };
        let (parser, inbox) = (Parser::default(), Vec::new());
        let mut peer = Self { stream, parser, inbox, patience, db: None };
        if let Some(password) = &credentials.password {
            let mut words: Vec<&[u8]> = vec![b"AUTH"];
            if !credentials.user.is_empty() {
                words.push(&credentials.user);
            }
            words.push(password);
            peer.call(&words)?;
        }
        Ok(peer)
    }

    /// Changes how long an answer is waited for.
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Selects a database, unless it is selected already.
    pub(crate) fn select(&mut self, db: usize) -> Result<(), PeerError> {
        // A fresh connection is in database 0, and a cluster knows no other.
        if self.db.unwrap_or(0) != db {
            self.call(&["SELECT", &db.to_string()])?;
        }
        self.db = Some(db);
        Ok(())
    }

    /// One request; an error reply is an error.
    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Result<Value, PeerError> {
        let mut bytes = Vec::new();
        encode_into(&mut bytes, words);
        self.send(&bytes)?;
        match self.answer()? {
            Value::Error(text) => Err(PeerError::Refused(String::from_utf8_lossy(&text).into())),
            value => Ok(value),
        }
    }

    /// Sends requests that are already encoded; as many [`Peer::answer`]s follow.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        let broken = |error: std::io::Error| PeerError::Broken(error.to_string());
        self.stream.socket().set_write_timeout(Some(self.patience)).map_err(broken)?;
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).map_err(broken)
    }

    /// The next answer, error replies included.
    pub(crate) fn answer(&mut self) -> Result<Value, PeerError> {
        let broken = |reason: &str| PeerError::Broken(reason.to_owned());
        let until = Instant::now() + self.patience;
        loop {
            match self.parser.next(&self.inbox) {
                Ok(Some((value, used))) => {
                    self.inbox.drain(..used.min(self.inbox.len()));
                    return Ok(value);
                }
                Ok(None) => {}
                Err(error) => return Err(PeerError::Broken(error.to_string())),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(broken("no answer in time"));
            }
            let mut chunk = [0; 16 * 1024];
            let read = self.stream.socket().set_read_timeout(Some(left));
            match read.and_then(|()| self.stream.read(&mut chunk)) {
                Ok(0) => return Err(broken("the connection was closed")),
                Ok(n) => self.inbox.extend(chunk.iter().take(n)),
                Err(error) => match error.kind() {
                    std::io::ErrorKind::Interrupted => {}
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                        return Err(broken("no answer in time"));
                    }
                    _ => return Err(broken(&error.to_string())),
                },
            }
        }
    }
}

fn address_of(host: &str, port: u16) -> Result<SocketAddr, String> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let mut found = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "the name has no address".to_owned())
}
