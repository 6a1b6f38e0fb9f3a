//! Loading at start: from the append-only set, or from the snapshot file, in slices.
//!
//! Between slices of a few milliseconds the event loop turns, so that the node answers `-LOADING`
//! and its probes meanwhile. When all is read, the set is opened for appending, the bus thread
//! hears
//! what was found, and the node is ready. What cannot be read ends the node: serving without data
//! that is on the disk is how replicas get wiped.
//! Not known here: formats; what a lame node does.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::load::{LoadError, LoadOptions, Loaded, Loader};
use super::set::{self, AofError, AofSet};
use super::{mark, names};
use crate::config::Name;
use crate::core::Core;
use crate::disk::{ToDisk, mark_path, path_in_dir};
use crate::messages::ToBus;

/// Time for loading between two turns of the event loop.
const TURN_BUDGET: Duration = Duration::from_millis(10);
/// Things loaded between two looks at the clock.
const LOADED_PER_LOOK: usize = 64;

/// The running or finished load.
#[derive(Debug, Default)]
pub(crate) struct Boot {
    is_loading: bool,
    /// Bytes read, bytes in all.
    progress: (u64, u64),
    began_ms: i64,
    keys: u64,
}

/// Data that is there and cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The set of files is not whole.
    #[error(transparent)]
    Set(#[from] AofError),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] LoadError),
    /// What was read makes no sense here.
    #[error("{0}")]
    Content(String),
}

/// Loads everything; `turn` lets the event loop turn once. An error means that the node must not
/// serve.
pub fn load(core: &mut Core, turn: &mut dyn FnMut(&mut Core)) -> Result<(), BootError> {
    core.persistence.boot.began_ms = core.now_ms;
    core.persistence.save.begin(core.now_ms);
    let mut manifest = None;
    let snapshot = path_in_dir(&core.config, core.config.text(Name::Dbfilename));
    let loader = if core.config.yes(Name::Appendonly) {
        let names = names(&core.config);
        manifest = set::find(&names)?;
        let options = LoadOptions { cut_torn_tail: core.config.yes(Name::AofLoadTruncated) };
        manifest.as_ref().map(|found| Loader::of_set(&names, found, options))
    } else if snapshot.is_file() {
        Some(Loader::of_snapshot(snapshot))
    } else {
        None
    };
    let found = loader.is_some();
    let mut loader = loader.unwrap_or_else(Loader::of_nothing);
    core.persistence.boot.is_loading = true;
    while !slice(core, &mut loader)? {
        core.persistence.boot.progress = loader.progress();
        turn(core);
        if core.exit_code.is_some() {
            return Ok(());
        }
    }
    core.persistence.boot.progress = loader.progress();
    core.persistence.boot.is_loading = false;
    finish(core, manifest, found)
}

/// Reads the snapshot file into the store as it is, in one go (DEBUG RELOAD).
pub(crate) fn reload_snapshot(core: &mut Core) -> Result<(), BootError> {
    let path = path_in_dir(&core.config, core.config.text(Name::Dbfilename));
    let mut loader = Loader::of_snapshot(path);
    while !slice(core, &mut loader)? {}
    Ok(())
}

/// Reads the append-only set into an empty store, in one go (DEBUG LOADAOF).
pub(super) fn reload_set(core: &mut Core) -> Result<(), BootError> {
    let names = names(&core.config);
    let Some(manifest) = set::find(&names)? else { return Ok(()) };
    if let Some(client) = core.clients.get_mut(core.loader_client) {
        // The file selects its databases itself and begins in the first one.
        client.db = 0;
    }
    let options = LoadOptions { cut_torn_tail: false };
    let mut loader = Loader::of_set(&names, &manifest, options);
    while !slice(core, &mut loader)? {}
    Ok(())
}

/// True until the start has read its data.
pub(crate) fn is_loading(core: &Core) -> bool {
    core.persistence.boot.is_loading
}

/// True at the end of the data.
fn slice(core: &mut Core, loader: &mut Loader) -> Result<bool, BootError> {
    let began = Instant::now();
    while began.elapsed() < TURN_BUDGET {
        for _ in 0..LOADED_PER_LOOK {
            match loader.load_next()? {
                None => return Ok(true),
                Some(loaded) => take(core, loaded).map_err(BootError::Content)?,
            }
        }
    }
    Ok(false)
}

fn take(core: &mut Core, loaded: Loaded) -> Result<(), String> {
    match loaded {
        Loaded::Entry { db, key, content, expires_at_ms } => {
            let db = db as usize;
            if db >= core.store.config().databases {
                return Err(format!("the data has a database {db}, this node has not"));
            }
            let value = content.into_value(&core.store.limits());
            let expiry_ms = expires_at_ms.map(|at_ms| i64::try_from(at_ms).unwrap_or(i64::MAX));
            core.store.insert(db, &key, value, expiry_ms, core.now_ms);
            core.persistence.boot.keys += 1;
        }
        Loaded::Command(args) => {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            core.apply_loaded(&args).map_err(|error| {
                let name = args.first().copied().unwrap_or_default().escape_ascii();
                format!("the append only file has a '{name}' that fails: {}", error.as_str())
            })?;
        }
        Loaded::Aux(..) => {}
    }
    Ok(())
}

fn finish(
    core: &mut Core,
    manifest: Option<holdfast_store::aof::Manifest>,
    found: bool,
) -> Result<(), BootError> {
    let (bytes, _) = core.persistence.boot.progress;
    let seconds = (core.now_ms - core.persistence.boot.began_ms) as f64 / 1000.0;
    if found {
        let source = if core.config.yes(Name::Appendonly) { "append only file" } else { "disk" };
        tracing::info!("DB loaded from {source}: {seconds:.3} seconds, {bytes} bytes");
    }
    if core.config.yes(Name::Appendonly) {
        let set = AofSet::open(names(&core.config), manifest)?;
        let offset = core.log.end();
        let (bytes, base_bytes) = set.sizes();
        core.to_disk.send(ToDisk::Fsync(core.persistence.policy()));
        core.to_disk.send(ToDisk::Open { set: Box::new(set), offset });
        core.persistence.set_open(offset);
        core.persistence.on_sizes(bytes, base_bytes);
    }
    core.changes_since_save = 0;
    core.replication.has_copy |= found && !core.store.is_empty();
    announce(core, found);
    Ok(())
}

fn announce(core: &mut Core, found: bool) {
    let databases = core.store.config().databases;
    let keys: u64 = (0..databases).map(|db| core.store.len(db) as u64).sum();
    let marked = core.is_cluster() && mark_path(&core.config).exists();
    if core.is_cluster() {
        core.persistence.mark.begin(marked, found);
        if keys > 0 {
            mark::on_data(core);
        }
    }
    super::hold(core);
    // Data that was read and turned out to be empty is no loss.
    let has_data_mark = marked && !found;
    core.to_bus.send(ToBus::Booted { has_data_mark, keys });
}

pub(super) fn append_info(core: &Core, out: &mut String) {
    let boot = &core.persistence.boot;
    let _ = write!(
        out,
        "loading:{}\r\nasync_loading:0\r\ncurrent_cow_peak:0\r\ncurrent_cow_size:0\r\n\
         current_cow_size_age:0\r\ncurrent_fork_perc:0.00\r\ncurrent_save_keys_processed:0\r\n\
         current_save_keys_total:0\r\nrdb_last_load_keys_expired:0\r\n\
         rdb_last_load_keys_loaded:{}\r\n",
        u8::from(is_loading(core)),
        boot.keys,
    );
    if boot.is_loading {
        let (read, total) = boot.progress;
        let percent = read as f64 * 100.0 / total.max(1) as f64;
        let _ = write!(
            out,
            "loading_start_time:{}\r\nloading_total_bytes:{total}\r\n\
             loading_loaded_bytes:{read}\r\nloading_loaded_perc:{percent:.2}\r\n",
            boot.began_ms / 1000,
        );
    }
}
