//! A value while a command changes it.
//!
//! Large values are changed where they stand. A short string lies in its entry, without room to
//! grow: it is changed as a copy of its own, which goes back when the change is over.
//!
//! Not known here: cuts; whoever hands a value out for change has taken care of them.

use std::ops::{Deref, DerefMut};

use crate::{
    entry::{Entry, Fresh},
    value::Value,
};

/// A value under change. Its memory is measured again when this goes.
#[derive(Debug)]
pub struct ValueMut<'a> {
    pub(super) held: Held<'a>,
    pub(super) bytes_before: usize,
    pub(super) slot_bytes: &'a mut usize,
    pub(super) entry_bytes: &'a mut usize,
}

#[derive(Debug)]
pub(super) enum Held<'a> {
    /// It is changed where it stands.
    InPlace(&'a mut Value),
    /// A string that lies in its entry is changed as a copy, which goes back in the end.
    Copied(Value, &'a mut Entry),
}

impl Deref for ValueMut<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        match &self.held {
            Held::InPlace(value) => value,
            Held::Copied(value, _) => value,
        }
    }
}

impl DerefMut for ValueMut<'_> {
    fn deref_mut(&mut self) -> &mut Value {
        match &mut self.held {
            Held::InPlace(value) => value,
            Held::Copied(value, _) => value,
        }
    }
}

impl Drop for ValueMut<'_> {
    fn drop(&mut self) {
        let bytes_after = match &mut self.held {
            Held::InPlace(value) => value.heap_bytes(),
            Held::Copied(value, entry) => {
                entry.replace(Fresh::of(value));
                entry.bytes()
            }
        };
        *self.slot_bytes = *self.slot_bytes + bytes_after - self.bytes_before;
        *self.entry_bytes = *self.entry_bytes + bytes_after - self.bytes_before;
    }
}
