//! A plain connection for preparations and questions, and the counting of replies.
//!
//! Not known here: which commands there are.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use holdfast_wire::resp::request;

use crate::Failure;

/// Requests that a preparation sends before it reads the replies.
const BATCH: usize = 256;

/// Bytes of a whole reply at the start of a buffer; `None` when some of it is still to come.
pub fn reply_bytes(buffer: &[u8]) -> Option<usize> {
    let line_end = buffer.iter().position(|byte| *byte == b'\n')? + 1;
    let digits = buffer.get(1..line_end - 2)?;
    match buffer.first()? {
        b'$' => {
            let len = number(digits);
            let end = if len < 0 { line_end } else { line_end + len as usize + 2 };
            (buffer.len() >= end).then_some(end)
        }
        b'*' => {
            let mut end = line_end;
            for _ in 0..number(digits).max(0) {
                end += reply_bytes(buffer.get(end..)?)?;
            }
            Some(end)
        }
        _ => Some(line_end),
    }
}

fn number(digits: &[u8]) -> i64 {
    let mut value = 0;
    for digit in digits {
        match digit {
            b'0'..=b'9' => value = value * 10 + i64::from(digit - b'0'),
            _ => return -1,
        }
    }
    value
}

/// The connection.
pub struct Client {
    socket: TcpStream,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    waiting: usize,
}

impl Client {
    /// Takes a socket.
    pub fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Client { socket, unread: Vec::new(), unsent: Vec::new(), waiting: 0 })
    }

    /// Says one command: its reply.
    pub fn ask<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Result<Vec<u8>, Failure> {
        self.settle()?;
        self.socket.write_all(&request::encode(words))?;
        Ok(self.reply()?)
    }

    fn reply(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = reply_bytes(&self.unread) {
                return Ok(self.unread.drain(..end).collect());
            }
            let mut chunk = [0; 16 * 1024];
            let count = self.socket.read(&mut chunk)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.unread.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    }

    /// Says one command among many; a refusal shows up at the latest in [`Client::settle`].
    pub fn say<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Result<(), Failure> {
        request::encode_into(&mut self.unsent, words);
        self.waiting += 1;
        if self.waiting >= BATCH { self.settle() } else { Ok(()) }
    }

    /// Sends what waits and reads the replies.
    pub fn settle(&mut self) -> Result<(), Failure> {
        self.socket.write_all(&self.unsent)?;
        self.unsent.clear();
        for _ in 0..std::mem::take(&mut self.waiting) {
            let reply = self.reply()?;
            if reply.first() == Some(&b'-') {
                return Err(String::from_utf8_lossy(&reply).trim().to_owned().into());
            }
        }
        Ok(())
    }

    /// A number of `INFO`.
    pub fn info(&mut self, section: &str, field: &str) -> Result<u64, Failure> {
        let text = String::from_utf8_lossy(&self.ask(&["INFO", section])?).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(line.ok_or_else(|| format!("INFO has no {field}"))?.trim().parse()?)
    }
}
