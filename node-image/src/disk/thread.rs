//! The disk thread: the only one that appends, syncs and replaces files.
//!
//! It takes what waits in its mailbox as one batch, so that one fsync covers every append of the
//! batch (group commit), and then answers. Order within a batch: nodes.conf first, because votes
//! and epochs wait for it; then the append-only file.
//!
//! A write that the disk refuses (full) is kept and tried again; a failed fsync is final, because
//! nobody knows what is on the disk after it: from then on nothing is acknowledged or persisted.
//! Not known here: what the bytes mean, and who waits for the answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use holdfast_cluster::Ticket;

use super::{FromDisk, Fsync, ToDisk, durable};
use crate::aof::set::{AofError, AofNames, AofSet};
use crate::messages::{Outbox, ToBus, ToCore};
use crate::stats::Gauge;

/// Messages taken before the batch is written.
const BATCH_MESSAGES_MAX: usize = 1024;
/// How long to wait before a refused write is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// `everysec`.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Without anything to do, the thread looks up this often.
const IDLE: Duration = Duration::from_mins(1);

/// What the thread is given when it starts.
pub struct Setup {
    /// Full path of nodes.conf.
    pub nodes_conf: PathBuf,
    /// Full path of the `has-data` mark.
    pub mark: PathBuf,
    /// Full path of the highest fencing token.
    pub fence: PathBuf,
    /// Mailbox of the core.
    pub core: Outbox<ToCore>,
    /// Mailbox of the bus; none outside a cluster.
    pub bus: Option<Outbox<ToBus>>,
    /// Bytes that the core has sent for the append-only file and that are not in it.
    pub waiting_bytes: Arc<Gauge>,
}

/// Runs until its mailbox is closed or [`ToDisk::Stop`] came.
pub fn run(setup: Setup, mailbox: &Receiver<ToDisk>) {
    let mut disk = Disk {
        setup,
        nodes_conf: None,
        set: None,
        fsync: Fsync::EverySecond,
        pending: Vec::new(),
        uncounted: 0,
        pending_end: 0,
        synced_end: 0,
        unsynced: false,
        last_sync: Instant::now(),
        refused: false,
        failed: None,
        rewrite_from: None,
    };
    loop {
        let mut message = match mailbox.recv_timeout(disk.patience()) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut taken = 0;
        while let Some(next) = message {
            if let ToDisk::Stop { answer } = next {
                disk.write_nodes_conf();
                let result = disk.stop();
                // The one who asked may have given up waiting.
                let _ = answer.send(result);
                return;
            }
            disk.take(next);
            taken += 1;
            message = if taken < BATCH_MESSAGES_MAX { mailbox.try_recv().ok() } else { None };
        }
        disk.write_nodes_conf();
        disk.write();
        disk.count_down();
        disk.sync_when_due();
    }
}

struct Disk {
    setup: Setup,
    nodes_conf: Option<(Ticket, String)>,
    set: Option<AofSet>,
    fsync: Fsync,
    /// Bytes that are not in the file yet.
    pending: Vec<u8>,
    /// Bytes that came or waited when it was last said how many wait.
    uncounted: usize,
    /// Offset of the effect log behind `pending`.
    pending_end: u64,
    synced_end: u64,
    /// The file has bytes that are not synced.
    unsynced: bool,
    last_sync: Instant,
    /// The last write was refused.
    refused: bool,
    /// A sync failed; nothing counts any more.
    failed: Option<String>,
    /// The increment with which the running rewrite began.
    rewrite_from: Option<u64>,
}

impl Disk {
    fn patience(&self) -> Duration {
        if self.refused {
            RETRY_AFTER
        } else if self.unsynced && self.fsync == Fsync::EverySecond {
            SYNC_EVERY.saturating_sub(self.last_sync.elapsed())
        } else {
            IDLE
        }
    }

    fn tell(&self, message: FromDisk) {
        self.setup.core.send(ToCore::Disk(message));
    }

    fn take(&mut self, message: ToDisk) {
        match message {
            ToDisk::NodesConf { ticket, text } => self.nodes_conf = Some((ticket, text)),
            ToDisk::Fence { token } => self.write_fence(token),
            ToDisk::Mark { has_data } => self.write_mark(has_data),
            ToDisk::Append { bytes, end } => {
                self.uncounted += bytes.len();
                if self.set.is_some() {
                    self.pending.extend_from_slice(&bytes);
                }
                self.pending_end = end;
            }
            ToDisk::Write { answer } => {
                self.write();
                let _ = answer.send(self.pending.is_empty() && self.failed.is_none());
            }
            ToDisk::Fsync(policy) => {
                self.fsync = policy;
                self.unsynced |= policy == Fsync::Always && self.set.is_some();
            }
            ToDisk::Open { set, offset } => {
                self.set = Some(*set);
                self.pending_end = offset;
                self.synced_end = offset;
                self.rewrite_from = None;
            }
            ToDisk::Begin { names, offset } => self.begin(names, offset),
            ToDisk::Close => {
                self.write();
                self.sync();
                self.set = None;
                self.pending.clear();
                self.rewrite_from = None;
            }
            ToDisk::NextIncrement => self.next_increment(),
            ToDisk::AdoptBase { temporary } => self.adopt_base(&temporary),
            ToDisk::Publish { run, temporary, path } => {
                let published = durable::publish(&temporary, &path);
                let result = published.map_err(|error| format!("{}: {error}", path.display()));
                self.tell(FromDisk::Published { run, result });
            }
            // Taken out of the batch by `run`.
            ToDisk::Stop { .. } => {}
        }
    }

    fn write_nodes_conf(&mut self) {
        let Some((ticket, text)) = self.nodes_conf.take() else { return };
        let path = &self.setup.nodes_conf;
        let answer = match durable::replace(path, text.as_bytes()) {
            _ if self.failed.is_some() => ToBus::PersistFailed { ticket },
            Ok(()) => ToBus::Persisted { ticket },
            Err(error) => {
                tracing::error!("failed to write {}: {error}", path.display());
                ToBus::PersistFailed { ticket }
            }
        };
        if let Some(bus) = &self.setup.bus {
            bus.send(answer);
        }
    }

    fn write_fence(&self, token: u64) {
        let path = &self.setup.fence;
        let written = durable::replace(path, format!("{token}\n").as_bytes());
        if let Err(error) = &written {
            tracing::error!("failed to write {}: {error}", path.display());
        }
        if let Some(bus) = &self.setup.bus {
            bus.send(ToBus::Fenced { token, durable: written.is_ok() });
        }
    }

    fn write_mark(&mut self, has_data: bool) {
        let path = &self.setup.mark;
        let written = if has_data {
            durable::replace(path, b"this node has held data\n")
        } else {
            durable::remove(path)
        };
        match written {
            Ok(()) => self.tell(FromDisk::Marked { has_data }),
            Err(error) => {
                let text = format!("failed to write {}: {error}", path.display());
                tracing::error!("{text}");
                self.tell(FromDisk::MarkFailed(text));
            }
        }
    }

    fn begin(&mut self, names: AofNames, offset: u64) {
        self.write();
        self.sync();
        self.pending_end = offset;
        self.synced_end = offset;
        match AofSet::open_without_base(names) {
            Ok(set) => {
                self.rewrite_from = Some(set.increment());
                self.pending.clear();
                self.set = Some(set);
            }
            Err(error) => self.tell(FromDisk::RewriteEnded(Err(error.to_string()))),
        }
    }

    fn next_increment(&mut self) {
        self.write();
        let ready = if self.refused { Err("the disk refuses writes".to_owned()) } else { Ok(()) };
        let next = |set: &mut AofSet| set.next_increment().map(|()| set.increment());
        let result = match (&mut self.set, ready) {
            (_, Err(error)) => Err(error),
            (None, _) => Err("the append only file is off".to_owned()),
            (Some(set), Ok(())) => next(set).map_err(|error: AofError| error.to_string()),
        };
        match result {
            Ok(increment) => {
                self.rewrite_from = Some(increment);
                self.synced();
            }
            Err(error) => self.tell(FromDisk::RewriteEnded(Err(error))),
        }
    }

    fn adopt_base(&mut self, temporary: &std::path::Path) {
        let result = match (&mut self.set, self.rewrite_from.take()) {
            (Some(set), Some(from)) => {
                set.adopt_base(temporary, from).map_err(|error| error.to_string())
            }
            _ => Err("the append only file was switched off".to_owned()),
        };
        if result.is_err() {
            // What nobody names is only in the way.
            drop(std::fs::remove_file(temporary));
        }
        self.tell(FromDisk::RewriteEnded(result));
        self.tell_sizes();
    }

    fn tell_sizes(&self) {
        if let Some(set) = &self.set {
            let (bytes, base_bytes) = set.sizes();
            self.tell(FromDisk::Sizes { bytes, base_bytes });
        }
    }

    /// Brings `pending` into the file.
    fn write(&mut self) {
        let Some(set) = &mut self.set else { return };
        if self.failed.is_some() {
            return;
        }
        if self.pending.is_empty() {
            self.synced_when_clean();
            return;
        }
        match set.append(&self.pending) {
            Ok(()) => {
                self.pending.clear();
                self.unsynced = true;
                if std::mem::take(&mut self.refused) {
                    tracing::info!("The append only file can be written again");
                    self.tell(FromDisk::WriteResumed);
                }
            }
            Err((written, error)) => {
                self.pending.drain(..written);
                self.unsynced |= written > 0;
                if !std::mem::replace(&mut self.refused, true) {
                    tracing::error!("failed to write the append only file: {error}");
                }
                self.tell(FromDisk::WriteRefused(error.to_string()));
            }
        }
    }

    /// What is no longer pending is in the file, or was given up with it.
    fn count_down(&mut self) {
        let gone = self.uncounted - self.pending.len();
        self.setup.waiting_bytes.add(-(gone as i64));
        self.uncounted = self.pending.len();
    }

    /// A turn without bytes for the file moves the offset all the same.
    fn synced_when_clean(&mut self) {
        if !self.unsynced && self.synced_end != self.pending_end {
            self.synced();
        }
    }

    fn sync_when_due(&mut self) {
        let due = match self.fsync {
            Fsync::Always => true,
            Fsync::EverySecond => self.last_sync.elapsed() >= SYNC_EVERY,
            Fsync::No => false,
        };
        if due && self.unsynced && self.pending.is_empty() {
            self.sync();
            self.tell_sizes();
        }
    }

    fn sync(&mut self) {
        let Some(set) = &mut self.set else { return };
        if self.failed.is_some() || !self.unsynced {
            return;
        }
        self.last_sync = Instant::now();
        match set.sync() {
            Ok(()) => self.synced(),
            Err(error) => {
                let text = format!("failed to sync the append only file: {error}");
                tracing::error!("{text}");
                self.failed = Some(text.clone());
                self.tell(FromDisk::SyncFailed(text));
            }
        }
    }

    fn synced(&mut self) {
        self.unsynced = false;
        self.synced_end = self.pending_end;
        self.tell(FromDisk::Synced { offset: self.synced_end });
    }

    fn stop(&mut self) -> Result<(), String> {
        self.write();
        self.sync();
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.refused => Err("the disk refuses writes".to_owned()),
            None => Ok(()),
        }
    }
}
