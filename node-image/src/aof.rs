//! Persistence on the core's side: what goes to the append-only file, what waits for it, when it
//! is rewritten, and what INFO says about all of it.
//!
//! At the end of each turn the effects of the turn go to the disk thread as one message. Under
//! `appendfsync always` replies are held until the disk thread says that they are durable; while
//! the `has-data` mark has never been set they wait for the mark (see [`mark`]).
//! Not known here: the disk ([`crate::disk`]), the formats (`holdfast-store`).

pub mod boot;
pub mod load;
pub mod mark;
pub mod save;
pub mod set;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::clients::ClientId;
use crate::commands::{AnswerToken, CommandError};
use crate::config::{Config, Name};
use crate::core::Core;
use crate::disk::encoder::Target;
use crate::disk::snapshot::{self, Purpose, Snapshots};
use crate::disk::{Fsync, ToDisk};
use crate::effect_log::{EntryKind, Mark as Entry};
use set::AofNames;

pub use boot::{BootError as LoadError, load};

/// Bytes for the file that the disk may leave waiting; above it, writes wait (`waiting.rs`).
const WAITING_BYTES_MAX: i64 = 64 << 20;
/// A rewrite that failed is tried again after this long.
const RETRY_REWRITE_MS: i64 = 60_000;

/// What the core knows about its files.
pub struct Persistence {
    /// Snapshots that run.
    pub snapshots: Snapshots,
    /// The snapshot file.
    pub save: save::SaveState,
    /// The `has-data` mark.
    pub mark: mark::Mark,
    pub(crate) boot: boot::Boot,
    aof: Aof,
}

/// The append-only file.
#[derive(Debug)]
struct Aof {
    /// The disk thread has a set open.
    open: bool,
    /// Who asked for the file to be loaded, see [`want_reload`].
    reload: Vec<AnswerToken>,
    place: Place,
    policy: Fsync,
    /// Offset of the log up to which the disk thread has been given everything.
    given: u64,
    synced: u64,
    rewrite: Option<Rewrite>,
    /// A rewrite is to begin at the end of this turn, or as soon as it can.
    wanted: bool,
    last_rewrite_ok: bool,
    last_rewrite_s: i64,
    retry_at_ms: i64,
    rewrites: u64,
    attempts: u64,
    refused: Option<String>,
    failed: Option<String>,
    bytes: u64,
    base_bytes: u64,
}

/// Where the end of the file is.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// The selected database, when it is known.
    db: Option<usize>,
    /// The transaction that is being written selects databases by itself.
    selected_inside: bool,
}

#[derive(Debug)]
struct Rewrite {
    began_ms: i64,
}

impl Persistence {
    /// Nothing is open and nothing is loaded.
    pub fn new(config: &Config) -> Self {
        Persistence {
            snapshots: Snapshots::default(),
            save: save::SaveState::default(),
            mark: mark::Mark::default(),
            boot: boot::Boot::default(),
            aof: Aof {
                open: false,
                reload: Vec::new(),
                place: Place::default(),
                policy: Fsync::of(config),
                given: 0,
                synced: 0,
                rewrite: None,
                wanted: false,
                last_rewrite_ok: true,
                last_rewrite_s: -1,
                retry_at_ms: 0,
                rewrites: 0,
                attempts: 0,
                refused: None,
                failed: None,
                bytes: 0,
                base_bytes: 0,
            },
        }
    }

    pub(crate) fn on_write_refused(&mut self, error: String) {
        self.aof.refused = Some(error);
    }

    pub(crate) fn on_write_resumed(&mut self) {
        self.aof.refused = None;
    }

    pub(crate) fn on_sizes(&mut self, bytes: u64, base_bytes: u64) {
        (self.aof.bytes, self.aof.base_bytes) = (bytes, base_bytes);
    }

    /// The disk thread has opened the set at start.
    pub(crate) fn set_open(&mut self, offset: u64) {
        self.aof.open = true;
        self.aof.given = offset;
        self.aof.synced = offset;
    }

    pub(crate) fn policy(&self) -> Fsync {
        self.aof.policy
    }

    /// True while a rewrite runs.
    pub fn is_rewriting(&self) -> bool {
        self.aof.rewrite.is_some()
    }

    /// Offset of the effect log that is durable as `appendfsync` wants it.
    pub fn synced_offset(&self) -> u64 {
        self.aof.synced
    }
}

/// Names of the set.
pub fn names(config: &Config) -> AofNames {
    AofNames {
        dir: PathBuf::from(config.text(Name::Dir)),
        directory: config.text(Name::Appenddirname).to_owned(),
        stem: config.text(Name::Appendfilename).to_owned(),
        snapshot: config.text(Name::Dbfilename).to_owned(),
    }
}

/// The end of a turn: hands its effects to the disk thread, moves snapshots on.
pub fn on_turn(core: &mut Core) {
    if boot::is_loading(core) {
        return;
    }
    append(core);
    let aof = &mut core.persistence.aof;
    // Until its first base is complete, a set is not whole.
    if !aof.reload.is_empty() && aof.open && !aof.wanted && aof.rewrite.is_none() {
        let asked = std::mem::take(&mut aof.reload);
        reload(core, asked);
    }
    mark::on_turn(core);
    if core.persistence.aof.wanted {
        start_rewrite(core);
    }
    hold(core);
    snapshot::on_turn(core);
}

fn append(core: &mut Core) {
    let end = core.log.end();
    if !core.persistence.aof.open || core.persistence.aof.given == end {
        core.persistence.aof.given = end;
        return;
    }
    let mut bytes = Vec::new();
    let mut place = core.persistence.aof.place;
    for entry in core.log.turn() {
        append_entry(core, entry, &mut place, &mut bytes);
    }
    core.persistence.aof.place = place;
    core.persistence.aof.given = end;
    core.shared.stats.aof_waiting_bytes.add(bytes.len() as i64);
    core.to_disk.send(ToDisk::Append { bytes, end });
}

/// DEBUG LOADAOF: the data is replaced by what the file holds, at the end of this turn or of a
/// running rewrite, when the file has everything that was acknowledged and no command is under
/// way.
pub(crate) fn want_reload(core: &mut Core, id: ClientId) -> Result<AnswerToken, CommandError> {
    if !core.config.yes(Name::Appendonly) {
        return Err(CommandError::new("ERR there is no append only file to load"));
    }
    let token = core.new_answer_token(id);
    core.persistence.aof.reload.push(token);
    Ok(token)
}

fn reload(core: &mut Core, asked: Vec<AnswerToken>) {
    const PATIENCE: Duration = Duration::from_secs(10);
    let (answer, written) = std::sync::mpsc::channel();
    core.to_disk.send(ToDisk::Write { answer });
    let result = if written.recv_timeout(PATIENCE) == Ok(true) {
        core.touched_all(None);
        core.store.flush_all();
        boot::reload_set(core).map_err(|error| error.to_string())
    } else {
        Err("the append only file could not be written".to_owned())
    };
    for token in asked {
        core.answer(token, |reply| match &result {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(&format!("ERR {error}")),
        });
    }
}

/// True while the disk has left so many bytes waiting that no more may join them.
pub fn is_backlogged(core: &Core) -> bool {
    core.shared.stats.aof_waiting_bytes.get() > WAITING_BYTES_MAX
}

/// The file selects databases by itself: a replica's log has its primary's SELECTs, which may lie
/// before the file begins. A SELECT inside a transaction stays where it is, and after it nobody
/// knows where the file is.
fn append_entry(core: &Core, entry: &Entry, place: &mut Place, bytes: &mut Vec<u8>) {
    match entry.kind {
        EntryKind::Select | EntryKind::Filler => return,
        EntryKind::Effect | EntryKind::Bracket => {}
    }
    if place.db != Some(entry.db) {
        holdfast_store::aof::write_command(bytes, &["SELECT", &entry.db.to_string()]);
        place.db = Some(entry.db);
    }
    let start = bytes.len();
    core.log.copy(entry.range.clone(), bytes);
    let copied = bytes.get(start..).unwrap_or_default();
    let is = |name: &[u8]| {
        let found = copied.get(4..4 + name.len());
        found.is_some_and(|text| text.eq_ignore_ascii_case(name))
    };
    if is(b"$6\r\nSELECT") {
        place.selected_inside = true;
    } else if place.selected_inside && is(b"$4\r\nEXEC") {
        *place = Place::default();
    }
}

/// Decides whether replies wait, and for what.
fn hold(core: &mut Core) {
    let persistence = &core.persistence;
    let always = persistence.aof.open && persistence.aof.policy == Fsync::Always;
    let unmarked = persistence.mark.holds_replies();
    let was = core.log.holds_replies();
    core.log.hold_replies(always || unmarked || persistence.aof.failed.is_some());
    let durable = if always { persistence.aof.synced } else { core.log.end() };
    if !persistence.mark.is_pending() && persistence.aof.failed.is_none() {
        release(core, durable, was);
    }
}

fn release(core: &mut Core, durable: u64, was_holding: bool) {
    // When replies wait no longer, `released` is beyond everything: those that wait must be woken.
    if was_holding && (!core.log.holds_replies() || core.log.released() < durable) {
        core.release_replies(durable);
    } else {
        core.log.release(durable);
    }
}

pub(crate) fn on_synced(core: &mut Core, offset: u64) {
    // An answer from before the log was restarted may be ahead of everything.
    let aof = &mut core.persistence.aof;
    aof.synced = aof.synced.max(offset.min(aof.given));
    hold(core);
}

pub(crate) fn on_sync_failed(core: &mut Core, error: String) {
    tracing::error!("{error}; nothing is acknowledged any more, the node ends");
    core.persistence.aof.failed = Some(error);
    core.log.hold_replies(true);
    core.exit_code = Some(1);
}

/// True when there is work for another turn at once. Snapshots need none: the answers of their
/// encoders and the sockets of slow replicas bring a turn about.
pub fn wants_turn(core: &Core) -> bool {
    core.persistence.aof.wanted && !is_inside_transaction(core) && !core.persistence.is_rewriting()
}

/// The store was replaced by another one (a full sync): what the file holds belongs to the old
/// data. A new set begins; the old one stays named until the new base is complete, so that a
/// crash finds one or the other and never a mixture.
pub fn on_new_data(core: &mut Core) {
    mark::on_data(core);
    snapshot::cancel_where(core, |purpose| matches!(purpose, Purpose::Rewrite { .. }));
    let aof = &mut core.persistence.aof;
    aof.rewrite = None;
    aof.wanted = aof.open || core.config.yes(Name::Appendonly);
    aof.open = false;
    aof.given = core.log.end();
}

/// The beat of the clock, several times a second.
pub fn cron(core: &mut Core) {
    if boot::is_loading(core) {
        return;
    }
    let policy = Fsync::of(&core.config);
    if policy != core.persistence.aof.policy {
        core.persistence.aof.policy = policy;
        core.to_disk.send(ToDisk::Fsync(policy));
        hold(core);
    }
    let wished = core.config.yes(Name::Appendonly);
    let aof = &mut core.persistence.aof;
    if !wished && aof.open && !aof.wanted && aof.rewrite.is_none() {
        aof.open = false;
        core.to_disk.send(ToDisk::Close);
        hold(core);
    } else if core.now_ms >= aof.retry_at_ms && aof.rewrite.is_none() {
        aof.wanted |= wished && (!aof.open || outgrown(aof, &core.config));
    }
    mark::cron(core);
    save::cron(core);
}

fn outgrown(aof: &Aof, config: &Config) -> bool {
    let percentage = config.size(Name::AutoAofRewritePercentage) as u64;
    let grown = aof.bytes.saturating_sub(aof.base_bytes);
    percentage > 0
        && aof.bytes >= config.size(Name::AutoAofRewriteMinSize) as u64
        && grown.saturating_mul(100) / aof.base_bytes.max(1) >= percentage
}

/// BGREWRITEAOF: begins at the end of this turn.
pub fn want_rewrite(core: &mut Core) {
    core.persistence.aof.wanted = true;
    core.persistence.aof.retry_at_ms = 0;
}

fn start_rewrite(core: &mut Core) {
    if core.persistence.aof.rewrite.is_some() || is_inside_transaction(core) {
        return;
    }
    let names = names(&core.config);
    let aof = &mut core.persistence.aof;
    aof.wanted = false;
    aof.attempts += 1;
    let name = format!("temp-rewriteaof-{}-{}.rdb", std::process::id(), aof.attempts);
    let temporary = names.path(&name);
    core.persistence.aof.rewrite = Some(Rewrite { began_ms: core.now_ms });
    if core.persistence.aof.open {
        core.to_disk.send(ToDisk::NextIncrement);
    } else {
        if let Err(error) = std::fs::create_dir_all(names.path("")) {
            return on_rewrite_ended(core, Err(error.to_string()));
        }
        core.to_disk.send(ToDisk::Begin { names, offset: core.log.end() });
        core.to_disk.send(ToDisk::Fsync(core.persistence.aof.policy));
        core.persistence.set_open(core.log.end());
    }
    core.persistence.aof.place = Place::default();
    tracing::info!("Background append only file rewriting started");
    let purpose = Purpose::Rewrite { temporary: temporary.clone() };
    let aux = vec![("aof-base", "1".to_owned())];
    if let Err(error) = snapshot::begin(core, purpose, Target::File(temporary), aux) {
        on_rewrite_ended(core, Err(error));
    }
}

/// True while a transaction of the primary's stream is half received: no cut of the data can
/// stand between its MULTI and its EXEC in the log.
pub fn is_inside_transaction(core: &Core) -> bool {
    core.clients.get(core.primary_client).is_some_and(|client| client.multi.is_some())
}

pub(crate) fn on_base(core: &mut Core, temporary: PathBuf, result: Result<u64, String>) {
    match result {
        Ok(_) => core.to_disk.send(ToDisk::AdoptBase { temporary }),
        Err(error) => on_rewrite_ended(core, Err(error)),
    }
}

pub(crate) fn on_rewrite_ended(core: &mut Core, result: Result<(), String>) {
    snapshot::cancel_where(core, |purpose| matches!(purpose, Purpose::Rewrite { .. }));
    let now_ms = core.now_ms;
    let aof = &mut core.persistence.aof;
    let Some(rewrite) = aof.rewrite.take() else { return };
    aof.last_rewrite_s = (now_ms - rewrite.began_ms) / 1000;
    aof.last_rewrite_ok = result.is_ok();
    match result {
        Ok(()) => {
            aof.rewrites += 1;
            tracing::info!("Background AOF rewrite finished successfully");
        }
        Err(error) => {
            aof.retry_at_ms = now_ms + RETRY_REWRITE_MS;
            tracing::error!("failed to rewrite the append only file: {error}");
        }
    }
}

/// Why a write must be refused, if it must.
pub fn refuse_write(core: &Core) -> Option<CommandError> {
    let persistence = &core.persistence;
    let aof = &persistence.aof;
    let error = aof.failed.as_ref().or(aof.refused.as_ref()).or(persistence.mark.failure());
    if let Some(error) = error {
        return Some(CommandError::text(format!(
            "MISCONF Errors writing to the AOF file: {error}"
        )));
    }
    save::refuses_write(core).then_some(CommandError::new(
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist \
         to disk. Commands that may modify the data set are disabled, because this instance is \
         configured to report errors during writes if RDB snapshotting fails \
         (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the \
         RDB error.",
    ))
}

/// INFO's section "persistence".
pub fn append_info(core: &Core, out: &mut String) {
    let aof = &core.persistence.aof;
    let status = |ok: bool| if ok { "ok" } else { "err" };
    boot::append_info(core, out);
    save::append_info(core, out);
    let running = |rewrite: &Rewrite| (core.now_ms - rewrite.began_ms) / 1000;
    let _ = write!(
        out,
        "aof_enabled:{}\r\naof_rewrite_in_progress:{}\r\naof_rewrite_scheduled:{}\r\n\
         aof_last_rewrite_time_sec:{}\r\naof_current_rewrite_time_sec:{}\r\n\
         aof_last_bgrewrite_status:{}\r\naof_rewrites:{}\r\naof_last_write_status:{}\r\n\
         holdfast_snapshot_side_bytes:{}\r\naof_last_cow_size:0\r\nmodule_fork_in_progress:0\r\nmodule_fork_last_cow_size:0\r\n",
        u8::from(core.config.yes(Name::Appendonly)),
        u8::from(aof.rewrite.is_some()),
        u8::from(aof.wanted),
        aof.last_rewrite_s,
        aof.rewrite.as_ref().map_or(-1, running),
        status(aof.last_rewrite_ok),
        aof.rewrites,
        status(aof.refused.is_none() && aof.failed.is_none()),
        core.store.side_buffer_bytes(),
    );
    if aof.open {
        let _ = write!(
            out,
            "aof_current_size:{}\r\naof_base_size:{}\r\naof_pending_rewrite:{}\r\n\
             aof_buffer_length:{}\r\naof_pending_bio_fsync:{}\r\naof_delayed_fsync:0\r\n",
            aof.bytes,
            aof.base_bytes,
            u8::from(aof.wanted),
            core.shared.stats.aof_waiting_bytes.get(),
            u8::from(aof.synced < aof.given),
        );
    }
}
