//! What a key costs in memory: growth from the empty server to the full one.
//!
//! `used_memory` is what the server itself says, the resident set what the kernel counts. Not
//! known here: where the bytes are.

use crate::Failure;
use crate::client::Client;
use crate::servers::Program;
use crate::workloads::Keys;

/// What a key holds.
enum Content {
    /// A string of so many bytes, perhaps with an expiry.
    Text { bytes: usize, expires: bool },
    /// A hash of so many fields.
    Fields(usize),
    /// A sorted set of so many members.
    Members(usize),
}

/// A case: many keys of one kind.
pub struct Case {
    /// Its name in the report.
    pub name: &'static str,
    content: Content,
}

/// Keys of collections.
const COLLECTIONS: usize = 10_000;

const fn text(name: &'static str, bytes: usize, expires: bool) -> Case {
    Case { name, content: Content::Text { bytes, expires } }
}

/// Every case.
pub const CASES: &[Case] = &[
    text("memory 16+16", 16, false),
    text("memory 16+16 ttl", 16, true),
    text("memory 16+64", 64, false),
    text("memory 16+64 ttl", 64, true),
    text("memory 16+128", 128, false),
    text("memory 16+128 ttl", 128, true),
    Case { name: "memory hash of 100", content: Content::Fields(100) },
    Case { name: "memory zset of 128", content: Content::Members(128) },
];

/// Bytes per key.
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    /// As the server counts.
    pub used: f64,
    /// As the kernel counts.
    pub resident: f64,
}

/// Measures a case on a fresh server; `None` when it does not know the command.
pub fn measure(program: &Program, case: &Case, keys: &Keys) -> Result<Option<Bytes>, Failure> {
    let server = program.start()?;
    let mut client = server.client()?;
    let before = (client.info("memory", "used_memory")?, server.rss_bytes()?);
    let mut count = 0;
    for key in keys.iter() {
        if !matches!(case.content, Content::Text { .. }) && count == COLLECTIONS {
            break;
        }
        if let Err(error) = fill(&mut client, key, &case.content) {
            return if error.to_string().contains("unknown command") {
                Ok(None)
            } else {
                Err(error)
            };
        }
        count += 1;
    }
    client.settle()?;
    let after = (client.info("memory", "used_memory")?, server.rss_bytes()?);
    let per_key = |before: u64, after: u64| after.saturating_sub(before) as f64 / count as f64;
    Ok(Some(Bytes { used: per_key(before.0, after.0), resident: per_key(before.1, after.1) }))
}

fn fill(client: &mut Client, key: &[u8], content: &Content) -> Result<(), Failure> {
    match content {
        Content::Text { bytes, expires } => {
            let value = vec![b'x'; *bytes];
            if *expires {
                client.say(&[b"SET", key, &value, b"EX", b"100000"])
            } else {
                client.say(&[b"SET", key, &value])
            }
        }
        Content::Fields(count) => {
            let mut words = vec![b"HSET".to_vec(), key.to_vec()];
            for n in 0..*count {
                words.push(format!("field:{n:010}").into_bytes());
                words.push(format!("value:{n:010}").into_bytes());
            }
            client.say(&words)
        }
        Content::Members(count) => {
            let mut words = vec![b"ZADD".to_vec(), key.to_vec()];
            for n in 0..*count {
                words.push(n.to_string().into_bytes());
                words.push(format!("member:{n:09}").into_bytes());
            }
            client.say(&words)
        }
    }
}
