//! Commands that must wait before they run, so that memory stays bounded and no key changes while
//! it is on its way.
//!
//! ```text
//!   a key is on its way to another node      -> whoever would write it
//!   old values that a snapshot still needs   -> whoever would add to them, when they are too many
//!   effects that the disk has not taken      -> whoever would add to them, when they are too many
//! ```
//!
//! The client waits, the core never does: the event loop tries again each turn, and whatever
//! changes the matter (an encoder's answer, a disk's, the tick of the clock) brings a turn about.
//! On a replica the stream of the primary waits, by not being read.
//! Not known here: how the reasons come to an end.

use crate::clients::ClientId;
use crate::commands::Command;
use crate::core::Core;
use crate::disk::snapshot;
use crate::{aof, keys, migration};

/// True when the command must be tried again later.
pub fn must_wait(core: &Core, id: ClientId, command: &'static Command, args: &[&[u8]]) -> bool {
    migration::must_wait(core, id, command, args) || must_not_add(core, id, command, args)
}

/// True when the stream of the primary must not be applied for now.
pub fn must_stream_wait(core: &Core) -> bool {
    aof::is_backlogged(core) || snapshot::is_crowded(core)
}

fn must_not_add(core: &Core, id: ClientId, command: &'static Command, args: &[&[u8]]) -> bool {
    let backlogged = aof::is_backlogged(core);
    if !backlogged && !snapshot::is_crowded(core) {
        return false;
    }
    let Some(client) = core.clients.get(id) else { return false };
    let adds = |command: &Command, args: &[&[u8]]| {
        if !command.is_write() && !runs_a_script(command) {
            return false;
        }
        let mut hit = backlogged;
        keys::visit(command, args, |at, _| {
            hit |= args.get(at).is_some_and(|key| core.store.is_unsaved(client.db, key));
        });
        hit
    };
    match &client.multi {
        Some(multi) if command.name == "exec" => multi.queued.iter().any(|(command, args)| {
            adds(command, &args.iter().map(Vec::as_slice).collect::<Vec<_>>())
        }),
        // What only joins a transaction writes nothing yet.
        Some(_) => false,
        None => adds(command, args),
    }
}

/// A script may write the keys that it names.
pub(crate) fn runs_a_script(command: &Command) -> bool {
    matches!(command.name, "eval" | "evalsha" | "fcall")
}
