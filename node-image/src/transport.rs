//! A connection, in the clear or secured by TLS, that looks the same to those who use it.
//!
//! ```text
//!   reader of requests          Socket::Plain    bytes = the kernel's
//!   writer of replies    --->   Socket::Secured  bytes = records of the session = the kernel's
//! ```
//! Both kinds are non-blocking and edge-triggered: a reader goes on until `WouldBlock`, a writer
//! until `WouldBlock`, and then the poll tells of the next chance. A session has two more states
//! than a socket. It may hold bytes that the kernel did not take yet ([`Socket::push`] offers them
//! again, and the poll's "writable" must lead to it), and a short read does not mean that nothing
//! is left ([`Socket::is_drained_by`]). Records that the kernel has not taken are bounded: nothing
//! more is taken from the writer while any are left.
//!
//! Not known here: certificates (`tls.rs`), and what the bytes say.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

/// Bytes that a session takes from its writer at a time.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// A connection. See the head of this file.
#[derive(Debug)]
pub enum Socket {
    /// In the clear.
    Plain(TcpStream),
    /// Secured by TLS.
    Secured(Box<Secured>),
}

/// A connection with a TLS session over it.
#[derive(Debug)]
pub struct Secured {
    socket: TcpStream,
    session: Connection,
}

impl Socket {
    /// The accepting end of a secured connection. The handshake happens within reads and writes.
    pub fn accepted(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Self::secured(socket, session.into()))
    }

    /// The opening end of a secured connection; `name` is what the certificate is compared with.
    pub fn opened(
        socket: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Self::secured(socket, session.into()))
    }

    fn secured(socket: TcpStream, mut session: Connection) -> Self {
        // The writer bounds what waits; a limit in here would make a short write look like a
        // full kernel, of which no event tells the end.
        session.set_buffer_limit(None);
        Self::Secured(Box::new(Secured { socket, session }))
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Secured(secured) => &secured.socket,
        }
    }

    fn tcp_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Secured(secured) => &mut secured.socket,
        }
    }

    /// True when a read of `count` bytes into room for `room` shows that the kernel has no more.
    pub fn is_drained_by(&self, count: usize, room: usize) -> bool {
        matches!(self, Self::Plain(_)) && count < room
    }

    /// True while records wait that the kernel did not take.
    pub fn holds_back(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Secured(secured) => secured.session.wants_write(),
        }
    }

    /// Offers the kernel again what it did not take. To be called when the poll says "writable".
    pub fn push(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Secured(secured) => secured.push(),
        }
    }

    /// Tells the other side that this is the orderly end, as far as the kernel takes it.
    pub fn say_goodbye(&mut self) {
        if let Self::Secured(secured) = self {
            secured.session.send_close_notify();
            if let Err(error) = secured.push() {
                tracing::debug!("failed to end a TLS session in order: {error}");
            }
        }
    }

    /// The error with which a connect or the connection ended, if it did.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.tcp().take_error()
    }

    /// The other side's address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    /// This side's address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().local_addr()
    }

    /// Whether small writes leave at once.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.tcp().set_nodelay(nodelay)
    }
}

impl Secured {
    fn push(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The other side went without a word of goodbye. RESP and the bus have lengths of
                // their own, so a cut is seen there, as it is without TLS.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
            if self.session.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            if let Err(error) = self.session.process_new_packets() {
                // The alert that says why goes out as well as it can.
                let _ = self.push();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            // Answers of the handshake, and what waited for its end.
            self.push()?;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push()?;
        if self.session.wants_write() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let part = bytes.get(..bytes.len().min(WRITE_BYTES_MAX)).unwrap_or_default();
        let count = self.session.writer().write(part)?;
        self.push()?;
        Ok(count)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Secured(secured) => secured.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Secured(secured) => secured.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write_vectored(slices),
            Self::Secured(secured) => match slices.iter().find(|slice| !slice.is_empty()) {
                Some(first) => secured.write(first),
                None => Ok(0),
            },
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, on: Interest) -> io::Result<()> {
        self.tcp_mut().register(registry, token, on)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, on: Interest) -> io::Result<()> {
        self.tcp_mut().reregister(registry, token, on)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.tcp_mut().deregister(registry)
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.tcp().as_raw_fd()
    }
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self::Plain(socket)
    }
}
