//! Hashes: fields with values.
//!
//! A small hash is a row of pairs in the order of insertion, searched from the start. Once it has
//! too many fields, or one that is too long, it becomes a table, and stays one. OBJECT ENCODING
//! calls them `listpack` and `hashtable`.
//!
//! Invariant: `text_bytes` is the sum of the lengths of all fields and values.
//!
//! Not known here: expiry of single fields.

use crate::{
    limits::{HashSeed, Limits},
    table::{Item, Table},
    value::Encoding,
};

/// What a field costs beyond its bytes in a small hash.
const PAIR_BYTES: usize = 32;

/// What a field costs beyond its bytes in a table.
const FIELD_BYTES: usize = 56;

#[derive(Clone, Debug)]
struct Field {
    hash: u32,
    name: Box<[u8]>,
    value: Box<[u8]>,
}

impl Item for Field {
    fn hash(&self) -> u32 {
        self.hash
    }
}

/// A field and its value.
type Pair = (Box<[u8]>, Box<[u8]>);

#[derive(Clone, Debug)]
enum Form {
    Small(Vec<Pair>),
    Large { fields: Table<Field>, seed: HashSeed },
}

/// A hash.
#[derive(Clone, Debug)]
pub struct Hash {
    form: Form,
    text_bytes: usize,
}

impl Default for Hash {
    fn default() -> Self {
        Self { form: Form::Small(Vec::new()), text_bytes: 0 }
    }
}

impl Hash {
    /// The empty hash.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many fields it has.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Small(pairs) => pairs.len(),
            Form::Large { fields, .. } => fields.len(),
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
            Form::Large { .. } => Encoding::Hashtable,
        }
    }

    /// An estimate of its memory.
    pub fn heap_bytes(&self) -> usize {
        let per_field = match &self.form {
            Form::Small(pairs) => pairs.len() * PAIR_BYTES,
            Form::Large { fields, .. } => fields.len() * FIELD_BYTES + fields.bucket_count() * 24,
        };
        per_field + self.text_bytes + size_of::<Self>()
    }

    /// The value of a field.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        match &self.form {
            Form::Small(pairs) => {
                pairs.iter().find(|(field, _)| **field == *name).map(|(_, value)| &**value)
            }
            Form::Large { fields, seed } => {
                fields.find(seed.hash(name), |field| *field.name == *name).map(|f| &*f.value)
            }
        }
    }

    /// Sets a field; true when it is new.
    pub fn set(&mut self, name: &[u8], value: &[u8], limits: &Limits) -> bool {
        let longest = name.len().max(value.len());
        if longest > limits.hash_max_listpack_value {
            self.make_large(limits);
        }
        let new = match &mut self.form {
            Form::Small(pairs) => match pairs.iter_mut().find(|(field, _)| **field == *name) {
                Some((_, old)) => {
                    self.text_bytes -= old.len();
                    *old = value.into();
                    false
                }
                None => {
                    pairs.push((name.into(), value.into()));
                    true
                }
            },
            Form::Large { fields, seed } => {
                let hash = seed.hash(name);
                match fields.find_mut(hash, |field| *field.name == *name) {
                    Some(field) => {
                        self.text_bytes -= field.value.len();
                        field.value = value.into();
                        false
                    }
                    None => {
                        fields.insert(Field { hash, name: name.into(), value: value.into() });
                        true
                    }
                }
            }
        };
        self.text_bytes += value.len() + if new { name.len() } else { 0 };
        if self.len() > limits.hash_max_listpack_entries {
            self.make_large(limits);
        }
        new
    }

    fn make_large(&mut self, limits: &Limits) {
        let Form::Small(pairs) = &mut self.form else { return };
        let seed = limits.seed;
        let mut fields = Table::default();
        for (name, value) in std::mem::take(pairs) {
            fields.insert(Field { hash: seed.hash(&name), name, value });
        }
        self.form = Form::Large { fields, seed };
    }

    /// Removes a field; false when there was none.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let removed = match &mut self.form {
            Form::Small(pairs) => {
                let place = pairs.iter().position(|(field, _)| **field == *name);
                place.map(|place| {
                    let (field, value) = pairs.remove(place);
                    field.len() + value.len()
                })
            }
            Form::Large { fields, seed } => fields
                .remove(seed.hash(name), |field| *field.name == *name)
                .map(|field| field.name.len() + field.value.len()),
        };
        self.text_bytes -= removed.unwrap_or(0);
        removed.is_some()
    }

    /// Every field with its value; in the order of insertion while the hash is small.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (small, large) = match &self.form {
            Form::Small(pairs) => (Some(pairs), None),
            Form::Large { fields, .. } => (None, Some(fields)),
        };
        let small = small.into_iter().flatten().map(|(name, value)| (&**name, &**value));
        let large = large.into_iter().flat_map(Table::iter).map(|f| (&*f.name, &*f.value));
        small.chain(large)
    }

    /// Shows the fields at the cursor and tells the next cursor, 0 after the last. A small hash
    /// is shown whole. Every field that is there throughout is shown at least once.
    pub fn scan(&self, cursor: u64, mut show: impl FnMut(&[u8], &[u8])) -> u64 {
        match &self.form {
            Form::Small(pairs) => {
                for (name, value) in pairs {
                    show(name, value);
                }
                0
            }
            Form::Large { fields, .. } => {
                let next = fields.scan(cursor as u32, |field| show(&field.name, &field.value));
                u64::from(next)
            }
        }
    }

    /// Frees a part of a large hash, all of a small one: how many fields went.
    pub(crate) fn crumble(&mut self) -> usize {
        match &mut self.form {
            Form::Small(pairs) => std::mem::take(pairs).len(),
            Form::Large { fields, .. } => loop {
                // A segment may be empty, which must not look like the end.
                match fields.crumble() {
                    None => break 0,
                    Some(0) => {}
                    Some(freed) => break freed,
                }
            },
        }
    }

    /// A field chosen evenly, with its value; `random` gives a fresh number with each call.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<(&[u8], &[u8])> {
        match &self.form {
            Form::Small(pairs) => {
                let place = random() as usize % pairs.len().max(1);
                pairs.get(place).map(|(name, value)| (&**name, &**value))
            }
            Form::Large { fields, .. } => {
                fields.random(random).map(|field| (&*field.name, &*field.value))
            }
        }
    }
}

/// Hashes are equal when they have the same fields with the same values.
impl PartialEq for Hash {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

#[cfg(test)]
mod tests;
