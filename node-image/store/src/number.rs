//! Numbers as text: the strict integer syntax of the protocol, and integers written without an
//! allocation.
//!
//! A string counts as an integer only when writing the integer again gives the same bytes: no
//! sign but a single minus, no leading zeros, no spaces. That is what makes it safe to store
//! such a string as a number and to give it back unchanged.
//!
//! Not known here: floating point, which lives in `float.rs`.

use std::ops::Deref;

/// The longest text of an `i64`: a sign and nineteen digits.
const INT_TEXT_MAX: usize = 20;

/// An integer written in decimal, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct IntText {
    digits: [u8; INT_TEXT_MAX],
    start: u8,
}

impl IntText {
    /// Writes `number` in decimal.
    pub fn new(number: i64) -> Self {
        let mut digits = [b'0'; INT_TEXT_MAX];
        let mut start = INT_TEXT_MAX;
        let mut rest = number.unsigned_abs();
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            start -= 1;
            digits[start] = b'-';
        }
        Self { digits, start: start as u8 }
    }
}

impl Deref for IntText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.digits[usize::from(self.start)..]
    }
}

/// Reads an integer in the strict syntax; `None` for everything else, overflow included.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    if text.len() > INT_TEXT_MAX {
        return None;
    }
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    let first = *digits.first()?;
    if first == b'0' {
        return (digits.len() == 1 && !negative).then_some(0);
    }
    // Counting downwards reaches i64::MIN, which has no positive twin.
    let mut number: i64 = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_sub(i64::from(byte - b'0'))?;
    }
    if negative { Some(number) } else { number.checked_neg() }
}

/// Reads an unsigned integer in the strict syntax.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let first = *text.first()?;
    if first == b'0' {
        return (text.len() == 1).then_some(0);
    }
    let mut number: u64 = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_that_comes_back_unchanged_is_an_integer() {
        for number in [0, 1, -1, 10, 99, -100, i64::MAX, i64::MIN] {
            assert_eq!(parse_i64(&IntText::new(number)), Some(number));
        }
        let refused: [&[u8]; 10] =
            [b"", b"-", b"+1", b"01", b"-0", b" 1", b"1 ", b"1a", b"9223372036854775808", b"1\0"];
        for text in refused {
            assert_eq!(parse_i64(text), None, "{text:?}");
        }
        assert_eq!(parse_i64(b"-9223372036854775809"), None);
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
    }
}
