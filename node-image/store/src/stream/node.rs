//! A node: a run of entries in the form in which Redis keeps and saves them.
//!
//! ```text
//!   listpack: live | deleted | fields | field ... | 0 |  entry  entry ...
//!   entry:    flags | ms - base.ms | seq - base.seq | [fields, field ...] value ... | elements
//! ```
//!
//! The base is the id under which the node lies in its stream. An entry with the same fields as
//! the node's first one names none. Everything behind the first 0 is kept as it is in the listpack;
//! the head, whose counters change all the time, is put before it when the listpack is asked for.
//! A deleted entry stays and is only marked, which changes one byte.
//!
//! Invariants: ids only grow; every byte was encoded by `listpack.rs`, so decoding cannot fail and
//! where it does all the same, the entries end there.
//!
//! Not known here: other nodes, and when a node is full.

use super::id::StreamId;
use crate::listpack::{self, Builder, Damaged, Element, Elements, element_at, write_entry};

const DELETED: u8 = 1;
const SAME_FIELDS: u8 = 2;

/// What a node costs beyond its bytes.
pub(super) const NODE_BYTES: usize = size_of::<Node>() + 48;

/// A run of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The fields of the first entry, as listpack entries.
    fields: Box<[u8]>,
    field_count: usize,
    entries: Vec<u8>,
    elements: usize,
    pub(super) live: u64,
    pub(super) deleted: u64,
    pub(super) last_id: StreamId,
}

/// An entry of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    node: &'a Node,
    start: usize,
    /// Where its fields begin, or its values when the node has the fields.
    at: usize,
    field_count: usize,
    flags: u8,
}

impl<'a> Entry<'a> {
    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.field_count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.field_count == 0
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    /// Its fields with their values.
    pub fn fields(&self) -> impl Iterator<Item = (Element<'a>, Element<'a>)> + use<'a> {
        let node = self.node;
        let (mut at, mut head_at) = (self.at, 0);
        let same = self.flags & SAME_FIELDS != 0;
        (0..self.field_count).map_while(move |_| {
            let field = if same {
                let (field, next) = element_at(&node.fields, head_at)?;
                head_at = next;
                field
            } else {
                let (field, next) = element_at(&node.entries, at)?;
                at = next;
                field
            };
            let (value, next) = element_at(&node.entries, at)?;
            at = next;
            Some((field, value))
        })
    }
}

impl Node {
    /// A node for entries with such fields; `fields` are fields and values in turn.
    pub(super) fn new(fields: &[&[u8]]) -> Self {
        let mut row = Vec::new();
        for field in fields.iter().step_by(2) {
            write_entry(&mut row, Element::of(field));
        }
        Self::with_fields(row, fields.len() / 2)
    }

    fn with_fields(row: Vec<u8>, field_count: usize) -> Self {
        Self {
            fields: row.into_boxed_slice(),
            field_count,
            entries: Vec::new(),
            elements: 0,
            live: 0,
            deleted: 0,
            last_id: StreamId::MIN,
        }
    }

    /// An estimate of its memory.
    pub(super) fn bytes(&self) -> usize {
        NODE_BYTES + self.fields.len() + self.entries.len()
    }

    /// Bytes of its listpack.
    pub(super) fn listpack_bytes(&self) -> usize {
        self.head().len_bytes() + self.entries.len()
    }

    fn head(&self) -> Builder {
        let mut head = Builder::default();
        let mut row = Vec::with_capacity(self.fields.len() + 32);
        for number in [self.live as usize, self.deleted as usize, self.field_count] {
            push_number(&mut row, number as i64);
        }
        row.extend_from_slice(&self.fields);
        push_number(&mut row, 0);
        head.push_row(&row, self.field_count + 4);
        head
    }

    /// The listpack, byte for byte as Redis has it.
    pub fn listpack(&self) -> Vec<u8> {
        let mut whole = self.head();
        whole.push_row(&self.entries, self.elements);
        whole.finish()
    }

    fn has_fields(&self, fields: &[&[u8]]) -> bool {
        let mut at = 0;
        fields.len() / 2 == self.field_count
            && fields.iter().step_by(2).all(|field| match element_at(&self.fields, at) {
                Some((kept, next)) => {
                    at = next;
                    kept == Element::of(field)
                }
                None => false,
            })
    }

    /// Appends an entry; `fields` are fields and values in turn.
    pub(super) fn push(&mut self, base: StreamId, id: StreamId, fields: &[&[u8]]) {
        let same = self.has_fields(fields);
        let row = &mut self.entries;
        push_number(row, i64::from(if same { SAME_FIELDS } else { 0 }));
        push_number(row, id.ms.wrapping_sub(base.ms) as i64);
        push_number(row, id.seq.wrapping_sub(base.seq) as i64);
        let count = fields.len() / 2;
        let elements = if same {
            fields.iter().skip(1).step_by(2).for_each(|v| write_entry(row, Element::of(v)));
            count + 3
        } else {
            push_number(row, count as i64);
            fields.iter().for_each(|part| write_entry(row, Element::of(part)));
            2 * count + 4
        };
        push_number(row, elements as i64);
        self.elements += elements + 1;
        self.live += 1;
        self.last_id = id;
    }

    /// The entry at a place, deleted or not, and where the next one begins.
    fn entry_at(&self, base: StreamId, start: usize) -> Option<(Entry<'_>, usize)> {
        let mut at = start;
        let mut number = || {
            let (element, next) = element_at(&self.entries, at)?;
            at = next;
            match element {
                Element::Integer(number) => Some(number),
                Element::Bytes(_) => None,
            }
        };
        let flags = number()? as u8;
        let ms = base.ms.wrapping_add(number()? as u64);
        let seq = base.seq.wrapping_add(number()? as u64);
        let same = flags & SAME_FIELDS != 0;
        let field_count = if same { self.field_count } else { number()? as usize };
        let entry = Entry { id: StreamId { ms, seq }, node: self, start, at, field_count, flags };
        for _ in 0..=if same { field_count } else { 2 * field_count } {
            at = element_at(&self.entries, at)?.1;
        }
        Some((entry, at))
    }

    /// All entries, the deleted ones too.
    pub(super) fn all(&self, base: StreamId) -> impl Iterator<Item = Entry<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (entry, next) = self.entry_at(base, at)?;
            at = next;
            Some(entry)
        })
    }

    /// The entries that are not deleted.
    pub(super) fn entries(&self, base: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.all(base).filter(|entry| !entry.is_deleted())
    }

    /// Marks the entry at a place, which has to be live, as deleted.
    pub(super) fn delete(&mut self, place: Place) {
        if let Some(flags) = self.entries.get_mut(place.0) {
            *flags |= DELETED;
            self.live -= 1;
            self.deleted += 1;
        }
    }

    /// The node of a listpack from outside; its ids must be above `after`.
    pub(super) fn from_listpack(
        bytes: &[u8],
        base: StreamId,
        after: Option<StreamId>,
    ) -> Result<Self, BadNode> {
        let mut elements = listpack::read(bytes)?;
        let live = next_count(&mut elements)?;
        let deleted = next_count(&mut elements)?;
        let field_count = next_count(&mut elements)? as usize;
        let mut row = Vec::new();
        for _ in 0..field_count {
            write_entry(&mut row, canonical(next_element(&mut elements)?));
        }
        if next_number(&mut elements)? != 0 {
            return Err(BadNode("a node's fields have no end"));
        }
        let mut node = Self::with_fields(row, field_count);
        let mut last = after;
        while let Some(flags) = elements.next() {
            let (id, is_live) = node.copy_entry(base, flags?, &mut elements)?;
            if last.is_some_and(|last| last >= id) || id == StreamId::MIN {
                return Err(BadNode("ids of entries do not grow"));
            }
            last = Some(id);
            node.last_id = id;
            *if is_live { &mut node.live } else { &mut node.deleted } += 1;
        }
        if (node.live, node.deleted) != (live, deleted) || live + deleted == 0 {
            return Err(BadNode("a node has other entries than it says"));
        }
        Ok(node)
    }

    /// Copies an entry whose flags were read: its id, and whether it is live.
    fn copy_entry(
        &mut self,
        base: StreamId,
        flags: Element<'_>,
        elements: &mut Elements<'_>,
    ) -> Result<(StreamId, bool), BadNode> {
        let flags = match number(flags)? {
            flags @ 0..4 => flags as u8,
            _ => return Err(BadNode("an entry has unknown flags")),
        };
        let (ms, seq) = (next_number(elements)?, next_number(elements)?);
        let same = flags & SAME_FIELDS != 0;
        let row = &mut self.entries;
        [i64::from(flags), ms, seq].into_iter().for_each(|number| push_number(row, number));
        let (parts, told) = if same {
            (self.field_count, self.field_count + 3)
        } else {
            let count = next_count(elements)?;
            push_number(row, count as i64);
            let count = count as usize;
            (count.saturating_mul(2), count.saturating_mul(2).saturating_add(4))
        };
        for _ in 0..parts {
            write_entry(row, canonical(next_element(elements)?));
        }
        if next_count(elements)? != told as u64 {
            return Err(BadNode("an entry has other elements than it says"));
        }
        push_number(row, told as i64);
        self.elements += told + 1;
        let ms = base.ms.wrapping_add(ms as u64);
        let seq = base.seq.wrapping_add(seq as u64);
        Ok((StreamId { ms, seq }, flags & DELETED == 0))
    }
}

/// Where an entry stands in its node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

impl Entry<'_> {
    pub(super) fn place(&self) -> Place {
        Place(self.start)
    }
}

/// A listpack that is not a node of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadNode(pub(crate) &'static str);

impl From<Damaged> for BadNode {
    fn from(_: Damaged) -> Self {
        BadNode("a listpack is damaged")
    }
}

fn push_number(row: &mut Vec<u8>, number: i64) {
    write_entry(row, Element::Integer(number));
}

/// A number that was written as text is kept as a number, so that equal fields have equal bytes.
fn canonical(element: Element<'_>) -> Element<'_> {
    match element {
        Element::Bytes(bytes) => Element::of(bytes),
        Element::Integer(_) => element,
    }
}

fn number(element: Element<'_>) -> Result<i64, BadNode> {
    match canonical(element) {
        Element::Integer(number) => Ok(number),
        Element::Bytes(_) => Err(BadNode("text stands where a number must")),
    }
}

fn next_element<'a>(elements: &mut Elements<'a>) -> Result<Element<'a>, BadNode> {
    Ok(elements.next().ok_or(BadNode("a node ends inside an entry"))??)
}

fn next_number(elements: &mut Elements<'_>) -> Result<i64, BadNode> {
    number(next_element(elements)?)
}

fn next_count(elements: &mut Elements<'_>) -> Result<u64, BadNode> {
    u64::try_from(next_number(elements)?).map_err(|_| BadNode("a count is negative"))
}
