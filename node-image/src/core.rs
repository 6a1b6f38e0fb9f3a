//! One core: the keyspace, its clients, and everything that happens to them, as one value.
//!
//! A core is driven by [`crate::event_loop`]; it has no globals and no locks, so that a node can
//! have several of them one day. What a command changes goes three ways, all from here:
//!
//!   handler --effect--> unit --(unit ends)--> effect log --(turn ends)--> replicas, file, jobs
//!           --touched-> WATCH, blocked clients
//!           --reply---> output queue of the client, released with the log
//!
//! **Where others plug in**, so that this file need not be edited:
//! - disk: `aof::Persistence` is the field `persistence`; `aof::{load, on_turn, cron,
//!   refuse_write, append_info}` and `disk::{start, on_message}` are called with the core.
//! - replication: field `replication`; `replication::{on_ready, on_turn, cron, on_role,
//!   on_client_closed, append_info}`; the primary's stream enters by [`Core::apply_replicated`].
//! - cluster: `bus::{start, on_message}`; field `migrations`; `migration::{must_wait, cron}`;
//!   `shutdown::{on_signal, on_turn, on_command}` with the field `shutdown`.
//!
//! Not known here: sockets (but for registering interest), what commands do.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use holdfast_cluster::SlotMap;
use holdfast_store::Tracking;
use holdfast_store::store::{ExpiryRule, Store};
use holdfast_wire::id::NodeId;
use holdfast_wire::resp::ReplyBuf;
use holdfast_wire::slot::{Slot, key_slot};

use crate::blocked::BlockedClients;
use crate::clients::{ClientId, ClientKind, Clients};
use crate::commands::{AnswerToken, Origin};
use crate::config::{Config, Name};
use crate::effect_log::{EffectLog, EntryKind, Unit};
use crate::latency::Latency;
use crate::messages::{Outbox, ToBus, ToCore, ToDisk};
use crate::notify::EventClass;
use crate::observed::Observed;
use crate::pause::Pauses;
use crate::shared::Shared;
use crate::watch::Watched;

/// The core. Fields are public to the crate's modules: each names its owner in its comment.
pub struct Core {
    /// What all threads see.
    pub shared: Arc<Shared>,
    /// The newest configuration, the same as in `shared`.
    pub config: Arc<Config>,
    /// The keyspace.
    pub store: Store,
    /// The effect log.
    pub log: EffectLog,
    /// Effects of the unit of work that runs.
    pub unit: Unit,
    /// Users and what they may do.
    pub acl: crate::acl::Acl,
    /// Everybody who is connected.
    pub clients: Clients,
    /// Clients that wait for keys.
    pub blocked: BlockedClients,
    /// Keys that transactions watch.
    pub watched: Watched,
    /// Who listens to which channel.
    pub pubsub: crate::pubsub::PubSub,
    /// Who is told of changed keys.
    pub tracking: crate::tracking::TrackingTable,
    /// Who sees every command.
    pub monitors: Vec<ClientId>,
    /// Keyspace notifications that are asked for.
    pub events: crate::notify::Events,
    /// CLIENT PAUSE and the cluster's write pause.
    pub pauses: Pauses,
    /// Who serves which slot.
    pub routing: Arc<SlotMap>,
    /// Who follows whom (owner: replication).
    pub replication: crate::replication::Replication,
    /// Files (owner: disk).
    pub persistence: crate::aof::Persistence,
    /// Slot migrations (owner: migration).
    pub migrations: crate::migration::Migrations,
    /// The way to the end (owner: shutdown).
    pub shutdown: crate::shutdown::Shutdown,
    /// Lua and what it has loaded (owner: scripts).
    pub scripts: crate::scripts::Scripts,
    /// Where clients come in, with whether their connections are secured by TLS (owner: the event
    /// loop).
    pub(crate) listeners: Vec<(mio::net::TcpListener, bool)>,
    /// To the bus thread; nobody listens unless in cluster mode or with a control port.
    pub to_bus: Outbox<ToBus>,
    /// To the disk thread.
    pub to_disk: Outbox<ToDisk>,
    /// To this core itself, for threads that it starts.
    pub to_core: Outbox<ToCore>,
    /// Where sockets are registered; see [`crate::event_loop`] for whose tokens are whose.
    pub registry: mio::Registry,
    /// Unix time in milliseconds, read once a turn and before each unit of work.
    pub now_ms: i64,
    /// Number of changes since the last snapshot was complete; INFO's
    /// `rdb_changes_since_last_save` (owner of the reset: disk).
    pub changes_since_save: u64,
    /// Changes by the effect of commands, ever; a command that left it alone changed nothing.
    pub changes: u64,
    /// Slow commands and slow events.
    pub latency: Latency,
    /// What INFO shows about commands and errors.
    pub observed: Observed,
    /// The node is to end with this code; the event loop sees it at the end of its turn.
    pub exit_code: Option<u8>,
    /// Reply buffers that have grown are kept (DEBUG REPLYBUFFER RESIZING 0).
    pub keeps_reply_buffers: bool,
    /// What is due by time waits (DEBUG PAUSE-CRON).
    pub cron_paused: bool,
    /// The active expiry cycle runs (DEBUG SET-ACTIVE-EXPIRE).
    pub expires_by_itself: bool,
    /// CONFIG REWRITE writes defaults, too (DEBUG CONFIG-REWRITE-FORCE-ALL).
    pub rewrites_whole_config: bool,
    pub(crate) current_slot: Option<Slot>,
    pub(crate) executing: Option<ClientId>,
    pub(crate) pushed_to_executing: Vec<u8>,
    pub(crate) to_flush: Vec<ClientId>,
    pub(crate) to_close: Vec<ClientId>,
    pub(crate) to_resume: Vec<ClientId>,
    /// Clients whose sockets may hold more than one turn reads.
    pub(crate) to_read: BTreeSet<ClientId>,
    pub(crate) paused: Vec<ClientId>,
    /// Stands for the primary; see [`ClientKind::Primary`].
    pub primary_client: ClientId,
    /// Stands for the file being loaded.
    pub loader_client: ClientId,
    answers: HashMap<AnswerToken, ClientId>,
    next_answer: u64,
}

/// What a core is made of; the rest it makes itself.
pub struct Parts {
    /// What all threads see.
    pub shared: Arc<Shared>,
    /// An empty store of the configured shape.
    pub store: Store,
    /// To the bus thread.
    pub to_bus: Outbox<ToBus>,
    /// To the disk thread.
    pub to_disk: Outbox<ToDisk>,
    /// To the core itself.
    pub to_core: Outbox<ToCore>,
    /// Where sockets are registered.
    pub registry: mio::Registry,
    /// Unix time in milliseconds.
    pub now_ms: i64,
}

impl Core {
    /// A core with an empty store and no clients.
    pub fn new(parts: Parts) -> Self {
        let config = parts.shared.config.load_full();
        let mut clients = Clients::default();
        let primary_client = clients.add(ClientKind::Primary, None, parts.now_ms);
        let loader_client = clients.add(ClientKind::Loader, None, parts.now_ms);
        let mut core = Core {
            store: parts.store,
            log: EffectLog::new(config.size(Name::ReplBacklogSize)),
            unit: Unit::default(),
            acl: crate::acl::Acl::default(),
            clients,
            blocked: BlockedClients::default(),
            watched: Watched::default(),
            pubsub: crate::pubsub::PubSub::default(),
            tracking: crate::tracking::TrackingTable::default(),
            monitors: Vec::new(),
            events: crate::notify::Events::default(),
            pauses: Pauses::default(),
            routing: Arc::new(SlotMap::empty(NodeId([0; 20]))),
            replication: crate::replication::Replication::new(&config),
            persistence: crate::aof::Persistence::new(&config),
            migrations: crate::migration::Migrations::default(),
            shutdown: crate::shutdown::Shutdown::default(),
            scripts: crate::scripts::Scripts::default(),
            listeners: Vec::new(),
            to_bus: parts.to_bus,
            to_disk: parts.to_disk,
            to_core: parts.to_core,
            registry: parts.registry,
            now_ms: parts.now_ms,
            changes_since_save: 0,
            changes: 0,
            latency: Latency::default(),
            observed: Observed::default(),
            exit_code: None,
            keeps_reply_buffers: false,
            cron_paused: false,
            expires_by_itself: true,
            rewrites_whole_config: false,
            current_slot: None,
            executing: None,
            pushed_to_executing: Vec::new(),
            to_flush: Vec::new(),
            to_close: Vec::new(),
            to_resume: Vec::new(),
            to_read: BTreeSet::new(),
            paused: Vec::new(),
            primary_client,
            loader_client,
            answers: HashMap::new(),
            next_answer: 0,
            shared: parts.shared,
            config,
        };
        core.apply_config();
        core
    }

    /// True in cluster mode.
    pub fn is_cluster(&self) -> bool {
        self.config.cluster_enabled()
    }

    /// Publishes a new configuration and lets everything that keeps a part of it look again.
    pub fn set_config(&mut self, config: Config) {
        self.config = Arc::new(config);
        self.shared.config.store(Arc::clone(&self.config));
        self.apply_config();
        self.to_bus.send(ToBus::Reconfigured);
    }

    fn apply_config(&mut self) {
        crate::acl::follow_requirepass(self);
        let mut limits = self.store.limits();
        limits.hash_max_listpack_entries = self.config.size(Name::HashMaxListpackEntries);
        limits.hash_max_listpack_value = self.config.size(Name::HashMaxListpackValue);
        limits.list_max_listpack_size = self.config.int(Name::ListMaxListpackSize) as i32;
        limits.set_max_intset_entries = self.config.size(Name::SetMaxIntsetEntries);
        limits.set_max_listpack_entries = self.config.size(Name::SetMaxListpackEntries);
        limits.set_max_listpack_value = self.config.size(Name::SetMaxListpackValue);
        limits.zset_max_listpack_entries = self.config.size(Name::ZsetMaxListpackEntries);
        limits.zset_max_listpack_value = self.config.size(Name::ZsetMaxListpackValue);
        limits.stream_node_max_bytes = self.config.size(Name::StreamNodeMaxBytes);
        limits.stream_node_max_entries = self.config.size(Name::StreamNodeMaxEntries);
        self.store.set_limits(limits);
        self.store.set_tracking(if self.config.text(Name::MaxmemoryPolicy).ends_with("lfu") {
            Tracking::Frequency {
                log_factor: self.config.int(Name::LfuLogFactor) as u32,
                decay_min: self.config.int(Name::LfuDecayTime) as u32,
            }
        } else {
            Tracking::Recency
        });
        self.log.set_backlog_bytes_max(self.config.size(Name::ReplBacklogSize));
        self.shared.stats.maxmemory_bytes.set(self.config.int(Name::Maxmemory));
        self.latency.configure(&self.config);
        self.count_clients();
        self.events = crate::notify::Events::parse(self.config.text(Name::NotifyKeyspaceEvents));
    }

    // ---- what commands change -------------------------------------------------------------

    /// See [`crate::commands::Ctx::effect`].
    pub fn record_effect<A: AsRef<[u8]>>(&mut self, origin: Origin, db: usize, args: &[A]) {
        // What expired before this change must be gone on replicas before they run it.
        self.collect_expired();
        self.note_change();
        if origin == Origin::Client {
            let slot = self.current_slot;
            self.unit.push(db, slot, args);
        }
    }

    fn note_change(&mut self) {
        self.changes += 1;
        self.changes_since_save += 1;
    }

    /// A published message: replicas of a primary without a cluster publish it too. It changes
    /// nothing, and no file keeps it.
    pub fn record_message<A: AsRef<[u8]>>(&mut self, origin: Origin, db: usize, args: &[A]) {
        let follows = self.replication.is_replica();
        if origin == Origin::Client && !follows && !self.replication.feed.is_empty() {
            self.unit.push_message(db, args);
        }
    }

    /// An effect that no command brought about: a key whose time was over, a slot that was lost,
    /// an eviction. Outside a command the caller ends the unit itself.
    pub fn record_own_effect<A: AsRef<[u8]>>(&mut self, db: usize, key: &[u8], args: &[A]) {
        self.note_change();
        let slot = self.is_cluster().then(|| key_slot(key));
        self.unit.push_loose(db, slot, args);
    }

    /// All keys were flushed, and no command said so.
    pub fn record_own_flush(&mut self) {
        self.note_change();
        self.unit.push_loose(0, None, &["FLUSHALL"]);
    }

    /// See [`crate::commands::Ctx::touched`].
    pub fn touched(&mut self, db: usize, key: &[u8]) {
        self.invalidate(key, self.executing);
        self.watched.touched(db, key, &mut self.clients);
        self.blocked.touched(db, key);
        self.migrations.locks.touched(db, key);
    }

    /// All keys of a database are about to go or to change (FLUSHDB, a new snapshot), or have just
    /// come (SWAPDB); `None`: of all databases. A key that is not there has not changed. One whose
    /// time is over counts as there: WATCH removes such keys, so its time ran out since.
    pub fn touched_all(&mut self, db: Option<usize>) {
        self.migrations.locks.touched_all(db);
        for (db, key) in self.watched.keys(db) {
            if self.store.entry_bytes(db, &key).is_some() {
                self.watched.touched(db, &key, &mut self.clients);
            }
        }
        let waiting: Vec<_> = self.blocked.keys().map(|(db, key)| (db, key.to_vec())).collect();
        for (of, key) in waiting {
            if db.is_none_or(|db| db == of) {
                self.blocked.touched(of, &key);
            }
        }
    }

    /// Watched keys that have come to a database with their time already over (SWAPDB) were not
    /// there before and are not there now: they are removed, and nobody who watches is told.
    pub fn drop_stale_watched(&mut self, db: usize) {
        for (db, key) in self.watched.keys(Some(db)) {
            self.store.contains(db, &key, self.now_ms);
        }
        for (db, key) in self.store.take_expired() {
            self.record_expired(db, &key);
        }
    }

    /// Keys that the store removed because their time was over become effects, before whatever
    /// happened after their removal.
    pub fn collect_expired(&mut self) {
        if !self.store.has_expired() {
            return;
        }
        for (db, key) in self.store.take_expired() {
            self.record_expired(db, &key);
            self.invalidate(&key, None);
            self.watched.touched(db, &key, &mut self.clients);
            self.blocked.touched(db, &key);
        }
    }

    fn record_expired(&mut self, db: usize, key: &[u8]) {
        self.shared.stats.expired_keys.add(1);
        self.record_own_effect(db, key, &[b"DEL", key]);
        self.notify(db, EventClass::Expired, "expired", key);
    }

    /// Ends the unit of work: its effects enter the log.
    pub fn end_unit(&mut self) {
        self.collect_expired();
        if !self.unit.is_empty() {
            self.log.append_unit(&mut self.unit);
        }
        self.current_slot = None;
    }

    /// Offset that a reply written now depends on.
    pub fn reply_after(&self) -> u64 {
        if self.log.holds_replies() { self.log.end() } else { 0 }
    }

    /// What the store does with keys whose time is over. A replica hides them until its primary
    /// says DEL; so does a primary while writes are paused.
    pub fn choose_expiry_rule(&mut self) {
        let hides = self.replication.is_replica() || self.pauses.writes_paused(self.now_ms);
        let rule = if hides { ExpiryRule::Hide } else { ExpiryRule::Delete };
        self.store.set_expiry_rule(rule);
    }

    // ---- replies ---------------------------------------------------------------------------

    /// Sends bytes to a client, behind what it is owed already. A client that executes a command
    /// right now gets them behind that command's reply.
    pub fn push(&mut self, id: ClientId, bytes: &[u8]) {
        if self.executing == Some(id) {
            self.pushed_to_executing.extend_from_slice(bytes);
            return;
        }
        let after = self.reply_after();
        if let Some(client) = self.clients.get_mut(id)
            && !client.close_now
        {
            client.output.push(bytes, after);
            self.want_flush(id);
        }
    }

    /// The client has output.
    pub fn want_flush(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id)
            && !client.flush_queued
        {
            client.flush_queued = true;
            self.to_flush.push(id);
        }
    }

    /// The log is safe up to `offset`: replies that waited for it may leave.
    pub fn release_replies(&mut self, offset: u64) {
        self.log.release(offset);
        let waiting: Vec<ClientId> =
            self.clients.iter().filter(|c| !c.output.is_empty()).map(|c| c.id).collect();
        for id in waiting {
            self.want_flush(id);
        }
    }

    /// Ends a connection: at the end of this turn, without sending what waits.
    pub fn close(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id)
            && !client.close_now
        {
            client.close_now = true;
            self.to_close.push(id);
        }
    }

    /// Ends a connection once its output has gone.
    pub fn close_after_reply(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            client.close_after_reply = true;
            self.want_flush(id);
        }
    }

    // ---- promised replies ------------------------------------------------------------------

    pub(crate) fn new_answer_token(&mut self, client: ClientId) -> AnswerToken {
        self.next_answer += 1;
        let token = AnswerToken(self.next_answer);
        self.answers.insert(token, client);
        token
    }

    /// Keeps a promise. An unknown token belongs to a client that has gone.
    pub fn answer(&mut self, token: AnswerToken, write: impl FnOnce(&mut ReplyBuf)) {
        let Some(id) = self.answers.remove(&token) else { return };
        let after = self.reply_after();
        let Some(client) = self.clients.get_mut(id) else { return };
        let mut reply = ReplyBuf::new(client.protocol);
        write(&mut reply);
        if client.output.keep_promise(token, reply.into_bytes(), after) {
            client.promised = client.promised.saturating_sub(1);
        }
        if !client.is_waiting() {
            self.to_resume.push(id);
        }
        self.want_flush(id);
    }

    /// Forgets the promises to a client that has gone.
    pub(crate) fn forget_answers(&mut self, id: ClientId) {
        self.answers.retain(|_, client| *client != id);
    }

    // ---- streams ---------------------------------------------------------------------------

    /// Runs one request of the primary's stream. `raw` are its bytes as they came: they enter
    /// this node's log, so that offsets stay the same and replicas of this one follow. A
    /// transaction is run when its EXEC comes; its bytes enter the log as they come.
    pub fn apply_replicated(&mut self, args: &[&[u8]], raw: &[u8]) {
        let id = self.primary_client;
        let before = self.changes;
        let db = self.clients.get(id).map_or(0, |client| client.db);
        let in_multi =
            |core: &Core| core.clients.get(id).is_some_and(|client| client.multi.is_some());
        let was_in_multi = in_multi(self);
        self.store.set_expiry_rule(ExpiryRule::Ignore);
        let slot = crate::execute::replay(self, id, Origin::Primary, args);
        self.choose_expiry_rule();
        let counts = self.changes != before || was_in_multi || in_multi(self);
        let kind = if counts { EntryKind::Effect } else { EntryKind::Filler };
        self.log.append_raw(kind, db, slot, raw);
    }

    /// Runs one request of the append-only file. Nothing is logged.
    pub fn apply_loaded(&mut self, args: &[&[u8]]) -> Result<(), crate::commands::CommandError> {
        self.store.set_expiry_rule(ExpiryRule::Ignore);
        let result = crate::execute::replay_checked(self, self.loader_client, args);
        self.choose_expiry_rule();
        result
    }
}
