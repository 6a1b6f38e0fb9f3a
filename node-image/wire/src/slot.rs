//! Hash slots, and sets of them.
//!
//! A key's slot is the CRC16 of its hash tag, or of the whole key, modulo 16384. A [`SlotSet`] is
//! the bitmap that packet headers carry: bit `s % 8` of byte `s / 8`, kept here as 256 words.
//!
//! Invariant: the bitmap has exactly [`SLOTS`] bits, and a [`Slot`] made by this module is below
//! it. Not known here: who owns a slot.

use std::fmt;

use crate::crc16::crc16;

/// How many slots a cluster has.
pub const SLOTS: u16 = 16384;

const WORDS: usize = SLOTS as usize / 64;

/// One hash slot, below [`SLOTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Slot(pub u16);

impl Slot {
    /// The slot of that number, when there is one.
    pub fn new(number: u64) -> Option<Self> {
        (number < u64::from(SLOTS)).then_some(Self(number as u16))
    }

    /// All slots, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SLOTS).map(Self)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The slot of a key. Only what stands between the first `{` and the next `}` counts, when that
/// is not empty; so keys with the same tag live together.
pub fn key_slot(key: &[u8]) -> Slot {
    Slot(crc16(hash_tag(key)) % SLOTS)
}

fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|byte| *byte == b'{') else { return key };
    let after = key.get(open + 1..).unwrap_or_default();
    match after.iter().position(|byte| *byte == b'}') {
        None | Some(0) => key,
        Some(close) => after.get(..close).unwrap_or(key),
    }
}

/// A set of slots: 2 KiB, whatever it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Box<[u64; WORDS]>);

impl Default for SlotSet {
    fn default() -> Self {
        Self::new()
    }
}

impl SlotSet {
    /// The empty set.
    pub fn new() -> Self {
        Self(Box::new([0; WORDS]))
    }

    /// All slots.
    pub fn full() -> Self {
        Self(Box::new([u64::MAX; WORDS]))
    }

    /// Adds a slot; true when it was not in the set. A number past the last slot is not added.
    pub fn insert(&mut self, slot: Slot) -> bool {
        let Some(word) = self.0.get_mut(usize::from(slot.0) / 64) else { return false };
        let bit = 1 << (slot.0 % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Takes a slot out; true when it was in the set.
    pub fn remove(&mut self, slot: Slot) -> bool {
        let Some(word) = self.0.get_mut(usize::from(slot.0) / 64) else { return false };
        let bit = 1 << (slot.0 % 64);
        let there = *word & bit != 0;
        *word &= !bit;
        there
    }

    /// True when the slot is in the set.
    pub fn contains(&self, slot: Slot) -> bool {
        self.0.get(usize::from(slot.0) / 64).is_some_and(|word| word >> (slot.0 % 64) & 1 == 1)
    }

    /// How many slots the set has.
    pub fn len(&self) -> u16 {
        self.0.iter().map(|word| word.count_ones() as u16).sum()
    }

    /// True when no slot is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The slots, in order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                if left == 0 {
                    return None;
                }
                let bit = left.trailing_zeros();
                left &= left - 1;
                Some(Slot((index * 64) as u16 + bit as u16))
            })
        })
    }

    /// The runs of neighbouring slots, both ends included, in order.
    pub fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for Slot(slot) in self.iter() {
            match ranges.last_mut() {
                Some((_, end)) if *end + 1 == slot => *end = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        ranges
    }

    /// The set of all slots in the ranges, both ends included; what lies past the last slot, and a
    /// range whose end is before its start, adds nothing.
    pub fn from_ranges(ranges: &[(u16, u16)]) -> Self {
        let mut set = Self::new();
        for (start, end) in ranges {
            for slot in *start..=(*end).min(SLOTS - 1) {
                set.insert(Slot(slot));
            }
        }
        set
    }

    /// What is in one of the two.
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a | b)
    }

    /// What is here and not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & !b)
    }

    /// What is in both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & b)
    }

    /// True when some slot is in both.
    pub fn intersects(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0.iter()).any(|(a, b)| a & b != 0)
    }

    /// True when every slot of this set is in the other.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0.iter()).all(|(a, b)| a & !b == 0)
    }

    fn combine(&self, other: &Self, by: impl Fn(u64, u64) -> u64) -> Self {
        let mut result = self.clone();
        for (word, theirs) in result.0.iter_mut().zip(other.0.iter()) {
            *word = by(*word, *theirs);
        }
        result
    }

    /// The bitmap as a packet header carries it: 2048 bytes, lowest bit first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Reads the bitmap of a packet header; `None` when it is not 2048 bytes long.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != WORDS * 8 {
            return None;
        }
        let mut set = Self::new();
        for (word, chunk) in set.0.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(chunk.try_into().ok()?);
        }
        Some(set)
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ranges()).finish()
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::new();
        set.extend(slots);
        set
    }
}

impl Extend<Slot> for SlotSet {
    fn extend<I: IntoIterator<Item = Slot>>(&mut self, slots: I) {
        for slot in slots {
            self.insert(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_map_as_the_specification_says() {
        assert_eq!(key_slot(b"foo"), Slot(12182));
        assert_eq!(key_slot(b"123456789"), Slot(0x31c3 % SLOTS));
        assert_eq!(key_slot(b"{user1000}.following"), key_slot(b"user1000"));
        assert_eq!(key_slot(b"foo{}{bar}").0, crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(key_slot(b"foo{{bar}}zap").0, crc16(b"{bar") % SLOTS);
        assert_eq!(key_slot(b"foo{bar").0, crc16(b"foo{bar") % SLOTS);
    }

    #[test]
    fn a_slot_past_the_last_never_enters_a_set() {
        let mut set = SlotSet::new();
        assert!(!set.insert(Slot(SLOTS)));
        assert!(!set.contains(Slot(u16::MAX)));
        assert_eq!(SlotSet::from_ranges(&[(16380, u16::MAX), (9, 3)]).ranges(), [(16380, 16383)]);
        assert_eq!(SlotSet::full().len(), SLOTS);
    }

    proptest! {
        #[test]
        fn a_set_survives_ranges_and_bytes(slots in prop::collection::btree_set(0..SLOTS, 0..200)) {
            let set: SlotSet = slots.iter().copied().map(Slot).collect();
            prop_assert_eq!(usize::from(set.len()), slots.len());
            prop_assert!(set.iter().map(|slot| slot.0).eq(slots.iter().copied()));
            prop_assert_eq!(&SlotSet::from_ranges(&set.ranges()), &set);
            prop_assert_eq!(SlotSet::from_bytes(&set.to_bytes()), Some(set.clone()));
            let others = set.union(&SlotSet::full()).difference(&set);
            prop_assert!(others.intersection(&set).is_empty());
        }
    }
}
