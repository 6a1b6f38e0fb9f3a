//! Reading requests as they arrive, a few bytes or a thousand commands at a time.
//!
//! The caller owns one growing buffer of what a socket gave it. [`Parser::next`] looks at the
//! bytes behind a cursor and says where the arguments of the next request lie *in that buffer*;
//! nothing is copied (but for requests typed by hand). A half request costs one look at its new
//! bytes when more have come: the
//! parser remembers how many arguments it has found.
//!
//! Nothing is allocated from a number that the peer wrote: `*1000000` reserves no million places.
//! Not known here: what a command does, and whether the peer is authenticated, except through
//! the limits that the caller passes.

use std::ops::Range;

/// Where the arguments of a request lie in the buffer.
pub type Args = Vec<Range<usize>>;

/// The longest line: the header of an argument, or an inline request.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Arguments in one request.
    pub args_max: usize,
    /// Bytes in one argument.
    pub bulk_bytes_max: usize,
    /// True before authentication: the errors then say so.
    pub unauthenticated: bool,
}

impl Limits {
    /// Limits of an authenticated client; `bulk_bytes_max` is `proto-max-bulk-len`.
    pub fn authenticated(bulk_bytes_max: usize) -> Self {
        Limits { args_max: i32::MAX as usize, bulk_bytes_max, unauthenticated: false }
    }

    /// Before authentication: 10 arguments of 16 KiB.
    pub const UNAUTHENTICATED: Limits =
        Limits { args_max: 10, bulk_bytes_max: 16 * 1024, unauthenticated: true };
}

/// A request that cannot be understood; the connection ends with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Protocol error: {0}")]
pub struct ProtocolError(pub String);

fn protocol_error<T>(text: impl Into<String>) -> Result<T, ProtocolError> {
    Err(ProtocolError(text.into()))
}

/// What came out of a look at the buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole request: [`Parser::args`] has the places of its arguments, perhaps none (`*0`).
    /// The next request begins at `end`.
    Request {
        /// First byte behind the request.
        end: usize,
    },
    /// A whole request that was typed as a line: its words, perhaps none. They are copies, since
    /// quotes and escapes have no place in the buffer that could be pointed at.
    Inline {
        /// The words.
        words: Vec<Vec<u8>>,
        /// First byte behind the request.
        end: usize,
    },
    /// More bytes are needed.
    Incomplete,
}

/// The words of an inline request, and its length with the line's end.
type Inline = (Vec<Vec<u8>>, usize);

/// The state of one connection's reading.
#[derive(Debug, Default)]
pub struct Parser {
    args: Args,
    /// Where the request began and how far it is understood; relative to the request's start so
    /// that the caller may move the buffer's content between calls.
    understood: usize,
    /// Arguments that the request still has to show; `None` outside a multibulk request.
    missing: Option<usize>,
    /// Length of the argument whose header is understood but whose bytes are not here.
    bulk_len: Option<usize>,
}

impl Parser {
    /// A parser at the start of a connection.
    pub fn new() -> Self {
        Parser::default()
    }

    /// Where the last request's arguments lie in the buffer that was given to [`Parser::next`].
    pub fn args(&self) -> &[Range<usize>] {
        &self.args
    }

    /// How many bytes the whole argument that is being waited for needs, counted from the start
    /// of the request, so that the caller can reserve them in one piece.
    pub fn wanted(&self) -> Option<usize> {
        self.bulk_len.map(|len| self.understood + len + 2)
    }

    /// Bytes of the request that stand before the large argument that is being waited for.
    pub fn passed_bytes(&self) -> usize {
        const LARGE: usize = 32 * 1024;
        if self.bulk_len.is_some_and(|len| len >= LARGE) { self.understood } else { 0 }
    }

    /// Reads the request that begins at `start` in `buffer`.
    pub fn next(
        &mut self,
        buffer: &[u8],
        start: usize,
        limits: &Limits,
    ) -> Result<Step, ProtocolError> {
        let request = buffer.get(start..).unwrap_or_default();
        let done = match request.first() {
            None => None,
            Some(b'*') => self.multibulk(request, limits)?,
            Some(_) => {
                return Ok(match Self::inline(request)? {
                    Some((words, len)) => Step::Inline { words, end: start + len },
                    None => Step::Incomplete,
                });
            }
        };
        let Some(len) = done else { return Ok(Step::Incomplete) };
        for range in &mut self.args {
            range.start += start;
            range.end += start;
        }
        Ok(Step::Request { end: start + len })
    }

    /// Gives the length of the request when it is whole.
    fn multibulk(
        &mut self,
        request: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        let mut missing = match self.missing {
            Some(missing) => missing,
            None => {
                let Some((line, next)) = line(request, 0, "too big mbulk count string")? else {
                    return Ok(None);
                };
                let Some(count) = number(line.get(1..).unwrap_or_default()) else {
                    return protocol_error("invalid multibulk length");
                };
                if count > i64::from(i32::MAX) {
                    return protocol_error("invalid multibulk length");
                }
                let count = usize::try_from(count).unwrap_or(0);
                if count > limits.args_max && limits.unauthenticated {
                    return protocol_error("unauthenticated multibulk length");
                }
                self.args.clear();
                self.understood = next;
                count
            }
        };
        while missing > 0 {
            self.missing = Some(missing);
            if !self.bulk(request, limits)? {
                return Ok(None);
            }
            missing -= 1;
        }
        self.missing = None;
        Ok(Some(self.understood))
    }

    /// Reads one argument of a multibulk request; false when it is not here as a whole.
    fn bulk(&mut self, request: &[u8], limits: &Limits) -> Result<bool, ProtocolError> {
        let len = match self.bulk_len {
            Some(len) => len,
            None => {
                let text = "too big bulk count string";
                let Some((line, next)) = line(request, self.understood, text)? else {
                    return Ok(false);
                };
                let (Some(b'$'), digits) = (line.first(), line.get(1..).unwrap_or_default()) else {
                    let got = line.first().copied().unwrap_or(b' ') as char;
                    return protocol_error(format!("expected '$', got '{got}'"));
                };
                let len = number(digits).and_then(|len| usize::try_from(len).ok());
                let Some(len) = len else { return protocol_error("invalid bulk length") };
                if len > limits.bulk_bytes_max {
                    return protocol_error(if limits.unauthenticated {
                        "unauthenticated bulk length"
                    } else {
                        "invalid bulk length"
                    });
                }
                self.understood = next;
                self.bulk_len = Some(len);
                len
            }
        };
        let end = self.understood + len;
        if request.len() < end + 2 {
            return Ok(false);
        }
        self.args.push(self.understood..end);
        self.understood = end + 2;
        self.bulk_len = None;
        Ok(true)
    }

    /// A request typed by hand: words in one line, with quotes.
    fn inline(request: &[u8]) -> Result<Option<Inline>, ProtocolError> {
        let Some(end) = request.iter().position(|&b| b == b'\n') else {
            if request.len() > LINE_BYTES_MAX {
                return protocol_error("too big inline request");
            }
            return Ok(None);
        };
        let text = request.get(..end).unwrap_or_default();
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() > LINE_BYTES_MAX {
            return protocol_error("too big inline request");
        }
        match split_words(text) {
            Some(words) => Ok(Some((words, end + 1))),
            None => protocol_error("unbalanced quotes in request"),
        }
    }
}

/// The next line from `from` on, without its end, and where the one after it begins.
fn line<'a>(
    request: &'a [u8],
    from: usize,
    too_long: &str,
) -> Result<Option<(&'a [u8], usize)>, ProtocolError> {
    let rest = request.get(from..).unwrap_or_default();
    let window = rest.get(..LINE_BYTES_MAX).unwrap_or(rest);
    match window.iter().position(|&b| b == b'\r') {
        // The byte behind CR is taken for LF without a look, as every server does.
        Some(at) if at + 1 < rest.len() => {
            Ok(Some((rest.get(..at).unwrap_or_default(), from + at + 2)))
        }
        Some(_) => Ok(None),
        None if rest.len() >= LINE_BYTES_MAX => protocol_error(too_long),
        None => Ok(None),
    }
}

/// A decimal number without leading zeros, plus sign or blanks.
pub(crate) fn number(digits: &[u8]) -> Option<i64> {
    if digits == b"0" {
        return Some(0);
    }
    let unsigned = digits.strip_prefix(b"-").unwrap_or(digits);
    if !matches!(unsigned.first(), Some(b'1'..=b'9')) || !unsigned.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Splits a line into words as a shell would: blanks separate, double quotes know the escapes
/// `\n \r \t \b \a \xHH`, single quotes know `\'`. `None` when a quote is not closed, or when a
/// closing quote is not followed by a blank.
pub fn split_words(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        let blanks = rest.iter().take_while(|b| is_blank(**b)).count();
        rest = rest.get(blanks..).unwrap_or_default();
        if rest.is_empty() {
            return Some(words);
        }
        let (word, after) = first_word(rest)?;
        words.push(word);
        rest = after;
    }
}

fn first_word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'"' | b'\'' => {
                rest = quoted(byte, after, &mut word)?;
                let closed_well = rest.first().is_none_or(|b| is_blank(*b));
                return closed_well.then_some((word, rest));
            }
            _ if is_blank(byte) => break,
            _ => word.push(byte),
        }
        rest = after;
    }
    Some((word, rest))
}

/// Reads up to the closing quote and gives what is behind it.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        if byte == quote {
            return Some(rest);
        }
        if byte != b'\\' {
            word.push(byte);
            continue;
        }
        let (&escaped, after) = rest.split_first()?;
        if quote == b'\'' {
            if escaped == b'\'' {
                word.push(escaped);
                rest = after;
            } else {
                word.push(byte);
            }
            continue;
        }
        rest = after;
        if let (b'x', Some(value)) = (escaped, hex_pair(rest)) {
            word.push(value);
            rest = rest.get(2..)?;
            continue;
        }
        word.push(match escaped {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'a' => 0x07,
            other => other,
        });
    }
}

fn hex_pair(rest: &[u8]) -> Option<u8> {
    let pair = rest.get(..2)?;
    if !pair.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c | 0)
}

/// A request as a client sends it.
pub fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(&mut out, args);
    out
}

/// Like [`encode`], at the end of a buffer.
pub fn encode_into<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    super::reply::write_header(out, b'*', args.len() as i64);
    for arg in args {
        let arg = arg.as_ref();
        super::reply::write_header(out, b'$', arg.len() as i64);
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests;
