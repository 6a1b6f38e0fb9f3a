//! The list of jobs of CLUSTER MIGRATESLOTS, kept by the bus thread.
//!
//! Finished jobs stay listed for a while, so that whoever asked can read how they ended; they do
//! not outlive the process. What does is nodes.conf: slots that it shows on their way belong to a
//! job that the end of the process cut off, and are listed as such, failed. The same command
//! begins again and does what is left. Not known here: how a job does its work.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_cluster::SlotMap;
use holdfast_wire::id::NodeId;
use holdfast_wire::resp::ReplyBuf;
use holdfast_wire::slot::{Slot, SlotSet};
use holdfast_wire::state::MigrationState;

use super::{Order, job};
use crate::bus::ToBus;
use crate::clock::unix_ms;
use crate::messages::{Outbox, ToCore, WriteReply};
use crate::shared::Shared;

/// What is said of a job that did not outlive its process.
const CUT_OFF: &str = "this node restarted while these slots were on their way; nothing moves \
                       now, and the same order goes on with them";

/// Finished jobs that stay listed.
const FINISHED_MAX: usize = 100;

/// Jobs that run at the same time.
const RUNNING_MAX: usize = 16;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobState {
    Running,
    Success,
    Failed,
    Cancelled,
}

impl JobState {
    fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One job, shared by its thread and the list.
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) slots: SlotSet,
    pub(crate) source: NodeId,
    pub(crate) target: NodeId,
    pub(crate) created_ms: u64,
    pub(crate) keys_moved: AtomicU64,
    pub(crate) keys_total: AtomicU64,
    pub(crate) bytes_moved: AtomicU64,
    pub(crate) updated_ms: AtomicU64,
    /// When the target last said that it has what it was sent.
    pub(crate) acked_ms: AtomicU64,
    cancelled: AtomicBool,
    end: Mutex<(JobState, String)>,
}

impl Job {
    fn new(slots: SlotSet, source: NodeId, target: NodeId, now_ms: u64) -> std::io::Result<Self> {
        let mut name = [0; 20];
        getrandom::fill(&mut name).map_err(std::io::Error::other)?;
        Ok(Self {
            name: NodeId(name).to_string(),
            slots,
            source,
            target,
            created_ms: now_ms,
            keys_moved: AtomicU64::new(0),
            keys_total: AtomicU64::new(0),
            bytes_moved: AtomicU64::new(0),
            updated_ms: AtomicU64::new(now_ms),
            acked_ms: AtomicU64::new(now_ms),
            cancelled: AtomicBool::new(false),
            end: Mutex::new((JobState::Running, String::new())),
        })
    }

    /// Somebody wants the job to stop where it can be stopped in order.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    /// State, and the reason of a failure.
    pub(crate) fn state(&self) -> (JobState, String) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The job is over.
    pub(crate) fn ended(&self, state: JobState, reason: String) {
        self.updated_ms.store(unix_ms(), Relaxed);
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = (state, reason);
    }

    fn is_running(&self) -> bool {
        self.state().0 == JobState::Running
    }

    /// About how many bytes are still to be sent: those of the keys so far speak for the others.
    fn left_bytes(&self) -> u64 {
        let moved = self.keys_moved.load(Relaxed);
        let left = self.keys_total.load(Relaxed).saturating_sub(moved);
        self.bytes_moved.load(Relaxed) / moved.max(1) * left
    }

    fn describe(&self) -> MigrationState {
        let (state, error) = self.state();
        MigrationState {
            job: self.name.clone(),
            outgoing: true,
            peer_id: self.target.to_string(),
            slots: self.slots.ranges(),
            state: state.name().to_owned(),
            keys_moved: self.keys_moved.load(Relaxed),
            keys_total: self.keys_total.load(Relaxed),
            bytes_moved: self.bytes_moved.load(Relaxed),
            error,
        }
    }

    /// One entry of GETSLOTMIGRATIONS: a map with the fields of Valkey 9.
    fn write(&self, out: &mut ReplyBuf) {
        let (state, message) = self.state();
        let ranges: Vec<String> =
            self.slots.ranges().iter().map(|(start, end)| format!("{start}-{end}")).collect();
        let seconds = |ms: &AtomicU64| ms.load(Relaxed) / 1000;
        let left_bytes = if state == JobState::Running { self.left_bytes() } else { 0 };
        out.map(12);
        let mut text = |name: &str, value: &str| {
            out.bulk_str(name);
            out.bulk_str(value);
        };
        text("name", &self.name);
        text("operation", "EXPORT");
        text("slot_ranges", &ranges.join(" "));
        text("source_node", &self.source.to_string());
        text("target_node", &self.target.to_string());
        text("state", state.name());
        text("message", &message);
        let numbers = [
            ("create_time", self.created_ms / 1000),
            ("last_update_time", seconds(&self.updated_ms)),
            ("last_ack_time", seconds(&self.acked_ms)),
            // Nothing is forked here, so nothing is copied on write.
            ("cow_size", 0),
            ("remaining_repl_size", left_bytes),
        ];
        for (name, number) in numbers {
            out.bulk_str(name);
            out.integer(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }
}

/// All jobs, the oldest first.
pub(crate) struct Jobs {
    me: NodeId,
    shared: Arc<Shared>,
    to_core: Outbox<ToCore>,
    to_bus: Outbox<ToBus>,
    jobs: VecDeque<Arc<Job>>,
    /// Jobs of an earlier life are listed.
    knows_past: bool,
}

impl Jobs {
    pub(crate) fn new(
        me: NodeId,
        shared: Arc<Shared>,
        to_core: Outbox<ToCore>,
        to_bus: Outbox<ToBus>,
    ) -> Self {
        Self { me, shared, to_core, to_bus, jobs: VecDeque::new(), knows_past: false }
    }

    /// The first routing of this life knows what an earlier one left half done.
    pub(crate) fn on_routing(&mut self, routing: &SlotMap) {
        if std::mem::replace(&mut self.knows_past, true) {
            return;
        }
        let mut left: BTreeMap<NodeId, SlotSet> = BTreeMap::new();
        for slot in Slot::all() {
            if let Some(target) = routing.migrating_to(slot) {
                left.entry(target).or_default().insert(slot);
            }
        }
        for (target, slots) in left {
            match Job::new(slots, routing.my_id, target, self.shared.started_ms) {
                Ok(job) => {
                    job.ended(JobState::Failed, CUT_OFF.to_owned());
                    self.jobs.push_back(Arc::new(job));
                }
                Err(error) => tracing::error!("failed to name a slot migration: {error}"),
            }
        }
    }

    /// All jobs as `HOLDFAST STATE` tells them.
    pub(crate) fn states(&self) -> Vec<MigrationState> {
        self.jobs.iter().map(|job| job.describe()).collect()
    }

    /// True when a job runs: what it shows changes without an event.
    pub(crate) fn any_running(&self) -> bool {
        self.jobs.iter().any(|job| job.is_running())
    }

    /// Carries out an order about the list.
    pub(crate) fn take_order(
        &mut self,
        order: Order,
        routing: &SlotMap,
        now_ms: u64,
    ) -> Result<WriteReply, String> {
        // CLUSTER RESET HARD gives a new id.
        self.me = routing.my_id;
        match order {
            Order::Start(parts) => self.start(parts, routing, now_ms)?,
            Order::Cancel => {
                for job in &self.jobs {
                    job.cancelled.store(true, Relaxed);
                }
            }
            Order::List => {
                let jobs: Vec<Arc<Job>> = self.jobs.iter().cloned().collect();
                return Ok(Box::new(move |out: &mut ReplyBuf| {
                    out.array(jobs.len());
                    for job in &jobs {
                        job.write(out);
                    }
                }));
            }
        }
        Ok(Box::new(ReplyBuf::ok))
    }

    fn start(
        &mut self,
        parts: Vec<(SlotSet, NodeId)>,
        routing: &SlotMap,
        now_ms: u64,
    ) -> Result<(), String> {
        for (slots, target) in &parts {
            self.check(slots, *target, routing)?;
        }
        let running = self.jobs.iter().filter(|job| job.is_running()).count();
        if running + parts.len() > RUNNING_MAX {
            return Err(format!("ERR at most {RUNNING_MAX} slot migrations run at a time"));
        }
        for (slots, target) in parts {
            let job = Job::new(slots, self.me, target, now_ms)
                .map_err(|error| format!("ERR failed to begin a slot migration: {error}"))?;
            let job = Arc::new(job);
            let road = job::Road {
                shared: Arc::clone(&self.shared),
                to_core: self.to_core.clone(),
                to_bus: self.to_bus.clone(),
            };
            job::start(Arc::clone(&job), road)
                .map_err(|error| format!("ERR failed to begin a slot migration: {error}"))?;
            self.jobs.push_back(job);
        }
        self.forget_old();
        Ok(())
    }

    fn check(&self, slots: &SlotSet, target: NodeId, routing: &SlotMap) -> Result<(), String> {
        if routing.my_primary.is_some() {
            return Err("ERR Slot migration can only be used on primary nodes.".to_owned());
        }
        let Some(node) = routing.node(target) else {
            return Err(format!("ERR unknown node {target}"));
        };
        if target == self.me {
            return Err("ERR the target of a slot migration is the node itself".to_owned());
        }
        if node.primary.is_some() {
            return Err(format!("ERR node {target} is not a primary"));
        }
        if node.failed {
            return Err(format!("ERR node {target} is marked as failed"));
        }
        // Slots that are over there already are what a job that was cut off has done.
        let ours = routing.slots_of(self.me).union(&routing.slots_of(target));
        if let Some(foreign) = slots.difference(&ours).iter().next() {
            return Err(format!("ERR slot {foreign} is not served by this node"));
        }
        let busy = |job: &&Arc<Job>| job.is_running() && job.slots.intersects(slots);
        if let Some(job) = self.jobs.iter().find(busy) {
            return Err(format!("ERR some of the slots are moved by the migration {}", job.name));
        }
        Ok(())
    }

    fn forget_old(&mut self) {
        let mut surplus = self.jobs.len().saturating_sub(FINISHED_MAX);
        self.jobs.retain(|job| {
            let keep = surplus == 0 || job.is_running();
            surplus -= usize::from(!keep);
            keep
        });
    }
}
