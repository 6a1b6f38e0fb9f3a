//! Sorted sets in their four forms: members with scores.
//!
//! ```text
//!   3   member, score as text behind its length (253 nan, 254 inf, 255 -inf)
//!   5   member, score as eight bytes
//!   12  a ziplist, 17 a listpack: member and score in turn, as text or integers
//! ```
//!
//! While a sorted set is read, member and eight bytes of score follow each other.
//! Not known here: the order of members; the value sorts them again.

use super::cursor::{Cursor, Stop, damaged};
use super::reader::no_field_twice;
use super::{Content, Writer, kind};
use crate::sorted_set::SortedSet;

/// A score that is text: one byte of length.
pub(super) fn score_of_text(cursor: &mut Cursor<'_>) -> Result<f64, Stop> {
    match cursor.byte()? {
        253 => Ok(f64::NAN),
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        length => parse(cursor.take(u64::from(length))?),
    }
}

fn parse(text: &[u8]) -> Result<f64, Stop> {
    match std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
        Some(score) => Ok(score),
        None => damaged("a score is not a number"),
    }
}

/// Members with scores, from a block that has them in turn.
pub(super) fn from_block(mut elements: Vec<Vec<u8>>) -> Result<Content, Stop> {
    if elements.is_empty() || !elements.len().is_multiple_of(2) {
        return damaged("a sorted set has a member without a score");
    }
    for score in elements.iter_mut().skip(1).step_by(2) {
        *score = parse(score)?.to_le_bytes().to_vec();
    }
    check(&elements)?;
    Ok(content(elements))
}

/// No member twice, and no score that is not a number.
pub(super) fn check(elements: &[Vec<u8>]) -> Result<(), Stop> {
    no_field_twice(elements)?;
    let scores = elements.iter().skip(1).step_by(2);
    if scores.map(|score| score_of_bytes(score)).any(f64::is_nan) {
        return damaged("a score is not a number");
    }
    Ok(())
}

fn score_of_bytes(bytes: &[u8]) -> f64 {
    bytes.first_chunk().map_or(f64::NAN, |bytes| f64::from_le_bytes(*bytes))
}

pub(super) fn content(elements: Vec<Vec<u8>>) -> Content {
    let mut members = Vec::with_capacity(elements.len() / 2);
    let mut elements = elements.into_iter();
    while let (Some(member), Some(score)) = (elements.next(), elements.next()) {
        members.push((member, score_of_bytes(&score)));
    }
    Content::SortedSet(members)
}

fn kind_of(set: &SortedSet) -> u8 {
    if set.as_listpack().is_some() { kind::SORTED_SET_LISTPACK } else { kind::SORTED_SET_2 }
}

impl Writer {
    /// A sorted set key.
    pub fn sorted_set(&mut self, key: &[u8], expires_at_ms: Option<u64>, set: &SortedSet) {
        self.begin_entry(key, expires_at_ms, kind_of(set));
        self.push_sorted_set(set);
    }

    pub(crate) fn push_sorted_set_value(&mut self, set: &SortedSet) {
        self.push_byte(kind_of(set));
        self.push_sorted_set(set);
    }

    fn push_sorted_set(&mut self, set: &SortedSet) {
        if let Some(block) = set.as_listpack() {
            return self.push_string(block);
        }
        self.push_length(set.len() as u64);
        // From the highest score: whoever reads it adds each member in front.
        for (member, score) in set.iter().rev() {
            self.push_string(&member);
            score.to_le_bytes().into_iter().for_each(|byte| self.push_byte(byte));
        }
    }
}
