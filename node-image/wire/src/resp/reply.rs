//! Writing replies: one buffer, two dialects.
//!
//! A command says what it means (a map, a double, nothing) and the buffer writes it as the
//! client's protocol can express it: RESP2 has no maps, sets, doubles or booleans, so they become
//! arrays, bulk strings and integers there. Not known here: which client reads it, and when.

/// The dialect that a client has chosen with `HELLO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// The dialect of every new connection.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// A place in a [`ReplyBuf`], to which it can be cut back or at which a header can be inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(usize);

/// Bytes of replies, written one after the other.
#[derive(Debug, Default)]
pub struct ReplyBuf {
    bytes: Vec<u8>,
    protocol: Protocol,
}

impl ReplyBuf {
    /// An empty buffer in a dialect.
    pub fn new(protocol: Protocol) -> Self {
        ReplyBuf { bytes: Vec::new(), protocol }
    }

    /// Continues a buffer that was taken apart with [`ReplyBuf::into_bytes`].
    pub fn from_bytes(bytes: Vec<u8>, protocol: Protocol) -> Self {
        ReplyBuf { bytes, protocol }
    }

    /// The bytes, for the output queue.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The bytes written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True when nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The dialect in force.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// True in RESP3.
    pub fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    /// Changes the dialect of what is written from now on.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Where the next reply will begin.
    pub fn mark(&self) -> Mark {
        Mark(self.bytes.len())
    }

    /// Forgets everything written after the mark.
    pub fn truncate(&mut self, mark: Mark) {
        self.bytes.truncate(mark.0);
    }

    /// What was written after the mark.
    pub fn since(&self, mark: Mark) -> &[u8] {
        self.bytes.get(mark.0..).unwrap_or_default()
    }

    /// Inserts an array header in front of what was written after the mark, for a length that is
    /// known only at the end.
    pub fn array_at(&mut self, mark: Mark, len: usize) {
        self.header_at(mark, b'*', len);
    }

    /// Like [`ReplyBuf::array_at`] for a map of `pairs` pairs.
    pub fn map_at(&mut self, mark: Mark, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header_at(mark, b'*', pairs * 2),
            Protocol::Resp3 => self.header_at(mark, b'%', pairs),
        }
    }

    /// Like [`ReplyBuf::array_at`] for a set.
    pub fn set_at(&mut self, mark: Mark, len: usize) {
        let kind = if self.is_resp3() { b'~' } else { b'*' };
        self.header_at(mark, kind, len);
    }

    fn header_at(&mut self, mark: Mark, kind: u8, len: usize) {
        let mut header = Vec::with_capacity(24);
        write_header(&mut header, kind, len as i64);
        let at = mark.0.min(self.bytes.len());
        self.bytes.splice(at..at, header);
    }

    /// Appends bytes that are already RESP.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A simple string. Line ends within it would break the framing and become spaces.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text);
    }

    /// An error: `text` begins with its code, for instance `ERR syntax error`.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', text);
    }

    fn line(&mut self, kind: u8, text: &str) {
        self.bytes.push(kind);
        self.bytes.extend(text.bytes().map(|b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// An integer.
    pub fn integer(&mut self, value: i64) {
        match value {
            0 => self.raw(b":0\r\n"),
            1 => self.raw(b":1\r\n"),
            _ => write_header(&mut self.bytes, b':', value),
        }
    }

    /// A bulk string.
    pub fn bulk(&mut self, bytes: &[u8]) {
        write_header(&mut self.bytes, b'$', bytes.len() as i64);
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// A bulk string of text.
    pub fn bulk_str(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }

    /// A bulk string with the decimal digits of an integer.
    pub fn bulk_integer(&mut self, value: i64) {
        let mut digits = [0; 20];
        let text = decimal(value, &mut digits);
        write_header(&mut self.bytes, b'$', text.len() as i64);
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Nothing, where a bulk string would stand.
    pub fn null(&mut self) {
        self.raw(if self.is_resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// Nothing, where an array would stand.
    pub fn null_array(&mut self) {
        self.raw(if self.is_resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// Header of an array of `len` replies that follow.
    pub fn array(&mut self, len: usize) {
        write_header(&mut self.bytes, b'*', len as i64);
    }

    /// Header of a map: `pairs` times a key and a value follow.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => write_header(&mut self.bytes, b'*', pairs as i64 * 2),
            Protocol::Resp3 => write_header(&mut self.bytes, b'%', pairs as i64),
        }
    }

    /// Header of a set of `len` replies that follow.
    pub fn set(&mut self, len: usize) {
        let kind = if self.is_resp3() { b'~' } else { b'*' };
        write_header(&mut self.bytes, kind, len as i64);
    }

    /// Header of a push message of `len` replies that follow.
    pub fn push(&mut self, len: usize) {
        let kind = if self.is_resp3() { b'>' } else { b'*' };
        write_header(&mut self.bytes, kind, len as i64);
    }

    /// A floating point number: 17 significant digits, as Redis 7.0 prints them.
    pub fn double(&mut self, value: f64) {
        let text = format_double(value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => self.line(b',', &text),
        }
    }

    /// True or false; 1 or 0 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        match (self.protocol, value) {
            (Protocol::Resp2, _) => self.integer(i64::from(value)),
            (Protocol::Resp3, true) => self.raw(b"#t\r\n"),
            (Protocol::Resp3, false) => self.raw(b"#f\r\n"),
        }
    }

    /// Text for people, with a format of three letters (`txt`, `mkd`); a bulk string in RESP2.
    pub fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        if !self.is_resp3() {
            self.bulk(text);
            return;
        }
        write_header(&mut self.bytes, b'=', text.len() as i64 + 4);
        self.bytes.extend_from_slice(&format);
        self.bytes.push(b':');
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// A number of any size, given as its digits; a bulk string in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => self.line(b'(', digits),
        }
    }
}

pub(super) fn write_header(out: &mut Vec<u8>, kind: u8, len: i64) {
    let mut digits = [0; 20];
    out.push(kind);
    out.extend_from_slice(decimal(len, &mut digits));
    out.extend_from_slice(b"\r\n");
}

/// The decimal digits of a number, written from the end of the buffer.
fn decimal(value: i64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut rest = value.unsigned_abs();
    let mut start = buffer.len();
    for place in buffer.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        start -= 1;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        // The longest number, i64::MIN, has 19 digits, so that there is always room for the sign.
        start = start.saturating_sub(1);
        if let Some(place) = buffer.get_mut(start) {
            *place = b'-';
        }
    }
    buffer.get(start..).unwrap_or_default()
}

/// A double with up to 17 significant digits and no trailing zeros: C's `%.17g`.
pub fn format_double(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    let scientific = format!("{value:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        let decimals = usize::try_from(16 - exponent).unwrap_or(0);
        return without_trailing_zeros(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_trailing_zeros(mantissa), exponent.abs())
}

fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol, write: impl FnOnce(&mut ReplyBuf)) -> String {
        let mut reply = ReplyBuf::new(protocol);
        write(&mut reply);
        String::from_utf8(reply.into_bytes()).unwrap()
    }

    #[test]
    fn integers_have_all_their_digits() {
        for value in [0, 1, -1, 10, 1234, i64::MAX, i64::MIN] {
            let text = written(Protocol::Resp2, |r| r.integer(value));
            assert_eq!(text, format!(":{value}\r\n"));
            let text = written(Protocol::Resp2, |r| r.bulk_integer(value));
            assert_eq!(text, format!("${}\r\n{value}\r\n", value.to_string().len()));
        }
    }

    #[test]
    fn resp2_gets_the_nearest_thing_that_it_can_read() {
        let both = |write: fn(&mut ReplyBuf)| {
            (written(Protocol::Resp2, write), written(Protocol::Resp3, write))
        };
        assert_eq!(both(|r| r.map(2)), ("*4\r\n".into(), "%2\r\n".into()));
        assert_eq!(both(|r| r.set(2)), ("*2\r\n".into(), "~2\r\n".into()));
        assert_eq!(both(|r| r.push(2)), ("*2\r\n".into(), ">2\r\n".into()));
        assert_eq!(both(ReplyBuf::null), ("$-1\r\n".into(), "_\r\n".into()));
        assert_eq!(both(ReplyBuf::null_array), ("*-1\r\n".into(), "_\r\n".into()));
        assert_eq!(both(|r| r.boolean(true)), (":1\r\n".into(), "#t\r\n".into()));
        assert_eq!(both(|r| r.double(1.5)), ("$3\r\n1.5\r\n".into(), ",1.5\r\n".into()));
        assert_eq!(
            both(|r| r.verbatim(*b"txt", b"hi")),
            ("$2\r\nhi\r\n".into(), "=6\r\ntxt:hi\r\n".into())
        );
    }

    #[test]
    fn an_error_with_a_line_end_stays_one_line() {
        assert_eq!(written(Protocol::Resp2, |r| r.error("ERR a\r\nb")), "-ERR a  b\r\n");
    }

    #[test]
    fn a_length_known_at_the_end_is_put_in_front() {
        let text = written(Protocol::Resp3, |r| {
            r.ok();
            let mark = r.mark();
            r.integer(7);
            r.integer(8);
            r.array_at(mark, 2);
        });
        assert_eq!(text, "+OK\r\n*2\r\n:7\r\n:8\r\n");
    }

    #[test]
    fn doubles_are_printed_as_c_prints_them_with_17_digits() {
        let cases = [
            (0.0, "0"),
            (3.0, "3"),
            (3.1, "3.1000000000000001"),
            (-0.5, "-0.5"),
            (1e17, "1e+17"),
            (1e16, "10000000000000000"),
            (1e-5, "1.0000000000000001e-05"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in cases {
            assert_eq!(format_double(value), text);
        }
    }
}
