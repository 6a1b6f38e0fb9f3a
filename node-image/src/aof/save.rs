//! The snapshot file: SAVE, BGSAVE and the save points.
//!
//! A snapshot is written beside the file under a temporary name, synced, and renamed when it is
//! whole. SAVE does all of it at once, as its users want; BGSAVE takes a cut and goes on.
//! Not known here: the format.

use std::fmt::Write;
use std::path::PathBuf;

use holdfast_store::CutFilter;
use holdfast_store::rdb::Writer;

use crate::config::Name;
use crate::core::Core;
use crate::disk::encoder::Target;
use crate::disk::snapshot::{self, Purpose};
use crate::disk::{ToDisk, durable, path_in_dir};

/// A save point is not tried again before this long after a failure.
const RETRY_MS: i64 = 5_000;

/// A snapshot on its way to its file.
#[derive(Debug)]
pub struct Save {
    temporary: PathBuf,
    path: PathBuf,
    /// Changes that the snapshot holds.
    changes: u64,
}

/// What the core knows of the file.
#[derive(Debug)]
pub struct SaveState {
    began_ms: Option<i64>,
    /// Changes held by the snapshot that is being given its name.
    publishing: Option<(u64, u64)>,
    last_ms: i64,
    last_ok: bool,
    last_try_ms: i64,
    last_took_s: i64,
    saves: u64,
}

impl Default for SaveState {
    fn default() -> Self {
        SaveState {
            began_ms: None,
            publishing: None,
            last_ms: 0,
            last_ok: true,
            last_try_ms: 0,
            last_took_s: -1,
            saves: 0,
        }
    }
}

impl SaveState {
    /// True while BGSAVE runs.
    pub fn is_running(&self) -> bool {
        self.began_ms.is_some()
    }

    /// Unix time of the last success (at first: of the start) in seconds.
    pub fn last_s(&self) -> i64 {
        self.last_ms / 1000
    }

    pub(super) fn begin(&mut self, now_ms: i64) {
        self.last_ms = now_ms;
    }
}

fn plan(core: &Core) -> Save {
    let path = path_in_dir(&core.config, core.config.text(Name::Dbfilename));
    Save { temporary: durable::temporary_beside(&path), path, changes: core.changes_since_save }
}

/// Saves, and returns when it is done: SAVE and the last act of a node.
pub fn save_now(core: &mut Core) -> Result<(), String> {
    let save = plan(core);
    let head = snapshot::head(core, Vec::new());
    let mut writer = Writer::new(head.options);
    for (key, value) in &head.aux {
        writer.aux(key, value);
    }
    let cut = core.store.begin_cut(CutFilter::All);
    let mut db = None;
    core.store.scan_cut(cut, usize::MAX, &mut |entry| {
        if db != Some(entry.db) {
            let (keys, expires) = head.sizes.get(entry.db).copied().unwrap_or_default();
            writer.select_db(entry.db as u32, keys, expires);
            db = Some(entry.db);
        }
        let expires_at_ms = entry.expiry_ms.map(|at_ms| at_ms.max(0) as u64);
        writer.value(entry.key, expires_at_ms, entry.value);
    });
    core.store.cancel_cut(cut);
    writer.finish();
    let result = durable::replace(&save.path, &writer.take())
        .map_err(|error| format!("failed to write {}: {error}", save.path.display()));
    match &result {
        Ok(()) => tracing::info!("DB saved on disk"),
        Err(error) => tracing::error!("{error}"),
    }
    saved(core, save.changes, result.is_ok());
    result
}

/// BGSAVE.
pub fn begin(core: &mut Core) -> Result<(), String> {
    let mut save = plan(core);
    // SAVE, as the node's last act, may run beside this one.
    save.temporary.set_extension("background");
    let target = Target::File(save.temporary.clone());
    core.persistence.save.last_try_ms = core.now_ms;
    snapshot::begin(core, Purpose::Save(save), target, Vec::new())?;
    core.persistence.save.began_ms = Some(core.now_ms);
    tracing::info!("Background saving started");
    Ok(())
}

pub(crate) fn on_encoded(core: &mut Core, run: u64, save: Save, result: Result<u64, String>) {
    match result {
        Ok(_) => {
            core.persistence.save.publishing = Some((run, save.changes));
            let Save { temporary, path, .. } = save;
            core.to_disk.send(ToDisk::Publish { run, temporary, path });
        }
        Err(error) => ended(core, 0, Err(error)),
    }
}

pub(crate) fn on_published(core: &mut Core, run: u64, result: Result<(), String>) {
    let Some((_, changes)) = core.persistence.save.publishing.take_if(|(of, _)| *of == run) else {
        return;
    };
    ended(core, changes, result);
}

fn ended(core: &mut Core, changes: u64, result: Result<(), String>) {
    match &result {
        Ok(()) => tracing::info!("Background saving terminated with success"),
        Err(error) => tracing::error!("Background saving error: {error}"),
    }
    if let Some(began_ms) = core.persistence.save.began_ms.take() {
        core.persistence.save.last_took_s = (core.now_ms - began_ms) / 1000;
    }
    saved(core, changes, result.is_ok());
}

fn saved(core: &mut Core, changes: u64, ok: bool) {
    core.persistence.save.last_ok = ok;
    if ok {
        core.changes_since_save = core.changes_since_save.saturating_sub(changes);
        core.persistence.save.last_ms = core.now_ms;
        core.persistence.save.saves += 1;
    }
}

/// Begins a snapshot when a save point is reached.
pub(super) fn cron(core: &mut Core) {
    let state = &core.persistence.save;
    let patient = state.last_ok || core.now_ms - state.last_try_ms > RETRY_MS;
    if state.is_running() || core.changes_since_save == 0 || !patient {
        return;
    }
    let age_s = u64::try_from((core.now_ms - state.last_ms) / 1000).unwrap_or(0);
    let points = core.config.save_points();
    let changes = core.changes_since_save;
    let reached = points.iter().find(|(seconds, least)| age_s >= *seconds && changes >= *least);
    let Some((seconds, _)) = reached else { return };
    tracing::info!("{changes} changes in {seconds} seconds. Saving...");
    if let Err(error) = begin(core) {
        ended(core, 0, Err(error));
    }
}

/// True when writes are refused because the last snapshot failed.
pub(super) fn refuses_write(core: &Core) -> bool {
    !core.persistence.save.last_ok
        && core.config.yes(Name::StopWritesOnBgsaveError)
        && !core.config.save_points().is_empty()
}

pub(super) fn append_info(core: &Core, out: &mut String) {
    let state = &core.persistence.save;
    let _ = write!(
        out,
        "rdb_changes_since_last_save:{}\r\nrdb_bgsave_in_progress:{}\r\n\
         rdb_last_save_time:{}\r\nrdb_last_bgsave_status:{}\r\nrdb_last_bgsave_time_sec:{}\r\n\
         rdb_current_bgsave_time_sec:{}\r\nrdb_saves:{}\r\nrdb_last_cow_size:0\r\n",
        core.changes_since_save,
        u8::from(state.is_running()),
        state.last_s(),
        if state.last_ok { "ok" } else { "err" },
        state.last_took_s,
        state.began_ms.map_or(-1, |began_ms| (core.now_ms - began_ms) / 1000),
        state.saves,
    );
}
