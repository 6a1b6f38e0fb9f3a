//! The disk thread's vocabulary, and what the core does with its answers.
//!
//! ```text
//!   core  --Append, NextIncrement, ...-->  disk thread  --Synced, WriteRefused, ...-->  core
//!   bus   --NodesConf-------------------->              --Persisted----------------->   bus
//!   core  --batches of entries---------->  encoder of a snapshot  --pieces----------->  core
//! ```
//!
//! Not known here: the format of what is written.

pub mod durable;
pub mod encoder;
pub mod snapshot;
pub mod thread;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use holdfast_cluster::Ticket;

use crate::aof;
use crate::aof::set::{AofNames, AofSet};
use crate::config::{Config, Name};
use crate::core::Core;
use crate::messages::{Outbox, ToBus, ToCore};
use crate::replication;
use crate::stats::Gauge;

/// When appended bytes are made durable (`appendfsync`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Before a reply leaves.
    Always,
    /// Each second.
    EverySecond,
    /// When the kernel likes.
    No,
}

impl Fsync {
    /// The policy in force.
    pub fn of(config: &Config) -> Self {
        match config.text(Name::Appendfsync) {
            "always" => Fsync::Always,
            "no" => Fsync::No,
            _ => Fsync::EverySecond,
        }
    }
}

/// What the disk thread is told.
pub enum ToDisk {
    /// Make nodes.conf hold this text; answered to the bus by `Persisted` or `PersistFailed`. A
    /// later one replaces an earlier one that is not written yet.
    NodesConf {
        /// Number of the wish.
        ticket: Ticket,
        /// The whole file.
        text: String,
    },
    /// Make the highest fencing token durable; answered to the bus by `Fenced`.
    Fence {
        /// The token.
        token: u64,
    },
    /// Set or clear the `has-data` mark; answered by [`FromDisk::Marked`].
    Mark {
        /// The node holds data.
        has_data: bool,
    },
    /// Append to the append-only file, when it is on.
    Append {
        /// Commands.
        bytes: Vec<u8>,
        /// Offset of the effect log behind them.
        end: u64,
    },
    /// Write what came before; tells whether the file has it all (DEBUG LOADAOF).
    Write {
        /// Gets the result.
        answer: Sender<bool>,
    },
    /// `appendfsync` is this from now on.
    Fsync(Fsync),
    /// Append to this set from now on.
    Open {
        /// The set.
        set: Box<AofSet>,
        /// Offset of the effect log at this moment.
        offset: u64,
    },
    /// Begin a set while the node runs; it counts once [`ToDisk::AdoptBase`] came.
    Begin {
        /// Where.
        names: AofNames,
        /// Offset of the effect log at this moment.
        offset: u64,
    },
    /// The append-only file is switched off.
    Close,
    /// A rewrite begins: later bytes go to a new increment.
    NextIncrement,
    /// The base of the rewrite is complete; answered by [`FromDisk::RewriteEnded`].
    AdoptBase {
        /// Where it lies.
        temporary: PathBuf,
    },
    /// Give a complete snapshot its name; answered by [`FromDisk::Published`].
    Publish {
        /// Number of the snapshot's run.
        run: u64,
        /// Where it lies.
        temporary: PathBuf,
        /// Its name.
        path: PathBuf,
    },
    /// Write and sync everything that came before, answer, and end.
    Stop {
        /// Gets the result.
        answer: Sender<Result<(), String>>,
    },
}

/// What the core hears from the disk thread and from encoders.
#[derive(Debug)]
pub enum FromDisk {
    /// Everything up to this offset of the effect log is as durable as the policy wants.
    Synced {
        /// The offset.
        offset: u64,
    },
    /// The disk takes no more bytes (it is full); what was appended is kept and tried again.
    WriteRefused(String),
    /// It takes bytes again.
    WriteResumed,
    /// A sync failed: final.
    SyncFailed(String),
    /// The mark is durable as asked.
    Marked {
        /// It is set.
        has_data: bool,
    },
    /// The mark could not be changed.
    MarkFailed(String),
    /// A rewrite came to its end.
    RewriteEnded(Result<(), String>),
    /// Size of the set now, and after the last rewrite.
    Sizes {
        /// Now.
        bytes: u64,
        /// After the last rewrite.
        base_bytes: u64,
    },
    /// A batch was encoded; for a stream, its bytes.
    SnapshotPiece {
        /// Number of the run.
        run: u64,
        /// Bytes of a stream; empty for a file.
        bytes: Vec<u8>,
    },
    /// The snapshot is whole, with its size in bytes, or failed.
    SnapshotEnded {
        /// Number of the run.
        run: u64,
        /// Its bytes, or why it failed.
        result: Result<u64, String>,
    },
    /// [`ToDisk::Publish`] is done.
    Published {
        /// Number of the run.
        run: u64,
        /// Done, or why not.
        result: Result<(), String>,
    },
}

/// A path below `dir`.
pub fn path_in_dir(config: &Config, name: &str) -> PathBuf {
    PathBuf::from(config.text(Name::Dir)).join(name)
}

/// Path of the `has-data` mark, beside nodes.conf.
pub fn mark_path(config: &Config) -> PathBuf {
    let nodes_conf = path_in_dir(config, config.text(Name::ClusterConfigFile));
    nodes_conf.with_file_name("has-data")
}

/// Path of the highest fencing token, beside nodes.conf.
pub fn fence_path(config: &Config) -> PathBuf {
    mark_path(config).with_file_name("fence-token")
}

/// Starts the disk thread.
pub fn start(
    config: &Config,
    mailbox: Receiver<ToDisk>,
    core: Outbox<ToCore>,
    bus: Option<Outbox<ToBus>>,
    waiting_bytes: Arc<Gauge>,
) -> io::Result<()> {
    let setup = thread::Setup {
        nodes_conf: path_in_dir(config, config.text(Name::ClusterConfigFile)),
        mark: mark_path(config),
        fence: fence_path(config),
        core,
        bus,
        waiting_bytes,
    };
    std::thread::Builder::new()
        .name("disk".into())
        .spawn(move || thread::run(setup, &mailbox))
        .map(drop)
}

/// The core's ear for disk thread and encoders.
pub fn on_message(core: &mut Core, message: FromDisk) {
    match message {
        FromDisk::Synced { offset } => aof::on_synced(core, offset),
        FromDisk::WriteRefused(error) => core.persistence.on_write_refused(error),
        FromDisk::WriteResumed => core.persistence.on_write_resumed(),
        FromDisk::SyncFailed(error) => aof::on_sync_failed(core, error),
        FromDisk::Marked { has_data } => aof::mark::on_marked(core, has_data),
        FromDisk::MarkFailed(error) => aof::mark::on_mark_failed(core, error),
        FromDisk::RewriteEnded(result) => aof::on_rewrite_ended(core, result),
        FromDisk::Sizes { bytes, base_bytes } => core.persistence.on_sizes(bytes, base_bytes),
        FromDisk::SnapshotPiece { run, bytes } => snapshot::on_piece(core, run, bytes),
        FromDisk::SnapshotEnded { run, result } => snapshot::on_ended(core, run, result),
        FromDisk::Published { run, result } => aof::save::on_published(core, run, result),
    }
}

/// Tells the owners of a snapshot how it ended.
fn dispatch_end(
    core: &mut Core,
    run: u64,
    purpose: snapshot::Purpose,
    result: Result<u64, String>,
) {
    match purpose {
        snapshot::Purpose::Save(save) => aof::save::on_encoded(core, run, save, result),
        snapshot::Purpose::Rewrite { temporary } => aof::on_base(core, temporary, result),
        snapshot::Purpose::Sync => replication::on_snapshot_ended(core, run, result),
    }
}
