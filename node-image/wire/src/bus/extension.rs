//! Extensions of heartbeats: type, length and layout of each.
//!
//! An extension is a header of 8 bytes (total length, type, two unused bytes), then its content,
//! padded with zeros to a multiple of 8. Types 4 and above mean different things to different
//! servers, so none of them is ever sent to a foreign node. Not known here: who may get which.

use crate::id::{BootId, ClusterId, NodeId, ShardId};

use super::{Extensions, Holdfast};

/// Hostname, ended by a zero byte.
pub const HOSTNAME: u16 = 0;
/// Human name, ended by a zero byte.
pub const HUMAN_NAME: u16 = 1;
/// A forgotten node: its id's digits and the seconds left.
pub const FORGOTTEN: u16 = 2;
/// Shard id's digits.
pub const SHARD: u16 = 3;
/// Ours: version (1), flags (1), two zero bytes, cluster id (20), boot id (16), shard id (20).
/// Later versions append; a reader takes what it knows.
pub const HOLDFAST: u16 = 0x4846;

const LAME: u8 = 1;
const TAKE_OVER: u8 = 2;
const HAS_CLUSTER: u8 = 4;
const HOLDFAST_BYTES: usize = 60;

/// Appends the extensions; returns how many there are.
pub(super) fn write(out: &mut Vec<u8>, extensions: &Extensions) -> u16 {
    let mut count = 0;
    let mut push = |kind: u16, content: &[u8]| {
        let padded = content.len().next_multiple_of(8);
        out.extend((padded as u32 + 8).to_be_bytes());
        out.extend(kind.to_be_bytes());
        out.extend([0, 0]);
        out.extend(content);
        out.resize(out.len() + padded - content.len(), 0);
        count += 1;
    };
    let ended = |text: &str| [text.as_bytes(), &[0]].concat();
    if let Some(name) = &extensions.hostname {
        push(HOSTNAME, &ended(name));
    }
    if let Some(name) = &extensions.human_name {
        push(HUMAN_NAME, &ended(name));
    }
    for (node, seconds) in &extensions.forgotten {
        push(FORGOTTEN, &[node.to_string().as_bytes(), &seconds.to_be_bytes()].concat());
    }
    if let Some(shard) = &extensions.shard {
        push(SHARD, shard.to_string().as_bytes());
    }
    if let Some(ours) = &extensions.holdfast {
        push(HOLDFAST, &holdfast(ours));
    }
    count
}

fn holdfast(ours: &Holdfast) -> Vec<u8> {
    let mut flags = 0;
    flags |= if ours.lame { LAME } else { 0 };
    flags |= if ours.take_over { TAKE_OVER } else { 0 };
    flags |= if ours.cluster.is_some() { HAS_CLUSTER } else { 0 };
    let mut content = vec![1, flags, 0, 0];
    content.extend(ours.cluster.unwrap_or_default().as_bytes());
    content.extend(ours.boot.as_bytes());
    content.extend(ours.shard.as_bytes());
    content
}

/// Takes one extension in; a known type with a content that makes no sense is `None`.
pub(super) fn read(into: &mut Extensions, kind: u16, content: &[u8]) -> Option<()> {
    match kind {
        HOSTNAME => into.hostname = Some(text(content)?).filter(|name| !name.is_empty()),
        HUMAN_NAME => into.human_name = Some(text(content)?).filter(|name| !name.is_empty()),
        FORGOTTEN => {
            let node = NodeId::from_ascii(content.get(..40)?).ok()?;
            let seconds = u64::from_be_bytes(content.get(40..48)?.try_into().ok()?);
            into.forgotten.push((node, seconds));
        }
        SHARD => into.shard = Some(ShardId::from_ascii(content.get(..40)?).ok()?),
        HOLDFAST => into.holdfast = Some(read_holdfast(content)?),
        _ => into.unknown += 1,
    }
    Some(())
}

fn read_holdfast(content: &[u8]) -> Option<Holdfast> {
    let content = content.get(..HOLDFAST_BYTES)?;
    let flags = *content.get(1)?;
    let cluster = ClusterId(content.get(4..24)?.try_into().ok()?);
    Some(Holdfast {
        cluster: (flags & HAS_CLUSTER != 0).then_some(cluster),
        boot: BootId(content.get(24..40)?.try_into().ok()?),
        shard: ShardId(content.get(40..60)?.try_into().ok()?),
        lame: flags & LAME != 0,
        take_over: flags & TAKE_OVER != 0,
    })
}

/// A name up to its zero byte: printable ASCII without spaces, at most 255 bytes.
fn text(content: &[u8]) -> Option<String> {
    let end = content.iter().position(|byte| *byte == 0)?;
    let name = content.get(..end)?;
    let fits = name.len() <= 255 && name.iter().all(u8::is_ascii_graphic);
    fits.then(|| String::from_utf8_lossy(name).into_owned())
}
