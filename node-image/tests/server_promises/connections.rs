//! Who may connect, in which dialect, and how connections end.

use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use holdfast_wire::resp::value::Value;

use crate::harness::{Client, Node, eventually, info, text};

#[test]
fn nobody_does_anything_before_the_password_but_say_it() {
    let node = Node::start(&["--requirepass", "geheim"]);
    let mut client = node.client();
    assert_eq!(client.ask("PING"), "-NOAUTH Authentication required.");
    assert_eq!(client.ask("MULTI"), "-NOAUTH Authentication required.");
    assert!(client.ask("HELLO 3").starts_with("-NOAUTH HELLO must be called"));
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
    assert_eq!(client.ask("AUTH nonsense"), wrong);
    assert_eq!(client.ask("AUTH somebody geheim"), wrong);
    assert_eq!(client.ask("GET a"), "-NOAUTH Authentication required.");
    assert_eq!(client.ask("AUTH default geheim"), "OK");
    assert_eq!(client.ask("PING"), "PONG");
    assert_eq!(client.ask("RESET"), "RESET");
    assert_eq!(client.ask("PING"), "-NOAUTH Authentication required.");
    let mut client = node.client();
    let hello = client.call(&["HELLO", "3", "AUTH", "default", "geheim", "SETNAME", "me"]);
    assert!(matches!(hello, Value::Map(_)), "{hello:?}");
    assert_eq!(client.ask("CLIENT GETNAME"), "me");
}

#[test]
fn a_stranger_may_send_little() {
    let node = Node::start(&["--requirepass", "geheim"]);
    let mut client = node.client();
    client.send_raw(b"*11\r\n");
    assert_eq!(text(&client.receive()), "-ERR Protocol error: unauthenticated multibulk length");
    assert_eq!(client.try_receive(), None);
    let mut client = node.client();
    client.send_raw(b"*2\r\n$4\r\nAUTH\r\n$16385\r\n");
    assert_eq!(text(&client.receive()), "-ERR Protocol error: unauthenticated bulk length");
    assert_eq!(client.try_receive(), None);
    let mut client = node.client();
    client.send_raw(b"*10\r\n$9\r\n");
    client.send_raw(&vec![b'x'; 40_000]);
    // However it is cut, it is cut, and the others are served.
    while client.try_receive().is_some() {}
    assert_eq!(node.client().ask("AUTH geheim"), "OK");
}

#[test]
fn a_pipeline_behind_its_auth_is_served_whole() {
    let node = Node::start(&["--requirepass", "geheim"]);
    let mut client = node.client();
    let mut bytes = b"*2\r\n$4\r\nAUTH\r\n$6\r\ngeheim\r\n".to_vec();
    for _ in 0..5000 {
        bytes.extend_from_slice(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
    }
    client.send_raw(&bytes);
    assert_eq!(text(&client.receive()), "OK");
    for count in 1..=5000 {
        assert_eq!(client.receive(), Value::Integer(count));
    }
}

/// The address by which this machine would talk to others; nothing is sent to find it.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

#[test]
fn without_a_password_only_loopback_is_served() {
    let Some(address) = own_address() else {
        println!("skipped: this machine has no address but loopback");
        return;
    };
    let text_of = address.to_string();
    // `bind` of the harness comes last and wins, so this node is started by hand.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let args = ["--port", "29417", "--dir", path, "--bind", "127.0.0.1", &text_of];
    let mut child = crate::harness::program(&args).spawn().unwrap();
    eventually("the node listens", || TcpStream::connect(("127.0.0.1", 29417)).is_ok());
    let mut outside = Client::over(TcpStream::connect((address, 29417)).unwrap());
    let reply = text(&outside.receive());
    assert!(reply.starts_with("-DENIED"), "{reply}");
    assert_eq!(outside.try_receive(), None);
    assert_eq!(Client::connect(29417).ask("PING"), "PONG");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn replies_are_in_the_dialect_that_was_asked_for() {
    let node = Node::start(&[]);
    let mut client = node.client();
    client.ask("HSET h f v");
    assert_eq!(text(&client.call(&["HGETALL", "h"])), "[f v]");
    assert_eq!(client.call(&["GET", "none"]), Value::Null);
    client.call(&["HELLO", "3"]);
    let pair = (Value::Bulk(b"f".to_vec()), Value::Bulk(b"v".to_vec()));
    assert_eq!(client.call(&["HGETALL", "h"]), Value::Map(vec![pair]));
    assert_eq!(client.ask("HELLO 4"), "-NOPROTO unsupported protocol version");
    assert_eq!(client.ask("HELLO 2 NONSENSE"), "-ERR Syntax error in HELLO option 'NONSENSE'");
    client.call(&["HELLO", "2"]);
    assert_eq!(text(&client.call(&["HGETALL", "h"])), "[f v]");
}

#[test]
fn client_reply_keeps_silent_as_told() {
    let node = Node::start(&[]);
    let mut client = node.client();
    client.send(&["CLIENT", "REPLY", "OFF"]);
    client.send(&["SET", "a", "1"]);
    client.send(&["NONSENSE"]);
    client.send(&["CLIENT", "REPLY", "ON"]);
    assert_eq!(text(&client.receive()), "OK");
    client.send(&["CLIENT", "REPLY", "SKIP"]);
    client.send(&["SET", "a", "2"]);
    assert_eq!(client.ask("GET a"), "2");
}

#[test]
fn connections_are_found_and_ended_by_id_and_address() {
    let node = Node::start(&[]);
    let (mut one, mut two) = (node.client(), node.client());
    let id = one.ask("CLIENT ID");
    assert!(two.ask(&format!("CLIENT LIST ID {id}")).starts_with(&format!("id={id} ")));
    assert_eq!(two.ask(&format!("CLIENT KILL ID {id}")), "1");
    assert_eq!(one.try_receive(), None);
    let own = two.socket.local_addr().unwrap().to_string();
    assert_eq!(two.ask(&format!("CLIENT KILL ADDR {own}")), "0");
    assert_eq!(two.ask(&format!("CLIENT KILL ADDR {own} SKIPME no")), "1");
    assert_eq!(two.try_receive(), None);
    assert_eq!(node.client().ask("CLIENT KILL 127.0.0.1:1"), "-ERR No such client");
}

#[test]
fn one_connection_too_many_is_told_so_and_makes_room_again() {
    let node = Node::start(&["--maxclients", "3"]);
    let mut some: Vec<Client> = (0..3).map(|_| node.client()).collect();
    // The first look of the harness may not have been noticed as gone yet.
    for client in &mut some {
        while client.try_ask("PING").as_deref() != Some("PONG") {
            *client = node.client();
        }
    }
    let mut fourth = node.client();
    assert_eq!(text(&fourth.receive()), "-ERR max number of clients reached");
    assert_eq!(fourth.try_receive(), None);
    drop(some.pop());
    eventually("there is room", || node.client().try_ask("PING").as_deref() == Some("PONG"));
}

#[test]
fn a_pause_stops_writes_until_it_ends_and_lets_reads_through() {
    let node = Node::start(&[]);
    let (mut admin, mut writer) = (node.client(), node.client());
    assert_eq!(admin.ask("CLIENT PAUSE 100000 WRITE"), "OK");
    assert_eq!(writer.ask("GET a"), "nil");
    writer.send(&["SET", "a", "1"]);
    writer.send(&["GET", "a"]);
    eventually("the writer waits", || info(&mut admin, "blocked_clients") == "1");
    assert!(writer.is_silent_for(Duration::from_millis(100)));
    assert_eq!(admin.ask("GET a"), "nil");
    assert_eq!(admin.ask("CLIENT UNPAUSE"), "OK");
    assert_eq!(text(&writer.receive()), "OK");
    assert_eq!(text(&writer.receive()), "1");
}

#[test]
fn sigterm_ends_a_lone_node_with_code_zero_and_its_data_on_disk() {
    let mut node = Node::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    assert_eq!(node.client().ask("SET a 1"), "OK");
    assert_eq!(node.terminate(), Some(0));
    let dir = std::mem::replace(&mut node.dir, tempfile::tempdir().unwrap());
    let node = Node::start_in(dir, &["--appendonly", "yes"]);
    assert_eq!(node.client().ask("GET a"), "1");
}

#[test]
fn shutdown_nosave_ends_the_node_without_a_reply() {
    let mut node = Node::start(&["--save", "1 1"]);
    let mut client = node.client();
    assert_eq!(client.ask("SET a 1"), "OK");
    assert_eq!(client.ask("SHUTDOWN NOSAVE SAVE"), "-ERR syntax error");
    client.send(&["SHUTDOWN", "NOSAVE"]);
    assert_eq!(client.try_receive(), None);
    assert_eq!(node.wait(), Some(0));
    assert!(!node.path().join("dump.rdb").exists());
}
