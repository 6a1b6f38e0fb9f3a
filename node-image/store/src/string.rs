//! Strings: a number, a short text, or a buffer that grows.
//!
//! The three forms are what OBJECT ENCODING tells, and clients may see them: `int` for text that
//! is an integer in the strict syntax, `embstr` up to 44 bytes as long as nobody changes it in
//! place, `raw` for the rest.
//!
//! Not known here: limits on the length of a string; the commands keep them.

use std::ops::Deref;

use crate::{
    number::{IntText, parse_i64},
    value::Encoding,
};

/// The longest string that is called `embstr`.
const EMBSTR_BYTES_MAX: usize = 44;

/// A string.
#[derive(Clone, Debug)]
pub enum StringValue {
    /// An integer, kept as one.
    Int(i64),
    /// At most 44 bytes, not changed since they were set.
    Embstr(Box<[u8]>),
    /// Bytes that may be changed in place.
    Raw(Vec<u8>),
}

/// What OBJECT ENCODING tells of a string that is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextForm {
    /// Short, and not changed since it was set.
    Embstr,
    /// Any other.
    Raw,
}

impl TextForm {
    /// The form of a string that is set.
    pub(crate) fn of(bytes: usize) -> Self {
        if bytes <= EMBSTR_BYTES_MAX { Self::Embstr } else { Self::Raw }
    }
}

/// The bytes of a string: borrowed, or written from its number.
#[derive(Debug)]
pub enum Text<'a> {
    /// The stored bytes.
    Bytes(&'a [u8]),
    /// An integer in decimal.
    Int(IntText),
}

impl Deref for Text<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Int(text) => text,
        }
    }
}

impl StringValue {
    /// A string in its best form: a number where the text is one.
    pub fn new(bytes: &[u8]) -> Self {
        match parse_i64(bytes) {
            Some(number) => Self::Int(number),
            None => Self::verbatim(bytes),
        }
    }

    /// A string that stays text even where it could be a number, as results of APPEND do.
    pub fn verbatim(bytes: &[u8]) -> Self {
        if bytes.len() <= EMBSTR_BYTES_MAX {
            Self::Embstr(bytes.into())
        } else {
            Self::Raw(bytes.to_vec())
        }
    }

    /// Its bytes.
    pub fn text(&self) -> Text<'_> {
        match self {
            Self::Int(number) => Text::Int(IntText::new(*number)),
            Self::Embstr(bytes) => Text::Bytes(bytes),
            Self::Raw(bytes) => Text::Bytes(bytes),
        }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.text().len()
    }

    /// The length of its text; 0 for a number.
    pub(crate) fn stored_len(&self) -> usize {
        match self {
            Self::Int(_) => 0,
            Self::Embstr(bytes) => bytes.len(),
            Self::Raw(bytes) => bytes.len(),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its number, if it is one in the strict syntax.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Embstr(bytes) => parse_i64(bytes),
            Self::Raw(bytes) => parse_i64(bytes),
        }
    }

    /// Its bytes for a change in place; the string is `raw` from now on.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        if !matches!(self, Self::Raw(_)) {
            *self = Self::Raw(self.text().to_vec());
        }
        match self {
            Self::Raw(bytes) => bytes,
            Self::Int(_) | Self::Embstr(_) => unreachable!("made raw above"),
        }
    }

    /// What OBJECT ENCODING tells.
    pub fn encoding(&self) -> Encoding {
        match self {
            Self::Int(_) => Encoding::Int,
            Self::Embstr(_) => Encoding::Embstr,
            Self::Raw(_) => Encoding::Raw,
        }
    }

    /// An estimate of its memory beyond the value itself.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Int(_) => 0,
            Self::Embstr(bytes) => bytes.len(),
            Self::Raw(bytes) => bytes.capacity(),
        }
    }
}

/// Strings are equal when their bytes are, whatever their form.
impl PartialEq for StringValue {
    fn eq(&self, other: &Self) -> bool {
        *self.text() == *other.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_an_integer_is_kept_as_one_and_comes_back_unchanged() {
        let number = StringValue::new(b"-42");
        assert_eq!(number.encoding(), Encoding::Int);
        assert_eq!(&*number.text(), b"-42");
        assert_eq!(StringValue::new(b"042").encoding(), Encoding::Embstr);
    }

    #[test]
    fn forty_five_bytes_are_raw_and_a_change_in_place_makes_any_string_raw() {
        assert_eq!(StringValue::new(&[b'x'; 44]).encoding(), Encoding::Embstr);
        assert_eq!(StringValue::new(&[b'x'; 45]).encoding(), Encoding::Raw);
        let mut number = StringValue::new(b"7");
        number.bytes_mut().push(b'7');
        assert_eq!(number.encoding(), Encoding::Raw);
        assert_eq!(&*number.text(), b"77");
    }
}
