//! Arguments as numbers and words, with the errors that clients know.
//!
//! Not known here: what the numbers are for.

use holdfast_store::float;
use holdfast_store::number::parse_i64;

use super::CommandError;

/// Whether an argument is this word, in any case.
pub(super) fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// An integer.
pub(super) fn integer(arg: &[u8]) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(CommandError::NOT_AN_INTEGER)
}

/// An integer, or an error with a text of its own.
pub(super) fn integer_or(arg: &[u8], text: &'static str) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(CommandError::new(text))
}

/// An integer of 32 bits, as numbers of databases are.
pub(super) fn integer_32(arg: &[u8]) -> Result<i32, CommandError> {
    i32::try_from(integer(arg)?).map_err(|_| {
        CommandError::new(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        )
    })
}

/// A count: zero or more.
pub(super) fn count(arg: &[u8]) -> Result<usize, CommandError> {
    match parse_i64(arg) {
        Some(number) if number >= 0 => Ok(number as usize),
        _ => Err(CommandError::new("ERR value is out of range, must be positive")),
    }
}

/// A count of at least one, or an error with a text of its own.
pub(super) fn count_from_one(arg: &[u8], text: &'static str) -> Result<usize, CommandError> {
    match parse_i64(arg) {
        Some(number) if number >= 1 => Ok(number as usize),
        _ => Err(CommandError::new(text)),
    }
}

/// What LMPOP, ZMPOP and their sisters are asked for: `numkeys key... end [COUNT n]`. Gives the
/// keys, the end as `end` reads it, and the count.
pub(super) fn pop_many<'a, E>(
    args: &'a [&'a [u8]],
    end: impl FnOnce(&[u8]) -> Result<E, CommandError>,
) -> Result<(&'a [&'a [u8]], E, usize), CommandError> {
    let (number, rest) = args.split_first().ok_or(CommandError::SYNTAX)?;
    let number = count_from_one(number, "ERR numkeys should be greater than 0")?;
    let (keys, rest) = rest.split_at_checked(number).ok_or(CommandError::SYNTAX)?;
    let (end_arg, options) = rest.split_first().ok_or(CommandError::SYNTAX)?;
    let end = end(end_arg)?;
    let count = match options {
        [] => 1,
        [word, number] if is_word(word, "COUNT") => {
            count_from_one(number, "ERR count should be greater than 0")?
        }
        _ => return Err(CommandError::SYNTAX),
    };
    Ok((keys, end, count))
}

/// The deadline of a blocking command, from its timeout in seconds; 0 waits for ever.
pub(super) fn deadline_ms(arg: &[u8], now_ms: i64) -> Result<Option<i64>, CommandError> {
    const NOT_A_TIMEOUT: CommandError =
        CommandError::new("ERR timeout is not a float or out of range");
    const OUT_OF_RANGE: CommandError = CommandError::new("ERR timeout is out of range");
    let seconds = float::to_f64(arg).ok_or(NOT_A_TIMEOUT)?;
    let milliseconds = (seconds * 1000.0).ceil();
    if milliseconds > i64::MAX as f64 {
        return Err(OUT_OF_RANGE);
    }
    if milliseconds < 0.0 {
        return Err(CommandError::new("ERR timeout is negative"));
    }
    if milliseconds == 0.0 {
        return Ok(None);
    }
    now_ms.checked_add(milliseconds as i64).map(Some).ok_or(OUT_OF_RANGE)
}

/// The part of a sequence that two places mean, negative ones from the end, the last included:
/// its first place and its length, which may be 0.
pub(super) fn range(start: i64, end: i64, len: usize) -> (usize, usize) {
    let total = len as i64;
    let from_front = |place: i64| if place < 0 { (place + total).max(-1) } else { place };
    let start = from_front(start).max(0);
    let end = from_front(end).min(total - 1);
    if start > end {
        return (0, 0);
    }
    (start as usize, (end - start + 1) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_either_end_and_are_cut_to_the_sequence() {
        assert_eq!(range(0, -1, 5), (0, 5));
        assert_eq!(range(-3, -2, 5), (2, 2));
        assert_eq!(range(-100, 100, 5), (0, 5));
        assert_eq!(range(3, 1, 5), (0, 0));
        assert_eq!(range(5, 9, 5), (0, 0));
        assert_eq!(range(-1, -5, 5), (0, 0));
        assert_eq!(range(0, -6, 5), (0, 0));
        assert_eq!(range(0, 0, 0), (0, 0));
        assert_eq!(range(i64::MIN, i64::MAX, 3), (0, 3));
    }

    #[test]
    fn a_timeout_is_a_number_of_seconds_and_zero_waits_for_ever() {
        assert_eq!(deadline_ms(b"0", 5), Ok(None));
        assert_eq!(deadline_ms(b"0.001", 5), Ok(Some(6)));
        assert_eq!(deadline_ms(b"1.5", 5), Ok(Some(1505)));
        assert_eq!(deadline_ms(b"0x2", 5), Ok(Some(2005)));
        for text in ["-1", "x", "", "1e300", "9223372036854775807"] {
            assert!(deadline_ms(text.as_bytes(), 5).is_err(), "{text}");
        }
    }
}
