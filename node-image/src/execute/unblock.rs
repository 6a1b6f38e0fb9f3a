//! Commands that waited for keys run again.
//!
//! A unit of work may touch keys that clients wait for. Once it is over, each of those clients'
//! commands is run again, the one that waited longest first, each as a unit of its own; what they
//! touch may wake others. A command that still finds nothing keeps its place in the queue. Not
//! known here: what the commands do.

use holdfast_wire::resp::ReplyBuf;

use super::{Call, close_reply, open_reply, run, write_timeout_reply};
use crate::clients::ClientId;
use crate::commands::{CommandError, Origin, Outcome};
use crate::core::Core;

/// A client that loops (its own push wakes a client whose command wakes another one ...) ends by
/// itself, since each woken command takes an element away; this only bounds defects.
const ROUNDS_MAX: usize = 1_000_000;

/// Runs the commands that wait for keys touched so far.
pub fn serve_touched(core: &mut Core) {
    if core.blocked.is_empty() {
        return;
    }
    for _ in 0..ROUNDS_MAX {
        let Some((_, waiting)) = core.blocked.next_touched() else { return };
        for id in waiting {
            run_again(core, id);
        }
    }
}

/// Like [`serve_touched`], from within the batch of a client whose reply buffer is taken out: it
/// is put back for that time, since the client itself may be among those that are served.
pub(super) fn serve_touched_within(core: &mut Core, id: ClientId, reply: &mut ReplyBuf) {
    // What a script has touched so far is served when it is over.
    if !core.blocked.has_touched() || core.scripts.running.is_some() {
        return;
    }
    close_reply(core, id, std::mem::take(reply));
    let executing = core.executing.take();
    serve_touched(core);
    core.executing = executing;
    *reply = open_reply(core, id);
}

fn run_again(core: &mut Core, id: ClientId) {
    let Some(client) = core.clients.get_mut(id) else { return };
    let Some(blocked) = client.blocked.take() else { return };
    let args: Vec<&[u8]> = blocked.args.iter().map(Vec::as_slice).collect();
    let (db, command) = (blocked.db, blocked.command);
    core.current_slot =
        if core.is_cluster() { super::checks::first_slot(command, &args) } else { None };
    // Rights may have gone while it waited.
    if let Err(denied) = crate::acl::check(core, id, command, &args, "toplevel") {
        let error = crate::acl::refusal(denied, command);
        if let Some(client) = core.clients.get_mut(id) {
            client.blocked = Some(blocked);
        }
        unblock(core, id, Some(&error));
        return;
    }
    let mut reply = open_reply(core, id);
    let call = Call { id, db, command, origin: Origin::Client, in_exec: false, woken: true };
    let executing = core.executing.replace(id);
    let outcome = run(core, call, &args, &mut reply);
    core.executing = executing;
    reply.raw(&std::mem::take(&mut core.pushed_to_executing));
    core.end_unit();
    close_reply(core, id, reply);
    if let Outcome::Block(_) | Outcome::BlockAs(..) = outcome {
        // Its place in the queues has not been given up.
        if let Some(client) = core.clients.get_mut(id) {
            client.blocked = Some(blocked);
        }
        return;
    }
    core.blocked.remove(id, db, &blocked.block.keys, blocked.block.deadline_ms);
    core.to_resume.push(id);
}

/// Clients whose time is over get their timeout reply.
pub fn expire_blocked(core: &mut Core) {
    while let Some(id) = core.blocked.next_expired(core.now_ms) {
        if !unblock(core, id, None) {
            return;
        }
    }
}

/// Ends a client's waiting: with an error, or as if its time were over. False when it did not
/// wait.
pub fn unblock(core: &mut Core, id: ClientId, error: Option<&CommandError>) -> bool {
    let Some(client) = core.clients.get_mut(id) else { return false };
    let Some(blocked) = client.blocked.take() else { return false };
    core.blocked.remove(id, blocked.db, &blocked.block.keys, blocked.block.deadline_ms);
    let mut reply = open_reply(core, id);
    let count = core.observed.of(blocked.command);
    count.calls += 1;
    count.failed += u64::from(error.is_some());
    core.shared.stats.commands.add(1);
    match error {
        Some(error) => {
            reply.error(error.as_str());
            core.shared.stats.error_replies.add(1);
            core.observed.error(error.as_str());
        }
        None => write_timeout_reply(blocked.block.timeout_reply, &mut reply),
    }
    close_reply(core, id, reply);
    core.to_resume.push(id);
    true
}

/// A client that goes leaves its queues.
pub(crate) fn forget(core: &mut Core, id: ClientId) {
    if let Some(blocked) = core.clients.get_mut(id).and_then(|client| client.blocked.take()) {
        core.blocked.remove(id, blocked.db, &blocked.block.keys, blocked.block.deadline_ms);
    }
}
