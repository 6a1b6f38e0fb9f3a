//! Keyspace notifications.

use crate::harness::{Client, Node, eventually, text};

/// A client that listens to all events, and one that works.
fn listening(node: &Node, classes: &str) -> (Client, Client) {
    let (mut listener, mut worker) = (node.client(), node.client());
    assert_eq!(worker.ask(&format!("CONFIG SET notify-keyspace-events {classes}")), "OK");
    listener.ask("PSUBSCRIBE __key*");
    (listener, worker)
}

/// Runs commands and gives the events that they bring, in the form `event key`.
fn events(listener: &mut Client, worker: &mut Client, commands: &[&str]) -> Vec<String> {
    for command in commands {
        worker.ask(command);
    }
    worker.ask("PUBLISH __key_end x");
    let mut seen = Vec::new();
    loop {
        let message = text(&listener.receive());
        let Some((channel, key)) = message
            .trim_matches(['[', ']'])
            .strip_prefix("pmessage __key* ")
            .unwrap()
            .split_once(' ')
        else {
            panic!("not an event: {message}")
        };
        let Some((_, event)) = channel.split_once(':') else { return seen };
        seen.push(format!("{event} {key}"));
    }
}

#[test]
fn an_event_is_told_by_key_and_by_name() {
    let node = Node::start(&[]);
    let (mut listener, mut worker) = listening(&node, "KEA");
    worker.ask("SELECT 3");
    worker.ask("SET k v");
    assert_eq!(text(&listener.receive()), "[pmessage __key* __keyspace@3__:k set]");
    assert_eq!(text(&listener.receive()), "[pmessage __key* __keyevent@3__:set k]");
}

#[test]
fn strings_tell_what_happens_to_them() {
    let node = Node::start(&[]);
    let (mut listener, mut worker) = listening(&node, "E$g");
    let seen = events(
        &mut listener,
        &mut worker,
        &[
            "SET k 1",
            "SETEX k 100 1",
            "INCR k",
            "INCRBYFLOAT k 1",
            "APPEND k 1",
            "SETRANGE k 0 9",
            "MSET a 1 b 2",
            "MSETNX a 1 c 2",
            "GETSET a 2",
            "GETEX a EX 100",
            "GETEX a PERSIST",
            "GETDEL a",
            "SETNX a 1",
            "SETNX a 2",
            "EXPIRE a 100",
            "PERSIST a",
            "EXPIRE a -1",
        ],
    );
    let wanted = [
        "set k",
        "set k",
        "expire k",
        "incrby k",
        "incrbyfloat k",
        "append k",
        "setrange k",
        "set a",
        "set b",
        "set a",
        "expire a",
        "persist a",
        "del a",
        "set a",
        "expire a",
        "persist a",
        "del a",
    ];
    assert_eq!(seen, wanted);
}

#[test]
fn lists_and_hashes_tell_of_their_end_too() {
    let node = Node::start(&[]);
    let (mut listener, mut worker) = listening(&node, "Elhg");
    let seen = events(
        &mut listener,
        &mut worker,
        &[
            "RPUSH l a b c",
            "LPUSH l z",
            "LSET l 0 y",
            "LINSERT l BEFORE a x",
            "LREM l 0 x",
            "LTRIM l 0 1",
            "LMOVE l m LEFT RIGHT",
            "LPOP l",
            "RPOP m",
            "RPUSHX none a",
            "HSET h f 1 g 2",
            "HINCRBY h f 1",
            "HINCRBYFLOAT h f 1",
            "HDEL h f",
            "HDEL h g",
        ],
    );
    let wanted = [
        "rpush l",
        "lpush l",
        "lset l",
        "linsert l",
        "lrem l",
        "ltrim l",
        "rpush m",
        "lpop l",
        "lpop l",
        "del l",
        "rpop m",
        "del m",
        "hset h",
        "hincrby h",
        "hincrbyfloat h",
        "hdel h",
        "hdel h",
        "del h",
    ];
    assert_eq!(seen, wanted);
}

#[test]
fn keys_tell_where_they_go() {
    let node = Node::start(&[]);
    let (mut listener, mut worker) = listening(&node, "Eg");
    let seen = events(
        &mut listener,
        &mut worker,
        &[
            "SET k 1",
            "RENAME k j",
            "COPY j c",
            "MOVE c 1",
            "DEL j none",
            "SET u 1",
            "UNLINK u",
            "RPUSH s 2 1",
            "SORT s STORE t",
        ],
    );
    let wanted =
        ["rename_from k", "rename_to j", "copy_to c", "move_from c", "move_to c", "del j", "del u"];
    assert_eq!(seen, wanted);
}

#[test]
fn keys_whose_time_is_over_say_so_once() {
    let node = Node::start(&[]);
    let (mut listener, mut worker) = listening(&node, "Ex");
    worker.ask("SET k v PX 1");
    assert_eq!(text(&listener.receive()), "[pmessage __key* __keyevent@0__:expired k]");
    assert_eq!(events(&mut listener, &mut worker, &["GET k"]), [""; 0]);
}

#[test]
fn new_keys_and_misses_are_told_to_who_asks_for_them() {
    let node = Node::start(&[]);
    let (mut listener, mut worker) = listening(&node, "Enm");
    let commands = ["SET k v", "SET k w", "GET k", "GET none", "RPUSH l a", "RPUSH l b", "LLEN no"];
    let seen = events(&mut listener, &mut worker, &commands);
    assert_eq!(seen, ["new k", "keymiss none", "new l", "keymiss no"]);
}

#[test]
fn a_replica_tells_its_own_listeners() {
    let primary = Node::start(&[]);
    let port = primary.port.to_string();
    let replica = Node::start(&["--replicaof", "127.0.0.1", &port]);
    let (mut listener, mut at_replica) = listening(&replica, "E$");
    let mut at_primary = primary.client();
    eventually("it follows", || {
        at_primary.ask("SET k v");
        at_replica.ask("GET k") == "v"
    });
    assert_eq!(text(&listener.receive()), "[pmessage __key* __keyevent@0__:set k]");
}
