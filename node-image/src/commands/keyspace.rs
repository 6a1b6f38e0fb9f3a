//! The keyspace as a command sees it: one database, one instant, values of a known type.
//!
//! [`Ctx::split`] gives it together with the reply, so that a handler can write out what it reads
//! without a copy. A change of a list or a hash goes through a closure: afterwards a collection
//! without elements is gone from the keyspace, whatever the closure did.
//!
//! Not known here: effects and touched keys; handlers tell those themselves.

use holdfast_store::hash::Hash;
use holdfast_store::list::List;
use holdfast_store::set::Set;
use holdfast_store::sorted_set::SortedSet;
use holdfast_store::string::Text;
use holdfast_store::{Limits, StringValue, Value};
use holdfast_wire::resp::ReplyBuf;

use super::{CommandError, Ctx, Outcome};
use crate::core::Core;
use crate::notify::EventClass;

/// How a handler ends.
pub(super) type Ended = Result<Outcome, CommandError>;

/// The usual end: the reply is written.
pub(super) const DONE: Ended = Ok(Outcome::Done);

/// What a change does without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It begins with an empty collection.
    Create,
    /// It does nothing.
    Skip,
}

/// One database at one instant.
pub(super) struct Keyspace<'a> {
    pub(super) core: &'a mut Core,
    pub(super) db: usize,
    pub(super) now_ms: i64,
    leaves_no_trace: bool,
    /// Nothing is written: what is not there is a miss.
    only_reads: bool,
}

impl Ctx<'_> {
    /// The keyspace and the reply, side by side.
    pub(super) fn split(&mut self) -> (Keyspace<'_>, &mut ReplyBuf) {
        let leaves_no_trace = self.core.clients.get(self.client).is_some_and(|c| c.no_touch);
        let keys = Keyspace {
            db: self.db,
            now_ms: self.now_ms,
            leaves_no_trace,
            only_reads: !self.command.is_write(),
            core: self.core,
        };
        (keys, self.reply)
    }

    /// The keyspace alone.
    pub(super) fn keys(&mut self) -> Keyspace<'_> {
        self.split().0
    }

    /// The key was changed by the command as it was sent.
    pub(super) fn changed(&mut self, key: &[u8]) {
        self.touched(key);
        self.effect_verbatim();
    }

    /// Like [`Ctx::changed`], and tells who listens which event it was.
    pub(super) fn changed_by(&mut self, class: EventClass, event: &str, key: &[u8]) {
        self.changed(key);
        self.notify(class, event, key);
    }
}

impl Keyspace<'_> {
    /// The thresholds of collections.
    pub(super) fn limits(&self) -> Limits {
        self.core.store.limits()
    }

    /// The value of a key, for reading.
    pub(super) fn value(&mut self, key: &[u8]) -> Option<&Value> {
        if self.only_reads && self.core.events.wants(EventClass::KeyMiss) && !self.contains(key) {
            self.core.notify(self.db, EventClass::KeyMiss, "keymiss", key);
        }
        let stats = &self.core.shared.stats;
        let value = if self.leaves_no_trace {
            self.core.store.get_quietly(self.db, key, self.now_ms)
        } else {
            self.core.store.get(self.db, key, self.now_ms)
        };
        match value {
            Some(_) => stats.keyspace_hits.add(1),
            None => stats.keyspace_misses.add(1),
        }
        value
    }

    /// The text of a key, without a copy.
    pub(super) fn text(&mut self, key: &[u8]) -> Result<Option<Text<'_>>, CommandError> {
        if self.only_reads && self.core.events.wants(EventClass::KeyMiss) && !self.contains(key) {
            self.core.notify(self.db, EventClass::KeyMiss, "keymiss", key);
        }
        let stats = &self.core.shared.stats;
        let uses = !self.leaves_no_trace;
        let text = self.core.store.text(self.db, key, uses, self.now_ms);
        match text {
            Ok(None) => stats.keyspace_misses.add(1),
            Ok(Some(_)) | Err(_) => stats.keyspace_hits.add(1),
        }
        text.map_err(|_| CommandError::WRONG_TYPE)
    }

    /// The string of a key.
    pub(super) fn string(&mut self, key: &[u8]) -> Result<Option<&StringValue>, CommandError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(string)) => Ok(Some(string)),
            Some(_) => Err(CommandError::WRONG_TYPE),
        }
    }

    /// The list of a key.
    pub(super) fn list(&mut self, key: &[u8]) -> Result<Option<&List>, CommandError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(_) => Err(CommandError::WRONG_TYPE),
        }
    }

    /// The hash of a key.
    pub(super) fn hash(&mut self, key: &[u8]) -> Result<Option<&Hash>, CommandError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Hash(hash)) => Ok(Some(hash)),
            Some(_) => Err(CommandError::WRONG_TYPE),
        }
    }

    /// The set of a key.
    pub(super) fn set_of(&mut self, key: &[u8]) -> Result<Option<&Set>, CommandError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Set(set)) => Ok(Some(set)),
            Some(_) => Err(CommandError::WRONG_TYPE),
        }
    }

    /// The sorted set of a key.
    pub(super) fn sorted_set(&mut self, key: &[u8]) -> Result<Option<&SortedSet>, CommandError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::SortedSet(set)) => Ok(Some(set)),
            Some(_) => Err(CommandError::WRONG_TYPE),
        }
    }

    /// Whether a key exists; not a use of it.
    pub(super) fn contains(&mut self, key: &[u8]) -> bool {
        self.core.store.contains(self.db, key, self.now_ms)
    }

    /// Sets a key, whatever it held.
    pub(super) fn set(&mut self, key: &[u8], value: impl Into<Value>, expiry_ms: Option<i64>) {
        let is_new = self.core.events.wants(EventClass::New) && !self.contains(key);
        self.core.store.insert(self.db, key, value.into(), expiry_ms, self.now_ms);
        if is_new {
            self.core.notify(self.db, EventClass::New, "new", key);
        }
    }

    /// Sets a key to a string in its best form.
    pub(super) fn set_text(&mut self, key: &[u8], text: &[u8], expiry_ms: Option<i64>) {
        let is_new = self.core.events.wants(EventClass::New) && !self.contains(key);
        self.core.store.insert_text(self.db, key, text, expiry_ms, self.now_ms);
        if is_new {
            self.core.notify(self.db, EventClass::New, "new", key);
        }
    }

    /// Sets a key and leaves its expiry as it is.
    pub(super) fn set_keeping_expiry(&mut self, key: &[u8], value: impl Into<Value>) {
        let expiry_ms = self.expiry_ms(key).flatten();
        self.set(key, value, expiry_ms);
    }

    /// Removes a key; false when there is none.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        self.core.store.remove(self.db, key, self.now_ms)
    }

    /// When a key expires: `None` without the key, `Some(None)` without an expiry.
    #[allow(clippy::option_option)] // Both layers are answers of TTL.
    pub(super) fn expiry_ms(&mut self, key: &[u8]) -> Option<Option<i64>> {
        self.core.store.expiry_ms(self.db, key, self.now_ms)
    }

    /// Sets or clears the expiry of a key; false when there is none.
    pub(super) fn set_expiry(&mut self, key: &[u8], expiry_ms: Option<i64>) -> bool {
        self.core.store.set_expiry(self.db, key, expiry_ms, self.now_ms)
    }

    /// Changes a list: what the closure gave, `None` when there was nothing to change.
    pub(super) fn change_list<R>(
        &mut self,
        key: &[u8],
        missing: Missing,
        change: impl FnOnce(&mut List, &Limits) -> R,
    ) -> Result<Option<R>, CommandError> {
        self.change(key, missing, |v| if let Value::List(l) = v { Some(l) } else { None }, change)
    }

    /// Changes a hash: what the closure gave, `None` when there was nothing to change.
    pub(super) fn change_hash<R>(
        &mut self,
        key: &[u8],
        missing: Missing,
        change: impl FnOnce(&mut Hash, &Limits) -> R,
    ) -> Result<Option<R>, CommandError> {
        self.change(key, missing, |v| if let Value::Hash(h) = v { Some(h) } else { None }, change)
    }

    /// Changes a set: what the closure gave, `None` when there was nothing to change.
    pub(super) fn change_set<R>(
        &mut self,
        key: &[u8],
        missing: Missing,
        change: impl FnOnce(&mut Set, &Limits) -> R,
    ) -> Result<Option<R>, CommandError> {
        self.change(key, missing, |v| if let Value::Set(s) = v { Some(s) } else { None }, change)
    }

    /// Changes a sorted set: what the closure gave, `None` when there was nothing to change.
    pub(super) fn change_sorted_set<R>(
        &mut self,
        key: &[u8],
        missing: Missing,
        change: impl FnOnce(&mut SortedSet, &Limits) -> R,
    ) -> Result<Option<R>, CommandError> {
        self.change(
            key,
            missing,
            |v| if let Value::SortedSet(s) = v { Some(s) } else { None },
            change,
        )
    }

    /// Changes a collection, which `pick` tells from other values. One that is left empty goes,
    /// one that was made and stayed empty never comes.
    fn change<T, R>(
        &mut self,
        key: &[u8],
        missing: Missing,
        pick: impl FnOnce(&mut Value) -> Option<&mut Box<T>>,
        change: impl FnOnce(&mut T, &Limits) -> R,
    ) -> Result<Option<R>, CommandError>
    where
        T: Default + Into<Value>,
    {
        let limits = self.limits();
        if self.contains(key) {
            let mut value = self.core.store.get_mut(self.db, key, self.now_ms);
            let picked = value.as_deref_mut().and_then(pick).ok_or(CommandError::WRONG_TYPE)?;
            let result = change(picked, &limits);
            drop(value);
            self.core.store.remove_if_empty(self.db, key);
            return Ok(Some(result));
        }
        if missing == Missing::Skip {
            return Ok(None);
        }
        let mut made = T::default();
        let result = change(&mut made, &limits);
        let made: Value = made.into();
        if !made.is_empty_collection() {
            self.set(key, made, None);
        }
        Ok(Some(result))
    }

    /// Changes the bytes of a string, an empty one when there is no key: the new length.
    pub(super) fn change_bytes(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut Vec<u8>),
    ) -> Result<usize, CommandError> {
        if let Some(mut value) = self.core.store.get_mut(self.db, key, self.now_ms) {
            let Value::String(string) = &mut *value else { return Err(CommandError::WRONG_TYPE) };
            let bytes = string.bytes_mut();
            change(bytes);
            return Ok(bytes.len());
        }
        let mut bytes = Vec::new();
        change(&mut bytes);
        let len = bytes.len();
        self.set(key, StringValue::Raw(bytes), None);
        Ok(len)
    }
}
