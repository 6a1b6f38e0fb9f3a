//! Slots move under running writes, by our job and by redis-cli, and nothing is lost.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use holdfast_wire::slot::key_slot;

use crate::client::{ClusterClient, text};
use crate::nodes::{Cluster, PATIENCE, redis_cli, until};

const LISTS: usize = 200;

/// How a push is said: itself, or by a script.
const PLAIN: &[&str] = &["RPUSH"];
const SCRIPT: &[&str] = &["EVAL", "return redis.call('RPUSH', KEYS[1], ARGV[1])", "1"];

/// Pushes numbers onto lists until told to stop; gives what was acknowledged for each list.
fn writer(
    push: &'static [&'static str],
    ports: Vec<u16>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<BTreeMap<String, Vec<String>>> {
    std::thread::spawn(move || {
        let mut client = ClusterClient::new(&ports);
        let mut acknowledged: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for n in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let (key, id) = (format!("list:{}", n % LISTS), n.to_string());
            let reply = client.call(&[push, &[&key, &id]].concat(), PATIENCE).unwrap();
            let ids = acknowledged.entry(key.clone()).or_default();
            ids.push(id);
            assert_eq!(text(&reply), ids.len().to_string(), "the place in {key}");
        }
        acknowledged
    })
}

fn check(ports: &[u16], acknowledged: &BTreeMap<String, Vec<String>>) {
    let mut client = ClusterClient::new(ports);
    for (key, ids) in acknowledged {
        let found = client.call(&["LRANGE", key, "0", "-1"], PATIENCE).unwrap();
        assert_eq!(text(&found), format!("[{}]", ids.join(", ")), "{key}");
    }
}

fn job_state(cluster: &Cluster, node: usize) -> (String, u64, String) {
    let jobs = cluster.nodes[node].state().migrations;
    let job = jobs.into_iter().rfind(|job| job.outgoing).expect("a job");
    (job.state, job.keys_moved, job.error)
}

fn wait_job(cluster: &Cluster, node: usize) -> u64 {
    until("the job ends", || {
        let (state, moved, error) = job_state(cluster, node);
        assert_ne!(state, "failed", "{error}");
        (state == "success").then_some(moved)
    })
}

#[test]
fn slots_move_under_writes_and_every_acknowledged_write_stays_in_its_place() {
    move_under_writes(PLAIN);
}

#[test]
fn slots_move_under_scripts_and_every_acknowledged_write_stays_in_its_place() {
    move_under_writes(SCRIPT);
}

fn move_under_writes(push: &'static [&'static str]) {
    // A primary that has given its last slot away would follow the new owner, as Redis' does.
    let cluster = Cluster::create(3, 0, &["--cluster-allow-replica-migration", "no"]);
    let ports = cluster.ports();
    let stop = Arc::new(AtomicBool::new(false));
    let writers = writer(push, ports.clone(), Arc::clone(&stop));
    std::thread::sleep(Duration::from_millis(300));
    let target = cluster.nodes[2].id();
    let order = format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 5460 NODE {target}");
    assert_eq!(cluster.nodes[0].control().text(&order), "OK");
    let moved = wait_job(&cluster, 0);
    assert!(moved > 10, "only {moved} keys moved");
    std::thread::sleep(Duration::from_millis(200));
    stop.store(true, Ordering::Relaxed);
    let acknowledged = writers.join().unwrap();
    assert_eq!(acknowledged.len(), LISTS);
    check(&ports, &acknowledged);
    assert_eq!(cluster.nodes[0].state().slots, []);
    assert_eq!(cluster.nodes[0].ask("DBSIZE"), "0");
    until("everybody knows the new owner", || {
        let agreed = cluster.nodes.iter().all(|node| {
            let state = node.state();
            let owner = state.peers.iter().find(|peer| peer.node_id == target);
            owner.map_or(&state.slots, |peer| &peer.slots) == &[(0, 5460), (10923, 16383)]
        });
        agreed.then_some(())
    });
}

#[test]
fn a_job_cut_off_by_the_death_of_its_source_is_begun_again_and_ends_well() {
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    let stay = ["--cluster-allow-replica-migration", "no"];
    let mut cluster = Cluster::create(3, 0, &[&durable[..], &stay[..]].concat());
    let ports = cluster.ports();
    let mut client = ClusterClient::new(&ports);
    let value = "v".repeat(4096);
    for n in 0..3000 {
        let reply = client.call(&["SET", &format!("key:{n}"), &value], PATIENCE).unwrap();
        assert_eq!(text(&reply), "OK");
    }
    let target = cluster.nodes[2].id();
    let order = format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 5460 NODE {target}");
    assert_eq!(cluster.nodes[0].control().text(&order), "OK");
    until("some keys have moved", || (job_state(&cluster, 0).1 > 0).then_some(()));
    cluster.nodes[0].kill();
    cluster.nodes[0].restart();
    cluster.wait_ok();
    assert_eq!(cluster.nodes[0].control().text(&order), "OK");
    wait_job(&cluster, 0);
    let sizes: u64 = cluster.nodes.iter().map(|n| n.ask("DBSIZE").parse::<u64>().unwrap()).sum();
    assert_eq!(sizes, 3000, "every key is somewhere, and only once");
    let mut client = ClusterClient::new(&ports);
    for n in 0..3000 {
        let reply = client.call(&["STRLEN", &format!("key:{n}")], PATIENCE).unwrap();
        assert_eq!(text(&reply), "4096");
    }
    assert_eq!(cluster.nodes[0].state().slots, []);
}

#[test]
fn a_key_deleted_after_its_copy_was_sent_into_silence_stays_deleted() {
    let extra = ["--cluster-allow-replica-migration", "no", "--cluster-node-timeout", "60000"];
    let cluster = Cluster::create(3, 0, &extra);
    let (source, target) = (&cluster.nodes[0], &cluster.nodes[2]);
    let mut client = ClusterClient::new(&cluster.ports());
    let value = "v".repeat(4096);
    for n in 0..3000 {
        let reply = client.call(&["SET", &format!("key:{n}"), &value], PATIENCE).unwrap();
        assert_eq!(text(&reply), "OK");
    }
    let order = format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 5460 NODE {}", target.id());
    assert_eq!(source.control().text(&order), "OK");
    until("some keys have moved", || (job_state(&cluster, 0).1 > 0).then_some(()));
    target.signal("STOP");
    until("the job gives up", || (job_state(&cluster, 0).0 == "failed").then_some(()));
    // Some of these keys lie in the target's socket, to be restored when it wakes up.
    let mut here = source.open();
    let own = (0..3000).map(|n| format!("key:{n}")).filter(|key| key_slot(key.as_bytes()).0 < 5461);
    let deleted = own.filter(|key| here.text(&format!("DEL {key}")) == "1").count();
    assert!(deleted > 0, "every key had moved before the target was stopped");
    target.signal("CONT");
    until("the target serves again", || (target.ask("PING") == "PONG").then_some(()));
    assert_eq!(source.control().text(&order), "OK");
    wait_job(&cluster, 0);
    let sizes: usize =
        cluster.nodes.iter().map(|n| n.ask("DBSIZE").parse::<usize>().unwrap()).sum();
    assert_eq!(sizes, 3000 - deleted);
}

#[test]
fn a_job_to_a_dead_target_fails_with_its_reason_and_the_source_goes_on_serving() {
    let mut cluster = Cluster::create(3, 0, &["--cluster-node-timeout", "60000"]);
    let target = cluster.nodes[2].id();
    cluster.nodes[2].kill();
    let order = format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 10 NODE {target}");
    let answer = cluster.nodes[0].control().text(&order);
    let reason = if answer == "OK" {
        until("the job fails", || {
            let (state, _, error) = job_state(&cluster, 0);
            (state == "failed").then_some(error)
        })
    } else {
        answer
    };
    assert!(!reason.is_empty());
    assert!(cluster.nodes[0].state().slots.contains(&(0, 5460)));
}

#[test]
fn redis_cli_reshards_in_the_classic_way_under_writes() {
    let cluster = Cluster::create(3, 0, &[]);
    let ports = cluster.ports();
    let stop = Arc::new(AtomicBool::new(false));
    let writers = writer(PLAIN, ports.clone(), Arc::clone(&stop));
    std::thread::sleep(Duration::from_millis(200));
    let words = [
        "--cluster",
        "reshard",
        &format!("127.0.0.1:{}", ports[0]),
        "--cluster-from",
        &cluster.nodes[0].id(),
        "--cluster-to",
        &cluster.nodes[1].id(),
        "--cluster-slots",
        "300",
        "--cluster-yes",
    ];
    let output = redis_cli(&words.map(str::to_owned));
    stop.store(true, Ordering::Relaxed);
    let acknowledged = writers.join().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("[ERR]"), "{said}");
    check(&ports, &acknowledged);
    until("300 slots have moved", || {
        let slots = |n: usize| -> u32 {
            cluster.nodes[n].state().slots.iter().map(|(a, b)| u32::from(b - a) + 1).sum()
        };
        (slots(0) == 5461 - 300 && slots(1) == 5462 + 300).then_some(())
    });
}

#[test]
fn migrate_with_copy_and_replace_does_what_it_says() {
    let cluster = Cluster::create(3, 0, &[]);
    let (source, target) = (&cluster.nodes[2], &cluster.nodes[0]);
    let (source_id, target_id) = (source.id(), target.id());
    assert_eq!(source.ask("SET foo bar"), "OK");
    assert_eq!(target.ask(&format!("CLUSTER SETSLOT 12182 IMPORTING {source_id}")), "OK");
    assert_eq!(source.ask(&format!("CLUSTER SETSLOT 12182 MIGRATING {target_id}")), "OK");
    let port = target.port;
    assert_eq!(source.ask(&format!("MIGRATE 127.0.0.1 {port} {{foo}}nothing 0 1000")), "NOKEY");
    assert_eq!(source.ask(&format!("MIGRATE 127.0.0.1 {port} foo 0 1000 COPY")), "OK");
    assert_eq!(source.ask("GET foo"), "bar");
    let busy = source.ask(&format!("MIGRATE 127.0.0.1 {port} foo 0 1000"));
    assert!(busy.contains("BUSYKEY"), "{busy}");
    assert_eq!(source.ask("GET foo"), "bar");
    assert_eq!(source.ask(&format!("MIGRATE 127.0.0.1 {port} foo 0 1000 REPLACE")), "OK");
    assert_eq!(source.ask("GET foo"), format!("-ASK 12182 127.0.0.1:{port}"));
    let mut asking = target.open();
    assert_eq!(asking.text("ASKING"), "OK");
    assert_eq!(asking.text("GET foo"), "bar");
}

#[test]
fn migrate_to_a_silent_target_gives_up_after_its_time_and_others_are_served_meanwhile() {
    let cluster = Cluster::create(3, 0, &[]);
    let node = &cluster.nodes[2];
    assert_eq!(node.ask("SET foo bar"), "OK");
    // It accepts and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut connection = node.open();
    let waiting = std::thread::spawn(move || {
        connection.text(&format!("MIGRATE 127.0.0.1 {port} foo 0 1500"))
    });
    std::thread::sleep(Duration::from_millis(300));
    let begin = std::time::Instant::now();
    assert_eq!(node.ask("GET foo"), "bar");
    assert!(begin.elapsed() < Duration::from_millis(1000), "{:?}", begin.elapsed());
    assert!(waiting.join().unwrap().starts_with("-IOERR"));
    assert_eq!(node.ask("SET foo baz"), "OK");
}

/// A target that takes keys and says so when it is told to.
struct SlowTarget {
    port: u16,
    taken: std::sync::mpsc::Receiver<()>,
    answer: std::sync::mpsc::Sender<()>,
}

impl SlowTarget {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (say_taken, taken) = std::sync::mpsc::channel();
        let (answer, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            say_taken.send(()).unwrap();
            told.recv().unwrap();
            stream.write_all(b"+OK\r\n").unwrap();
            // Open until the test is over.
            let _ = told.recv();
        });
        Self { port, taken, answer }
    }
}

#[test]
fn a_key_that_a_script_wrote_without_naming_it_while_it_moved_stays_here() {
    let cluster = Cluster::create(3, 0, &[]);
    let node = &cluster.nodes[2];
    assert_eq!(node.ask("SET foo old"), "OK");
    let target = SlowTarget::start();
    let (mut mover, mut waiting) = (node.open(), node.open());
    let order = format!("MIGRATE 127.0.0.1 {} foo 0 20000", target.port);
    let mover = std::thread::spawn(move || mover.text(&order));
    target.taken.recv().unwrap();
    let named = ["EVAL", "return redis.call('APPEND', KEYS[1], ARGV[1])", "1", "foo", "!"];
    let named = std::thread::spawn(move || text(&waiting.call(&named).unwrap()));
    let unnamed = ["EVAL", "return redis.call('SET', 'foo', 'new')", "0"];
    assert_eq!(text(&node.open().call(&unnamed).unwrap()), "OK");
    std::thread::sleep(Duration::from_millis(200));
    assert!(!named.is_finished(), "a script that names its key waits");
    assert_eq!(node.ask("GET foo"), "new");
    target.answer.send(()).unwrap();
    let answer = mover.join().unwrap();
    assert!(answer.starts_with("-IOERR a key changed"), "{answer}");
    assert_eq!(named.join().unwrap(), "4");
    assert_eq!(node.ask("GET foo"), "new!");
}
