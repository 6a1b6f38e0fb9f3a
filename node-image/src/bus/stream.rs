//! A socket with its two buffers, both bounded.
//!
//! Bus links and control connections are read and written alike; they differ only in what a frame
//! is. The sockets are edge-triggered: a read goes on until the kernel has no more, or until the
//! turn's share is used up, and then the socket is *unfinished* and must be read again without a
//! new event. What cannot be written stays queued; a peer that lets more than the limit pile up is
//! cut off, because memory that a slow peer decides about is not ours any more.
//!
//! Not known here: what the bytes mean.

use std::io::{self, Read, Write};
use std::net::IpAddr;

use crate::transport::Socket;

/// Bytes read from one socket in one turn of the loop.
const READ_SHARE: usize = 1024 * 1024;

/// What a read left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// The kernel has no more for now.
    Nothing,
    /// The turn's share is used up: read again in the next turn.
    Unfinished,
}

/// Why a stream is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Gone {
    /// The peer closed in order.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer's kernel refused the connection or reset it: nobody is there.
    #[error("the connection was refused or reset: {0}")]
    Reset(io::Error),
    /// Something else.
    #[error("the connection failed: {0}")]
    Failed(io::Error),
    /// The peer does not read what it is sent.
    #[error("the peer left {0} bytes unread")]
    Slow(usize),
}

impl Gone {
    fn from_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::BrokenPipe => Self::Reset(error),
            _ => Self::Failed(error),
        }
    }

    /// True when the peer's side ended it: its process closed, or its kernel reset.
    pub(crate) fn is_by_peer(&self) -> bool {
        matches!(self, Self::Closed | Self::Reset(_))
    }

    /// True when a connect was refused.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Reset(e) if e.kind() == io::ErrorKind::ConnectionRefused)
    }
}

/// A non-blocking socket with what was read and not yet taken, and what is not yet written.
pub(crate) struct Stream {
    /// The socket, for (de)registration.
    pub(crate) socket: Socket,
    /// Where the peer is.
    pub(crate) peer_ip: IpAddr,
    /// Bytes read and not yet taken.
    pub(crate) inbox: Vec<u8>,
    outbox: Vec<u8>,
    written: usize,
    unread_max: usize,
}

impl Stream {
    /// `unread_max`: bytes that the peer may leave unread before it is cut off.
    pub(crate) fn new(socket: Socket, peer_ip: IpAddr, unread_max: usize) -> Self {
        // Heartbeats and votes are small and urgent.
        let _ = socket.set_nodelay(true);
        Self { socket, peer_ip, inbox: Vec::new(), outbox: Vec::new(), written: 0, unread_max }
    }

    /// Reads what there is. Bytes read before the end of the stream stay in the inbox.
    pub(crate) fn read(&mut self) -> Result<Left, Gone> {
        let mut chunk = [0; 16 * 1024];
        let mut taken = 0;
        while taken < READ_SHARE {
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(Gone::Closed),
                Ok(n) => {
                    self.inbox.extend(chunk.iter().take(n));
                    taken += n;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Left::Nothing);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Gone::from_io(error)),
            }
        }
        Ok(Left::Unfinished)
    }

    /// Queues bytes behind those that wait.
    pub(crate) fn queue(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let waiting = self.outbox.len() - self.written;
        if waiting + bytes.len() > self.unread_max {
            return Err(Gone::Slow(waiting));
        }
        self.outbox.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes as much of the queue as the kernel takes.
    pub(crate) fn flush(&mut self) -> Result<(), Gone> {
        while let Some(rest) = self.outbox.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(n) => self.written += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Gone::from_io(error)),
            }
        }
        self.socket.push().map_err(Gone::from_io)?;
        if self.written == self.outbox.len() {
            self.outbox.clear();
            self.written = 0;
            // A burst must not keep its memory for ever.
            self.outbox.shrink_to(64 * 1024);
        }
        Ok(())
    }

    /// Bytes that the queue has room for.
    pub(crate) fn outbox_allocated(&self) -> usize {
        self.outbox.capacity()
    }

    /// Bytes that wait.
    pub(crate) fn outbox_used(&self) -> usize {
        self.outbox.len() - self.written
    }

    /// True when everything queued is with the kernel.
    pub(crate) fn is_flushed(&self) -> bool {
        self.outbox.is_empty()
    }

    /// The error that a connect ended with, if it did.
    pub(crate) fn connect_error(&self) -> Option<Gone> {
        match self.socket.take_error() {
            Ok(None) => None,
            Ok(Some(error)) | Err(error) => Some(Gone::from_io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(unread_max: usize) -> (Stream, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, from) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = mio::net::TcpStream::from_std(ours);
        (Stream::new(ours.into(), from.ip(), unread_max), theirs)
    }

    #[test]
    fn a_peer_that_does_not_read_is_cut_off_at_the_limit() {
        let (mut stream, _theirs) = pair(1000);
        stream.queue(&[0; 600]).unwrap();
        assert!(matches!(stream.queue(&[0; 600]), Err(Gone::Slow(600))));
        stream.flush().unwrap();
        assert!(stream.is_flushed());
        stream.queue(&[0; 600]).unwrap();
    }

    #[test]
    fn what_was_read_before_the_end_is_kept() {
        let (mut stream, mut theirs) = pair(1000);
        theirs.write_all(b"last words").unwrap();
        drop(theirs);
        let gone = loop {
            if let Err(gone) = stream.read() {
                break gone;
            }
            std::thread::yield_now();
        };
        assert!(gone.is_by_peer());
        assert_eq!(stream.inbox, b"last words");
    }
}
