//! Scripts: what reaches the log, what a cluster lets them touch, and that no input ends the node.

use holdfast_wire::resp::value::Value;

use crate::effects::Recorded;
use crate::harness::{Node, eventually, info, text};

#[test]
fn a_script_is_one_transaction_of_its_single_effects_in_the_log() {
    let mut recorded = Recorded::start();
    recorded.client.ask("SET first 1");
    let before = recorded.log().len();
    let script = "redis.call('set', KEYS[1], 'v') redis.call('incr', KEYS[2]) \
                  redis.call('get', KEYS[1]) redis.set_repl(redis.REPL_NONE) \
                  redis.call('set', 'unseen', 1) redis.set_repl(redis.REPL_ALL) \
                  redis.call('incrbyfloat', KEYS[2], 0.5)";
    recorded.client.call(&["EVAL", script, "2", "a", "n"]);
    recorded.client.call(&["EVAL", "redis.call('set', KEYS[1], 'w')", "1", "a"]);
    let log: Vec<String> =
        recorded.log().split_off(before).into_iter().filter(|l| !l.starts_with("SELECT")).collect();
    let wanted = ["MULTI", "SET a v", "incr n", "SET n 1.5 KEEPTTL", "EXEC", "SET a w"];
    assert_eq!(log, wanted);
}

#[test]
fn in_a_cluster_a_script_stays_in_the_slot_of_its_keys() {
    let node = Node::start(&["--cluster-enabled", "yes"]);
    let mut client = node.client();
    client.ask("CLUSTER ADDSLOTSRANGE 0 16383");
    eventually("it serves", || client.ask("GET a") == "nil");
    let mut eval = |script: &str, keys: &[&str]| {
        let count = keys.len().to_string();
        let args = [&["EVAL", script, &count], keys].concat();
        text(&client.call(&args))
    };
    assert_eq!(eval("return redis.call('set', KEYS[1], 1)", &["{t}a"]), "OK");
    assert_eq!(eval("return redis.call('set', '{t}b', 1)", &["{t}a"]), "OK");
    let crossed = "ERR Script attempted to access keys that do not hash to the same slot";
    let said = eval("return redis.call('set', 'elsewhere', 1)", &["{t}a"]);
    assert!(said.contains(crossed), "{said}");
    let said = eval("redis.call('get', 'a') return redis.call('get', 'b')", &[]);
    assert!(said.contains(crossed), "{said}");
    let allowed = "#!lua flags=allow-cross-slot-keys\n redis.call('set', 'a', 1) \
                   return redis.call('set', 'b', 1)";
    assert_eq!(eval(allowed, &[]), "OK");
    let said = eval("#!lua flags=no-cluster\n return 1", &[]);
    assert!(said.contains("Can not run script on cluster"), "{said}");
    assert!(eval("return 1", &["a", "b"]).contains("CROSSSLOT"));
}

#[test]
fn a_script_that_takes_too_long_can_be_ended_by_others_who_hear_busy_meanwhile() {
    let node = Node::start(&["--busy-reply-threshold", "20"]);
    let (mut looping, mut other) = (node.client(), node.client());
    let stubborn = "local f = function() while 1 do redis.call('ping') end end \
                    while 1 do pcall(f) end";
    for script in ["while true do end", stubborn] {
        looping.send(&["EVAL", script, "0"]);
        looping.send(&["PING"]);
        eventually("others hear of it", || other.ask("PING").starts_with("-BUSY"));
        // Who comes now is let in and hears it, too.
        let mut late = node.client();
        assert!(late.ask("GET a").starts_with("-BUSY"));
        assert_eq!(late.ask("SCRIPT KILL"), "OK");
        let said = text(&looping.receive());
        assert!(said.contains("Script killed by user with SCRIPT KILL"), "{said}");
        assert_eq!(text(&looping.receive()), "PONG");
        assert_eq!(other.ask("PING"), "PONG");
    }
    assert!(other.ask("SCRIPT KILL").starts_with("-NOTBUSY"));
}

#[test]
fn a_script_that_has_written_is_not_ended_half_way_but_by_the_end_of_the_node() {
    let mut node = Node::start(&["--busy-reply-threshold", "20"]);
    let (mut looping, mut other) = (node.client(), node.client());
    looping.send(&["EVAL", "redis.call('set', 'a', 1) while true do end", "0"]);
    eventually("others hear of it", || other.ask("PING").starts_with("-BUSY"));
    assert!(other.ask("SCRIPT KILL").starts_with("-UNKILLABLE"));
    assert!(other.ask("SHUTDOWN").starts_with("-BUSY"));
    other.send(&["SHUTDOWN", "NOSAVE"]);
    assert_eq!(node.wait(), Some(0));
}

#[test]
fn transactions_meet_a_long_script_as_other_requests_do() {
    let node = Node::start(&["--busy-reply-threshold", "20"]);
    let (mut looping, mut other) = (node.client(), node.client());
    other.ask("MULTI");
    assert_eq!(other.ask("SET a 1"), "QUEUED");
    looping.send(&["EVAL", "while true do end", "0"]);
    let mut third = node.client();
    eventually("others hear of it", || third.ask("PING").starts_with("-BUSY"));
    assert!(other.ask("EXEC").starts_with("-EXECABORT Transaction discarded because of: BUSY"));
    assert_eq!(third.ask("SCRIPT KILL"), "OK");
    eventually("it is over", || third.ask("GET a") == "nil");
}

#[test]
fn no_key_leaves_in_the_middle_of_a_script_whoever_looks_at_it() {
    let node = Node::start(&["--busy-reply-threshold", "20"]);
    let (mut slow, mut other) = (node.client(), node.client());
    other.ask("SET k v PX 300");
    slow.send(&["EVAL", "while redis.call('exists', 'k') == 1 do end return 'left'", "0"]);
    eventually("others hear of it", || other.ask("PING").starts_with("-BUSY"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(other.ask("WATCH k"), "OK");
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(other.ask("SCRIPT KILL"), "OK");
    let said = text(&slow.receive());
    assert!(said.contains("Script killed by user"), "{said}");
    assert_eq!(other.ask("EXISTS k"), "0");
}

#[test]
fn memory_that_a_script_may_hold_has_an_end() {
    let node = Node::start(&[]);
    let mut client = node.client();
    let greedy = "local t = {} for i = 1, 1e9 do t[i] = string.rep('x', 1e7) .. i end";
    let said = text(&client.call(&["EVAL", greedy, "0"]));
    assert!(said.contains("not enough memory"), "{said}");
    assert_eq!(client.ask("PING"), "PONG");
    assert_eq!(text(&client.call(&["EVAL", "return 1", "0"])), "1");
}

#[test]
fn scripts_ask_for_rights_and_never_run_scripts() {
    let node = Node::start(&["--enable-debug-command", "yes"]);
    let mut client = node.client();
    client.ask("ACL SETUSER bob on >pw +@scripting +set ~x*");
    client.ask("DEBUG SET-DISABLE-DENY-SCRIPTS 1");
    let nested = "return redis.call('eval', 'return 1', 0)";
    let said = text(&client.call(&["EVAL", nested, "0"]));
    assert!(said.contains("not allowed from script"), "{said}");
    client.ask("DEBUG SET-DISABLE-DENY-SCRIPTS 0");
    assert_eq!(client.ask("AUTH bob pw"), "OK");
    let mut may = |words: &str| {
        let script = format!("return redis.acl_check_cmd({words})");
        text(&client.call(&["EVAL", &script, "0"]))
    };
    assert_eq!(may("'set', 'xx', 1"), "1");
    assert_eq!(may("'set', 'yy', 1"), "nil");
    assert_eq!(may("'hset', 'xx', 'f', 1"), "nil");
    let said = text(&client.call(&["EVAL", "return redis.call('get', 'xx')", "0"]));
    assert!(said.contains("can't run this command"), "{said}");
}

/// Words of the language in any order, and bytes in any order.
fn noise(seed: u64) -> String {
    const WORDS: &[&str] = &[
        "local ",
        "a",
        "b",
        "=",
        "(",
        ")",
        "{",
        "}",
        "function ",
        " end ",
        "if ",
        " then ",
        "for ",
        " do ",
        "while ",
        "return ",
        "..",
        "#",
        "'x'",
        "1",
        "nil",
        ",",
        "redis.call",
        "pcall",
        "redis",
        "[",
        "]",
        "not ",
        "error",
        "coroutine.wrap",
        "string.rep",
        "unpack",
        "_G",
        "setmetatable",
        "table.concat",
        "'\\255'",
        "1e308",
        "-",
        "*",
        "tostring",
        "KEYS",
        "\n",
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let count = next() % 40;
    if seed.is_multiple_of(5) {
        return (0..count).map(|_| char::from((next() % 128) as u8)).collect();
    }
    (0..count).map(|_| WORDS[next() % WORDS.len()]).collect()
}

#[test]
fn no_text_of_a_script_ends_the_node() {
    let node = Node::start(&["--busy-reply-threshold", "50"]);
    let (mut client, mut guard) = (node.client(), node.client());
    for seed in 0..3000 {
        client.send(&["EVAL", &noise(seed), "1", "k"]);
        while client.is_silent_for(std::time::Duration::from_millis(200)) {
            guard.ask("SCRIPT KILL");
        }
        client.receive();
    }
    assert_eq!(guard.ask("PING"), "PONG");
}

/// Values in an aggregate.
fn elements(value: &Value) -> usize {
    match value {
        Value::Array(all) | Value::Set(all) => all.len(),
        Value::Map(pairs) => 2 * pairs.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_script_may_read_and_return_more_values_than_lua_lends_to_the_host() {
    let node = Node::start(&[]);
    let mut client = node.client();
    let fill = "for i = 1, 20000 do redis.call('rpush', KEYS[1], 'e' .. i) \
                redis.call('sadd', KEYS[2], 'm' .. i) end \
                return redis.call('lrange', KEYS[1], 0, -1)";
    let said = text(&client.call(&["EVAL", fill, "2", "list", "set"]));
    assert!(said.starts_with("[e1 e2 "), "{}", &said[..said.len().min(200)]);
    assert!(said.contains("e20000"), "{}", &said[..said.len().min(200)]);
    for resp in ["2", "3"] {
        client.call(&["HELLO", resp]);
        let count = "redis.setresp(3) local s = redis.call('smembers', KEYS[1]).set \
                     local n = 0 for _ in pairs(s) do n = n + 1 end return n";
        assert_eq!(text(&client.call(&["EVAL", count, "1", "set"])), "20000");
        let whole = "redis.setresp(3) return redis.call('smembers', KEYS[1])";
        assert_eq!(elements(&client.call(&["EVAL", whole, "1", "set"])), 20_000);
        let map = "redis.setresp(3) local m = {} for i = 1, 20000 do m['k' .. i] = 'v' .. i end \
                   return {map = m}";
        assert_eq!(elements(&client.call(&["EVAL", map, "0"])), 40_000);
    }
    let many = "local t = {} for i = 1, 7900 do t[i] = 'x' .. i end \
                return redis.call('del', unpack(t))";
    assert_eq!(text(&client.call(&["EVAL", many, "0"])), "0");
}

#[test]
fn any_number_of_scripts_may_be_known_and_those_that_only_eval_brought_give_way() {
    let node = Node::start(&[]);
    let mut client = node.client();
    let loaded = text(&client.call(&["SCRIPT", "LOAD", "return 'loaded'"]));
    for n in 0..20_000 {
        client.send(&["EVAL", &format!("return {n}"), "0"]);
        if n % 100 == 99 {
            for n in n - 99..=n {
                assert_eq!(text(&client.receive()), n.to_string());
            }
        }
    }
    assert_eq!(info(&mut client, "number_of_cached_scripts"), "501");
    assert_eq!(text(&client.call(&["EVALSHA", &loaded, "0"])), "loaded");
    for n in 0..9000 {
        client.call(&["SCRIPT", "LOAD", &format!("return -{n}")]);
    }
    assert_eq!(text(&client.call(&["EVAL", "return 'still'", "0"])), "still");
    assert_eq!(text(&client.call(&["EVALSHA", &loaded, "0"])), "loaded");
}
