//! Sets: members, each once.
//!
//!   whole numbers only            an intset                       (`intset`)
//!   few short members             a block of bytes                (`listpack`)
//!   anything else                 a linear-hashing table          (`hashtable`)
//!
//! A set goes down this list as members demand it, and never up again. Redis 7.0 knows no
//! listpacks here; with `set-max-listpack-entries 0` there are none. The table's segments are
//! shared between a set and its clones, so a snapshot of a large set copies none of it.
//!
//! Invariant: `text_bytes` is the sum of the lengths of a table's members, 0 in the other forms.
//!
//! Not known here: operations between sets.

use crate::{
    intset::IntSet,
    limits::{HashSeed, Limits},
    number::{IntText, parse_i64},
    packed::{Packed, text},
    string::Text,
    table::{Item, Table},
    value::Encoding,
};

/// What a member of a table costs beyond its bytes.
const MEMBER_BYTES: usize = 40;

/// However it is configured, an intset never gets longer.
const INTSET_ENTRIES_MAX: usize = 1 << 30;

#[derive(Clone, Debug)]
struct Member {
    hash: u32,
    name: Box<[u8]>,
}

impl Item for Member {
    fn hash(&self) -> u32 {
        self.hash
    }
}

#[derive(Clone, Debug)]
enum Form {
    Numbers(IntSet),
    Small(Packed),
    Large { members: Table<Member>, seed: HashSeed },
}

/// A set.
#[derive(Clone, Debug)]
pub struct Set {
    form: Form,
    text_bytes: usize,
}

impl Default for Set {
    fn default() -> Self {
        Self { form: Form::Numbers(IntSet::default()), text_bytes: 0 }
    }
}

impl Set {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many members it has.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Numbers(numbers) => numbers.len(),
            Form::Small(packed) => packed.count(),
            Form::Large { members, .. } => members.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING tells.
    pub fn encoding(&self) -> Encoding {
        match self.form {
            Form::Numbers(_) => Encoding::Intset,
            Form::Small(_) => Encoding::Listpack,
            Form::Large { .. } => Encoding::Hashtable,
        }
    }

    /// The block of an intset, as RDB files hold it.
    pub fn as_intset(&self) -> Option<&IntSet> {
        match &self.form {
            Form::Numbers(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// An estimate of its memory.
    pub fn heap_bytes(&self) -> usize {
        let members = match &self.form {
            Form::Numbers(numbers) => numbers.heap_bytes(),
            Form::Small(packed) => packed.heap_bytes(),
            Form::Large { members, .. } => {
                members.len() * MEMBER_BYTES + members.bucket_count() * 24 + self.text_bytes
            }
        };
        members + size_of::<Self>()
    }

    /// Whether it has a member.
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.form {
            Form::Numbers(numbers) => parse_i64(member).is_some_and(|n| numbers.contains(n)),
            Form::Small(packed) => packed.find(member, 1).is_some(),
            Form::Large { members, seed } => {
                members.find(seed.hash(member), |kept| *kept.name == *member).is_some()
            }
        }
    }

    /// Adds a member; true when it is new.
    pub fn insert(&mut self, member: &[u8], limits: &Limits) -> bool {
        match &mut self.form {
            Form::Numbers(numbers) => {
                let Some(number) = parse_i64(member) else {
                    self.leave_numbers(member, limits);
                    return self.insert(member, limits);
                };
                let new = numbers.insert(number);
                if numbers.len() > limits.set_max_intset_entries.min(INTSET_ENTRIES_MAX) {
                    self.make_large(limits);
                }
                new
            }
            Form::Small(packed) => {
                if packed.find(member, 1).is_some() {
                    return false;
                }
                if packed.count() >= limits.set_max_listpack_entries
                    || member.len() > limits.set_max_listpack_value
                {
                    self.make_large(limits);
                    return self.insert(member, limits);
                }
                packed.insert(packed.end(), &[member]);
                true
            }
            Form::Large { members, seed } => {
                let hash = seed.hash(member);
                if members.find(hash, |kept| *kept.name == *member).is_some() {
                    return false;
                }
                members.insert(Member { hash, name: member.into() });
                self.text_bytes += member.len();
                true
            }
        }
    }

    /// The first member that is no number decides what the set becomes.
    fn leave_numbers(&mut self, member: &[u8], limits: &Limits) {
        let Form::Numbers(numbers) = &self.form else { return };
        let digits = |number: Option<i64>| number.map_or(0, |number| IntText::new(number).len());
        let longest =
            digits(numbers.get(0)).max(digits(numbers.iter().next_back())).max(member.len());
        let fits = numbers.len() < limits.set_max_listpack_entries
            && longest <= limits.set_max_listpack_value;
        if fits {
            self.form = Form::Small(Packed::of(numbers.iter().map(|n| IntText::new(n).to_vec())));
        } else {
            self.make_large(limits);
        }
    }

    fn make_large(&mut self, limits: &Limits) {
        let seed = limits.seed;
        let mut members = Table::default();
        let mut text_bytes = 0;
        for name in self.iter() {
            text_bytes += name.len();
            members.insert(Member { hash: seed.hash(&name), name: (*name).into() });
        }
        self.form = Form::Large { members, seed };
        self.text_bytes = text_bytes;
    }

    /// Removes a member; false when there was none.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.form {
            Form::Numbers(numbers) => parse_i64(member).is_some_and(|n| numbers.remove(n)),
            Form::Small(packed) => match packed.find(member, 1) {
                Some(place) => {
                    packed.remove(place, 1);
                    true
                }
                None => false,
            },
            Form::Large { members, seed } => {
                let removed = members.remove(seed.hash(member), |kept| *kept.name == *member);
                self.text_bytes -= removed.as_ref().map_or(0, |member| member.name.len());
                removed.is_some()
            }
        }
    }

    /// Every member; numbers in ascending order, a small set's in the order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = Text<'_>> {
        let (numbers, small, large) = match &self.form {
            Form::Numbers(numbers) => (Some(numbers), None, None),
            Form::Small(packed) => (None, Some(packed), None),
            Form::Large { members, .. } => (None, None, Some(members)),
        };
        let numbers = numbers.into_iter().flat_map(IntSet::iter);
        let small = small.into_iter().flat_map(Packed::iter).map(|(_, element)| text(element));
        let large = large.into_iter().flat_map(Table::iter).map(|m| Text::Bytes(&m.name));
        numbers.map(|number| Text::Int(IntText::new(number))).chain(small).chain(large)
    }

    /// Shows the members at the cursor and tells the next cursor, 0 after the last. A set that is
    /// no table is shown whole. Every member that is there throughout is shown at least once.
    pub fn scan(&self, cursor: u64, mut show: impl FnMut(&[u8])) -> u64 {
        match &self.form {
            Form::Large { members, .. } => {
                u64::from(members.scan(cursor as u32, |member| show(&member.name)))
            }
            _ => {
                self.iter().for_each(|member| show(&member));
                0
            }
        }
    }

    /// Frees a part of a table, all of anything else: how many members went.
    pub(crate) fn crumble(&mut self) -> usize {
        match &mut self.form {
            Form::Large { members, .. } => loop {
                // A segment may be empty, which must not look like the end.
                match members.crumble() {
                    None => break 0,
                    Some(0) => {}
                    Some(freed) => break freed,
                }
            },
            _ => std::mem::take(self).len(),
        }
    }

    /// A member chosen evenly; `random` gives a fresh number with each call.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<Text<'_>> {
        let place = |drawn: u64| drawn as usize % self.len().max(1);
        match &self.form {
            Form::Numbers(numbers) => {
                numbers.get(place(random())).map(|number| Text::Int(IntText::new(number)))
            }
            Form::Small(packed) => {
                packed.iter().nth(place(random())).map(|(_, element)| text(element))
            }
            Form::Large { members, .. } => {
                members.random(random).map(|member| Text::Bytes(&member.name))
            }
        }
    }
}

/// Sets are equal when they have the same members.
impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|member| other.contains(&member))
    }
}

#[cfg(test)]
mod tests;
