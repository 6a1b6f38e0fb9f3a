//! Reads the small pieces of RDB from a slice that may end in the middle of one.
//!
//! Every function either advances over a whole piece or says how many bytes are missing at least,
//! so that a caller does not try again before they are there.
//! Not known here: types, opcodes, keys.

use super::Problem;
use crate::lzf;

/// Why a piece could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// At least so many more bytes are needed.
    Need(u64),
    /// It can never be read.
    Bad(Problem),
}

pub(crate) fn damaged<T>(what: &'static str) -> Result<T, Stop> {
    Err(Stop::Bad(Problem::Damaged(what)))
}

/// A length, or the mark of a specially encoded string.
pub(crate) enum Length {
    Plain(u64),
    Special(u8),
}

#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(crate) fn take(&mut self, count: u64) -> Result<&'a [u8], Stop> {
        let left = (self.bytes.len() - self.at) as u64;
        if count > left {
            return Err(Stop::Need(count - left));
        }
        let end = self.at + count as usize;
        let piece = self.bytes.get(self.at..end).unwrap_or_default();
        self.at = end;
        Ok(piece)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let piece = self.take(N as u64)?;
        piece.first_chunk::<N>().copied().ok_or(Stop::Need(1))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Stop> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn length_or_special(&mut self) -> Result<Length, Stop> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match first >> 6 {
            0 => Length::Plain(u64::from(low)),
            1 => Length::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            2 if first == 0x80 => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            2 if first == 0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
            2 => return damaged("there is no such length encoding"),
            _ => Length::Special(low),
        })
    }

    pub(crate) fn length(&mut self) -> Result<u64, Stop> {
        match self.length_or_special()? {
            Length::Plain(length) => Ok(length),
            Length::Special(_) => damaged("a string stands where a length must"),
        }
    }

    pub(crate) fn string(&mut self) -> Result<Vec<u8>, Stop> {
        let integer = |number: i32| Ok(number.to_string().into_bytes());
        match self.length_or_special()? {
            Length::Plain(length) => Ok(self.take(length)?.to_vec()),
            Length::Special(0) => integer(i32::from(i8::from_le_bytes(self.array()?))),
            Length::Special(1) => integer(i32::from(i16::from_le_bytes(self.array()?))),
            Length::Special(2) => integer(i32::from_le_bytes(self.array()?)),
            Length::Special(3) => {
                let packed = self.length()?;
                let length = self.length()?;
                let packed = self.take(packed)?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                lzf::decompress(packed, length)
                    .map_err(|_| Stop::Bad(Problem::Damaged("a compressed string is damaged")))
            }
            Length::Special(_) => damaged("there is no such string encoding"),
        }
    }
}
