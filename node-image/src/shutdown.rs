//! The way to the end: SIGTERM, SIGINT and SHUTDOWN.
//!
//!   asked ──> hand over (a primary with a replica in sync; 5 s) ──> redirect (clients hear MOVED;
//!   2 s, less without clients) ──> flush (log, file, nodes.conf are on disk) ──> exit code 0
//!
//! A replica, a node without slots and a primary that nobody could follow skip the first two. A
//! second signal ends the process at once; that is the signal thread's doing. Not known here: how
//! a hand-over works.

use std::sync::mpsc::{Receiver, TryRecvError, channel};

use holdfast_cluster::HandOver;
use holdfast_wire::state::BootState;

use crate::clients::ClientKind;
use crate::commands::CommandError;
use crate::config::Name;
use crate::core::Core;
use crate::messages::{ToBus, ToDisk};
use crate::{aof, migration};

/// How long a hand-over may take.
const HAND_OVER_MS: u64 = 5000;

/// The bus thread ends a hand-over itself; after so much more it must be stuck.
const GRACE_MS: i64 = 500;

/// How long clients are told where their slots went.
const REDIRECT_MS: i64 = 2000;

/// How long the disk may take for what is still to be written.
const FLUSH_MS: i64 = 10_000;

/// What SHUTDOWN says about the snapshot file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Snapshot {
    /// Write one when `save` has a rule and the append-only file is off.
    #[default]
    AsConfigured,
    /// Write one.
    Write,
    /// Write none.
    Skip,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Serving,
    HandingOver {
        until_ms: i64,
    },
    Redirecting {
        until_ms: i64,
    },
    /// Writes have stopped; what the last turn of them appended is still to be handed on.
    Draining {
        turns: u8,
    },
    Flushing {
        until_ms: i64,
        answer: Receiver<Result<(), String>>,
    },
}

/// How far the node is on its way to the end.
#[derive(Debug, Default)]
pub struct Shutdown {
    phase: Phase,
    snapshot: Snapshot,
}

impl Shutdown {
    /// True from the moment at which the node was asked to end.
    pub fn is_under_way(&self) -> bool {
        !matches!(self.phase, Phase::Serving)
    }
}

/// SIGTERM or SIGINT.
pub fn on_signal(core: &mut Core) {
    if !core.shutdown.is_under_way() {
        begin(core, Snapshot::AsConfigured);
    }
}

/// SHUTDOWN. The connection ends without a reply when the process does.
pub fn request(core: &mut Core, snapshot: Snapshot) -> Result<(), CommandError> {
    if core.shutdown.is_under_way() {
        return Err(CommandError::new("ERR A shutdown is under way already"));
    }
    begin(core, snapshot);
    Ok(())
}

fn begin(core: &mut Core, snapshot: Snapshot) {
    tracing::info!("User requested shutdown...");
    core.shutdown.snapshot = snapshot;
    let owns_slots = core.is_cluster() && !core.routing.slots_of(core.routing.my_id).is_empty();
    let has_heir = core.shared.stats.synced_replicas.get() > 0;
    let was_ready = core.shared.boot() == BootState::Ready;
    core.shared.set_boot(BootState::Leaving);
    if owns_slots && has_heir && was_ready {
        core.to_bus.send(ToBus::Leave { deadline_ms: HAND_OVER_MS });
        let until_ms = core.now_ms + HAND_OVER_MS as i64 + GRACE_MS;
        core.shutdown.phase = Phase::HandingOver { until_ms };
    } else {
        flush(core);
    }
}

/// The bus thread says how the hand-over ended.
pub(crate) fn on_hand_over(core: &mut Core, end: HandOver) {
    if !matches!(core.shutdown.phase, Phase::HandingOver { .. }) {
        return;
    }
    match end {
        HandOver::Done => {
            tracing::info!("The slots are handed over; clients are told where they went.");
            core.shutdown.phase = Phase::Redirecting { until_ms: core.now_ms + REDIRECT_MS };
        }
        HandOver::Failed => {
            tracing::warn!("No replica took over in time; the node ends all the same.");
            flush(core);
        }
    }
}

/// The end of a turn: is it time for the next phase?
pub fn on_turn(core: &mut Core) {
    match &core.shutdown.phase {
        Phase::Serving => {}
        Phase::HandingOver { until_ms } => {
            if core.now_ms >= *until_ms {
                on_hand_over(core, HandOver::Failed);
            }
        }
        Phase::Redirecting { until_ms } => {
            let nobody = !core.clients.iter().any(|client| client.kind == ClientKind::Normal);
            if nobody || core.now_ms >= *until_ms {
                flush(core);
            }
        }
        Phase::Draining { turns: 0 } => stop_disk(core),
        Phase::Draining { turns } => {
            core.shutdown.phase = Phase::Draining { turns: turns - 1 };
        }
        Phase::Flushing { until_ms, answer } => match answer.try_recv() {
            Ok(Ok(())) => end(core, 0),
            Ok(Err(error)) => {
                tracing::error!("Not everything could be written before the end: {error}");
                end(core, 1);
            }
            Err(TryRecvError::Empty) if core.now_ms < *until_ms => {}
            Err(_) => {
                tracing::error!("The disk did not answer before the end.");
                end(core, 1);
            }
        },
    }
}

/// Takes no more writes; a turn later, what they appended is with the disk thread.
fn flush(core: &mut Core) {
    migration::lost::finish(core);
    let by_rule = !core.config.yes(Name::Appendonly) && !core.config.save_points().is_empty();
    let wanted = match core.shutdown.snapshot {
        Snapshot::Write => true,
        Snapshot::Skip => false,
        Snapshot::AsConfigured => by_rule,
    };
    // The end comes all the same: a supervisor that sent a signal would kill the process next.
    if wanted && let Err(error) = aof::save::save_now(core) {
        tracing::error!("Error trying to save the DB: {error}");
    }
    core.pauses.set_cluster(Some(i64::MAX));
    core.shutdown.phase = Phase::Draining { turns: 1 };
}

/// Everything that was appended is on its way to the disk thread before this order.
fn stop_disk(core: &mut Core) {
    if core.store.is_empty() && core.persistence.mark.may_be_cleared() {
        core.to_disk.send(ToDisk::Mark { has_data: false });
    }
    let (sender, answer) = channel();
    core.to_disk.send(ToDisk::Stop { answer: sender });
    core.shutdown.phase = Phase::Flushing { until_ms: core.now_ms + FLUSH_MS, answer };
}

fn end(core: &mut Core, code: u8) {
    tracing::info!("Holdfast is now ready to exit, bye bye...");
    core.exit_code = Some(code);
}
