//! What a replica must run: never the words of a client where these would mean something else at
//! another time or place. Read from the append-only file, which reads the same log.

use crate::harness::{Client, Node, eventually, info};
use holdfast_wire::resp::value::Parser;

pub(crate) struct Recorded {
    node: Node,
    pub(crate) client: Client,
}

impl Recorded {
    pub(crate) fn start() -> Self {
        let node = Node::start(&[
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--enable-debug-command",
            "yes",
            "--save",
            "",
        ]);
        let client = node.client();
        Self { node, client }
    }

    /// Everything in the log so far, a line each.
    pub(crate) fn log(&self) -> Vec<String> {
        let folder = self.node.path().join("appendonlydir");
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let mut lines = Vec::new();
        for path in names.iter().filter(|path| path.to_string_lossy().ends_with(".incr.aof")) {
            let bytes = std::fs::read(path).unwrap();
            let mut parser = Parser::default();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                if rest[0] == b'#' {
                    let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
                    rest = &rest[end + 1..];
                    continue;
                }
                let Some((value, used)) = parser.next(rest).unwrap() else { break };
                let words = value.as_array().unwrap().iter();
                let words: Vec<_> = words
                    .map(|word| String::from_utf8_lossy(word.as_bytes().unwrap()).into_owned())
                    .collect();
                lines.push(words.join(" "));
                rest = &rest[used..];
            }
        }
        lines
    }

    /// What these requests, one a line, add to the log.
    fn effects(&mut self, requests: &str) -> Vec<String> {
        let before = self.log().len();
        for request in requests.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let reply = self.client.ask(request);
            assert!(!reply.starts_with("-ERR"), "{request}: {reply}");
        }
        let lines = self.log().split_off(before);
        lines.into_iter().filter(|line| !line.starts_with("SELECT")).collect()
    }
}

/// The last word, which must be a point in time in milliseconds that is not long ago.
fn is_soon(line: &str) -> bool {
    let at: u128 = line.rsplit(' ').next().unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    at > now.as_millis() && at < now.as_millis() + 200_000
}

#[test]
fn every_distance_from_now_becomes_a_point_in_time() {
    let mut recorded = Recorded::start();
    let requests = [
        ("SET a 1 EX 100", "SET a 1 PXAT"),
        ("SET a 1 PX 100000 GET", "SET a 1 PXAT"),
        ("SETEX a 100 v", "SET a v PXAT"),
        ("PSETEX a 100000 v", "SET a v PXAT"),
        ("EXPIRE a 100", "PEXPIREAT a"),
        ("PEXPIRE a 100000", "PEXPIREAT a"),
        ("GETEX a EX 100", "PEXPIREAT a"),
    ];
    for (request, effect) in requests {
        let lines = recorded.effects(request);
        assert_eq!(lines.len(), 1, "{request}: {lines:?}");
        assert!(lines[0].starts_with(effect), "{request}: {lines:?}");
        assert!(is_soon(&lines[0]), "{request}: {lines:?}");
    }
}

#[test]
fn what_a_command_came_to_is_told_and_not_how() {
    let mut recorded = Recorded::start();
    let requests = [
        ("SET a 1 NX", vec!["SET a 1"]),
        ("SET a 2 NX", vec![]),
        ("SET a 3 XX KEEPTTL", vec!["SET a 3 KEEPTTL"]),
        ("GETSET a 4", vec!["SET a 4"]),
        ("INCRBYFLOAT a 0.5", vec!["SET a 4.5 KEEPTTL"]),
        ("GETDEL a", vec!["DEL a"]),
        ("GETDEL a", vec![]),
        ("HINCRBYFLOAT h f 1.5", vec!["HSET h f 1.5"]),
        ("HDEL h none", vec![]),
        ("RPUSH l a b c d", vec!["RPUSH l a b c d"]),
        ("LMPOP 2 none l LEFT COUNT 2", vec!["LPOP l 2"]),
        ("BLPOP none l 0", vec!["LPOP l"]),
        ("BLMOVE l m LEFT RIGHT 0", vec!["LMOVE l m LEFT RIGHT"]),
        ("RPUSH l x", vec!["RPUSH l x"]),
        ("BRPOPLPUSH l m 0", vec!["RPOPLPUSH l m"]),
        ("EXPIRE m -1", vec!["DEL m"]),
        ("EXPIRE m 100", vec![]),
        ("PERSIST m", vec![]),
        ("DEL none", vec![]),
        ("LREM none 0 a", vec![]),
        ("COPY none other", vec![]),
    ];
    for (request, expected) in requests {
        assert_eq!(recorded.effects(request), expected, "{request}");
    }
}

#[test]
fn an_expired_key_goes_before_the_change_that_met_it() {
    let mut recorded = Recorded::start();
    recorded.client.ask("DEBUG SET-ACTIVE-EXPIRE 0");
    recorded.effects("SET k 5 PX 1");
    recorded.client.ask("DEBUG SLEEP 0.01");
    assert_eq!(recorded.effects("INCR k"), ["MULTI", "DEL k", "INCR k", "EXEC"]);
    recorded.effects("SET k 5 PX 1");
    recorded.client.ask("DEBUG SLEEP 0.01");
    assert_eq!(recorded.effects("GET k"), ["DEL k"]);
}

#[test]
fn what_time_takes_away_is_told_without_anybody_asking() {
    let mut recorded = Recorded::start();
    recorded.effects("SET k 5 PX 1");
    let mut log = Vec::new();
    eventually("the key is gone from the log", || {
        log = recorded.log();
        log.last().is_some_and(|line| line == "DEL k")
    });
    assert_eq!(info(&mut recorded.client, "expired_keys"), "1");
}

#[test]
fn a_wait_that_ends_is_told_as_a_command_that_never_waits() {
    let mut recorded = Recorded::start();
    let mut waiter = recorded.node.client();
    waiter.send(&["BLMPOP", "0", "1", "l", "RIGHT", "COUNT", "5"]);
    eventually("it waits", || info(&mut recorded.client, "blocked_clients") == "1");
    assert_eq!(recorded.effects("RPUSH l a b"), ["RPUSH l a b", "RPOP l 2"]);
    waiter.receive();
}

#[test]
fn a_waiting_client_goes_on_waiting_when_its_key_turns_into_something_else() {
    let mut recorded = Recorded::start();
    let mut waiter = recorded.node.client();
    waiter.send(&["BRPOP", "l", "0"]);
    eventually("it waits", || info(&mut recorded.client, "blocked_clients") == "1");
    recorded.effects("MULTI\nLPUSH l a\nDEL l\nSET l text\nEXEC");
    assert_eq!(info(&mut recorded.client, "blocked_clients"), "1");
    assert_eq!(recorded.effects("DEL l\nRPUSH l b"), ["DEL l", "RPUSH l b", "RPOP l"]);
    assert_eq!(crate::harness::text(&waiter.receive()), "[l b]");
}
