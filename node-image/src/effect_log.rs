//! The effect log: every change of the data, in order, as a replica must run it.
//!
//! Replicas, the append-only file, slot migrations and the backlog all read this log; nothing is
//! propagated in another way. It is a stream of RESP requests with an offset (bytes since the
//! replication id began). The newest part stays in memory, as a ring:
//!
//!   offset   start() ............ turn_start ........ end()
//!            | backlog            | this loop turn    |
//!
//! Readers look at the log once a loop turn: [`EffectLog::turn`] has a mark for each entry of the
//! turn, [`EffectLog::copy`] gives bytes of any part that is still there. After that the turn is
//! closed and the ring is cut to its size.
//!
//! A reply may depend on the log: [`EffectLog::released`] says up to which offset replies may
//! leave. Not known here: clients, files, and who follows.

use std::collections::VecDeque;
use std::ops::Range;

use holdfast_wire::resp::request::encode_into;
use holdfast_wire::slot::Slot;

/// What an entry of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A change.
    Effect,
    /// `SELECT`, put in by the log when the database changes.
    Select,
    /// `MULTI` or `EXEC`, put in by the log around the effects of one unit.
    Bracket,
    /// What changes nothing: PING, REPLCONF, a published message.
    Filler,
}

/// One entry of this turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// What it is.
    pub kind: EntryKind,
    /// Its database.
    pub db: usize,
    /// Its slot, in cluster mode, when it has keys.
    pub slot: Option<Slot>,
    /// Where it lies, as offsets.
    pub range: Range<u64>,
}

/// One change on its way into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Its database.
    pub db: usize,
    /// Its slot, in cluster mode.
    pub slot: Option<Slot>,
    /// False for a message, which files leave out.
    pub changes: bool,
    /// The request, encoded.
    pub bytes: Range<usize>,
}

/// The effects of one unit of work: a command, or all commands of a transaction.
#[derive(Debug, Default)]
pub struct Unit {
    effects: Vec<Effect>,
    bytes: Vec<u8>,
    loose: bool,
}

impl Unit {
    /// Adds an effect that has nothing to do with the others, such as the end of a key whose time
    /// was over: alone or among its like it needs no transaction.
    pub fn push_loose<A: AsRef<[u8]>>(&mut self, db: usize, slot: Option<Slot>, args: &[A]) {
        let loose = self.loose || self.is_empty();
        self.push(db, slot, args);
        self.loose = loose;
    }

    /// Adds an effect.
    pub fn push<A: AsRef<[u8]>>(&mut self, db: usize, slot: Option<Slot>, args: &[A]) {
        self.loose = false;
        self.add(db, slot, true, args);
    }

    /// Adds a published message: replicas run it, but it changes nothing.
    pub fn push_message<A: AsRef<[u8]>>(&mut self, db: usize, args: &[A]) {
        self.add(db, None, false, args);
    }

    fn add<A: AsRef<[u8]>>(&mut self, db: usize, slot: Option<Slot>, changes: bool, args: &[A]) {
        let start = self.bytes.len();
        encode_into(&mut self.bytes, args);
        self.effects.push(Effect { db, slot, changes, bytes: start..self.bytes.len() });
    }

    /// How much is in it, for [`Unit::truncate`].
    pub fn mark(&self) -> (usize, usize) {
        (self.effects.len(), self.bytes.len())
    }

    /// Forgets the effects that were added since the mark.
    pub fn truncate(&mut self, (effects, bytes): (usize, usize)) {
        self.effects.truncate(effects);
        self.bytes.truncate(bytes);
    }

    /// True when nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }

    /// Number of effects.
    pub fn len(&self) -> usize {
        self.effects.len()
    }
}

/// The log.
#[derive(Debug)]
pub struct EffectLog {
    ring: VecDeque<u8>,
    end: u64,
    backlog_bytes_max: usize,
    selected_db: Option<usize>,
    turn: Vec<Mark>,
    released: u64,
    holds_replies: bool,
}

impl EffectLog {
    /// An empty log that keeps this many bytes.
    pub fn new(backlog_bytes_max: usize) -> Self {
        EffectLog {
            ring: VecDeque::new(),
            end: 0,
            backlog_bytes_max,
            selected_db: None,
            turn: Vec::new(),
            released: 0,
            holds_replies: false,
        }
    }

    /// Offset behind the last entry.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Offset of the oldest byte that is still here.
    pub fn start(&self) -> u64 {
        self.end - self.ring.len() as u64
    }

    /// Bytes that are here.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// True when no bytes are here.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// How many bytes are kept for replicas that come back.
    pub fn backlog_bytes_max(&self) -> usize {
        self.backlog_bytes_max
    }

    /// Changes how many bytes are kept; takes effect when the turn ends.
    pub fn set_backlog_bytes_max(&mut self, bytes: usize) {
        self.backlog_bytes_max = bytes;
    }

    /// Entries of this turn, in order.
    pub fn turn(&self) -> &[Mark] {
        &self.turn
    }

    /// Appends the effects of one unit, wrapped in MULTI and EXEC when there are several.
    pub fn append_unit(&mut self, unit: &mut Unit) {
        let several = unit.effects.len() > 1 && !unit.loose;
        let first_db = unit.effects.first().map_or(0, |effect| effect.db);
        if several {
            self.select(first_db);
            self.append(EntryKind::Bracket, first_db, None, b"*1\r\n$5\r\nMULTI\r\n");
        }
        for effect in &unit.effects {
            self.select(effect.db);
            let bytes = unit.bytes.get(effect.bytes.clone()).unwrap_or_default();
            let kind = if effect.changes { EntryKind::Effect } else { EntryKind::Filler };
            self.append(kind, effect.db, effect.slot, bytes);
        }
        if several {
            self.append(EntryKind::Bracket, first_db, None, b"*1\r\n$4\r\nEXEC\r\n");
        }
        unit.effects.clear();
        unit.bytes.clear();
        unit.loose = false;
    }

    /// Appends bytes of the primary's stream as they came, so that offsets stay the same all along
    /// a chain of replicas.
    pub fn append_raw(&mut self, kind: EntryKind, db: usize, slot: Option<Slot>, bytes: &[u8]) {
        self.selected_db = None;
        self.append(kind, db, slot, bytes);
    }

    fn select(&mut self, db: usize) {
        if self.selected_db != Some(db) {
            let mut bytes = Vec::with_capacity(32);
            encode_into(&mut bytes, &["SELECT", &db.to_string()]);
            self.append(EntryKind::Select, db, None, &bytes);
            self.selected_db = Some(db);
        }
    }

    fn append(&mut self, kind: EntryKind, db: usize, slot: Option<Slot>, bytes: &[u8]) {
        let start = self.end;
        self.ring.extend(bytes);
        self.end += bytes.len() as u64;
        self.turn.push(Mark { kind, db, slot, range: start..self.end });
    }

    /// Makes the next effect be preceded by a SELECT, for a reader that begins there.
    pub fn forget_selected_db(&mut self) {
        self.selected_db = None;
    }

    /// Copies a part of the log to the end of `out`; false when it is no longer (or not yet) here.
    pub fn copy(&self, range: Range<u64>, out: &mut Vec<u8>) -> bool {
        if range.start < self.start() || range.end > self.end || range.start > range.end {
            return false;
        }
        let from = (range.start - self.start()) as usize;
        let to = (range.end - self.start()) as usize;
        let (older, newer) = self.ring.as_slices();
        let split = older.len();
        out.extend_from_slice(older.get(from.min(split)..to.min(split)).unwrap_or_default());
        let (from, to) = (from.saturating_sub(split), to.saturating_sub(split));
        out.extend_from_slice(newer.get(from..to).unwrap_or_default());
        true
    }

    /// Closes the turn: readers have seen it. Called by the event loop, by nobody else.
    pub fn end_turn(&mut self) {
        self.turn.clear();
        let surplus = self.ring.len().saturating_sub(self.backlog_bytes_max);
        self.ring.drain(..surplus);
    }

    /// Forgets all bytes and goes on from `offset`: a replica that begins with a full sync.
    pub fn restart_at(&mut self, offset: u64) {
        self.ring.clear();
        self.turn.clear();
        self.end = offset;
        self.released = offset;
        self.selected_db = None;
    }

    /// True while replies wait for [`EffectLog::release`] (`appendfsync always`).
    pub fn holds_replies(&self) -> bool {
        self.holds_replies
    }

    /// Turns the waiting of replies on or off; off releases all.
    pub fn hold_replies(&mut self, on: bool) {
        self.holds_replies = on;
    }

    /// Replies that depend on an offset up to this one may leave.
    pub fn released(&self) -> u64 {
        if self.holds_replies { self.released } else { u64::MAX }
    }

    /// The log is safe up to `offset`.
    pub fn release(&mut self, offset: u64) {
        self.released = self.released.max(offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(log: &EffectLog) -> String {
        let mut out = Vec::new();
        assert!(log.copy(log.start()..log.end(), &mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_single_effect_stands_alone_behind_its_database() {
        let mut log = EffectLog::new(1024);
        let mut unit = Unit::default();
        unit.push(0, None, &["DEL", "a"]);
        log.append_unit(&mut unit);
        unit.push(0, None, &["DEL", "b"]);
        log.append_unit(&mut unit);
        assert_eq!(
            text(&log),
            "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n\
             *2\r\n$3\r\nDEL\r\n$1\r\nb\r\n"
        );
        assert_eq!(log.turn().len(), 3);
    }

    #[test]
    fn several_effects_of_one_unit_are_a_transaction() {
        let mut log = EffectLog::new(1024);
        let mut unit = Unit::default();
        unit.push(2, None, &["DEL", "a"]);
        unit.push(2, None, &["DEL", "b"]);
        log.append_unit(&mut unit);
        let kinds: Vec<_> = log.turn().iter().map(|mark| mark.kind).collect();
        use EntryKind::*;
        assert_eq!(kinds, [Select, Bracket, Effect, Effect, Bracket]);
    }

    #[test]
    fn what_ends_by_itself_makes_no_transaction_but_joins_one() {
        use EntryKind::*;
        let mut log = EffectLog::new(1024);
        let mut unit = Unit::default();
        unit.push_loose(2, None, &["DEL", "a"]);
        unit.push_loose(2, None, &["DEL", "b"]);
        log.append_unit(&mut unit);
        unit.push_loose(2, None, &["DEL", "c"]);
        unit.push(2, None, &["SET", "c", "d"]);
        log.append_unit(&mut unit);
        let kinds: Vec<_> = log.turn().iter().map(|mark| mark.kind).collect();
        assert_eq!(kinds, [Select, Effect, Effect, Bracket, Effect, Effect, Bracket]);
    }

    #[test]
    fn the_ring_keeps_what_this_turn_wrote_and_then_only_its_size() {
        let mut log = EffectLog::new(8);
        log.append_raw(EntryKind::Filler, 0, None, b"0123456789abcdef");
        assert_eq!(log.start(), 0);
        log.end_turn();
        assert_eq!((log.start(), log.end()), (8, 16));
        let mut out = Vec::new();
        assert!(log.copy(9..12, &mut out));
        assert_eq!(out, b"9ab");
        assert!(!log.copy(7..12, &mut out));
        assert!(!log.copy(12..17, &mut out));
    }

    #[test]
    fn a_copy_over_the_rings_seam_is_whole() {
        let mut log = EffectLog::new(10);
        let mut all = Vec::new();
        for round in 0..50_u8 {
            let bytes = [round; 7];
            all.extend_from_slice(&bytes);
            log.append_raw(EntryKind::Filler, 0, None, &bytes);
            log.end_turn();
            let mut out = Vec::new();
            assert!(log.copy(log.start()..log.end(), &mut out));
            assert!(all.ends_with(&out));
            assert_eq!(out.len(), all.len().min(10));
        }
    }

    #[test]
    fn replies_are_held_only_while_the_policy_says_so() {
        let mut log = EffectLog::new(8);
        assert_eq!(log.released(), u64::MAX);
        log.hold_replies(true);
        log.release(5);
        log.release(3);
        assert_eq!(log.released(), 5);
    }
}
