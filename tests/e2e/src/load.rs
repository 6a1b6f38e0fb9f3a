//! A load whose every acknowledged write can be checked afterwards.
//!
//! One writer a list: `RPUSH key id` answers the position of `id`, so the server itself tells the
//! order, and no search is needed at the end: each acknowledged id must stand at its position.
//! A redirect or a refusal is a failed write; a lost connection leaves it unknown, and nothing
//! unknown is ever sent again. Writers are spread evenly over the slots, so that each shard has
//! at least one. Not known here: which shard is being broken.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use holdfast_wire::slot::key_slot;
use redis::Connection;

use crate::redis_nodes::connect_to;
use crate::world::World;

const TIME_OUT: Duration = Duration::from_millis(500);

/// A running load.
pub struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Writer>>,
    addresses: Option<JoinHandle<()>>,
    password: String,
}

/// What a writer saw.
#[derive(Debug)]
struct Writer {
    key: String,
    acknowledged: Vec<Acknowledged>,
    unknown: u64,
    refused: BTreeMap<String, u64>,
    gaps: Vec<(Duration, Duration)>,
}

#[derive(Debug, Clone)]
struct Acknowledged {
    id: u64,
    position: usize,
    at: Instant,
}

/// The sum of all writers, checked against what the cluster holds.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Writes that were answered with a position.
    pub acknowledged: u64,
    /// Acknowledged writes that are not at their position any more.
    pub lost: u64,
    /// For each lost write, how long before the break it was acknowledged; see [`Load::finish`].
    pub lost_ages: Vec<Duration>,
    /// Writes whose connection ended before an answer.
    pub unknown: u64,
    /// Error answers by their first word, redirects included.
    pub refused: BTreeMap<String, u64>,
    /// Longest time between two acknowledged writes, per writer.
    pub longest_gaps: Vec<Duration>,
    /// Ids that stand in a list more than once.
    pub doubled: u64,
}

type Addresses = Arc<Mutex<Vec<String>>>;

impl Load {
    /// Starts `writers` writers on the cluster.
    pub fn start(world: &World, cluster: &str, writers: u16) -> Self {
        let password = world.password(cluster);
        let stop = Arc::new(AtomicBool::new(false));
        let addresses: Addresses = Arc::new(Mutex::new(current(world, cluster)));
        let watcher = {
            let (stop, addresses) = (Arc::clone(&stop), Arc::clone(&addresses));
            let world = World { namespace: world.namespace.clone() };
            let cluster = cluster.to_owned();
            spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let seen = current(&world, &cluster);
                    if let (false, Ok(mut known)) = (seen.is_empty(), addresses.lock()) {
                        *known = seen;
                    }
                    sleep(Duration::from_millis(700));
                }
            })
        };
        let writers: Vec<_> = (0..writers)
            .map(|number| {
                let key = key_in_slot(number * (16384 / writers) + 7);
                let (stop, addresses) = (Arc::clone(&stop), Arc::clone(&addresses));
                let password = password.clone();
                spawn(move || write(key, &password, &stop, &addresses))
            })
            .collect();
        Self { stop, writers, addresses: Some(watcher), password }
    }

    /// Ends the load and looks up every acknowledged write. `broken`: from when to when something
    /// was broken, for the ages of what was lost: a write of that time has age 0, one before it
    /// the time until then, one after it may never be lost.
    pub fn finish(
        mut self,
        world: &World,
        cluster: &str,
        broken: &[(Instant, Instant)],
    ) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.addresses.take() {
            watcher.join().expect("the watcher ends");
        }
        let mut outcome = Outcome::default();
        for writer in self.writers.drain(..) {
            let writer = writer.join().expect("a writer ends");
            let stored = stored_list(world, cluster, &self.password, &writer.key);
            outcome.add(&writer, &stored, broken);
        }
        println!("{outcome}");
        outcome
    }
}

impl Outcome {
    fn add(&mut self, writer: &Writer, stored: &[String], broken: &[(Instant, Instant)]) {
        self.acknowledged += writer.acknowledged.len() as u64;
        self.unknown += writer.unknown;
        for (word, count) in &writer.refused {
            *self.refused.entry(word.clone()).or_insert(0) += count;
        }
        self.longest_gaps.push(writer.gaps.iter().map(|gap| gap.1).max().unwrap_or_default());
        let mut seen = std::collections::BTreeSet::new();
        self.doubled += stored.iter().filter(|id| !seen.insert(*id)).count() as u64;
        for write in &writer.acknowledged {
            if stored.get(write.position - 1) == Some(&write.id.to_string()) {
                continue;
            }
            self.lost += 1;
            let next = broken.iter().find(|(_, until)| *until >= write.at);
            let age = next.map(|(from, _)| from.saturating_duration_since(write.at));
            self.lost_ages.push(age.unwrap_or(Duration::MAX));
        }
    }

    /// The longest gap of any writer.
    pub fn longest_gap(&self) -> Duration {
        self.longest_gaps.iter().copied().max().unwrap_or_default()
    }

    /// Lost writes that had been acknowledged for longer than `window` when something broke.
    pub fn lost_older_than(&self, window: Duration) -> usize {
        self.lost_ages.iter().filter(|age| **age > window).count()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let gaps: Vec<String> =
            self.longest_gaps.iter().map(|gap| format!("{}", gap.as_millis())).collect();
        write!(
            out,
            "acknowledged {}, lost {}, doubled {}, unknown {}, refused {:?}, longest gaps ms [{}]",
            self.acknowledged,
            self.lost,
            self.doubled,
            self.unknown,
            self.refused,
            gaps.join(" ")
        )
    }
}

/// A key of the load that lies in this slot.
pub fn key_in_slot(slot: u16) -> String {
    (0..u32::MAX)
        .map(|number| format!("load:{{{number}}}"))
        .find(|key| key_slot(key.as_bytes()).0 == slot)
        .expect("each slot has a key")
}

fn current(world: &World, cluster: &str) -> Vec<String> {
    let pods = world.pods(cluster).into_iter();
    pods.filter(|pod| !pod.ip.is_empty()).map(|pod| format!("{}:6379", pod.ip)).collect()
}

fn write(key: String, password: &str, stop: &AtomicBool, addresses: &Addresses) -> Writer {
    let start = Instant::now();
    let mut writer = Writer {
        key,
        acknowledged: Vec::new(),
        unknown: 0,
        refused: BTreeMap::new(),
        gaps: Vec::new(),
    };
    let mut next_address = 0;
    let mut last_ok = Instant::now();
    let mut connection: Option<Connection> = None;
    // Lists outlive a load: ids of the next one must not be mistaken for those of this one.
    let mut id = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
    while !stop.load(Ordering::Relaxed) {
        let Some(open) = connection.as_mut() else {
            connection = any_connection(addresses, &mut next_address, password);
            continue;
        };
        id += 1;
        let answer: redis::RedisResult<usize> =
            redis::cmd("RPUSH").arg(&writer.key).arg(id).query(open);
        match answer {
            Ok(position) => {
                let now = Instant::now();
                writer.gaps.push((last_ok - start, now - last_ok));
                writer.acknowledged.push(Acknowledged { id, position, at: now });
                last_ok = now;
                sleep(Duration::from_micros(500));
            }
            Err(error) => connection = after_error(&mut writer, &error, password),
        }
    }
    let end = Instant::now();
    writer.gaps.push((last_ok - start, end - last_ok));
    writer
}

fn after_error(
    writer: &mut Writer,
    error: &redis::RedisError,
    password: &str,
) -> Option<Connection> {
    let Some(code) = error.code() else {
        writer.unknown += 1;
        return None;
    };
    *writer.refused.entry(code.to_owned()).or_insert(0) += 1;
    let target = error.redirect_node().map(|(address, _)| address.to_owned());
    match target {
        // ASK is answered by one command only; the next round asks the owner again.
        Some(address) if code == "MOVED" => open_address(&address, password),
        _ => {
            sleep(Duration::from_millis(5));
            None
        }
    }
}

fn any_connection(addresses: &Addresses, next: &mut usize, password: &str) -> Option<Connection> {
    let known = addresses.lock().ok()?.clone();
    *next += 1;
    let address = known.get(*next % known.len().max(1))?;
    let opened = open_address(address, password);
    if opened.is_none() {
        sleep(Duration::from_millis(5));
    }
    opened
}

fn open_address(address: &str, password: &str) -> Option<Connection> {
    let (host, port) = address.rsplit_once(':')?;
    connect_to(host, port.parse().ok()?, password, TIME_OUT).ok()
}

/// The whole list, read from its owner wherever it is now.
fn stored_list(world: &World, cluster: &str, password: &str, key: &str) -> Vec<String> {
    let lookup = || {
        for address in current(world, cluster) {
            let (host, port) = address.rsplit_once(':')?;
            let connection = connect_to(host, port.parse().ok()?, password, Duration::from_secs(5));
            let Ok(mut connection) = connection else { continue };
            let list: redis::RedisResult<Vec<String>> =
                redis::cmd("LRANGE").arg(key).arg(0).arg(-1).query(&mut connection);
            if let Ok(list) = list {
                return Some(list);
            }
        }
        None
    };
    world.wait(&format!("somebody owns {key}"), Duration::from_secs(60), lookup)
}
