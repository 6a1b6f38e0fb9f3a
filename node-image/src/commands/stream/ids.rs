//! Ids of entries as clients write them.
//!
//! Numbers are read as Redis reads them, which is generous: blanks, a sign and leading zeros may
//! stand before the digits.
//!
//! Not known here: streams.

use holdfast_store::number::parse_i64;
use holdfast_store::stream::StreamId;

use crate::commands::CommandError;

const INVALID: CommandError =
    CommandError::new("ERR Invalid stream ID specified as stream command argument");

/// An id is never longer.
const ID_BYTES_MAX: usize = 127;

/// An id of XADD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`: from the clock.
    Auto,
    /// `ms-*`: the next one of a millisecond.
    InMs(u64),
    /// All of it.
    Given(StreamId),
}

fn unsigned(text: &[u8]) -> Option<u64> {
    if let Some(number) = parse_i64(text) {
        return u64::try_from(number).ok();
    }
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'))?;
    let text = text.get(start..)?;
    let (digits, negative) = match text.split_first()? {
        (b'-', rest) => (rest, true),
        (b'+', rest) => (rest, false),
        _ => (text, false),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// The milliseconds, and what stands behind the first `-`.
fn halves(arg: &[u8]) -> Result<(u64, Option<&[u8]>), CommandError> {
    if arg.len() > ID_BYTES_MAX {
        return Err(INVALID);
    }
    // Nothing behind a zero byte counts.
    let arg = arg.split(|byte| *byte == 0).next().unwrap_or_default();
    let (ms, seq) = match arg.iter().position(|byte| *byte == b'-') {
        Some(at) => (arg.get(..at).unwrap_or_default(), arg.get(at + 1..)),
        None => (arg, None),
    };
    Ok((unsigned(ms).ok_or(INVALID)?, seq))
}

/// An id, for which `-` and `+` do not stand. A missing number is `seq`.
pub(super) fn strict(arg: &[u8], seq: u64) -> Result<StreamId, CommandError> {
    let (ms, given) = halves(arg)?;
    match given {
        Some(text) => Ok(StreamId { ms, seq: unsigned(text).ok_or(INVALID)? }),
        None => Ok(StreamId { ms, seq }),
    }
}

/// An id; `-` is the least and `+` the greatest. A missing number is `seq`.
pub(super) fn any(arg: &[u8], seq: u64) -> Result<StreamId, CommandError> {
    match arg {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => strict(arg, seq),
    }
}

/// The id of XADD.
pub(super) fn new(arg: &[u8]) -> Result<NewId, CommandError> {
    if arg == b"*" {
        return Ok(NewId::Auto);
    }
    match halves(arg)? {
        (ms, Some(b"*")) => Ok(NewId::InMs(ms)),
        _ => strict(arg, 0).map(NewId::Given),
    }
}

/// The start of an interval; `(` leaves the id itself out.
pub(super) fn start(arg: &[u8]) -> Result<StreamId, CommandError> {
    match arg.strip_prefix(b"(") {
        Some(rest) if !rest.is_empty() => strict(rest, 0)?
            .next()
            .ok_or(CommandError::new("ERR invalid start ID for the interval")),
        _ => any(arg, 0),
    }
}

/// The end of an interval; `(` leaves the id itself out.
pub(super) fn end(arg: &[u8]) -> Result<StreamId, CommandError> {
    match arg.strip_prefix(b"(") {
        Some(rest) if !rest.is_empty() => strict(rest, u64::MAX)?
            .previous()
            .ok_or(CommandError::new("ERR invalid end ID for the interval")),
        _ => any(arg, u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_generously_as_redis_does() {
        let id = |ms, seq| Ok(StreamId { ms, seq });
        assert_eq!(strict(b"5", 9), id(5, 9));
        assert_eq!(strict(b"5-7", 9), id(5, 7));
        assert_eq!(strict(b" +05-007", 9), id(5, 7));
        assert_eq!(strict(b"18446744073709551615-1", 0), id(u64::MAX, 1));
        for text in ["", "-", "+", "5-", "-5", "5-*", "a", "5-6-7", "5--6", "18446744073709551616"]
        {
            assert!(strict(text.as_bytes(), 0).is_err(), "{text}");
        }
        assert!(strict(&[b'1'; 128], 0).is_err());
    }

    #[test]
    fn an_interval_may_leave_its_ends_out() {
        assert_eq!(start(b"(5"), Ok(StreamId::new(5, 1)));
        assert_eq!(end(b"(5"), Ok(StreamId::new(5, u64::MAX - 1)));
        assert_eq!(end(b"(5-0"), Ok(StreamId::new(4, u64::MAX)));
        assert!(end(b"(0-0").is_err() && start(b"(+").is_err() && start(b"(").is_err());
        assert_eq!((start(b"-"), end(b"+")), (Ok(StreamId::MIN), Ok(StreamId::MAX)));
    }

    #[test]
    fn xadd_may_leave_the_number_or_all_to_the_server() {
        assert_eq!(new(b"*"), Ok(NewId::Auto));
        assert_eq!(new(b"7-*"), Ok(NewId::InMs(7)));
        assert_eq!(new(b"7"), Ok(NewId::Given(StreamId::new(7, 0))));
        assert!(new(b"*-7").is_err());
    }
}
