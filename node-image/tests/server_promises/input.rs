//! What clients send: pieces, floods, nonsense.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use holdfast_wire::resp::request::encode;
use holdfast_wire::resp::value::Value;

use crate::harness::{Client, Node, eventually, info, text};

/// Bytes that look random and are the same in every run.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn a_megabyte_of_noise_and_a_thousand_connections_leave_it_serving() {
    let mut node = Node::start(&[]);
    let mut client = node.client();
    client.ask("SET keep me");
    let mut socket = TcpStream::connect(("127.0.0.1", node.port)).unwrap();
    // The node may hang up in the middle, which is an error here and right.
    let _ = socket.write_all(&noise(1, 1 << 20));
    let mut open = Vec::new();
    for seed in 0..1000 {
        let mut socket = TcpStream::connect(("127.0.0.1", node.port)).unwrap();
        let starts: [&[u8]; 4] = [b"*3\r\n$3\r\nSET\r\n$", b"*", b"", b"*2\r\n$99999999\r\n"];
        let _ = socket.write_all(starts[seed % 4]);
        let _ = socket.write_all(&noise(seed as u64, 1000));
        open.push(socket);
    }
    assert_eq!(client.ask("GET keep"), "me");
    drop(open);
    eventually("they are gone", || info(&mut client, "connected_clients") == "1");
    assert!(node.is_running());
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let node = Node::start(&[]);
    let mut client = node.client();
    for byte in encode(&["SET", "k", "a\r\nb"]) {
        client.send_raw(&[byte]);
    }
    assert_eq!(text(&client.receive()), "OK");
    client.send_raw(b"get k\r\n");
    assert_eq!(text(&client.receive()), "a\r\nb");
}

#[test]
fn replies_come_in_the_order_of_a_long_pipeline() {
    let node = Node::start(&[]);
    let mut client = node.client();
    let mut writer = client.socket.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        for number in 0..20_000 {
            let text = format!("{number:0>50}");
            writer.write_all(&encode(&["ECHO", &text])).unwrap();
        }
    });
    for number in 0..20_000 {
        assert_eq!(text(&client.receive()), format!("{number:0>50}"));
    }
    sender.join().unwrap();
}

#[test]
fn a_large_value_goes_in_and_out_unchanged() {
    let node = Node::start(&[]);
    let mut client = node.client();
    let value = noise(7, 20_000_000);
    client.send_raw(&encode(&[b"SET".as_slice(), b"k", &value]));
    assert_eq!(text(&client.receive()), "OK");
    assert_eq!(client.call(&["GET", "k"]), Value::Bulk(value));
}

#[test]
fn requests_before_a_half_close_are_answered_before_the_end() {
    let node = Node::start(&[]);
    let mut client = node.client();
    let requests: Vec<u8> = (0..5000).flat_map(|_| encode(&["PING"])).collect();
    client.send_raw(&requests);
    client.socket.shutdown(Shutdown::Write).unwrap();
    let mut replies = 0;
    while client.try_receive().is_some() {
        replies += 1;
    }
    assert_eq!(replies, 5000);
}

#[test]
fn who_does_not_read_its_replies_is_cut_at_its_limit_and_nobody_else() {
    let limit = "normal 1000000 0 0";
    let node = Node::start(&["--client-output-buffer-limit", limit]);
    let (mut greedy, mut other) = (node.client(), node.client());
    other.ask(&format!("SET k {}", "x".repeat(100_000)));
    let requests: Vec<u8> = (0..2000).flat_map(|_| encode(&["GET", "k"])).collect();
    // Once it is cut, writing fails.
    let _ = greedy.socket.write_all(&requests);
    let field = "client_output_buffer_limit_disconnections";
    eventually("it is cut", || info(&mut other, field) == "1");
    assert_eq!(other.ask("PING"), "PONG");
}

#[test]
fn a_request_that_is_too_long_ends_its_connection_alone() {
    let node = Node::start(&["--client-query-buffer-limit", "1mb"]);
    let (mut long, mut other) = (node.client(), node.client());
    long.send_raw(b"*2\r\n$3\r\nGET\r\n$100000000\r\n");
    let _ = long.socket.write_all(&vec![b'x'; 8_000_000]);
    let field = "client_query_buffer_limit_disconnections";
    eventually("it is cut", || info(&mut other, field) == "1");
}

#[test]
fn an_idle_client_is_cut_and_one_that_waits_is_not() {
    let node = Node::start(&["--timeout", "1"]);
    let (mut idle, mut waiting) = (node.client(), node.client());
    waiting.send(&["BLPOP", "k", "0"]);
    assert_eq!(idle.try_receive(), None);
    assert!(waiting.is_silent_for(Duration::from_millis(100)));
    node.client().ask("RPUSH k x");
    assert_eq!(text(&waiting.receive()), "[k x]");
}

#[test]
fn unknown_commands_are_named_with_their_first_words() {
    let node = Node::start(&[]);
    let mut client = node.client();
    assert_eq!(
        client.ask("foo bar baz"),
        "-ERR unknown command 'foo', with args beginning with: 'bar' 'baz' "
    );
    assert_eq!(client.ask("get"), "-ERR wrong number of arguments for 'get' command");
    assert_eq!(
        client.ask("client kill"),
        "-ERR wrong number of arguments for 'client|kill' command"
    );
    assert_eq!(client.ask("client foo"), "-ERR unknown subcommand 'foo'. Try CLIENT HELP.");
}

#[test]
fn who_reads_late_gets_every_reply_and_costs_no_processor_meanwhile() {
    let node = Node::start(&[]);
    let (mut late, mut other) = (node.client(), node.client());
    let value = "x".repeat(1_000_000);
    other.call(&["SET", "k", &value]);
    for _ in 0..40 {
        late.send(&["GET", "k"]);
    }
    late.send(&["PING"]);
    eventually("its replies wait", || {
        let all = other.ask("CLIENT LIST");
        let waits =
            |line: &str| line.split_once(" omem=").is_some_and(|(_, n)| !n.starts_with('0'));
        all.lines().any(waits)
    });
    let used = |client: &mut Client| info(client, "used_cpu_user").parse::<f64>().unwrap();
    let before = used(&mut other);
    std::thread::sleep(Duration::from_millis(500));
    assert!(used(&mut other) - before < 0.25, "it spins");
    for _ in 0..40 {
        assert_eq!(text(&late.receive()).len(), 1_000_000);
    }
    assert_eq!(text(&late.receive()), "PONG");
}

#[test]
fn who_sends_no_more_gets_even_replies_that_are_large() {
    let node = Node::start(&[]);
    let mut client = node.client();
    client.call(&["SET", "k", &"x".repeat(500_000)]);
    for _ in 0..20 {
        client.send(&["GET", "k"]);
    }
    client.socket.shutdown(std::net::Shutdown::Write).unwrap();
    for _ in 0..20 {
        assert_eq!(text(&client.receive()).len(), 500_000);
    }
    assert_eq!(client.try_receive(), None);
}

#[test]
fn who_sends_no_more_and_reads_nothing_does_not_fill_the_memory() {
    let node = Node::start(&[]);
    let (mut late, mut other) = (node.client(), node.client());
    other.call(&["SET", "k", &"x".repeat(1_000_000)]);
    let requests: Vec<u8> = (0..60).flat_map(|_| encode(&["GET", "k"])).collect();
    late.send_raw(&requests);
    late.socket.shutdown(Shutdown::Write).unwrap();
    let mut waiting = || {
        let all = other.ask("CLIENT LIST");
        let omem = |line: &str| line.split(" omem=").nth(1)?.split(' ').next()?.parse().ok();
        all.lines().filter_map(omem).max().unwrap_or(0_u64)
    };
    eventually("its replies wait", || waiting() > 0);
    for _ in 0..10 {
        assert!(waiting() < 20_000_000, "{} bytes wait", waiting());
        std::thread::sleep(Duration::from_millis(20));
    }
    for _ in 0..60 {
        assert_eq!(text(&late.receive()).len(), 1_000_000);
    }
    assert_eq!(late.try_receive(), None);
}

#[test]
fn who_sends_no_more_and_would_have_to_wait_gets_the_replies_before_that() {
    let node = Node::start(&[]);
    let mut client = node.client();
    client.send_raw(b"SET a 1\r\nBLPOP q 0\r\nSET a 2\r\n");
    client.socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(text(&client.receive()), "OK");
    assert_eq!(client.try_receive(), None);
    let mut other = node.client();
    assert_eq!(other.ask("RPUSH q x"), "1");
    assert_eq!(other.ask("LLEN q"), "1");
    assert_eq!(other.ask("GET a"), "1");
}
