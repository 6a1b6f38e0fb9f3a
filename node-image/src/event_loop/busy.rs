//! The look at other clients while a script has taken too long.
//!
//! A script holds the core's one thread. Once it has run for `busy-reply-threshold` milliseconds,
//! its session comes by here now and then: who has come is let in, and what has been sent is read
//! and answered, mostly with BUSY, so that everybody learns what goes on and somebody can end it.
//! The poll is not asked: its events wait for the next turn, and reading an empty socket costs
//! little.
//!
//! What belongs to the script (its effects, its slot, who is being served) is set aside meanwhile.
//! Time stands still for the script: a key whose time has come is hidden from others, and not
//! removed before the script has ended, nor logged before what the script has done so far.
//! Replicas, files and the mailbox wait for the end of the turn, as for every command. Not known
//! here: which commands are let through (see `execute`).

use std::mem::take;

use holdfast_store::ExpiryRule;

use super::{accept, socket};
use crate::clients::ClientId;
use crate::core::Core;

/// Bytes that one read asks for.
const READ_BYTES: usize = 16 * 1024;

/// Looks once. `running` is the client whose script runs.
pub(crate) fn look(core: &mut Core, running: ClientId) {
    let (unit, slot) = (take(&mut core.unit), core.current_slot.take());
    let (executing, pushed) = (core.executing.take(), take(&mut core.pushed_to_executing));
    let now_ms = core.now_ms;
    core.now_ms = crate::clock::unix_ms() as i64;
    let rule = core.store.expiry_rule();
    core.store.set_expiry_rule(ExpiryRule::Hide);
    accept::accept_some(core);
    let mut scratch = vec![0; READ_BYTES];
    let ids: Vec<ClientId> = core
        .clients
        .iter()
        .filter(|client| client.id != running && !client.is_waiting())
        .filter(|client| !client.close_now && !client.close_after_reply)
        .map(|client| client.id)
        .collect();
    for id in ids {
        socket::read_beside_script(core, id, &mut scratch);
    }
    for id in take(&mut core.to_flush) {
        socket::flush(core, id);
    }
    core.store.set_expiry_rule(rule);
    core.now_ms = now_ms;
    core.unit = unit;
    core.current_slot = slot;
    core.executing = executing;
    core.pushed_to_executing = pushed;
}
