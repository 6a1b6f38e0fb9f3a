//! Reading replies, for those who are clients themselves: replication, migration, tests.
//!
//! [`Parser::next`] takes the whole buffer of what has come and gives the first reply in it with
//! the number of bytes that it used. Lengths that the other side writes allocate nothing; how deep
//! replies may be nested is bounded, so that no reply can exhaust the stack. A reply that is not
//! complete is read again from its start when more has come: replies to our own requests are
//! small, and large ones are mostly one bulk string, whose length is known at once.
//! Not known here: requests, sockets.

use super::request::{LINE_BYTES_MAX, ProtocolError};

/// How deep arrays, maps and sets may be nested.
const DEPTH_MAX: usize = 32;

/// A reply as a client sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `+text`
    Simple(Vec<u8>),
    /// `-CODE text`
    Error(Vec<u8>),
    /// `:1`
    Integer(i64),
    /// `$3 abc`, also verbatim strings without their format.
    Bulk(Vec<u8>),
    /// Nothing: `$-1`, `*-1`, `_`.
    Null,
    /// `*2 ...`
    Array(Vec<Value>),
    /// `%1 ...`
    Map(Vec<(Value, Value)>),
    /// `~1 ...`
    Set(Vec<Value>),
    /// `>2 ...`
    Push(Vec<Value>),
    /// `,1.5`
    Double(f64),
    /// `#t`
    Boolean(bool),
    /// `(123...`
    BigNumber(Vec<u8>),
}

impl Value {
    /// The bytes of a string of any kind, or of an error.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Simple(bytes)
            | Value::Error(bytes)
            | Value::Bulk(bytes)
            | Value::BigNumber(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The number of an integer reply.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The elements of an array, set or push.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(all) | Value::Set(all) | Value::Push(all) => Some(all),
            _ => None,
        }
    }
}

/// Reads replies from a growing buffer.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    /// Bytes that the reply at the buffer's start is known to need.
    wanted: usize,
}

impl Parser {
    /// The first reply in the buffer and how many bytes it used; `None` when it is not complete.
    pub fn next(&mut self, buffer: &[u8]) -> Result<Option<(Value, usize)>, ProtocolError> {
        if buffer.len() < self.wanted {
            return Ok(None);
        }
        let mut reader = Reader { buffer, at: 0, wanted: 0 };
        let value = reader.value(0)?;
        self.wanted = if value.is_some() { 0 } else { reader.wanted };
        Ok(value.map(|value| (value, reader.at)))
    }
}

fn error<T>(text: &str) -> Result<T, ProtocolError> {
    Err(ProtocolError(text.to_owned()))
}

struct Reader<'a> {
    buffer: &'a [u8],
    at: usize,
    wanted: usize,
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> Result<Option<&'a [u8]>, ProtocolError> {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            if rest.len() > LINE_BYTES_MAX {
                return error("too long line in a reply");
            }
            return Ok(None);
        };
        self.at += end + 2;
        Ok(rest.get(..end))
    }

    fn value(&mut self, depth: usize) -> Result<Option<Value>, ProtocolError> {
        if depth > DEPTH_MAX {
            return error("too deeply nested reply");
        }
        let Some(line) = self.line()? else { return Ok(None) };
        let Some((kind, text)) = line.split_first() else { return error("empty reply") };
        Ok(Some(match kind {
            b'+' => Value::Simple(text.to_vec()),
            b'-' => Value::Error(text.to_vec()),
            b':' => Value::Integer(number(text)?),
            b'(' => Value::BigNumber(text.to_vec()),
            b'_' => Value::Null,
            b'#' => match text {
                b"t" => Value::Boolean(true),
                b"f" => Value::Boolean(false),
                _ => return error("a boolean that is neither true nor false"),
            },
            b',' => Value::Double(double(text)?),
            b'$' | b'=' | b'!' => return self.bulk(*kind, number(text)?),
            b'*' | b'~' | b'>' | b'%' | b'|' => {
                return self.aggregate(*kind, number(text)?, depth);
            }
            other => return error(&format!("unknown type '{}' of a reply", other.escape_ascii())),
        }))
    }

    fn bulk(&mut self, kind: u8, len: i64) -> Result<Option<Value>, ProtocolError> {
        let len = match usize::try_from(len) {
            Ok(len) => len,
            Err(_) if len == -1 => return Ok(Some(Value::Null)),
            Err(_) => return error("invalid bulk length in a reply"),
        };
        let Some(end) = self.at.checked_add(len).and_then(|end| end.checked_add(2)) else {
            return error("invalid bulk length in a reply");
        };
        if self.buffer.len() < end {
            self.wanted = end;
            return Ok(None);
        }
        let bytes = self.buffer.get(self.at..self.at + len).unwrap_or_default();
        self.at = end;
        Ok(Some(match kind {
            b'!' => Value::Error(bytes.to_vec()),
            // A verbatim string begins with its format and a colon.
            b'=' => Value::Bulk(bytes.get(4..).unwrap_or_default().to_vec()),
            _ => Value::Bulk(bytes.to_vec()),
        }))
    }

    fn aggregate(
        &mut self,
        kind: u8,
        len: i64,
        depth: usize,
    ) -> Result<Option<Value>, ProtocolError> {
        let Ok(len) = usize::try_from(len) else {
            return if len == -1 { Ok(Some(Value::Null)) } else { error("invalid length") };
        };
        if kind == b'%' || kind == b'|' {
            let mut pairs = Vec::new();
            for _ in 0..len {
                let Some(key) = self.value(depth + 1)? else { return Ok(None) };
                let Some(value) = self.value(depth + 1)? else { return Ok(None) };
                pairs.push((key, value));
            }
            // Attributes stand before the reply that they speak of and say nothing to us.
            return if kind == b'|' { self.value(depth + 1) } else { Ok(Some(Value::Map(pairs))) };
        }
        let mut all = Vec::new();
        for _ in 0..len {
            let Some(value) = self.value(depth + 1)? else { return Ok(None) };
            all.push(value);
        }
        Ok(Some(match kind {
            b'~' => Value::Set(all),
            b'>' => Value::Push(all),
            _ => Value::Array(all),
        }))
    }
}

fn number(text: &[u8]) -> Result<i64, ProtocolError> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.map_or_else(|| error("a number that is none in a reply"), Ok)
}

fn double(text: &[u8]) -> Result<f64, ProtocolError> {
    match text {
        b"inf" => Ok(f64::INFINITY),
        b"-inf" => Ok(f64::NEG_INFINITY),
        b"nan" => Ok(f64::NAN),
        _ => {
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            number.map_or_else(|| error("a double that is none in a reply"), Ok)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::resp::{Protocol, ReplyBuf};

    fn write(reply: &mut ReplyBuf, value: &Value) {
        match value {
            Value::Simple(text) => reply.simple(&String::from_utf8_lossy(text)),
            Value::Error(text) => reply.error(&String::from_utf8_lossy(text)),
            Value::Integer(number) => reply.integer(*number),
            Value::Bulk(bytes) => reply.bulk(bytes),
            Value::Null => reply.null(),
            Value::Array(all) => {
                reply.array(all.len());
                all.iter().for_each(|value| write(reply, value));
            }
            Value::Set(all) => {
                reply.set(all.len());
                all.iter().for_each(|value| write(reply, value));
            }
            Value::Push(all) => {
                reply.push(all.len());
                all.iter().for_each(|value| write(reply, value));
            }
            Value::Map(pairs) => {
                reply.map(pairs.len());
                for (key, value) in pairs {
                    write(reply, key);
                    write(reply, value);
                }
            }
            Value::Double(number) => reply.double(*number),
            Value::Boolean(value) => reply.boolean(*value),
            Value::BigNumber(digits) => reply.big_number(&String::from_utf8_lossy(digits)),
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            "[ -~]{0,9}".prop_map(|text| Value::Simple(text.into_bytes())),
            "[A-Z]{3} [ -~]{0,9}".prop_map(|text| Value::Error(text.into_bytes())),
            any::<i64>().prop_map(Value::Integer),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bulk),
            Just(Value::Null),
            (-1e9..1e9).prop_map(Value::Double),
            any::<bool>().prop_map(Value::Boolean),
            "-?[1-9][0-9]{20,30}".prop_map(|text| Value::BigNumber(text.into_bytes())),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let many = proptest::collection::vec(inner.clone(), 0..4);
            prop_oneof![
                many.clone().prop_map(Value::Array),
                many.clone().prop_map(Value::Set),
                many.prop_map(Value::Push),
                proptest::collection::vec((inner.clone(), inner), 0..3).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_whole_and_not_a_byte_earlier(value in values()) {
            let mut reply = ReplyBuf::new(Protocol::Resp3);
            write(&mut reply, &value);
            let bytes = reply.into_bytes();
            let mut parser = Parser::default();
            for end in 0..bytes.len() {
                prop_assert_eq!(parser.next(&bytes[..end]), Ok(None));
            }
            let mut more = bytes.clone();
            more.extend_from_slice(b"+next");
            prop_assert_eq!(parser.next(&more), Ok(Some((value, bytes.len()))));
        }

        #[test]
        fn random_bytes_end_in_an_error_or_in_waiting(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let _ = Parser::default().next(&bytes);
        }
    }

    #[test]
    fn a_huge_length_allocates_nothing() {
        let mut parser = Parser::default();
        assert_eq!(parser.next(b"*9223372036854775807\r\n"), Ok(None));
        assert_eq!(Parser::default().next(b"$9223372036854775800\r\n"), Ok(None));
        assert_eq!(Parser::default().next(b"$9223372036854775807\r\n"), Ok(None));
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let bytes = b"*1\r\n".repeat(1000);
        assert!(Parser::default().next(&bytes).is_err());
    }
}
