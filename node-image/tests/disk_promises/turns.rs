//! How long a full sync stops the cores that give it and take it.
//!
//! With `HOLDFAST_KEYS=1000000` and a release build it is a measurement; see `tests/README.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use holdfast_wire::resp::request::encode;

use super::servers::{Connection, Server};

/// No call may stop a core for longer. The bar is for the release build, which is what the figure
/// is measured with; an unoptimized one takes about five times as long for the same work.
const LONGEST_TURN_US: u64 = if cfg!(debug_assertions) { 250_000 } else { 50_000 };
const SYNC_PATIENCE: Duration = Duration::from_mins(5);
const BATCH: usize = 10_000;

fn keys() -> usize {
    std::env::var("HOLDFAST_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

/// Strings of 20 to 220 bytes, lists and hashes of a few and of a thousand elements.
fn write_key(out: &mut Vec<u8>, n: usize) {
    let text = format!("{n:0>20}{}", "x".repeat(n % 200));
    let key = format!("key:{n}");
    let size = if n % 10_000 < 2 { 1000 } else { 5 };
    let mut words = match n % 5 {
        0 => vec!["RPUSH".to_owned(), key],
        1 => vec!["HSET".to_owned(), key],
        _ => return out.extend(encode(&["SET", &key, &text])),
    };
    for element in 0..size {
        if n % 5 == 1 {
            words.push(format!("field:{element}"));
        }
        words.push(format!("element:{element}:{n}"));
    }
    out.extend(encode(&words));
}

fn fill(server: &Server, keys: usize) {
    let mut connection = server.connect();
    for from in (0..keys).step_by(BATCH) {
        let to = keys.min(from + BATCH);
        let mut requests = Vec::new();
        (from..to).for_each(|n| write_key(&mut requests, n));
        connection.pipeline(&requests, to - from);
    }
}

/// A client that runs until it is stopped, and its longest wait for an answer.
struct Client {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    thread: JoinHandle<Duration>,
}

impl Client {
    /// Sends a pipeline of `requests(n)` again and again.
    fn start(port: u16, pause: Duration, requests: fn(usize) -> (Vec<u8>, usize)) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, answered) = (Arc::clone(&stop), Arc::clone(&answers));
        let thread = std::thread::spawn(move || {
            let mut connection = Connection::open(port).unwrap();
            let mut longest = Duration::ZERO;
            let mut n = 0;
            while !stopped.load(Relaxed) {
                let (bytes, count) = requests(n);
                n += 1;
                let began = Instant::now();
                connection.write(&bytes).unwrap();
                for _ in 0..count {
                    connection.read().unwrap();
                }
                longest = longest.max(began.elapsed());
                answered.fetch_add(count as u64, Relaxed);
                std::thread::sleep(pause);
            }
            longest
        });
        Self { stop, answers, thread }
    }

    fn end(self) -> (u64, Duration) {
        self.stop.store(true, Relaxed);
        let longest = self.thread.join().unwrap();
        (self.answers.load(Relaxed), longest)
    }
}

fn prober(server: &Server) -> Client {
    Client::start(server.port, Duration::from_millis(1), |_| (encode(&["PING"]), 1))
}

/// Changes keys of all kinds all over the keyspace.
fn writer(server: &Server) -> Client {
    Client::start(server.port, Duration::ZERO, |round| {
        let mut bytes = Vec::new();
        for n in 0..16 {
            let n = round.wrapping_mul(16).wrapping_add(n).wrapping_mul(7919) % keys();
            let key = format!("key:{n}");
            bytes.extend(match n % 5 {
                0 => encode(&["RPUSH", &key, "more"]),
                1 => encode(&["HSET", &key, "field:1", "more"]),
                _ => encode(&["APPEND", &key, "y"]),
            });
        }
        (bytes, 16)
    })
}

fn longest_turn_us(server: &Server) -> u64 {
    server.info("holdfast_eventloop_duration_max_usec").parse().unwrap()
}

/// Lets the replicas follow under writes, and gives the longest turn of anybody.
fn sync(what: &str, primary: &Server, replicas: &[&Server]) -> u64 {
    let all: Vec<&Server> = [&[primary], replicas].concat();
    all.iter().for_each(|server| assert_eq!(server.ask("CONFIG RESETSTAT"), "OK"));
    let probers: Vec<Client> = all.iter().map(|server| prober(server)).collect();
    let writer = writer(primary);
    let began = Instant::now();
    for replica in replicas {
        let line = format!("REPLICAOF 127.0.0.1 {}", primary.port);
        assert!(replica.ask(&line).starts_with("OK"));
    }
    // A million keys may take longer than what other tests wait for, on a busy machine.
    let is_up = |replica: &&Server| replica.info("master_link_status") == "up";
    while !replicas.iter().all(is_up) {
        assert!(began.elapsed() < SYNC_PATIENCE, "no sync within {SYNC_PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = began.elapsed();
    let (writes, gap) = writer.end();
    println!("{what}: in sync after {took:?}; {writes} writes meanwhile, longest gap {gap:?}");
    let mut longest = 0;
    for (server, prober) in all.iter().zip(probers) {
        // What was flushed is given back after the exchange.
        std::thread::sleep(Duration::from_secs(1));
        let (_, gap) = prober.end();
        let role = server.info("role");
        let turn = longest_turn_us(server);
        println!("  {role:6} longest turn {turn} us, longest gap of PING {gap:?}");
        longest = longest.max(turn);
    }
    assert_eq!(primary.info("sync_full"), replicas.len().to_string(), "{what}");
    longest
}

#[test]
fn a_full_sync_never_stops_a_core_for_long() {
    let root = tempfile::tempdir().unwrap();
    let words = ["--loglevel", "debug", "--client-output-buffer-limit", "slave 0 0 0"];
    let [primary, one, two] = [(); 3].map(|()| Server::ours(root.path(), &words));
    fill(&primary, keys());
    println!("{} keys, {} bytes", primary.ask("DBSIZE"), primary.info("used_memory"));
    let mut longest = sync("one empty replica", &primary, &[&one]);
    // A stream of its own: it has to take everything again, in place of a million old keys.
    assert_eq!(one.ask("REPLICAOF NO ONE"), "OK");
    assert_eq!(one.ask("SET of-its-own 1"), "OK");
    longest = longest.max(sync("a full and an empty replica", &primary, &[&one, &two]));
    println!("longest turn by the wall clock: {longest} us; by the thread's clock:");
    let all = [&primary, &one, &two].map(longest_at_work_us);
    assert!(all.iter().all(|at_work| *at_work < LONGEST_TURN_US), "{all:?}");
}

/// The longest turn by the thread's own clock, of those that the log tells of.
fn longest_at_work_us(server: &Server) -> u64 {
    let log = server.log();
    let turns = log.lines().filter(|line| line.contains("A turn of the core took"));
    let at_work = |line: &str| -> u64 {
        let rest = line.split("of them ").nth(1).unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    let mut turns: Vec<(u64, &str)> = turns.map(|line| (at_work(line), line)).collect();
    turns.sort_unstable_by(|a, b| b.cmp(a));
    turns.iter().take(5).for_each(|(_, line)| println!("{}: {line}", server.port));
    turns.first().map_or(0, |(at_work, _)| *at_work)
}
