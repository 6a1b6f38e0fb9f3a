//! What is asked for: a request generator for each workload, and the keys.
//!
//! Not known here: how requests are sent.

use holdfast_wire::resp::request::encode_into;
use holdfast_wire::slot::key_slot;

use crate::Failure;
use crate::client::Client;
use crate::servers::SLOTS_END;

/// Random numbers: splitmix64.
pub struct Random(pub u64);

impl Random {
    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * bound as u128) >> 64) as usize
    }
}

/// Keys of 16 bytes in the slots that the servers serve.
pub struct Keys(Vec<[u8; 16]>);

impl Keys {
    /// So many of them.
    pub fn new(count: usize, cluster: bool) -> Self {
        let all = (0_u64..).map(|n| {
            let mut key = *b"key:000000000000";
            let mut left = n;
            for digit in key.iter_mut().rev().take(12) {
                *digit = b'0' + (left % 10) as u8;
                left /= 10;
            }
            key
        });
        let served = |key: &[u8; 16]| !cluster || key_slot(key).0 <= SLOTS_END;
        Keys(all.filter(served).take(count).collect())
    }

    /// A key of them.
    pub fn any(&self, random: &mut Random) -> &[u8] {
        self.0.get(random.below(self.0.len())).map_or(&[], |key| &key[..])
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8; 16]> {
        self.0.iter()
    }
}

type Request = fn(&mut Vec<u8>, &Keys, &mut Random, &Workload);
type Prepare = fn(&mut Client, &Keys, &Workload) -> Result<(), Failure>;

/// A workload.
pub struct Workload {
    /// Its name in the report.
    pub name: String,
    /// Requests on their way per connection.
    pub pipeline: usize,
    /// Bytes of values.
    pub value: usize,
    /// Adds one request.
    pub request: Request,
    /// Sets the keys that are read.
    pub prepare: Prepare,
}

const TEXT: [u8; 16384] = [b'x'; 16384];

fn value(workload: &Workload) -> &'static [u8] {
    TEXT.get(..workload.value).unwrap_or(&TEXT)
}

/// Keys that large values, lists, hashes and the like are spread over.
const FEW: usize = 10_000;

fn few<'a>(keys: &'a Keys, random: &mut Random) -> &'a [u8] {
    keys.0.get(random.below(FEW.min(keys.0.len()))).map_or(&[], |key| &key[..])
}

fn member(random: &mut Random) -> [u8; 8] {
    let mut name = *b"field:00";
    let n = random.below(100) as u8;
    (name[6], name[7]) = (b'0' + n / 10, b'0' + n % 10);
    name
}

fn some_key<'a>(keys: &'a Keys, random: &mut Random, workload: &Workload) -> &'a [u8] {
    if workload.value > 1024 { few(keys, random) } else { keys.any(random) }
}

fn nothing(_: &mut Client, _: &Keys, _: &Workload) -> Result<(), Failure> {
    Ok(())
}

fn fill(client: &mut Client, keys: &Keys, workload: &Workload) -> Result<(), Failure> {
    let count = if workload.value > 1024 { FEW } else { keys.0.len() };
    for key in keys.0.iter().take(count) {
        client.say(&[b"SET", &key[..], value(workload)])?;
    }
    client.settle()
}

/// Ten keys that share a slot with the key whose name is their tag.
fn siblings(key: &[u8]) -> Vec<Vec<u8>> {
    (0..10_u8).map(|n| [b"{", key, b"}", &[b'0' + n]].concat()).collect()
}

fn fill_siblings(client: &mut Client, keys: &Keys, workload: &Workload) -> Result<(), Failure> {
    for key in keys.0.iter().take(FEW) {
        for sibling in siblings(key) {
            client.say(&[b"SET", &sibling[..], value(workload)])?;
        }
    }
    client.settle()
}

fn set(out: &mut Vec<u8>, keys: &Keys, random: &mut Random, workload: &Workload) {
    encode_into(out, &[b"SET", some_key(keys, random, workload), value(workload)]);
}

fn get(out: &mut Vec<u8>, keys: &Keys, random: &mut Random, workload: &Workload) {
    encode_into(out, &[b"GET", some_key(keys, random, workload)]);
}

fn incr(out: &mut Vec<u8>, keys: &Keys, random: &mut Random, _: &Workload) {
    encode_into(out, &[b"INCR", keys.any(random)]);
}

fn push_pop(out: &mut Vec<u8>, keys: &Keys, random: &mut Random, workload: &Workload) {
    let key = few(keys, random);
    if random.below(2) == 0 {
        encode_into(out, &[b"LPUSH", key, value(workload)]);
    } else {
        encode_into(out, &[b"RPOP", key]);
    }
}

fn hset(out: &mut Vec<u8>, keys: &Keys, random: &mut Random, workload: &Workload) {
    let name = member(random);
    encode_into(out, &[b"HSET", few(keys, random), &name, value(workload)]);
}

fn zadd(out: &mut Vec<u8>, keys: &Keys, random: &mut Random, _: &Workload) {
    let (name, score) = (member(random), random.below(1000).to_string());
    encode_into(out, &[b"ZADD", few(keys, random), score.as_bytes(), &name]);
}

fn xadd(out: &mut Vec<u8>, keys: &Keys, random: &mut Random, workload: &Workload) {
    let key = few(keys, random);
    let trim: [&[u8]; 4] = [b"MAXLEN", b"~", b"1000", b"*"];
    let [maxlen, about, count, id] = trim;
    let text = value(workload);
    encode_into(out, &[b"XADD", key, maxlen, about, count, id, b"field", text]);
}

fn mget(out: &mut Vec<u8>, keys: &Keys, random: &mut Random, _: &Workload) {
    let mut words = vec![b"MGET".to_vec()];
    words.extend(siblings(few(keys, random)));
    encode_into(out, &words);
}

fn eval(out: &mut Vec<u8>, keys: &Keys, random: &mut Random, _: &Workload) {
    let key = keys.any(random);
    encode_into(out, &[b"EVAL", &b"return redis.call('INCR', KEYS[1])"[..], b"1", key]);
}

/// Every workload.
pub fn all() -> Vec<Workload> {
    let mut all = Vec::new();
    let mut add = |name: String, pipeline, value, request: Request, prepare: Prepare| {
        all.push(Workload { name, pipeline, value, request, prepare });
    };
    for value in [16, 128, 1024, 16384] {
        for pipeline in [1, 16, 64] {
            if value <= 1024 || pipeline < 64 {
                add(format!("set {value} p{pipeline}"), pipeline, value, set, fill);
                add(format!("get {value} p{pipeline}"), pipeline, value, get, fill);
            }
        }
    }
    for pipeline in [1, 16] {
        add(format!("incr p{pipeline}"), pipeline, 16, incr, nothing);
        add(format!("lpush-rpop p{pipeline}"), pipeline, 16, push_pop, nothing);
        add(format!("hset p{pipeline}"), pipeline, 16, hset, nothing);
        add(format!("zadd p{pipeline}"), pipeline, 16, zadd, nothing);
        add(format!("xadd p{pipeline}"), pipeline, 16, xadd, nothing);
        add(format!("mget10 p{pipeline}"), pipeline, 16, mget, fill_siblings);
        add(format!("eval p{pipeline}"), pipeline, 16, eval, nothing);
    }
    all
}
