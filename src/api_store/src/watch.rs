//! What happened, in order: the log behind every watch.
//!
//! The log is bounded. A watcher that asks for a version before its beginning is told that the
//! version has expired, lists again, and goes on from there, as with a real API server. Not known
//! here: connections; a watcher is whoever asks `since`.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use crate::failure::Failure;
use crate::resource::TypeId;
use crate::selector::Selector;

/// How many events are kept.
pub const HISTORY_MAX: usize = 4096;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It changed.
    Modified,
    /// It is gone; the event carries its last state.
    Deleted,
}

impl Change {
    /// As the wire has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One entry of the log.
#[derive(Debug, Clone)]
pub struct WatchEvent {
    /// The store's version after the change.
    pub revision: u64,
    /// Type of the object.
    pub of: TypeId,
    /// What happened.
    pub change: Change,
    /// The object after the change, or as it was when it went.
    pub object: Arc<Value>,
    /// The object before a modification.
    pub before: Option<Arc<Value>>,
}

/// The last [`HISTORY_MAX`] changes.
#[derive(Debug, Clone, Default)]
pub struct Log {
    events: VecDeque<WatchEvent>,
    /// Version of the newest event that is not kept any more.
    forgotten: u64,
}

impl Log {
    /// An empty log that has forgotten everything up to `revision`.
    pub fn starting_at(revision: u64) -> Self {
        Self { events: VecDeque::new(), forgotten: revision }
    }

    /// Appends an event.
    pub fn push(&mut self, event: WatchEvent) {
        self.events.push_back(event);
        if self.events.len() > HISTORY_MAX {
            self.forgotten = self.events.pop_front().map_or(self.forgotten, |e| e.revision);
        }
    }

    /// The events of a type after `revision`, as a watcher with this selector sees them: an
    /// object that begins to match is added, one that ends to match is deleted.
    pub fn since(
        &self,
        of: &TypeId,
        namespace: Option<&str>,
        selector: &Selector,
        revision: u64,
    ) -> Result<Vec<WatchEvent>, Failure> {
        if revision < self.forgotten {
            let text = format!("too old resource version: {revision} ({})", self.forgotten);
            return Err(Failure::Expired(text));
        }
        let start = self.events.partition_point(|event| event.revision <= revision);
        Ok(self
            .events
            .range(start..)
            .filter(|event| event.of == *of)
            .filter(|event| {
                namespace.is_none_or(|wanted| crate::object::namespace(&event.object) == wanted)
            })
            .filter_map(|event| seen_through(event, selector))
            .collect())
    }
}

fn seen_through(event: &WatchEvent, selector: &Selector) -> Option<WatchEvent> {
    let now = selector.matches(&event.object);
    let change = match (event.change, event.before.as_ref().map(|old| selector.matches(old))) {
        (Change::Modified, Some(false)) if now => Change::Added,
        (Change::Modified, Some(true)) if !now => Change::Deleted,
        (change, _) if now => change,
        _ => return None,
    };
    Some(WatchEvent { change, ..event.clone() })
}
