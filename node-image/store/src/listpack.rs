//! Listpack: a row of small strings and integers in one block of bytes, as Redis lays it out.
//!
//! ```text
//!   total bytes (u32 LE) | elements (u16 LE, 65535 = count them) | entry ... entry | 0xff
//!   entry: encoding and value | length of that, in 7-bit groups to be read from the right
//! ```
//!
//! The length behind each entry lets a reader walk backwards. Strings that are whole numbers in
//! their canonical spelling are kept as integers, so the same elements always give the same bytes.
//! The format is part of RDB files and DUMP payloads; byte for byte what Redis 7 writes.
//! Not known here: whether elements are list items or a hash' fields and values.

use thiserror::Error;

const HEADER_BYTES: usize = 6;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// A block that is not a listpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("failed to read a listpack: {0}")]
pub struct Damaged(&'static str);

/// An element as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element<'a> {
    /// A string that is not a canonical integer.
    Bytes(&'a [u8]),
    /// A string that is one.
    Integer(i64),
}

impl<'a> Element<'a> {
    /// How a string is kept.
    pub fn of(bytes: &'a [u8]) -> Self {
        canonical_integer(bytes).map_or(Element::Bytes(bytes), Element::Integer)
    }

    /// The element as the string that was pushed.
    pub fn to_vec(self) -> Vec<u8> {
        match self {
            Element::Bytes(bytes) => bytes.to_vec(),
            Element::Integer(number) => number.to_string().into_bytes(),
        }
    }
}

/// The integer that `bytes` spells canonically: no plus sign, no leading zero, no `-0`.
pub fn canonical_integer(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let first = *digits.first()?;
    if digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if first == b'0' {
        return (bytes == b"0").then_some(0);
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Builds a listpack from its first element to its last.
#[derive(Debug, Clone)]
pub struct Builder {
    bytes: Vec<u8>,
    count: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], count: 0 }
    }
}

impl Builder {
    /// Appends one element.
    pub fn push(&mut self, element: &[u8]) {
        write_entry(&mut self.bytes, Element::of(element));
        self.count += 1;
    }

    /// Bytes of the finished listpack, were it finished now.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len() + 1
    }

    /// Number of elements so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The listpack.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        write_header(&mut self.bytes, self.count);
        self.bytes
    }

    /// Appends a row of entries that [`write_entry`] made.
    pub(crate) fn push_row(&mut self, row: &[u8], count: usize) {
        self.bytes.extend_from_slice(row);
        self.count += count;
    }
}

/// The entry at a place of a row of our own, and where the next one begins.
pub(crate) fn element_at(row: &[u8], at: usize) -> Option<(Element<'_>, usize)> {
    let (element, length) = entry_at(row.get(at..)?)?;
    Some((element, at + length))
}

/// The listpack without elements.
pub(crate) const EMPTY: [u8; HEADER_BYTES + 1] = [HEADER_BYTES as u8 + 1, 0, 0, 0, 0, 0, END];

/// Writes the header of a whole listpack over its first bytes.
pub(crate) fn write_header(bytes: &mut [u8], count: usize) {
    let total = (bytes.len() as u32).to_le_bytes();
    let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN).to_le_bytes();
    for (byte, value) in bytes.iter_mut().zip(total.into_iter().chain(count)) {
        *byte = value;
    }
}

/// Appends one entry with its length behind it.
pub(crate) fn write_entry(out: &mut Vec<u8>, element: Element<'_>) {
    let start = out.len();
    match element {
        Element::Integer(number) => push_integer(out, number),
        Element::Bytes(bytes) => push_bytes(out, bytes),
    }
    let length = out.len() - start;
    push_back_length(out, length);
}

/// The entry at the start of `bytes` and all the bytes it takes; `None` at the end mark.
pub(crate) fn entry_at(bytes: &[u8]) -> Option<(Element<'_>, usize)> {
    let (element, length) = decode(bytes)?;
    Some((element, length + back_length_bytes(length)))
}

fn push_integer(out: &mut Vec<u8>, number: i64) {
    let bytes = number.to_le_bytes();
    match number {
        0..=127 => out.push(number as u8),
        -4096..=4095 => {
            out.push(0xc0 | ((number >> 8) & 0x1f) as u8);
            out.push(number as u8);
        }
        -0x8000..=0x7fff => {
            out.push(0xf1);
            out.extend_from_slice(&bytes[..2]);
        }
        -0x80_0000..=0x7f_ffff => {
            out.push(0xf2);
            out.extend_from_slice(&bytes[..3]);
        }
        -0x8000_0000..=0x7fff_ffff => {
            out.push(0xf3);
            out.extend_from_slice(&bytes[..4]);
        }
        _ => {
            out.push(0xf4);
            out.extend_from_slice(&bytes);
        }
    }
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length @ 0..64 => out.push(0x80 | length as u8),
        length @ 64..4096 => {
            out.push(0xe0 | (length >> 8) as u8);
            out.push(length as u8);
        }
        length => {
            out.push(0xf0);
            out.extend_from_slice(&(length as u32).to_le_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

/// How many bytes hold the length of an entry; the borders are those of Redis, one short of full.
fn back_length_bytes(length: usize) -> usize {
    match length {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

fn push_back_length(out: &mut Vec<u8>, length: usize) {
    let groups = back_length_bytes(length);
    for group in (0..groups).rev() {
        let more = if group + 1 == groups { 0 } else { 0x80 };
        out.push(((length >> (7 * group)) & 0x7f) as u8 | more);
    }
}

/// Reads a listpack that came from outside.
///
/// The header is checked here, each entry when the iterator reaches it; after an error the
/// iterator is exhausted.
pub fn read(bytes: &[u8]) -> Result<Elements<'_>, Damaged> {
    let total = bytes.first_chunk::<4>().ok_or(Damaged("no header"))?;
    if u32::from_le_bytes(*total) as usize != bytes.len() {
        return Err(Damaged("its length does not match"));
    }
    let count = bytes.get(4..).and_then(|rest| rest.first_chunk::<2>());
    let count = u16::from_le_bytes(*count.ok_or(Damaged("no header"))?);
    let rest = bytes.get(HEADER_BYTES..).ok_or(Damaged("no header"))?;
    let left = (count != COUNT_UNKNOWN).then_some(count as usize);
    Ok(Elements { rest, left })
}

/// The elements of a listpack, see [`read`].
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    rest: &'a [u8],
    left: Option<usize>,
}

impl<'a> Elements<'a> {
    fn entry(&mut self) -> Result<Option<Element<'a>>, Damaged> {
        const CUT: Damaged = Damaged("it ends inside an entry");
        let first = *self.rest.first().ok_or(Damaged("it has no end mark"))?;
        if first == END {
            return if self.rest.len() == 1 && self.left.is_none_or(|left| left == 0) {
                Ok(None)
            } else {
                Err(Damaged("its end mark is not at its end"))
            };
        }
        let (element, length) = decode(self.rest).ok_or(CUT)?;
        let back_bytes = back_length_bytes(length);
        let back = self.rest.get(length..length + back_bytes).ok_or(CUT)?;
        let told = back.iter().fold(0usize, |sum, byte| sum << 7 | (byte & 0x7f) as usize);
        if told != length {
            return Err(Damaged("an entry's length does not match"));
        }
        self.rest = self.rest.get(length + back_bytes..).ok_or(CUT)?;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(Damaged("it has more entries than it says"))?;
        }
        Ok(Some(element))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.entry();
        if !matches!(entry, Ok(Some(_))) {
            self.rest = &[];
        }
        entry.transpose()
    }
}

/// The element at the start of `bytes`, and how many bytes encoding and value take.
fn decode(bytes: &[u8]) -> Option<(Element<'_>, usize)> {
    let first = *bytes.first()?;
    let second = || bytes.get(1).copied();
    let string = |header: usize, length: usize| {
        let end = header.checked_add(length)?;
        Some((Element::Bytes(bytes.get(header..end)?), end))
    };
    let integer = |width: usize| {
        let mut wide = [0u8; 8];
        let value = bytes.get(1..=width)?;
        wide.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
        let unused_bits = 64 - 8 * width as u32;
        let number = i64::from_le_bytes(wide) << unused_bits >> unused_bits;
        Some((Element::Integer(number), width + 1))
    };
    match first {
        0..0x80 => Some((Element::Integer(i64::from(first)), 1)),
        0x80..0xc0 => string(1, (first & 0x3f) as usize),
        0xc0..0xe0 => {
            let raw = i64::from(first & 0x1f) << 8 | i64::from(second()?);
            let number = if raw >= 1 << 12 { raw - (1 << 13) } else { raw };
            Some((Element::Integer(number), 2))
        }
        0xe0..0xf0 => string(2, ((first & 0x0f) as usize) << 8 | second()? as usize),
        0xf0 => {
            let length = bytes.get(1..)?.first_chunk::<4>()?;
            string(5, u32::from_le_bytes(*length) as usize)
        }
        0xf1 => integer(2),
        0xf2 => integer(3),
        0xf3 => integer(4),
        0xf4 => integer(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack<E: AsRef<[u8]>>(elements: &[E]) -> Vec<u8> {
        let mut builder = Builder::default();
        for element in elements {
            builder.push(element.as_ref());
        }
        builder.finish()
    }

    fn unpack(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Damaged> {
        read(bytes)?.map(|element| element.map(Element::to_vec)).collect()
    }

    #[test]
    fn bytes_are_those_of_redis() {
        // OBJECT ENCODING listpack, DUMP of `HSET h a 1 b -5 c 4096`, taken from Redis 7.0.
        let expected =
            b"\x19\0\0\0\x06\0\x81a\x02\x01\x01\x81b\x02\xdf\xfb\x02\x81c\x02\xf1\0\x10\x03\xff";
        assert_eq!(pack(&["a", "1", "b", "-5", "c", "4096"]), expected[..].to_vec());
    }

    #[test]
    fn every_width_of_integer_comes_back() {
        let edges = [0, 127, 128, 4095, 4096, 32767, 32768, 8_388_607, 8_388_608, i64::MAX];
        let spelled: Vec<String> = edges
            .iter()
            .flat_map(|edge| [edge.to_string(), (-edge - 1).to_string()])
            .chain([i32::MAX.to_string(), i32::MIN.to_string(), i64::MIN.to_string()])
            .collect();
        let bytes: Vec<Vec<u8>> = spelled.iter().map(|s| s.clone().into_bytes()).collect();
        assert_eq!(unpack(&pack(&spelled)), Ok(bytes));
    }

    #[test]
    fn only_the_canonical_spelling_is_an_integer() {
        for text in ["", "-", "-0", "00", "+1", " 1", "1 ", "01", "9223372036854775808", "1e3"] {
            assert_eq!(canonical_integer(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(canonical_integer(b"-9223372036854775808"), Some(i64::MIN));
    }

    #[test]
    fn long_strings_cross_every_border_of_the_back_length() {
        for length in [63, 64, 125, 126, 127, 4095, 4096, 16377, 16378, 16379, 2_097_146] {
            let element = vec![b'x'; length];
            assert_eq!(unpack(&pack(&[&element, &element])), Ok(vec![element.clone(), element]));
        }
    }

    proptest! {
        #[test]
        fn elements_come_back(
            elements in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 0..80), 0..40,
            )
        ) {
            prop_assert_eq!(unpack(&pack(&elements)), Ok(elements));
        }

        #[test]
        fn a_changed_byte_is_an_answer_and_never_a_panic(
            at in 0usize..60, byte in any::<u8>(), cut in 0usize..70,
        ) {
            let mut bytes = pack(&["field", "12345", "a somewhat longer value here", "-7", "x"]);
            if let Some(slot) = bytes.get_mut(at) { *slot = byte; }
            bytes.truncate(cut);
            let _ = unpack(&bytes);
        }
    }
}
