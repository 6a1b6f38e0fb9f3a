//! Slots on their way to another node: `CLUSTER MIGRATESLOTS`, and `MIGRATE`.
//!
//! A job moves slots a few at a time, in the classic way, and waits for durability where it counts:
//!
//!   target: IMPORTING (durable)  ->  source: MIGRATING (durable)  ->  keys, batch after batch
//!   ->  target: CLAIM with a new epoch (durable)  ->  source: gives the slots up (durable)
//!
//! At each of these steps exactly one node owns a slot, whoever dies; a job that was cut off is
//! begun again by the same command and does what is left.
//!
//! **A key is never on its way and changing at the same time.** The core packs a batch of keys
//! and *locks* them: reads are served, a command that would write one waits. Once the target has
//! them all, the core deletes them (with their effects) and unlocks; the commands that waited are
//! looked at again and, finding the key gone, are sent after it with ASK. While the target can be
//! reached a key waits for one round trip. What changes a locked key without having said so, as a
//! script may, makes it *dirty*: it stays and is sent once more.
//!
//! Threads: [`jobs`] on the bus thread keeps the list; each job has a thread of its own (`job`)
//! that may wait; `keys` is the core's part. Not known here: how a slot changes its owner.

mod job;
pub(crate) mod jobs;
mod keys;
pub(crate) mod lost;
mod mover;
pub(crate) mod peer;

use std::sync::{Arc, mpsc};

use holdfast_store::rdb::dump_payload;
use holdfast_store::{Limits, Value};
use holdfast_wire::id::NodeId;
use holdfast_wire::slot::{Slot, SlotSet};

use crate::clients::ClientId;
use crate::commands::{AnswerToken, Command};
use crate::config::Name;
use crate::core::Core;
use crate::shared::Shared;
use crate::tls::Contexts;

pub(crate) use jobs::Jobs;
pub use keys::Locks;
pub(crate) use keys::{on_order, take_named};
pub(crate) use mover::{Freight, Movers};
pub(crate) use peer::Credentials;

/// Certificates for talking to other nodes; none where nodes speak in the clear.
pub(crate) fn contexts(shared: &Shared) -> Option<Arc<Contexts>> {
    shared.config.load().yes(Name::TlsCluster).then(|| shared.tls.contexts()).flatten()
}

/// What somebody wants of the list of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// `CLUSTER MIGRATESLOTS`: one job for each pair.
    Start(Vec<(SlotSet, NodeId)>),
    /// `CLUSTER GETSLOTMIGRATIONS`.
    List,
    /// `CLUSTER CANCELSLOTMIGRATIONS`.
    Cancel,
}

impl Order {
    /// Reads what follows `CLUSTER`; none when it is about something else.
    pub fn parse(words: &[&[u8]]) -> Option<Result<Self, String>> {
        let (name, rest) = words.split_first()?;
        let alone = |order: Self, name: &str| match rest {
            [] => Ok(order),
            _ => Err(format!("ERR wrong number of arguments for 'cluster|{name}' command")),
        };
        match name.to_ascii_lowercase().as_slice() {
            b"migrateslots" => Some(parse_start(rest)),
            b"getslotmigrations" => Some(alone(Self::List, "getslotmigrations")),
            b"cancelslotmigrations" => Some(alone(Self::Cancel, "cancelslotmigrations")),
            _ => None,
        }
    }
}

/// `SLOTSRANGE start end [start end ...] NODE id`, once or more.
fn parse_start(words: &[&[u8]]) -> Result<Order, String> {
    const SYNTAX: &str = "ERR syntax error";
    if words.is_empty() {
        return Err("ERR wrong number of arguments for 'cluster|migrateslots' command".to_owned());
    }
    let mut parts: Vec<(SlotSet, NodeId)> = Vec::new();
    let mut rest = words;
    while let Some((word, behind)) = rest.split_first() {
        if !word.eq_ignore_ascii_case(b"slotsrange") {
            return Err(SYNTAX.to_owned());
        }
        let end = behind.iter().position(|word| word.eq_ignore_ascii_case(b"node"));
        let (ranges, tail) = behind.split_at(end.ok_or(SYNTAX)?);
        if ranges.is_empty() || ranges.len() % 2 == 1 {
            return Err(SYNTAX.to_owned());
        }
        let slots = holdfast_cluster::command::parse::slot_ranges(ranges)
            .map_err(|error| error.to_string())?;
        let id = tail.get(1).ok_or(SYNTAX)?;
        let node = NodeId::from_ascii(id)
            .map_err(|_| format!("ERR unknown node {}", String::from_utf8_lossy(id)))?;
        if parts.iter().any(|(other, _)| other.intersects(&slots)) {
            return Err("ERR a slot is named more than once".to_owned());
        }
        parts.push((slots, node));
        rest = tail.get(2..).unwrap_or_default();
    }
    Ok(Order::Start(parts))
}

/// A key, ready to travel. The value is a clone that shares what is large; turning it into bytes
/// may take long, so that the thread that sends it does it.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The key.
    pub key: Vec<u8>,
    /// Milliseconds that it has to live; 0 for ever.
    pub ttl_ms: u64,
    /// Its value.
    pub value: Value,
    /// How it is written.
    pub limits: Limits,
}

impl Packed {
    /// About how many bytes it has.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.value.heap_bytes()
    }

    /// The value as DUMP gives it.
    pub fn payload(&self) -> Vec<u8> {
        dump_payload(&self.value, &self.limits)
    }
}

/// Keys that are locked until [`KeyOrder::Finish`] names their lock.
#[derive(Debug, Default)]
pub struct Batch {
    /// Number of the lock.
    pub lock: u64,
    /// The keys; none when the slots are empty.
    pub keys: Vec<Packed>,
    /// Keys that are not here any more, of which the target may have a copy from an attempt that
    /// was cut off. In the lock they stand behind `keys`.
    pub gone: Vec<Vec<u8>>,
    /// Why nothing can be packed: this node is a replica now, for example.
    pub refused: Option<String>,
}

/// What a migration's thread wants of the core.
pub enum KeyOrder {
    /// How many keys each of these slots has.
    Count {
        /// The slots.
        slots: SlotSet,
        /// Gets the numbers.
        reply: mpsc::Sender<Vec<(Slot, u64)>>,
    },
    /// Pack and lock some keys of these slots.
    Take {
        /// The slots.
        slots: SlotSet,
        /// Gets the batch.
        reply: mpsc::Sender<Batch>,
    },
    /// The target has these keys of the lock: delete them, and unlock all of it.
    Finish {
        /// The lock.
        lock: u64,
        /// Places in the batch of those that arrived.
        arrived: Vec<usize>,
        /// The target fell silent: it may have the others or not.
        unsure: bool,
        /// Hears that it is done.
        reply: mpsc::Sender<()>,
    },
    /// A MIGRATE came to its end.
    Delivered {
        /// The lock.
        lock: u64,
        /// Places of the keys to delete.
        arrived: Vec<usize>,
        /// The client's reply.
        token: AnswerToken,
        /// An error, or OK.
        result: Result<(), String>,
        /// The connection, when it can be used again.
        connection: Option<Kept>,
    },
}

/// A connection of MIGRATE that can be used again.
pub struct Kept(pub(crate) mover::Target, pub(crate) Box<peer::Peer>);

/// The core's part of all migrations.
#[derive(Default)]
pub struct Migrations {
    /// Keys that are on their way.
    pub locks: Locks,
    /// Connections of MIGRATE.
    pub(crate) movers: Movers,
    /// Keys that are still to be deleted.
    pub(crate) lost: lost::Lost,
}

/// True when there is work for another turn at once.
pub fn wants_turn(core: &Core) -> bool {
    !core.migrations.lost.is_empty()
}

/// A turn's share of what is to be done; its effects belong to this turn.
pub fn on_turn(core: &mut Core) {
    if wants_turn(core) {
        lost::on_turn(core);
    }
}

/// Closes connections that nobody used for a while.
pub fn cron(core: &mut Core) {
    core.migrations.movers.cron();
}

/// Before a command runs: true when it would change a key that is on its way, and must wait.
pub fn must_wait(core: &Core, id: ClientId, command: &'static Command, args: &[&[u8]]) -> bool {
    !core.migrations.locks.is_empty() && keys::writes_locked(core, id, command, args)
}

/// A command begins: keys on their way that it writes, although nobody could know, become dirty.
pub fn before_run(core: &mut Core, db: usize, command: &Command, args: &[&[u8]]) {
    let locks = &mut core.migrations.locks;
    if locks.is_empty() || !command.is_write() {
        return;
    }
    crate::keys::visit(command, args, |at, _| {
        if let Some(key) = args.get(at) {
            locks.touched(db, key);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Result<Order, String>> {
        Order::parse(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn several_ranges_and_several_targets_fit_in_one_order() {
        let (a, b) = ("aa".repeat(20), "bb".repeat(20));
        let line = format!("MIGRATESLOTS SLOTSRANGE 0 5 8 9 NODE {a} slotsrange 6 6 node {b}");
        let Some(Ok(Order::Start(parts))) = read(&line) else { panic!("{:?}", read(&line)) };
        assert_eq!(parts[0].0.ranges(), [(0, 5), (8, 9)]);
        assert_eq!(parts[1].0.ranges(), [(6, 6)]);
        assert_eq!(parts[1].1.to_string(), b);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let a = "aa".repeat(20);
        for line in [
            "migrateslots".to_owned(),
            "migrateslots SLOTSRANGE 0 5".to_owned(),
            format!("migrateslots SLOTSRANGE NODE {a}"),
            format!("migrateslots SLOTSRANGE 0 NODE {a}"),
            format!("migrateslots SLOTSRANGE 5 0 NODE {a}"),
            format!("migrateslots SLOTSRANGE 0 16384 NODE {a}"),
            format!("migrateslots SLOTSRANGE 0 5 NODE {a} SLOTSRANGE 5 6 NODE {a}"),
            format!("migrateslots SLOTSRANGE 0 5 NODE {a} more"),
            "migrateslots SLOTSRANGE 0 5 NODE xyz".to_owned(),
            "getslotmigrations now".to_owned(),
        ] {
            assert!(matches!(read(&line), Some(Err(_))), "{line}");
        }
        assert_eq!(read("cancelslotmigrations"), Some(Ok(Order::Cancel)));
        assert_eq!(read("nodes"), None);
    }
}
