//! The bus thread: sockets, timers and orders around the [`holdfast_cluster::Node`] value.
//!
//! It owns the cluster links, the control port and the one `Node`, and it never runs a command on
//! keys, so that a slow command is never a dead node. Each turn of its loop gathers what happened
//! (packets, connects, timers, messages), gives it to the value one event at a time, and carries
//! out what the value wants:
//!
//!   sockets ──┐                            ┌── disk thread: nodes.conf, answered by Persisted
//!   mailbox ──┼─ Event ─> Node ─> Ready ───┼── links: frames, connects, closes
//!   timer ────┘                            ├── core: routing, role, pauses, answers
//!                                          └── resolver: announced host names
//!
//! It never blocks: names are resolved on other threads, files are written on the disk thread, and
//! what needs keys is asked of the core and answered later. Not known here: the rules of the
//! cluster, the keyspace.

mod answer;
mod at_core;
mod carry;
mod links;
mod orders;
mod record;
mod setup;
mod state;
pub(crate) mod stream;
mod turn;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc;

use holdfast_cluster::command::{ClusterCommand, Reply};
use holdfast_cluster::ready::HandOver;
use holdfast_cluster::{
    CommandFacts, Pause, Published, ReplicationFacts, RoleChange, SlotMap, Ticket,
};
use holdfast_wire::id::NodeId;
use holdfast_wire::slot::SlotSet;

use crate::commands::AnswerToken;
use crate::migration;

pub(crate) use at_core::facts;
pub use at_core::on_message;
pub use setup::{Parts, StartError, open, start};
pub use state::BusView;

/// What the bus thread is told.
pub enum ToBus {
    /// A CLUSTER command of a client or of a job.
    Command {
        /// Who gets the answer.
        asker: Asker,
        /// The command.
        command: ClusterCommand,
        /// What its rules need to know about the keyspace.
        facts: CommandFacts,
    },
    /// An order about slot migrations.
    Migration(Asker, migration::Order),
    /// The core's answer to [`FromBus::CountKeys`].
    KeysCounted {
        /// The question's number.
        question: u64,
        /// Facts, now complete.
        facts: CommandFacts,
    },
    /// How replication stands; at least every 100 ms, and at once when something changed that
    /// [`ReplicationFacts`] names.
    Replication(ReplicationFacts),
    /// The core takes no write any more, as [`FromBus::Pause`] asked.
    WritesPaused {
        /// Offset of the effect log; no write follows it until the pause ends.
        offset: u64,
    },
    /// The data was loaded; comes once.
    Booted {
        /// The durable mark says that this node held data.
        has_data_mark: bool,
        /// Keys after loading.
        keys: u64,
    },
    /// nodes.conf of this ticket is durable.
    Persisted {
        /// Ticket of `ToDisk::NodesConf`.
        ticket: Ticket,
    },
    /// nodes.conf of this ticket could not be made durable.
    PersistFailed {
        /// Ticket of `ToDisk::NodesConf`.
        ticket: Ticket,
    },
    /// The disk thread's answer to `ToDisk::Fence`.
    Fenced {
        /// The token.
        token: u64,
        /// It is durable; otherwise it could not be written.
        durable: bool,
    },
    /// A name was looked up.
    Resolved {
        /// Who announced the name.
        node: NodeId,
        /// Its address, if it has one.
        ip: Option<IpAddr>,
    },
    /// A client published: tell the other nodes.
    Publish {
        /// The channel.
        channel: Vec<u8>,
        /// The message.
        message: Vec<u8>,
        /// By SPUBLISH: only the nodes of this shard.
        sharded: bool,
    },
    /// The configuration changed; the newest one is in `Shared`.
    Reconfigured,
    /// SIGTERM or SHUTDOWN: hand over to a replica in sync. Answered by [`FromBus::HandOver`].
    Leave {
        /// How long the hand-over may take.
        deadline_ms: u64,
    },
}

/// Who asked, and so gets the answer.
pub enum Asker {
    /// A client of the core.
    Client(AnswerToken),
    /// A connection of the control port, by its number.
    Control(u64),
    /// A thread that waits for it.
    Thread(mpsc::Sender<Result<Reply, String>>),
}

/// What the core hears from the bus thread.
pub enum FromBus {
    /// Who serves which slot from now on.
    Routing(Arc<SlotMap>),
    /// What this node is from now on.
    Role(RoleChange),
    /// Keys of these slots belong to others now: delete them.
    DropSlots(SlotSet),
    /// Stop or allow writes; a stop is answered by [`ToBus::WritesPaused`].
    Pause(Pause),
    /// Report replication at once when the applied offset reaches this.
    WatchOffset(u64),
    /// A client of another node published.
    Published(Published),
    /// CLUSTER RESET of a replica: delete all keys.
    FlushAll,
    /// The hand-over that [`ToBus::Leave`] asked for came to its end.
    HandOver(HandOver),
    /// Count keys for a command of the control port; answered by [`ToBus::KeysCounted`].
    CountKeys {
        /// Number of the question.
        question: u64,
        /// The slots to count.
        slots: SlotSet,
    },
    /// What a migration wants of the keyspace; goes to [`crate::migration::on_order`].
    Keys(migration::KeyOrder),
}
