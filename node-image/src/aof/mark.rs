//! The `has-data` mark: a small durable file that says "this node has held data".
//!
//! A node that owns slots and comes back without data must not serve (node.md, "Lame boot"). It
//! can know that only from the mark, so the mark must be durable before the first write after
//! being empty is acknowledged:
//!
//! ```text
//!   unset --first effect--> pending (replies wait) --durable--> set --FLUSHALL, empty--> unset
//! ```
//!
//! Outside a cluster there is no mark. Not known here: who concludes what from it.

use super::hold;
use crate::core::Core;
use crate::disk::ToDisk;
use crate::effect_log::EntryKind;

/// A failed mark is tried again after this long.
const RETRY_MS: i64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Not a cluster node, or not started yet.
    #[default]
    Off,
    Unset,
    Pending,
    Set,
}

/// What the core knows of the mark.
#[derive(Debug, Default)]
pub struct Mark {
    state: State,
    /// Data was here in this life of the process, so that being empty now is no loss.
    lived: bool,
    failure: Option<String>,
    retry_at_ms: i64,
}

impl Mark {
    /// The start found the mark, or did not.
    pub(crate) fn begin(&mut self, set: bool, loaded: bool) {
        self.state = if set { State::Set } else { State::Unset };
        self.lived = loaded;
    }

    /// The node held data before it started and has had none since. Whether that makes it lame is
    /// for the bus to say; until data came nobody may take this emptiness for a copy.
    pub fn is_bereft(&self) -> bool {
        self.state == State::Set && !self.lived
    }

    /// An orderly stop of an empty node takes the mark away. Not so a lame one, which never had
    /// its data in this life.
    pub fn may_be_cleared(&self) -> bool {
        self.state != State::Off && self.lived
    }

    /// Replies to writes may have to wait for the mark.
    pub fn holds_replies(&self) -> bool {
        matches!(self.state, State::Unset | State::Pending)
    }

    /// Replies wait for it now.
    pub fn is_pending(&self) -> bool {
        self.state == State::Pending
    }

    /// Why it cannot be set.
    pub fn failure(&self) -> Option<&String> {
        self.failure.as_ref()
    }
}

/// Data has come in: by an effect, by a snapshot, or at start.
pub fn on_data(core: &mut Core) {
    let mark = &mut core.persistence.mark;
    mark.lived = true;
    if mark.state == State::Unset {
        mark.state = State::Pending;
        core.to_disk.send(ToDisk::Mark { has_data: true });
    }
}

pub(super) fn on_turn(core: &mut Core) {
    let has_effect = core.log.turn().iter().any(|entry| entry.kind == EntryKind::Effect);
    if !has_effect {
        return;
    }
    core.persistence.mark.lived = true;
    match core.persistence.mark.state {
        State::Unset => on_data(core),
        State::Set if core.store.is_empty() && was_flushed(core) => {
            core.persistence.mark.state = State::Unset;
            core.to_disk.send(ToDisk::Mark { has_data: false });
        }
        _ => {}
    }
}

/// The turn's last effect emptied the store on purpose. A store that runs empty by DEL keeps its
/// mark: the next SET would only set it again.
fn was_flushed(core: &Core) -> bool {
    let turn = core.log.turn();
    let Some(last) = turn.iter().rev().find(|entry| entry.kind == EntryKind::Effect) else {
        return false;
    };
    let mut bytes = Vec::new();
    core.log.copy(last.range.clone(), &mut bytes);
    let text = bytes.to_ascii_uppercase();
    [&b"$8\r\nFLUSHALL"[..], b"$7\r\nFLUSHDB"]
        .iter()
        .any(|name| text.get(4..).is_some_and(|rest| rest.starts_with(name)))
}

/// The disk thread has set or cleared it.
pub fn on_marked(core: &mut Core, has_data: bool) {
    let mark = &mut core.persistence.mark;
    mark.failure = None;
    if has_data && mark.state == State::Pending {
        mark.state = State::Set;
        hold(core);
    }
}

/// The disk thread could not.
pub fn on_mark_failed(core: &mut Core, error: String) {
    core.persistence.mark.failure = Some(error);
    core.persistence.mark.retry_at_ms = core.now_ms + RETRY_MS;
}

pub(super) fn cron(core: &mut Core) {
    let mark = &mut core.persistence.mark;
    if mark.failure.is_some() && core.now_ms >= mark.retry_at_ms {
        mark.retry_at_ms = core.now_ms + RETRY_MS;
        let has_data = mark.state != State::Unset;
        core.to_disk.send(ToDisk::Mark { has_data });
    }
}
