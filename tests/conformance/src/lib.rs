//! Speaks the same commands to two servers and compares what they say, byte for byte.
//!
//! A dialogue is a file of commands, one a line, quoted as in redis-cli. A line may start with a
//! mark: `~` the elements may come in any order, `?` only the kind of the reply counts (for clocks
//! and random choices). Everything is spoken in RESP2 and in RESP3. No expectation is written
//! down: the peer is the expectation. Not known here: what any command means.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use holdfast_wire::resp::request;

/// How a reply is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Byte for byte.
    Bytes,
    /// As a bag of elements.
    AnyOrder,
    /// The first byte only.
    Kind,
}

/// One command of a dialogue.
#[derive(Debug, Clone)]
pub struct Line {
    /// The words of the command.
    pub words: Vec<Vec<u8>>,
    /// How its reply is compared.
    pub compare: Compare,
    /// The line as it stands in the file.
    pub text: String,
}

/// The commands of a dialogue file; the error names the line that cannot be read.
pub fn read_dialogue(text: &str) -> Result<Vec<Line>, String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (compare, command) = match line.split_at_checked(2) {
                Some(("~ ", rest)) => (Compare::AnyOrder, rest),
                Some(("? ", rest)) => (Compare::Kind, rest),
                _ => (Compare::Bytes, line),
            };
            let words = request::split_words(command.as_bytes());
            let words = words.ok_or_else(|| format!("unbalanced quotes: {line}"))?;
            Ok(Line { words, compare, text: line.to_owned() })
        })
        .collect()
}

/// A reply as its bytes, with its elements where it has some.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reply {
    /// The line that opens it, and the payload of a bulk.
    pub head: Vec<u8>,
    /// Elements of an array, set, push or map (keys and values in turn).
    pub elements: Vec<Reply>,
}

impl Reply {
    /// True when both say the same, compared in this way.
    pub fn agrees(&self, other: &Self, compare: Compare) -> bool {
        match compare {
            Compare::Bytes => self == other,
            Compare::Kind => self.head.first() == other.head.first(),
            Compare::AnyOrder => self.head == other.head && self.sorted() == other.sorted(),
        }
    }

    fn sorted(&self) -> Vec<Vec<Reply>> {
        let width = if self.head.first() == Some(&b'%') { 2 } else { 1 };
        let mut groups: Vec<Vec<Reply>> =
            self.elements.chunks(width).map(|chunk| chunk.to_vec()).collect();
        groups.sort();
        groups
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.head.escape_ascii())?;
        if !self.elements.is_empty() {
            let shown: Vec<String> = self.elements.iter().map(ToString::to_string).collect();
            write!(out, "[{}]", shown.join(", "))?;
        }
        Ok(())
    }
}

/// A connection that speaks raw commands.
pub struct Speaker {
    stream: BufReader<TcpStream>,
}

impl Speaker {
    /// Connects to a server on loopback.
    pub fn connect(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Says one command and reads its one reply.
    pub fn say<A: AsRef<[u8]>>(&mut self, words: &[A]) -> std::io::Result<Reply> {
        self.stream.get_mut().write_all(&request::encode(words))?;
        self.reply()
    }

    fn reply(&mut self) -> std::io::Result<Reply> {
        let mut head = Vec::new();
        self.stream.read_until(b'\n', &mut head)?;
        let kind = *head.first().ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let digits = head.get(1..).unwrap_or_default().trim_ascii();
        let count = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<i64>().ok());
        let mut elements = Vec::new();
        match (kind, count) {
            (b'$' | b'=' | b'!', Some(length)) if length >= 0 => {
                let mut payload = vec![0; length as usize + 2];
                self.stream.read_exact(&mut payload)?;
                head.extend_from_slice(&payload);
            }
            (b'*' | b'~' | b'>' | b'%', Some(length)) if length >= 0 => {
                let factor = if kind == b'%' { 2 } else { 1 };
                for _ in 0..length * factor {
                    elements.push(self.reply()?);
                }
            }
            _ => {}
        }
        Ok(Reply { head, elements })
    }
}
