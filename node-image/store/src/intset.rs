//! Intset: whole numbers in order, each as wide as the widest needs to be.
//!
//! ```text
//!   width (u32 LE: 2, 4 or 8) | numbers (u32 LE) | number (LE) ... in ascending order
//! ```
//!
//! The block is kept as RDB files and DUMP payloads have it. A number that does not fit widens
//! all; the block never becomes narrower again, as in Redis. Lookup is a binary search, a change
//! moves what lies behind it: this is for sets below `set-max-intset-entries`.
//!
//! Not known here: sets of anything else.

use thiserror::Error;

const HEADER_BYTES: usize = 8;

/// A block that is not an intset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("failed to read an intset: {0}")]
pub struct Damaged(&'static str);

/// The block. See the head of this file.
#[derive(Clone, Debug)]
pub struct IntSet {
    bytes: Vec<u8>,
}

impl Default for IntSet {
    fn default() -> Self {
        Self { bytes: vec![2, 0, 0, 0, 0, 0, 0, 0] }
    }
}

/// The width that a number needs.
fn width_of(number: i64) -> usize {
    if i16::try_from(number).is_ok() {
        2
    } else if i32::try_from(number).is_ok() {
        4
    } else {
        8
    }
}

fn decode(bytes: &[u8]) -> i64 {
    let unused_bits = 64 - 8 * bytes.len() as u32;
    let number = bytes.iter().rev().fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    number << unused_bits >> unused_bits
}

impl IntSet {
    /// Reads a block that came from outside.
    pub fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        let (header, numbers) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Damaged("no header"))?;
        let [w0, w1, w2, w3, n0, n1, n2, n3] = *header;
        let width = u32::from_le_bytes([w0, w1, w2, w3]) as usize;
        let count = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
        if !matches!(width, 2 | 4 | 8) {
            return Err(Damaged("there is no such width"));
        }
        if count == 0 || count.checked_mul(width) != Some(numbers.len()) {
            return Err(Damaged("its length does not match"));
        }
        let set = Self { bytes: bytes.to_vec() };
        if !set.iter().is_sorted_by(|left, right| left < right) {
            return Err(Damaged("its numbers are not in order"));
        }
        Ok(set)
    }

    /// The block itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn width(&self) -> usize {
        self.bytes.first().map_or(2, |width| usize::from(*width))
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        (self.bytes.len() - HEADER_BYTES) / self.width()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_BYTES
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The numbers, in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + '_ {
        let numbers = self.bytes.get(HEADER_BYTES..).unwrap_or_default();
        numbers.chunks_exact(self.width()).map(decode)
    }

    /// The number at a place.
    pub fn get(&self, place: usize) -> Option<i64> {
        let width = self.width();
        let start = place.checked_mul(width)?.checked_add(HEADER_BYTES)?;
        self.bytes.get(start..start + width).map(decode)
    }

    /// Where a number is, or where it would go.
    fn search(&self, number: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle) {
                Some(found) if found == number => return Ok(middle),
                Some(found) if found < number => low = middle + 1,
                _ => high = middle,
            }
        }
        Err(low)
    }

    /// Whether it has a number.
    pub fn contains(&self, number: i64) -> bool {
        self.search(number).is_ok()
    }

    /// Adds a number; false when it was there.
    pub fn insert(&mut self, number: i64) -> bool {
        let Err(place) = self.search(number) else { return false };
        let wide = width_of(number);
        if wide > self.width() {
            self.widen(wide);
        }
        let width = self.width();
        let start = HEADER_BYTES + place * width;
        let bytes = number.to_le_bytes();
        self.bytes.reserve_exact(width);
        self.bytes.splice(start..start, bytes.into_iter().take(width));
        self.write_count();
        true
    }

    /// Removes a number; false when it was not there.
    pub fn remove(&mut self, number: i64) -> bool {
        let Ok(place) = self.search(number) else { return false };
        let width = self.width();
        let start = HEADER_BYTES + place * width;
        self.bytes.drain(start..start + width);
        self.bytes.shrink_to_fit();
        self.write_count();
        true
    }

    fn widen(&mut self, width: usize) {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + (self.len() + 1) * width);
        bytes.extend_from_slice(&(width as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for number in self.iter() {
            bytes.extend(number.to_le_bytes().into_iter().take(width));
        }
        self.bytes = bytes;
        self.write_count();
    }

    fn write_count(&mut self) {
        let count = (self.len() as u32).to_le_bytes();
        for (byte, value) in self.bytes.iter_mut().skip(4).zip(count) {
            *byte = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_that_does_not_fit_widens_all_and_none_makes_it_narrower() {
        let mut set = IntSet::default();
        set.insert(5);
        assert_eq!(set.as_bytes(), b"\x02\0\0\0\x01\0\0\0\x05\0");
        set.insert(-70_000);
        assert_eq!(set.as_bytes(), b"\x04\0\0\0\x02\0\0\0\x90\xee\xfe\xff\x05\0\0\0");
        set.remove(-70_000);
        assert_eq!(set.as_bytes(), b"\x04\0\0\0\x01\0\0\0\x05\0\0\0");
    }

    #[test]
    fn a_block_that_is_none_is_refused() {
        let blocks: [&[u8]; 6] = [
            b"",
            b"\x02\0\0\0\0\0\0\0",
            b"\x03\0\0\0\x01\0\0\0\x05\0\0",
            b"\x02\0\0\0\x02\0\0\0\x05\0",
            b"\x02\0\0\0\x02\0\0\0\x05\0\x05\0",
            b"\x02\0\0\0\x02\0\0\0\x05\0\x04\0",
        ];
        for block in blocks {
            assert!(IntSet::read(block).is_err(), "{block:?}");
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_plain_set(changes in prop::collection::vec(
            (any::<bool>(), prop_oneof![any::<i64>(), -40_000..40_000_i64, -9..9_i64]), 0..200,
        )) {
            let mut set = IntSet::default();
            let mut model = BTreeSet::new();
            for (insert, number) in changes {
                if insert {
                    prop_assert_eq!(set.insert(number), model.insert(number));
                } else {
                    prop_assert_eq!(set.remove(number), model.remove(&number));
                }
                prop_assert_eq!(set.contains(number), insert);
            }
            prop_assert!(set.iter().eq(model.iter().copied()));
            if !model.is_empty() {
                let read = IntSet::read(set.as_bytes()).unwrap();
                prop_assert_eq!(read.as_bytes(), set.as_bytes());
            }
        }
    }
}
