//! Keyspace notifications: who listens to a channel hears what happens to keys.
//!
//! A command that changed a key says so by `ctx.notify(EventClass::Set, "sadd", key)`, behind the
//! change, with the event's name as Redis documents it. A command that may have taken the last
//! element of a collection says `ctx.notify_if_gone(key)` behind that: it adds the `del` event
//! when the key is no longer there. `expired` and `evicted` come from where keys expire and are
//! evicted, `new` and `keymiss` from [`crate::commands`]' keyspace, so handlers do not tell them.
//!
//!   notify ──(class wanted?)──┬─ K ──> channel __keyspace@<db>__:<key>    message <event>
//!                             └─ E ──> channel __keyevent@<db>__:<event>  message <key>
//!
//! Subscribers of this node alone are told: events cross neither the bus nor the replication
//! stream; a replica tells its own subscribers when it runs the change. Without
//! `notify-keyspace-events` it costs one comparison. Not known here: who has subscribed.

use crate::core::Core;

/// The family of an event, as a letter of `notify-keyspace-events` selects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum EventClass {
    /// `g`: commands of any type, such as `del`, `expire`, `rename_from`.
    Generic = 1,
    /// `$`: strings.
    String = 1 << 1,
    /// `l`: lists.
    List = 1 << 2,
    /// `s`: sets.
    Set = 1 << 3,
    /// `h`: hashes.
    Hash = 1 << 4,
    /// `z`: sorted sets.
    SortedSet = 1 << 5,
    /// `x`: a key's time was over.
    Expired = 1 << 6,
    /// `e`: a key made room for others.
    Evicted = 1 << 7,
    /// `t`: streams.
    Stream = 1 << 8,
    /// `d`: types of modules; nothing here tells it.
    Module = 1 << 9,
    /// `m`: a read found no key; not in `A`.
    KeyMiss = 1 << 10,
    /// `n`: a key came into being; not in `A`.
    New = 1 << 11,
}

const KEYSPACE: u16 = 1 << 12;
const KEYEVENT: u16 = 1 << 13;

const LETTERS: &[(char, u16)] = &[
    ('A', (1 << 10) - 1),
    ('g', EventClass::Generic as u16),
    ('$', EventClass::String as u16),
    ('l', EventClass::List as u16),
    ('s', EventClass::Set as u16),
    ('h', EventClass::Hash as u16),
    ('z', EventClass::SortedSet as u16),
    ('x', EventClass::Expired as u16),
    ('e', EventClass::Evicted as u16),
    ('t', EventClass::Stream as u16),
    ('d', EventClass::Module as u16),
    ('m', EventClass::KeyMiss as u16),
    ('n', EventClass::New as u16),
    ('K', KEYSPACE),
    ('E', KEYEVENT),
];

/// The events that `notify-keyspace-events` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Events(u16);

impl Events {
    /// Reads the directive's letters.
    pub fn parse(letters: &str) -> Self {
        let bits = |letter: char| LETTERS.iter().find(|(known, _)| *known == letter);
        Events(letters.chars().filter_map(bits).fold(0, |all, (_, bits)| all | bits))
    }

    /// True when somebody could hear of an event of that class.
    pub fn wants(self, class: EventClass) -> bool {
        self.0 & class as u16 != 0 && self.0 & (KEYSPACE | KEYEVENT) != 0
    }
}

impl Core {
    /// Tells local subscribers what happened to a key; see the head of [`crate::notify`].
    pub fn notify(&mut self, db: usize, class: EventClass, event: &str, key: &[u8]) {
        if !self.events.wants(class) {
            return;
        }
        if self.events.0 & KEYSPACE != 0 {
            let channel = [format!("__keyspace@{db}__:").as_bytes(), key].concat();
            self.deliver(&channel, event.as_bytes());
        }
        if self.events.0 & KEYEVENT != 0 {
            let channel = format!("__keyevent@{db}__:{event}");
            self.deliver(channel.as_bytes(), key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_every_class_but_misses_and_new_keys() {
        let events = Events::parse("AKE");
        for class in [EventClass::Generic, EventClass::Set, EventClass::Stream, EventClass::Module]
        {
            assert!(events.wants(class));
        }
        assert!(!events.wants(EventClass::KeyMiss));
        assert!(!events.wants(EventClass::New));
        assert!(Events::parse("En").wants(EventClass::New));
    }

    #[test]
    fn a_class_without_a_kind_of_channel_is_told_to_nobody() {
        assert!(!Events::parse("A").wants(EventClass::Generic));
        assert!(!Events::parse("KE").wants(EventClass::Generic));
        assert!(!Events::parse("").wants(EventClass::Generic));
    }
}
