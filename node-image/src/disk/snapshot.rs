//! Snapshots on the core's side: a cut, walked in slices, handed to an encoder.
//!
//! Each turn gives a snapshot a few slices, at most [`TURN_BUDGET`] of time altogether, and only
//! while its encoder has room: an encoder answers each batch, and a stream whose receivers are
//! slow answers late. The encoder's answer is what wakes the core for the next slice.
//! Not known here: the format, and what becomes of the bytes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use holdfast_store::rdb::WriterOptions;
use holdfast_store::{CutFilter, CutId, CutProgress};

use super::encoder::{Encoder, Entry, Head, Target};
use crate::aof::save::Save;
use crate::config::Name;
use crate::core::Core;
use crate::replication;

/// Batches of a snapshot between core and encoder.
const BATCHES_MAX: usize = 4;
/// Steps of the walk in a batch.
const STEPS: usize = 512;
/// Steps between two looks at the size of the batch.
const STEPS_PER_LOOK: usize = 16;
/// A batch that has so many bytes gets no more: what is on the way is kept alive by it.
const BATCH_BYTES: usize = 256 << 10;
/// Time for all snapshots in a turn.
const TURN_BUDGET: Duration = Duration::from_millis(2);
/// Old values that writes have put aside; above it, writes to keys that are not saved yet wait
/// (`waiting.rs`). A single command may go beyond it by what it changes.
const SIDE_BYTES_MAX: usize = 64 << 20;

/// What a snapshot is for.
#[derive(Debug)]
pub enum Purpose {
    /// A file with a name of its own.
    Save(Save),
    /// The base of the append-only file.
    Rewrite {
        /// Where it is written.
        temporary: PathBuf,
    },
    /// A full synchronisation.
    Sync,
}

#[derive(Debug)]
struct Running {
    run: u64,
    cut: CutId,
    encoder: Encoder,
    on_the_way: usize,
    walked: bool,
    purpose: Purpose,
}

/// The snapshots that run.
#[derive(Debug, Default)]
pub struct Snapshots {
    running: Vec<Running>,
    begun: u64,
}

impl Snapshots {
    /// True while a snapshot with such a purpose runs.
    pub fn any(&self, is: impl Fn(&Purpose) -> bool) -> bool {
        self.running.iter().any(|running| is(&running.purpose))
    }

    fn get_mut(&mut self, run: u64) -> Option<&mut Running> {
        self.running.iter_mut().find(|running| running.run == run)
    }
}

/// Facts that every snapshot of this node begins with.
pub fn head(core: &Core, aux: Vec<(&'static str, String)>) -> Head {
    let databases = core.store.config().databases;
    let sizes = |db| (core.store.len(db) as u64, core.store.expiring(db) as u64);
    let mut facts = vec![
        ("redis-ver", crate::REDIS_VERSION.to_owned()),
        ("redis-bits", "64".to_owned()),
        ("ctime", (core.now_ms / 1000).to_string()),
        ("used-mem", core.store.used_bytes().to_string()),
    ];
    facts.extend(aux);
    let options = WriterOptions {
        compress: core.config.yes(Name::Rdbcompression),
        checksum: core.config.yes(Name::Rdbchecksum),
        ..WriterOptions::with_limits(&core.store.limits())
    };
    Head { aux: facts, sizes: (0..databases).map(sizes).collect(), options }
}

/// Begins a snapshot of this moment and gives the number of its run.
pub fn begin(
    core: &mut Core,
    purpose: Purpose,
    target: Target,
    aux: Vec<(&'static str, String)>,
) -> Result<u64, String> {
    let snapshots = &mut core.persistence.snapshots;
    snapshots.begun += 1;
    let run = snapshots.begun;
    let head = head(core, aux);
    let encoder = Encoder::start(run, head, target, core.to_core.clone())
        .map_err(|error| format!("failed to start a thread: {error}"))?;
    let cut = core.store.begin_cut(CutFilter::All);
    let running = Running { run, cut, encoder, on_the_way: 0, walked: false, purpose };
    core.persistence.snapshots.running.push(running);
    Ok(run)
}

/// Gives a snapshot up.
pub fn cancel(core: &mut Core, run: u64) {
    let running = &mut core.persistence.snapshots.running;
    if let Some(place) = running.iter().position(|running| running.run == run) {
        let gone = running.swap_remove(place);
        core.store.cancel_cut(gone.cut);
    }
}

/// Gives up every snapshot with such a purpose.
pub fn cancel_where(core: &mut Core, is: impl Fn(&Purpose) -> bool) {
    let running = &core.persistence.snapshots.running;
    let runs: Vec<u64> = running.iter().filter(|r| is(&r.purpose)).map(|r| r.run).collect();
    for run in runs {
        cancel(core, run);
    }
}

/// Gives the snapshots their slices of this turn.
pub fn on_turn(core: &mut Core) {
    if core.persistence.snapshots.running.is_empty() {
        return;
    }
    let began = Instant::now();
    loop {
        let mut moved = false;
        for place in 0..core.persistence.snapshots.running.len() {
            moved |= slice(core, place);
        }
        if !moved || began.elapsed() >= TURN_BUDGET {
            return;
        }
    }
}

/// True while so many old values wait that no more may join them.
pub fn is_crowded(core: &Core) -> bool {
    core.store.side_buffer_bytes() > SIDE_BYTES_MAX
}

/// One slice of one snapshot; false when it must wait.
fn slice(core: &mut Core, place: usize) -> bool {
    let Some(running) = core.persistence.snapshots.running.get(place) else { return false };
    let full = running.on_the_way >= BATCHES_MAX
        || (matches!(running.purpose, Purpose::Sync)
            && replication::is_congested(core, running.run));
    if running.walked || full {
        return false;
    }
    let (mut entries, mut bytes, mut steps) = (Vec::new(), 0, 0);
    let mut progress = CutProgress::Running;
    while progress == CutProgress::Running && steps < STEPS && bytes < BATCH_BYTES {
        progress = core.store.scan_cut(running.cut, STEPS_PER_LOOK, &mut |entry| {
            bytes += entry.key.len() + entry.value.heap_bytes();
            entries.push(Entry {
                db: entry.db as u32,
                key: entry.key.to_vec(),
                value: entry.value.clone(),
                expires_at_ms: entry.expiry_ms.map(|at_ms| at_ms.max(0) as u64),
            });
        });
        steps += STEPS_PER_LOOK;
    }
    let Some(running) = core.persistence.snapshots.running.get_mut(place) else { return false };
    if !entries.is_empty() {
        running.encoder.batch(entries);
        running.on_the_way += 1;
    }
    if progress == CutProgress::Done {
        running.walked = true;
        running.encoder.finish();
    }
    true
}

/// A batch was encoded.
pub fn on_piece(core: &mut Core, run: u64, bytes: Vec<u8>) {
    let Some(running) = core.persistence.snapshots.get_mut(run) else { return };
    running.on_the_way = running.on_the_way.saturating_sub(1);
    if matches!(running.purpose, Purpose::Sync) {
        replication::on_snapshot_piece(core, run, bytes);
    }
}

/// The encoder has ended.
pub fn on_ended(core: &mut Core, run: u64, result: Result<u64, String>) {
    let running = &mut core.persistence.snapshots.running;
    let Some(place) = running.iter().position(|running| running.run == run) else { return };
    let ended = running.swap_remove(place);
    core.store.cancel_cut(ended.cut);
    super::dispatch_end(core, run, ended.purpose, result);
}
