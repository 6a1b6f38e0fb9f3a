//! HOLDFAST on the client port: what nodes of our own kind say to each other.
//!
//! The source of a slot migration talks to its target as a client does, with a password where one
//! is set, and uses two orders that Redis does not have because they name many slots at once.
//! Orders of the operator have a port of their own. Not known here: what they change.

use holdfast_cluster::command::parse::slot_ranges;
use holdfast_cluster::command::{ClusterCommand, SlotChange};
use holdfast_wire::id::NodeId;

use super::{Command, CommandError, Ctx, Flags, Group, Outcome};
use crate::bus::{Asker, ToBus, facts};

const SUB: Command = Command {
    container: "holdfast",
    arity: -5,
    flags: Flags::ADMIN.and(Flags::STALE).and(Flags::NOSCRIPT).and(Flags::NO_MULTI),
    group: Group::Cluster,
    complexity: "O(N) where N is the number of slots named",
    ..Command::BLANK
};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "holdfast",
    arity: -2,
    summary: "A container for what nodes of Holdfast say to each other.",
    group: Group::Cluster,
    complexity: "Depends on subcommand.",
    subcommands: SUBCOMMANDS,
    ..Command::BLANK
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "importslots",
        summary: "Marks slots as on their way from a node to this one.",
        handler: import_slots,
        ..SUB
    },
    Command {
        name: "claimslots",
        summary: "Takes over slots whose keys have all come from a node.",
        handler: claim_slots,
        ..SUB
    },
];

/// `HOLDFAST IMPORTSLOTS source start end [start end ...]`.
fn import_slots(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let (from, slots) = read(ctx, args)?;
    // A mark on a slot that a claim has brought here already would stay for ever.
    let missing = slots.difference(&ctx.core.routing.slots_of(ctx.core.routing.my_id));
    let command = ClusterCommand::SetSlots { slots: missing, change: SlotChange::Importing(from) };
    Ok(ask(ctx, command))
}

/// `HOLDFAST CLAIMSLOTS source start end [start end ...]`.
fn claim_slots(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let (from, slots) = read(ctx, args)?;
    Ok(ask(ctx, ClusterCommand::ClaimSlots { slots, from }))
}

fn read(
    ctx: &Ctx<'_>,
    args: &[&[u8]],
) -> Result<(NodeId, holdfast_wire::slot::SlotSet), CommandError> {
    if !ctx.core.is_cluster() {
        return Err(CommandError::new("ERR This instance has cluster support disabled"));
    }
    let id = args.get(2).copied().unwrap_or_default();
    let id = NodeId::from_ascii(id).map_err(|error| CommandError::text(format!("ERR {error}")))?;
    let ranges = slot_ranges(args.get(3..).unwrap_or_default());
    Ok((id, ranges.map_err(|error| CommandError::text(error.to_string()))?))
}

fn ask(ctx: &mut Ctx<'_>, command: ClusterCommand) -> Outcome {
    let mut facts = facts(ctx.core, command.slots_to_count());
    facts.secured = ctx.is_secured();
    let token = ctx.promise();
    let asker = Asker::Client(token);
    ctx.core.to_bus.send(ToBus::Command { asker, command, facts });
    Outcome::Promised(token)
}
