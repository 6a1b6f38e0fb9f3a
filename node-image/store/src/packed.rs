//! A small collection in one block of bytes: a listpack that is changed in place.
//!
//!   header | entry | entry | ... | 0xff          (see `listpack.rs`)
//!
//! A hundred short elements cost little more than their bytes, and the block is what DUMP and RDB
//! files hold anyway. Everything is found by walking, so this is only for collections below the
//! thresholds of `*-max-listpack-*`. A place is the offset of an entry from the block's start.
//!
//! Invariants: the block is a whole listpack at all times; `count` is the number of its entries.
//!
//! Not known here: whether entries are members of a set, or members with scores.

use crate::{
    listpack::{Builder, EMPTY, Element, canonical_integer, entry_at, write_entry, write_header},
    number::IntText,
    string::Text,
};

/// The block. See the head of this file.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    bytes: Vec<u8>,
    count: usize,
}

impl Default for Packed {
    fn default() -> Self {
        Self { bytes: EMPTY.to_vec(), count: 0 }
    }
}

/// An element of a block as text.
pub(crate) fn text(element: Element<'_>) -> Text<'_> {
    match element {
        Element::Bytes(bytes) => Text::Bytes(bytes),
        Element::Integer(number) => Text::Int(IntText::new(number)),
    }
}

/// The element that these bytes become.
pub(crate) fn element(bytes: &[u8]) -> Element<'_> {
    canonical_integer(bytes).map_or(Element::Bytes(bytes), Element::Integer)
}

impl Packed {
    /// The block of these elements.
    pub(crate) fn of<E: AsRef<[u8]>>(elements: impl IntoIterator<Item = E>) -> Self {
        let mut builder = Builder::default();
        elements.into_iter().for_each(|element| builder.push(element.as_ref()));
        let count = builder.count();
        let mut bytes = builder.finish();
        bytes.shrink_to_fit();
        Self { bytes, count }
    }

    /// How many elements it has.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The listpack itself.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Every element with its place, from a place on that [`Packed::iter`] gave.
    pub(crate) fn iter_from(&self, place: usize) -> Entries<'_> {
        Entries { bytes: &self.bytes, place }
    }

    /// Every element with its place.
    pub(crate) fn iter(&self) -> Entries<'_> {
        self.iter_from(EMPTY.len() - 1)
    }

    /// The place behind the last element.
    pub(crate) fn end(&self) -> usize {
        self.bytes.len() - 1
    }

    /// The place of an element among every `step`-th.
    pub(crate) fn find(&self, wanted: &[u8], step: usize) -> Option<usize> {
        let wanted = element(wanted);
        self.iter().step_by(step).find(|(_, element)| *element == wanted).map(|(place, _)| place)
    }

    /// Puts elements at a place, in front of what stands there.
    pub(crate) fn insert(&mut self, place: usize, elements: &[&[u8]]) {
        let mut entries = Vec::new();
        elements.iter().for_each(|bytes| write_entry(&mut entries, element(bytes)));
        self.bytes.reserve_exact(entries.len());
        self.bytes.splice(place..place, entries);
        self.recount(self.count + elements.len());
    }

    /// Removes elements from a place on.
    pub(crate) fn remove(&mut self, place: usize, elements: usize) {
        let end = self.iter_from(place).nth(elements).map_or(self.end(), |(end, _)| end);
        self.bytes.drain(place..end);
        self.bytes.shrink_to_fit();
        self.recount(self.count - elements);
    }

    fn recount(&mut self, count: usize) {
        self.count = count;
        write_header(&mut self.bytes, count);
    }
}

/// See [`Packed::iter`].
#[derive(Clone, Debug)]
pub(crate) struct Entries<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (usize, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let place = self.place;
        let (element, bytes) = entry_at(self.bytes.get(place..)?)?;
        self.place += bytes;
        Some((place, element))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::listpack;

    proptest! {
        #[test]
        fn a_block_that_was_changed_is_the_listpack_of_its_elements(
            changes in prop::collection::vec(
                (any::<bool>(), any::<u16>(), prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..200),
                    any::<i64>().prop_map(|n| n.to_string().into_bytes()),
                    any::<i16>().prop_map(|n| n.to_string().into_bytes()),
                ]),
                0..60,
            ),
        ) {
            let mut model: Vec<Vec<u8>> = Vec::new();
            let mut packed = Packed::default();
            for (insert, at, element) in changes {
                let at = usize::from(at) % (model.len() + 1);
                let place = packed.iter().nth(at).map_or(packed.end(), |(place, _)| place);
                if insert {
                    packed.insert(place, &[&element]);
                    model.insert(at, element);
                } else if at < model.len() {
                    packed.remove(place, 1);
                    model.remove(at);
                }
            }
            let whole = Packed::of(&model);
            prop_assert_eq!(packed.as_bytes(), whole.as_bytes());
            prop_assert_eq!(packed.count(), model.len());
            let read: Result<Vec<_>, _> = listpack::read(packed.as_bytes()).unwrap().collect();
            let read: Vec<Vec<u8>> = read.unwrap().into_iter().map(Element::to_vec).collect();
            prop_assert_eq!(&read, &model);
            for element in &model {
                let place = packed.find(element, 1).unwrap();
                let (_, found) = packed.iter_from(place).next().unwrap();
                prop_assert_eq!(&*text(found), &element[..]);
            }
        }
    }
}
