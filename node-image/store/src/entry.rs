//! An entry: a key with its value, its expiry and what is known about its use, in one allocation.
//!
//!   | header 8 | deadline 8 | key length 8 | number 8 or value | key ...... | text ...... |
//!                 if it       above 255      `int`   other      always      short strings
//!                 expires     bytes          strings values
//!
//!   header, from the low bits:
//!   access 24 | text length 8 | key length 8 | form 2 | expires 1 | long key 1 | cut 20
//!
//! A string of up to 128 bytes lies in the entry, so a pair of 16 bytes each takes 40 bytes, 48
//! with a deadline. Any other value is a [`Value`] within the entry, and what it points to.
//!
//! An [`Entry`] is a pointer. Its upper 16 bits, which no address of a process uses, hold a tag of
//! the key's hash: a table compares tags before it follows a pointer.
//!
//! The cut number tells during which cut the entry was last written; `cut.rs` says what follows
//! from it. The header is an atomic only so that a read can note itself through a shared
//! reference; no second thread ever looks at it.
//!
//! Not known here: the table that holds the entry, and the hash behind the tag.

#![allow(unsafe_code)]

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    borrow::Cow,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{
    string::{StringValue, TextForm},
    table::NEVER,
    value::Value,
};

/// The longest string that lies in its entry.
pub(crate) const INLINE_BYTES_MAX: usize = 128;

/// Cut numbers have so many bits; see `cut.rs` for how they are compared.
pub(crate) const CUT_BITS: u32 = 20;

const ACCESS_MASK: u64 = (1 << 24) - 1;
const TEXT_LEN_AT: u32 = 24;
const KEY_LEN_AT: u32 = 32;
const FORM_AT: u32 = 40;
const EXPIRES: u64 = 1 << 42;
const LONG_KEY: u64 = 1 << 43;
const CUT_AT: u32 = 44;

const FORM_INT: u64 = 0;
const FORM_EMBSTR: u64 = 1;
const FORM_RAW: u64 = 2;
const FORM_VALUE: u64 = 3;

const WORD: usize = 8;
const TAG_AT: u32 = 48;
const ADDRESS_MASK: usize = (1 << TAG_AT) - 1;

/// What is written into an entry.
#[derive(Debug)]
pub(crate) enum Fresh<'a> {
    /// A string that is a number.
    Int(i64),
    /// A string of at most [`INLINE_BYTES_MAX`].
    Text(&'a [u8], TextForm),
    /// Anything else.
    Value(Value),
}

impl<'a> Fresh<'a> {
    /// The best form of a string.
    pub(crate) fn text(bytes: &'a [u8]) -> Self {
        if let Some(number) = crate::number::parse_i64(bytes) {
            return Self::Int(number);
        }
        match TextForm::of(bytes.len()) {
            form if bytes.len() <= INLINE_BYTES_MAX => Self::Text(bytes, form),
            _ => Self::Value(StringValue::verbatim(bytes).into()),
        }
    }

    /// The same for a value that exists already.
    pub(crate) fn of(value: &'a mut Value) -> Self {
        if !matches!(value, Value::String(string) if string.stored_len() <= INLINE_BYTES_MAX) {
            return Self::Value(std::mem::replace(value, Value::String(StringValue::Int(0))));
        }
        match value {
            Value::String(StringValue::Int(number)) => Self::Int(*number),
            Value::String(StringValue::Embstr(bytes)) => Self::Text(bytes, TextForm::Embstr),
            Value::String(StringValue::Raw(bytes)) => Self::Text(bytes, TextForm::Raw),
            _ => Self::Int(0),
        }
    }

    fn form(&self) -> u64 {
        match self {
            Self::Int(_) => FORM_INT,
            Self::Text(_, TextForm::Embstr) => FORM_EMBSTR,
            Self::Text(_, TextForm::Raw) => FORM_RAW,
            Self::Value(_) => FORM_VALUE,
        }
    }

    fn text_len(&self) -> usize {
        if let Self::Text(text, _) = self { text.len() } else { 0 }
    }
}

/// What an entry holds, for reading.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    /// A string that is a number.
    Int(i64),
    /// A string within the entry.
    Text(&'a [u8], TextForm),
    /// Anything else.
    Value(&'a Value),
}

/// Where the parts of an entry lie; follows from its header and the length of its key.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Parts {
    fixed: usize,
    key: usize,
    text: usize,
    end: usize,
}

impl Parts {
    fn new(header: u64, key_len: usize) -> Self {
        let form = form_of(header);
        let mut fixed = WORD;
        fixed += if header & EXPIRES != 0 { WORD } else { 0 };
        fixed += if header & LONG_KEY != 0 { WORD } else { 0 };
        let key = fixed
            + match form {
                FORM_INT => WORD,
                FORM_VALUE => size_of::<Value>(),
                _ => 0,
            };
        let text = key + key_len;
        Self { fixed, key, text, end: text + text_len_of(header) }
    }

    fn layout(self) -> Layout {
        const { assert!(align_of::<Value>() <= WORD) };
        match Layout::from_size_align(self.end, WORD) {
            Ok(layout) => layout,
            // A key and a short text are far from the end of the address space.
            Err(_) => unreachable!("an entry of {} bytes", self.end),
        }
    }
}

fn form_of(header: u64) -> u64 {
    header >> FORM_AT & 3
}

fn text_len_of(header: u64) -> usize {
    (header >> TEXT_LEN_AT & 0xFF) as usize
}

/// What the allocator takes for so many bytes: 16, 32, ... 128, then four steps a doubling.
pub(crate) const fn allocated(bytes: usize) -> usize {
    if bytes <= 128 {
        return bytes.next_multiple_of(16);
    }
    let step = 1 << ((bytes - 1).ilog2() - 2);
    bytes.next_multiple_of(step)
}

/// An owned entry. See the head of this file.
#[derive(Debug)]
pub(crate) struct Entry(NonNull<u8>);

// SAFETY: an entry owns its allocation alone, and all that is in it may be sent: bytes and a
// `Value`, which is `Send`.
unsafe impl Send for Entry where Value: Send {}
// SAFETY: through a shared reference only the header changes, and that is an atomic.
unsafe impl Sync for Entry where Value: Sync {}

impl Entry {
    /// An entry of its own.
    pub(crate) fn new(key: &[u8], fresh: Fresh<'_>, deadline_ms: i64, hash: u32) -> Self {
        let mut header = fresh.form() << FORM_AT | (fresh.text_len() as u64) << TEXT_LEN_AT;
        match u8::try_from(key.len()) {
            Ok(len) => header |= u64::from(len) << KEY_LEN_AT,
            Err(_) => header |= LONG_KEY,
        }
        header |= if deadline_ms == NEVER { 0 } else { EXPIRES };
        let parts = Parts::new(header, key.len());
        let layout = parts.layout();
        // SAFETY: the layout has the size of a header at least.
        let Some(memory) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        if memory.addr().get() > ADDRESS_MASK {
            // No system gives out such addresses unasked; a tag would have no place.
            handle_alloc_error(layout);
        }
        // SAFETY: `memory` has `parts.end` bytes, is aligned to words, and each part lies in it by
        // the computation of `Parts`; nothing is read before it is written.
        unsafe {
            memory.cast::<u64>().write(header);
            if deadline_ms != NEVER {
                memory.add(WORD).cast::<i64>().write(deadline_ms);
            }
            if header & LONG_KEY != 0 {
                memory.add(parts.fixed - WORD).cast::<usize>().write(key.len());
            }
            memory.add(parts.key).copy_from_nonoverlapping(bytes_of(key), key.len());
            write_fresh(memory, parts, fresh);
        }
        let tag = (hash >> 16) as usize;
        Self(memory.map_addr(|address| address | tag << TAG_AT))
    }

    fn memory(&self) -> NonNull<u8> {
        // An allocation is never at the address 0, so what is left beside the tag is not 0; the
        // fallback is never taken.
        let address = self.0.addr().get() & ADDRESS_MASK;
        std::num::NonZeroUsize::new(address).map_or(self.0, |address| self.0.with_addr(address))
    }

    /// Where it lies.
    pub(crate) fn address(&self) -> *const u8 {
        self.memory().as_ptr()
    }

    fn header_cell(&self) -> &AtomicU64 {
        // SAFETY: an entry begins with its header, which is aligned, lives as long as the entry
        // and is only ever reached through this function once the entry is made.
        unsafe { AtomicU64::from_ptr(self.memory().cast::<u64>().as_ptr()) }
    }

    fn header(&self) -> u64 {
        self.header_cell().load(Relaxed)
    }

    fn key_len(&self, header: u64) -> usize {
        if header & LONG_KEY == 0 {
            return (header >> KEY_LEN_AT & 0xFF) as usize;
        }
        let at = if header & EXPIRES == 0 { WORD } else { 2 * WORD };
        // SAFETY: the header says that the word at this place is the key's length.
        unsafe { self.memory().add(at).cast::<usize>().read() }
    }

    fn parts(&self, header: u64) -> Parts {
        Parts::new(header, self.key_len(header))
    }

    fn bytes_at(&self, from: usize, to: usize) -> &[u8] {
        // SAFETY: callers pass the bounds of the key or the text, which were written when the
        // entry was made and change only through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.memory().add(from).as_ptr(), to - from) }
    }

    /// The tag of a hash, to be compared with [`Entry::tag`].
    pub(crate) fn tag_of(hash: u32) -> usize {
        (hash >> 16) as usize
    }

    /// The upper half of the key's hash.
    pub(crate) fn tag(&self) -> usize {
        self.0.addr().get() >> TAG_AT
    }

    /// Its key.
    pub(crate) fn key(&self) -> &[u8] {
        let parts = self.parts(self.header());
        self.bytes_at(parts.key, parts.text)
    }

    /// What it holds.
    pub(crate) fn content(&self) -> Content<'_> {
        let header = self.header();
        let parts = self.parts(header);
        match form_of(header) {
            // SAFETY: the form says that a number lies there.
            FORM_INT => {
                Content::Int(unsafe { self.memory().add(parts.fixed).cast::<i64>().read() })
            }
            FORM_EMBSTR => Content::Text(self.bytes_at(parts.text, parts.end), TextForm::Embstr),
            FORM_RAW => Content::Text(self.bytes_at(parts.text, parts.end), TextForm::Raw),
            // SAFETY: the form says that a value lies there, aligned to words; it changes only
            // through `&mut self`.
            _ => Content::Value(unsafe { self.memory().add(parts.fixed).cast::<Value>().as_ref() }),
        }
    }

    /// What it holds as a value; a string within the entry is copied.
    pub(crate) fn value(&self) -> Cow<'_, Value> {
        match self.content() {
            Content::Int(number) => Cow::Owned(StringValue::Int(number).into()),
            Content::Text(text, TextForm::Embstr) => {
                Cow::Owned(StringValue::Embstr(text.into()).into())
            }
            Content::Text(text, TextForm::Raw) => Cow::Owned(StringValue::Raw(text.into()).into()),
            Content::Value(value) => Cow::Borrowed(value),
        }
    }

    /// The value itself, when it is kept as one; the entry again, when it must be copied out.
    pub(crate) fn value_mut(&mut self) -> Result<&mut Value, &mut Self> {
        let header = self.header();
        if form_of(header) != FORM_VALUE {
            return Err(self);
        }
        let place = self.parts(header).fixed;
        // SAFETY: the form says that a value lies there; `&mut self` makes it the only reference.
        Ok(unsafe { self.memory().add(place).cast::<Value>().as_mut() })
    }

    /// When its time is over; [`NEVER`] for most.
    pub(crate) fn deadline_ms(&self) -> i64 {
        if self.header() & EXPIRES == 0 {
            return NEVER;
        }
        // SAFETY: the header says that the word behind it is the deadline.
        unsafe { self.memory().add(WORD).cast::<i64>().read() }
    }

    /// When its time is over, if ever.
    pub(crate) fn expiry_ms(&self) -> Option<i64> {
        Some(self.deadline_ms()).filter(|deadline_ms| *deadline_ms != NEVER)
    }

    /// A key lives through the millisecond of its deadline, as in Redis.
    pub(crate) fn is_expired(&self, now_ms: i64) -> bool {
        now_ms > self.deadline_ms()
    }

    /// Changes the deadline. The entry moves when it gets its first one or loses it.
    pub(crate) fn set_deadline_ms(&mut self, deadline_ms: i64) {
        if self.deadline_ms() == deadline_ms {
            return;
        }
        if self.header() & EXPIRES != 0 && deadline_ms != NEVER {
            // SAFETY: the header says that the word behind it is the deadline.
            unsafe { self.memory().add(WORD).cast::<i64>().write(deadline_ms) };
            return;
        }
        let mut value = self.take_value();
        self.rebuild(Fresh::of(&mut value), deadline_ms);
    }

    /// Puts something else in the place of what it holds: the old value.
    pub(crate) fn replace(&mut self, fresh: Fresh<'_>) -> Option<Value> {
        let header = self.header();
        let parts = self.parts(header);
        let old = self.take_stored();
        let same_room = fresh.text_len() == text_len_of(header)
            && (fresh.form() == form_of(header)
                || (is_text(fresh.form()) && is_text(form_of(header))));
        if same_room {
            let changed = header & !(3 << FORM_AT) | fresh.form() << FORM_AT;
            self.header_cell().store(changed, Relaxed);
            // SAFETY: form and length are those that the parts were computed for, and what was
            // there has been taken out.
            unsafe { write_fresh(self.memory(), parts, fresh) };
        } else {
            let deadline_ms = self.deadline_ms();
            self.rebuild(fresh, deadline_ms);
        }
        old
    }

    /// What it holds, out of it; the entry holds the number 0 of the same room afterwards, or its
    /// text still, and is good for being rebuilt or dropped.
    fn take_value(&mut self) -> Value {
        match self.take_stored() {
            Some(value) => value,
            None => self.value().into_owned(),
        }
    }

    /// The value, when it is kept as one; another takes its place, so that it is dropped once.
    fn take_stored(&mut self) -> Option<Value> {
        let value = self.value_mut().ok()?;
        Some(std::mem::replace(value, Value::String(StringValue::Int(0))))
    }

    /// Makes the entry anew with the same key, tag, cut and access.
    fn rebuild(&mut self, fresh: Fresh<'_>, deadline_ms: i64) {
        let hash = (self.tag() as u32) << 16;
        let rebuilt = Self::new(self.key(), fresh, deadline_ms, hash);
        rebuilt.set_cut(self.cut());
        rebuilt.set_access(self.access());
        *self = rebuilt;
    }

    /// Its value, without the rest.
    pub(crate) fn into_value(mut self) -> Value {
        self.take_value()
    }

    /// The number of the cut during which it was last written.
    pub(crate) fn cut(&self) -> u32 {
        (self.header() >> CUT_AT) as u32
    }

    /// Notes that it is written during this cut.
    pub(crate) fn set_cut(&self, cut: u32) {
        let rest = self.header() & ((1 << CUT_AT) - 1);
        self.header_cell().store(rest | u64::from(cut) << CUT_AT, Relaxed);
    }

    /// When or how often it is used, see `access.rs`; 24 bits.
    pub(crate) fn access(&self) -> u32 {
        (self.header() & ACCESS_MASK) as u32
    }

    /// Notes a use.
    pub(crate) fn set_access(&self, word: u32) {
        let rest = self.header() & !ACCESS_MASK;
        self.header_cell().store(rest | u64::from(word) & ACCESS_MASK, Relaxed);
    }

    /// Whether it holds a collection without elements.
    pub(crate) fn is_empty_collection(&self) -> bool {
        matches!(self.content(), Content::Value(value) if value.is_empty_collection())
    }

    /// What it takes of the heap beside its value's own.
    pub(crate) fn own_bytes(&self) -> usize {
        allocated(self.parts(self.header()).end)
    }

    /// What it takes of the heap, its value included.
    pub(crate) fn bytes(&self) -> usize {
        let value = if let Content::Value(value) = self.content() { value.heap_bytes() } else { 0 };
        self.own_bytes() + value
    }
}

fn is_text(form: u64) -> bool {
    form == FORM_EMBSTR || form == FORM_RAW
}

fn bytes_of(bytes: &[u8]) -> NonNull<u8> {
    NonNull::from(bytes).cast()
}

/// Writes what an entry holds into its place.
///
/// # Safety
/// `parts` must be those of an allocation at `memory` for the form and the length of `fresh`, and
/// what was there must not need to be dropped.
unsafe fn write_fresh(memory: NonNull<u8>, parts: Parts, fresh: Fresh<'_>) {
    // SAFETY: the caller vouches for the room; the fixed part is aligned to words by `Parts`, and
    // a borrowed text never lies in an entry that is being written.
    unsafe {
        match fresh {
            Fresh::Int(number) => memory.add(parts.fixed).cast::<i64>().write(number),
            Fresh::Text(text, _) => {
                memory.add(parts.text).copy_from_nonoverlapping(bytes_of(text), text.len());
            }
            Fresh::Value(value) => memory.add(parts.fixed).cast::<Value>().write(value),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let header = self.header();
        let parts = self.parts(header);
        // SAFETY: the entry owns its allocation, which was made with this layout, and, when its
        // form says so, the value in it; nobody looks at either afterwards.
        unsafe {
            if form_of(header) == FORM_VALUE {
                self.memory().add(parts.fixed).cast::<Value>().drop_in_place();
            }
            dealloc(self.memory().as_ptr(), parts.layout());
        }
    }
}

impl Clone for Entry {
    fn clone(&self) -> Self {
        let mut value;
        let fresh = match self.content() {
            Content::Int(number) => Fresh::Int(number),
            Content::Text(text, form) => Fresh::Text(text, form),
            Content::Value(stored) => {
                value = stored.clone();
                Fresh::Value(std::mem::replace(&mut value, Value::String(StringValue::Int(0))))
            }
        };
        let hash = (self.tag() as u32) << 16;
        let copy = Self::new(self.key(), fresh, self.deadline_ms(), hash);
        copy.set_cut(self.cut());
        copy.set_access(self.access());
        copy
    }
}

#[cfg(test)]
mod tests;
