//! Sorted sets: members with scores, in the order of the scores.
//!
//!   few short members   a block of bytes, member and score in turn, in order     (`listpack`)
//!   anything else       a table member -> score, and a tree by score             (`skiplist`)
//!
//! OBJECT ENCODING names the large form after the structure that Redis has in its place. Table
//! and tree share the bytes of each name. Both are made of parts behind reference counts (see
//! `table.rs` and `sorted_set/tree.rs`): a clone shares them all, and a later write copies only
//! what it touches. A sorted set becomes large once and stays so.
//!
//! Scores are never NaN. A block keeps a whole number as an integer, so -0 becomes 0 there.
//!
//! Invariants: table and tree have the same members with the same scores; `text_bytes` is the sum
//! of the lengths of the large form's names.
//!
//! Not known here: operations between sorted sets, and the words of ranges.

use std::sync::Arc;

use holdfast_wire::resp::format_double;

use crate::{
    limits::{HashSeed, Limits},
    listpack::Element,
    number::IntText,
    packed::{Packed, text},
    string::Text,
    table::{Item, Table},
    value::Encoding,
};

mod tree;

use tree::{Entry, Tree, order};

/// What a member of the large form costs beyond its bytes: an item of the table and its share of a
/// bucket, an entry of a leaf that is three quarters full, the head of the shared name.
const MEMBER_BYTES: usize = 32 + 14 + 32 + 16;

/// Beyond this a whole number is kept as text, as Redis does.
const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;

#[derive(Clone, Debug)]
struct Member {
    hash: u32,
    score: f64,
    name: Arc<[u8]>,
}

impl Item for Member {
    fn hash(&self) -> u32 {
        self.hash
    }
}

#[derive(Clone, Debug)]
struct Large {
    members: Table<Member>,
    tree: Tree,
    seed: HashSeed,
    text_bytes: usize,
}

#[derive(Clone, Debug)]
enum Form {
    Small(Packed),
    Large(Large),
}

/// A sorted set.
#[derive(Clone, Debug)]
pub struct SortedSet {
    form: Form,
}

impl Default for SortedSet {
    fn default() -> Self {
        Self { form: Form::Small(Packed::default()) }
    }
}

/// A score as a block keeps it.
fn score_text(score: f64) -> Vec<u8> {
    let whole = score as i64;
    if score.abs() <= INTEGER_MAX && whole as f64 == score {
        IntText::new(whole).to_vec()
    } else {
        format_double(score).into_bytes()
    }
}

fn score_of(element: Element<'_>) -> f64 {
    match element {
        Element::Integer(number) => number as f64,
        Element::Bytes(bytes) => {
            std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0)
        }
    }
}

/// A member of a block: its place, its name and its score.
type Pair<'a> = (usize, Text<'a>, f64);

fn pairs(packed: &Packed) -> impl Iterator<Item = Pair<'_>> {
    let mut entries = packed.iter();
    std::iter::from_fn(move || {
        let (place, name) = entries.next()?;
        let (_, score) = entries.next()?;
        Some((place, text(name), score_of(score)))
    })
}

fn find_pair<'a>(packed: &'a Packed, member: &[u8]) -> Option<Pair<'a>> {
    let place = packed.find(member, 2)?;
    let mut entries = packed.iter_from(place);
    let (_, name) = entries.next()?;
    let (_, score) = entries.next()?;
    Some((place, text(name), score_of(score)))
}

fn insert_pair(packed: &mut Packed, member: &[u8], score: f64) {
    let place = pairs(packed)
        .find(|(_, name, kept)| order((*kept, name), (score, member)).is_gt())
        .map_or(packed.end(), |(place, ..)| place);
    packed.insert(place, &[member, &score_text(score)]);
}

impl Large {
    fn find(&self, member: &[u8]) -> Option<&Member> {
        self.members.find(self.seed.hash(member), |kept| *kept.name == *member)
    }

    fn insert(&mut self, member: &[u8], score: f64) {
        let name: Arc<[u8]> = member.into();
        let hash = self.seed.hash(member);
        self.text_bytes += member.len();
        self.members.insert(Member { hash, score, name: Arc::clone(&name) });
        self.tree.insert(Entry { score, name });
    }

    fn set(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let hash = self.seed.hash(member);
        let Some(kept) = self.members.find_mut(hash, |kept| *kept.name == *member) else {
            self.insert(member, score);
            return None;
        };
        let old = kept.score;
        if old != score {
            kept.score = score;
            let name = Arc::clone(&kept.name);
            self.tree.remove(old, member);
            self.tree.insert(Entry { score, name });
        }
        Some(old)
    }

    fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let hash = self.seed.hash(member);
        let removed = self.members.remove(hash, |kept| *kept.name == *member)?;
        self.tree.remove(removed.score, member);
        self.text_bytes -= member.len();
        Some(removed.score)
    }
}

impl SortedSet {
    /// The empty sorted set.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many members it has.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Small(packed) => packed.count() / 2,
            Form::Large(large) => large.tree.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING tells.
    pub fn encoding(&self) -> Encoding {
        match self.form {
            Form::Small(_) => Encoding::Listpack,
            Form::Large(_) => Encoding::Skiplist,
        }
    }

    /// The block of a small one, as RDB files hold it.
    pub fn as_listpack(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Small(packed) => Some(packed.as_bytes()),
            Form::Large(_) => None,
        }
    }

    /// An estimate of its memory.
    pub fn heap_bytes(&self) -> usize {
        let members = match &self.form {
            Form::Small(packed) => packed.heap_bytes(),
            Form::Large(large) => large.tree.len() * MEMBER_BYTES + large.text_bytes,
        };
        members + size_of::<Self>()
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.form {
            Form::Small(packed) => find_pair(packed, member).map(|(.., score)| score),
            Form::Large(large) => large.find(member).map(|kept| kept.score),
        }
    }

    /// Gives a member a score, which must not be NaN: the old one, `None` when the member is new.
    pub fn set(&mut self, member: &[u8], score: f64, limits: &Limits) -> Option<f64> {
        match &mut self.form {
            Form::Large(large) => large.set(member, score),
            Form::Small(packed) => {
                if let Some((place, _, old)) = find_pair(packed, member) {
                    if old != score {
                        packed.remove(place, 2);
                        insert_pair(packed, member, score);
                    }
                    return Some(old);
                }
                if packed.count() / 2 >= limits.zset_max_listpack_entries
                    || member.len() > limits.zset_max_listpack_value
                {
                    self.make_large(limits);
                    return self.set(member, score, limits);
                }
                insert_pair(packed, member, score);
                None
            }
        }
    }

    fn make_large(&mut self, limits: &Limits) {
        let Form::Small(packed) = &self.form else { return };
        let mut large = Large {
            members: Table::default(),
            tree: Tree::default(),
            seed: limits.seed,
            text_bytes: 0,
        };
        for (_, name, score) in pairs(packed) {
            large.insert(&name, score);
        }
        self.form = Form::Large(large);
    }

    /// Removes a member: the score that it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.form {
            Form::Large(large) => large.remove(member),
            Form::Small(packed) => {
                let (place, _, score) = find_pair(packed, member)?;
                packed.remove(place, 2);
                Some(score)
            }
        }
    }

    /// Removes `count` members from a place on.
    pub fn remove_range(&mut self, start: usize, count: usize) {
        match &mut self.form {
            Form::Large(large) => {
                for _ in 0..count {
                    let Some(entry) = large.tree.range(start, start + 1).next() else { return };
                    let name = Arc::clone(&entry.name);
                    large.remove(&name);
                }
            }
            Form::Small(packed) => {
                let count = count.min((packed.count() / 2).saturating_sub(start));
                let first = packed.iter().nth(start * 2);
                if let (Some((place, _)), 1..) = (first, count) {
                    packed.remove(place, count * 2);
                }
            }
        }
    }

    /// How many members come before the first for which `is_before` does not hold. Once it does
    /// not hold it must not hold for any later member.
    pub fn position(&self, mut is_before: impl FnMut(f64, &[u8]) -> bool) -> usize {
        match &self.form {
            Form::Small(packed) => {
                pairs(packed).take_while(|(_, name, score)| is_before(*score, name)).count()
            }
            Form::Large(large) => large.tree.position(is_before),
        }
    }

    /// The place of a member, counted from the lowest score, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(member)?;
        let place = self.position(|kept, name| order((kept, name), (score, member)).is_lt());
        Some((place, score))
    }

    /// At most `count` members from a place on, with their scores.
    pub fn range(
        &self,
        start: usize,
        count: usize,
    ) -> impl DoubleEndedIterator<Item = (Text<'_>, f64)> {
        let (small, large) = match &self.form {
            Form::Small(packed) => {
                let pairs = pairs(packed).skip(start).take(count);
                (pairs.map(|(_, name, score)| (name, score)).collect(), None)
            }
            Form::Large(large) => {
                (Vec::new(), Some(large.tree.range(start, start.saturating_add(count))))
            }
        };
        let large = large.into_iter().flatten();
        small.into_iter().chain(large.map(|entry| (Text::Bytes(&entry.name), entry.score)))
    }

    /// Every member with its score, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Text<'_>, f64)> {
        self.range(0, self.len())
    }

    /// Shows the members at the cursor with their scores and tells the next cursor, 0 after the
    /// last. A small sorted set is shown whole. Every member that is there throughout is shown at
    /// least once, even if its score changes.
    pub fn scan(&self, cursor: u64, mut show: impl FnMut(&[u8], f64)) -> u64 {
        match &self.form {
            Form::Small(packed) => {
                pairs(packed).for_each(|(_, name, score)| show(&name, score));
                0
            }
            Form::Large(large) => {
                let next = large.members.scan(cursor as u32, |kept| show(&kept.name, kept.score));
                u64::from(next)
            }
        }
    }

    /// A score of this sorted set as ZSCAN shows it: as it is kept.
    pub fn score_text(&self, score: f64) -> Vec<u8> {
        match self.form {
            Form::Small(_) => score_text(score),
            Form::Large(_) => format_double(score).into_bytes(),
        }
    }

    /// Frees a part of a large one, all of a small one: how many pieces went.
    pub(crate) fn crumble(&mut self) -> usize {
        match &mut self.form {
            Form::Small(packed) => std::mem::take(packed).count(),
            Form::Large(large) => loop {
                // A segment may be empty, which must not look like the end.
                match large.members.crumble() {
                    None => break large.tree.crumble(),
                    Some(0) => {}
                    Some(freed) => break freed,
                }
            },
        }
    }
}

/// Sorted sets are equal when they have the same members with the same scores.
impl PartialEq for SortedSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|(left, right)| *left.0 == *right.0 && left.1 == right.1)
    }
}

#[cfg(test)]
mod tests;
