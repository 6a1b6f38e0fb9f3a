//! The same dialogues to our node and to Debian's redis-server 7.0; every reply must be equal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holdfast_conformance::{Line, Reply, Speaker, read_dialogue};

struct Server {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Server {
    fn start(program: &str, args: &[&str]) -> std::io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new(program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(args)
            .args(["--dir", &dir.path().to_string_lossy(), "--enable-debug-command", "yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { child, port, _dir: dir };
        let start = Instant::now();
        while Speaker::connect(port).and_then(|mut speaker| speaker.say(&["PING"])).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "{program} does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The servers to compare, or `None` with a printed reason where no peer is installed.
fn servers() -> Option<(Server, Server)> {
    let peer = match Server::start("redis-server", &[]) {
        Ok(peer) => peer,
        Err(error) => {
            let required = std::env::var("HOLDFAST_PEERS").is_ok_and(|value| value == "required");
            assert!(!required, "no redis-server to compare with: {error}");
            println!("SKIPPED conformance: redis-server does not start: {error}");
            return None;
        }
    };
    // Small sets came after 7.0.
    let as_before = ["--set-max-listpack-entries", "0"];
    let ours = Server::start(env!("CARGO_BIN_EXE_conformance-node"), &as_before);
    let ours = ours.expect("our node starts");
    Some((ours, peer))
}

/// Speaks a dialogue to both and gives each difference as a sentence.
fn differences(ours: u16, peer: u16, protocol: &str, lines: &[Line]) -> Vec<String> {
    let mut ours = Speaker::connect(ours).expect("our node accepts");
    let mut peer = Speaker::connect(peer).expect("the peer accepts");
    for speaker in [&mut ours, &mut peer] {
        speaker.say(&["HELLO", protocol]).expect("HELLO is answered");
        speaker.say(&["FLUSHALL"]).expect("FLUSHALL is answered");
    }
    let mut found = Vec::new();
    for line in lines {
        let said = ours.say(&line.words);
        let expected = peer.say(&line.words).expect("the peer answers");
        let agrees = said.as_ref().is_ok_and(|said: &Reply| said.agrees(&expected, line.compare));
        if !agrees {
            let said = said.map_or_else(|error| error.to_string(), |said| said.to_string());
            found.push(format!("RESP{protocol} {}\n  ours {said}\n  peer {expected}", line.text));
        }
    }
    found
}

fn check(name: &str, lines: &[Line]) {
    let Some((ours, peer)) = servers() else { return };
    let mut found = differences(ours.port, peer.port, "2", lines);
    found.extend(differences(ours.port, peer.port, "3", lines));
    println!("{name}: {} commands in two protocols", lines.len());
    assert!(found.is_empty(), "{name}: {} differ\n{}", found.len(), found.join("\n"));
}

fn check_file(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogues").join(name);
    let text = std::fs::read_to_string(path).expect("the dialogue is there");
    check(name, &read_dialogue(&text).expect("the dialogue can be read"));
}

#[test]
fn strings_are_answered_as_redis_does() {
    check_file("strings.txt");
}

#[test]
fn hashes_are_answered_as_redis_does() {
    check_file("hashes.txt");
}

#[test]
fn sets_are_answered_as_redis_does() {
    check_file("sets.txt");
}

#[test]
fn sorted_sets_are_answered_as_redis_does() {
    check_file("sorted_sets.txt");
}

#[test]
fn places_are_answered_as_redis_does() {
    check_file("geo.txt");
}

#[test]
fn collections_are_sorted_as_redis_does() {
    check_file("sort.txt");
}

#[test]
fn lists_are_answered_as_redis_does() {
    check_file("lists.txt");
}

#[test]
fn streams_are_answered_as_redis_does() {
    check_file("streams.txt");
}

#[test]
fn keys_and_expiry_are_answered_as_redis_does() {
    check_file("keys.txt");
}

#[test]
fn transactions_and_connections_are_answered_as_redis_does() {
    check_file("connections.txt");
}

#[test]
fn bits_are_answered_as_redis_does() {
    check_file("bits.txt");
}

#[test]
fn users_are_answered_as_redis_does() {
    check_file("users.txt");
}

#[test]
fn hyperloglogs_are_answered_as_redis_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogues/hyperloglogs.txt");
    let mut text = std::fs::read_to_string(path).expect("the dialogue is there");
    // The same elements in the same order must give the same bytes, run by run.
    for number in 0..700 {
        text.push_str(&format!("PFADD grows element:{number}\n"));
        if number % 50 == 0 {
            text.push_str("PFCOUNT grows\nGET grows\nPFDEBUG DECODE grows\n");
        }
    }
    text.push_str("CONFIG SET hll-sparse-max-bytes 3000\nGET grows\nPFDEBUG GETREG grows\n");
    check("hyperloglogs", &read_dialogue(&text).expect("the generated lines can be read"));
}

#[test]
fn messages_and_tracking_are_answered_as_redis_does() {
    check_file("pubsub.txt");
}

/// Each numeric argument of each command with each value that is likely to be mistreated.
#[test]
fn edge_values_of_numbers_are_answered_as_redis_does() {
    let commands = [
        "INCRBY n @",
        "DECRBY n @",
        "INCRBYFLOAT n @",
        "APPEND n @",
        "GETRANGE s @ 3",
        "GETRANGE s 0 @",
        "SETRANGE s2 @ x",
        "SETEX e @ v",
        "PSETEX e @ v",
        "SET e v EX @",
        "SET e v PXAT @",
        "GETEX s PX @",
        "EXPIRE s @",
        "PEXPIREAT s @",
        "EXPIRE s3 @ GT",
        "LINDEX l @",
        "LRANGE l @ 2",
        "LRANGE l 0 @",
        "LTRIM l2 @ 1",
        "LSET l @ x",
        "LPOP l3 @",
        "RPOP l3 @",
        "LREM l @ a",
        "LPOS l a RANK @",
        "LPOS l a COUNT @",
        "LPOS l a MAXLEN @",
        "LMPOP @ l3 LEFT",
        "SINTERCARD @ st st2",
        "SINTERCARD 2 st st2 LIMIT @",
        "~ SPOP st @",
        "~ SRANDMEMBER st @",
        "SSCAN st @",
        "SSCAN st 0 COUNT @",
        "SADD st2 @",
        "ZADD zs @ m",
        "ZADD zs INCR @ a",
        "ZINCRBY zs @ a",
        "ZRANGE zs @ 2",
        "ZRANGE zs 0 @ REV",
        "ZRANGE zs @ 3 BYSCORE",
        "ZRANGE zs 0 9 BYSCORE LIMIT @ 2",
        "ZRANGE zs 9 0 BYSCORE REV LIMIT 0 @",
        "ZCOUNT zs (@ 3",
        "ZCOUNT zs 0 @",
        "ZREMRANGEBYRANK zs @ 1",
        "ZREMRANGEBYSCORE zs @ (2",
        "ZPOPMIN zs @",
        "ZMPOP @ zs MAX",
        "ZMPOP 1 zs MAX COUNT @",
        "ZUNION @ zs zs WITHSCORES",
        "ZUNION 1 zs WEIGHTS @ WITHSCORES",
        "ZINTERCARD 1 zs LIMIT @",
        "ZSCAN zs @",
        "ZSCAN zs 0 COUNT @",
        "GEOADD gs @ 1 m",
        "GEOADD gs 1 @ m",
        "GEORADIUS gs @ 37 200 km ASC",
        "GEORADIUS gs 15 37 @ km ASC",
        "GEORADIUS gs 15 37 200 km ASC COUNT @",
        "GEOSEARCH gs FROMLONLAT 15 37 BYBOX @ 200 km ASC",
        "HINCRBY h f @",
        "HINCRBYFLOAT h f @",
        "SCAN @",
        "SCAN 0 COUNT @",
        "HSCAN h 0 COUNT @",
        "SELECT @",
        "OBJECT FREQ @",
        "COPY s s9 DB @",
        "MOVE s8 @",
        "LCS s s MINMATCHLEN @",
        "SORT l LIMIT 0 @ ALPHA",
        "SORT l LIMIT @ 1 ALPHA",
        "SETBIT s2 @ 1",
        "SETBIT s2 1 @",
        "GETBIT s @",
        "BITCOUNT s @ 3",
        "BITCOUNT s 0 @",
        "BITCOUNT s @ 30 BIT",
        "BITPOS s @",
        "BITPOS s 1 @",
        "BITPOS s 0 0 @",
        "BITPOS s 0 @ -1 BIT",
        "BITFIELD s2 GET u8 @",
        "BITFIELD s2 SET u5 #@ 3",
        "BITFIELD s2 SET i7 3 @",
        "BITFIELD s2 OVERFLOW SAT INCRBY i64 1 @",
        "BITFIELD s2 OVERFLOW FAIL INCRBY u33 1 @",
        "XADD x @ f v",
        "XADD x MAXLEN @ 99-0 f v",
        "XADD x MINID @ 99-0 f v",
        "XADD x MAXLEN ~ 1 LIMIT @ 99-0 f v",
        "XDEL x @",
        "XRANGE x @ +",
        "XRANGE x - @",
        "XREVRANGE x @ -",
        "XRANGE x - + COUNT @",
        "XREAD COUNT @ STREAMS x 0",
        "XREAD STREAMS x @",
        "XSETID x @",
        "XSETID x 9-9 ENTRIESADDED @",
        "XSETID x 9-9 MAXDELETEDID @",
        "XGROUP CREATE x g2 @",
        "XGROUP SETID x g @ ENTRIESREAD 1",
        "XGROUP CREATE x g2 0 ENTRIESREAD @",
        "XACK x g @",
        "XPENDING x g - @ 5",
        "XPENDING x g - + @",
        "XPENDING x g IDLE @ - + 5",
        "XCLAIM x g d @ 1-1 JUSTID",
        "XCLAIM x g d 0 @ JUSTID",
        "XCLAIM x g d 0 1-1 RETRYCOUNT @ JUSTID",
        "XCLAIM x g d 0 1-1 IDLE @ JUSTID",
        "XCLAIM x g d 0 1-1 TIME @ JUSTID",
        "XCLAIM x g d 0 1-1 LASTID @ JUSTID",
        "XAUTOCLAIM x g d @ 0 JUSTID",
        "XAUTOCLAIM x g d 0 @ JUSTID",
        "XAUTOCLAIM x g d 0 0 COUNT @ JUSTID",
        "XTRIM x MAXLEN @",
        "XTRIM x MINID ~ @ LIMIT 0",
        "XINFO STREAM x FULL COUNT @",
    ];
    let values = [
        "0",
        "-1",
        "1",
        "2147483648",
        "4294967296",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "nan",
        "inf",
        "-inf",
        "-0.0",
        "1.5",
        "\"\"",
        "+1",
        "\" 1\"",
        "1e3",
        "0x10",
        "99999999999999999999999999999999999999999",
    ];
    let setup = [
        "SET n 10",
        "SET s abcdef",
        "SET s2 abc",
        "SET s3 v EX 100",
        "SET s8 v",
        "DEL l",
        "DEL l2 l3 e s9",
        "RPUSH l a b c a",
        "RPUSH l2 a b c",
        "RPUSH l3 a b c",
        "DEL st st2",
        "SADD st 7",
        "SADD st2 7 8",
        "DEL zs gs",
        "GEOADD gs 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
        "ZADD zs 1 a 2 b 3 c",
        "DEL h",
        "HSET h f 1",
        "DEL x",
        "XADD x 1-1 f v",
        "XADD x 1-2 f v g w",
        "XADD x 7-0 f 12",
        "XGROUP CREATE x g 0",
        "XGROUP CREATECONSUMER x g c",
        "XGROUP CREATECONSUMER x g d",
        "XCLAIM x g c 0 1-1 FORCE JUSTID LASTID 1-1 TIME 1000",
    ];
    let mut text = String::new();
    for command in commands {
        for value in values {
            // A millisecond of life ends at one server before the other is asked.
            let of_milliseconds = command.contains(" PX @") || command.starts_with("PSETEX");
            if of_milliseconds && value == "1" {
                continue;
            }
            // An offset of gigabytes would only measure memory, and a random order compares as
            // kind.
            let grows = command.starts_with("SETRANGE")
                || command.starts_with("SETBIT s2 @")
                || command.contains("#@");
            if grows && value.len() > 5 && !value.starts_with('-') {
                continue;
            }
            let tells_times = command.starts_with("XINFO") || command.starts_with("XPENDING");
            let mark = if command.starts_with("SCAN") || tells_times { "? " } else { "" };
            for line in setup {
                text.push_str(&format!("{line}\n"));
            }
            text.push_str(&format!("{mark}{}\nSELECT 0\n", command.replace('@', value)));
            for key in ["s", "n", "s2"] {
                text.push_str(&format!("GET {key}\n"));
            }
            text.push_str(
                "LRANGE l 0 -1\nLRANGE l2 0 -1\nLRANGE l3 0 -1\nHGETALL h\nEXISTS e s3 s9\n\
                 SMEMBERS st\nZRANGE zs 0 -1 WITHSCORES\nZRANGE gs 0 -1 WITHSCORES\n\
                 XRANGE x - +\nXINFO STREAM x\nXINFO GROUPS x\n",
            );
        }
    }
    check("edge values", &read_dialogue(&text).expect("the generated lines can be read"));
}
