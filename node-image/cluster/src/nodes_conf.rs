//! nodes.conf: what a node knows about its cluster across restarts.
//!
//! One line a node, in the format of Redis 7.2, then one of variables:
//!
//!   <id> <ip>:<port>@<bus port>,<hostname>,shard-id=<id> <flags> <primary or -> <ping> <pong>
//!        <epoch> <link state> <slot or range>... [<slot>->-<id>]... [<slot>-<-<id>]...
//!   vars currentEpoch <n> lastVoteEpoch <n>
//!
//! What changes all the time and is worthless after a restart (times, suspicions, link states) is
//! written as a constant, so that equal knowledge is an equal text and nothing is written twice.
//! Fields that we do not know are skipped; a line that makes no sense is an error that names it,
//! because a node with half a memory could vote twice. Not known here: disk.

use std::collections::BTreeMap;
use std::net::IpAddr;

use holdfast_wire::id::{NodeId, ShardId};
use holdfast_wire::slot::{Slot, SlotSet};

use crate::event::Millis;
use crate::node::Node;
use crate::ownership::Ownership;
use crate::peer::Peer;

/// The text is not a nodes.conf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read nodes.conf, line {line}: {reason}")]
pub struct Error {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// What a file told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Saved {
    pub(crate) id: NodeId,
    pub(crate) shard: Option<ShardId>,
    pub(crate) primary: Option<NodeId>,
    pub(crate) config_epoch: u64,
    pub(crate) current_epoch: u64,
    pub(crate) last_vote_epoch: u64,
    pub(crate) peers: BTreeMap<NodeId, Peer>,
    pub(crate) slots: Ownership,
    pub(crate) migrating: BTreeMap<Slot, NodeId>,
    pub(crate) importing: BTreeMap<Slot, NodeId>,
}

/// The text of a node's knowledge.
pub(crate) fn print(node: &Node) -> String {
    let mut text = String::new();
    let aux = |hostname: &str, shard: Option<ShardId>| match shard {
        Some(shard) => format!(",{hostname},shard-id={shard}"),
        None => format!(",{hostname}"),
    };
    let role = if node.is_primary() { "master" } else { "slave" };
    text += &format!(
        "{} {}:{}@{}{} myself,{role} {} 0 0 {} connected{}",
        node.id,
        node.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        node.own_port(),
        node.config.bus_port,
        aux(&node.config.hostname, Some(node.shard)),
        node.primary.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        node.own_config_epoch().max(node.config_epoch),
        slot_words(&node.slots.of(node.id)),
    );
    text += &motion_words(node);
    text += "\n";
    for (id, peer) in &node.peers {
        let mut flags = if peer.is_replica { "slave".to_owned() } else { "master".to_owned() };
        for (word, when) in [
            (",fail", peer.failed()),
            (",noaddr", peer.ip.is_none()),
            (",nofailover", peer.no_failover),
        ] {
            flags += if when { word } else { "" };
        }
        text += &format!(
            "{id} {}:{}@{}{} {flags} {} 0 0 {} connected{}\n",
            peer.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            peer.port,
            peer.bus_port,
            aux(&peer.hostname, peer.shard),
            peer.primary.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            peer.config_epoch,
            slot_words(&node.slots.of(*id)),
        );
    }
    text += &format!(
        "vars currentEpoch {} lastVoteEpoch {}\n",
        node.current_epoch, node.last_vote_epoch
    );
    text
}

/// The slots of a line, each with a space before it.
pub(crate) fn slot_words(slots: &SlotSet) -> String {
    let word = |(start, end): (u16, u16)| {
        if start == end { format!(" {start}") } else { format!(" {start}-{end}") }
    };
    slots.ranges().into_iter().map(word).collect()
}

/// The slots in motion, for our own line.
pub(crate) fn motion_words(node: &Node) -> String {
    let out = node.migrating.iter().map(|(slot, to)| format!(" [{slot}->-{to}]"));
    let into = node.importing.iter().map(|(slot, from)| format!(" [{slot}-<-{from}]"));
    out.chain(into).collect()
}

/// Reads a text that [`print`], or a stock server, wrote.
pub(crate) fn read(text: &str) -> Result<Saved, Error> {
    let mut saved = Saved::default();
    let mut seen_myself = false;
    let mut lines = 0;
    for (at, line) in text.lines().enumerate() {
        lines = at + 1;
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let result = match words.as_slice() {
            [] => Ok(()),
            ["vars", variables @ ..] => read_variables(&mut saved, variables),
            _ => read_node(&mut saved, &words).map(|myself| seen_myself |= myself),
        };
        result.map_err(|reason| Error { line: at + 1, reason })?;
    }
    if !seen_myself {
        return Err(Error { line: lines, reason: "no line up to here is flagged myself" });
    }
    saved.current_epoch = saved
        .peers
        .values()
        .map(|peer| peer.config_epoch)
        .fold(saved.current_epoch.max(saved.config_epoch), u64::max);
    Ok(saved)
}

fn read_variables(saved: &mut Saved, words: &[&str]) -> Result<(), &'static str> {
    for pair in words.chunks(2) {
        let [name, value] = pair else { return Err("a variable has no value") };
        let value = value.parse().map_err(|_| "a variable is no number");
        match *name {
            "currentEpoch" => saved.current_epoch = value?,
            "lastVoteEpoch" => saved.last_vote_epoch = value?,
            _ => {}
        }
    }
    Ok(())
}

/// Reads the line of one node; true when it is our own.
fn read_node(saved: &mut Saved, words: &[&str]) -> Result<bool, &'static str> {
    let [id, address, flags, primary, _ping, _pong, epoch, _link, slots @ ..] = words else {
        return Err("too few fields");
    };
    let id: NodeId = id.parse().map_err(|_| "the node id is none")?;
    let mut peer = read_address(address)?;
    let mut myself = false;
    for flag in flags.split(',') {
        match flag {
            "myself" => myself = true,
            "slave" => peer.is_replica = true,
            "fail" => peer.fail_since = Some(Millis(0)),
            "nofailover" => peer.no_failover = true,
            "master" | "fail?" | "handshake" | "noaddr" | "noflags" => {}
            _ => return Err("a flag is unknown"),
        }
    }
    peer.primary = match *primary {
        "-" => None,
        id => Some(id.parse().map_err(|_| "the primary's id is none")?),
    };
    peer.config_epoch = epoch.parse().map_err(|_| "the configuration epoch is no number")?;
    let owned = read_slots(saved, slots)?;
    saved.slots.assign(&owned, id);
    if myself {
        saved.id = id;
        saved.shard = peer.shard;
        saved.primary = peer.primary;
        saved.config_epoch = peer.config_epoch;
    } else {
        saved.peers.insert(id, peer);
    }
    Ok(myself)
}

/// Reads `ip:port@bus,hostname,name=value,...`.
fn read_address(word: &str) -> Result<Peer, &'static str> {
    let mut parts = word.split(',');
    let address = parts.next().unwrap_or_default();
    let (ip, ports) = address.rsplit_once(':').ok_or("the address has no port")?;
    let (port, bus_port) = match ports.split_once('@') {
        Some((port, bus_port)) => (port, Some(bus_port)),
        None => (ports, None),
    };
    let port: u16 = port.parse().map_err(|_| "the port is no number")?;
    let bus_port = match bus_port {
        Some(bus_port) => bus_port.parse().map_err(|_| "the bus port is no number")?,
        None => port.checked_add(10_000).ok_or("the port leaves no room for the bus port")?,
    };
    let ip = match ip {
        "" => None,
        ip => Some(ip.parse::<IpAddr>().map_err(|_| "the address is no IP address")?),
    };
    let hostname = parts.next().unwrap_or_default().to_owned();
    let mut peer = Peer { ip, port, bus_port, hostname, ..Peer::default() };
    for part in parts {
        if let Some(("shard-id", shard)) = part.split_once('=') {
            peer.shard = Some(shard.parse().map_err(|_| "the shard id is none")?);
        }
    }
    Ok(peer)
}

fn read_slots(saved: &mut Saved, words: &[&str]) -> Result<SlotSet, &'static str> {
    const REASON: &str = "a slot makes no sense";
    let slot = |word: &str| word.parse().ok().and_then(Slot::new).ok_or(REASON);
    let mut owned = SlotSet::new();
    for word in words {
        if let Some(motion) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
            if let Some((number, to)) = motion.split_once("->-") {
                saved.migrating.insert(slot(number)?, to.parse().map_err(|_| REASON)?);
            } else if let Some((number, from)) = motion.split_once("-<-") {
                saved.importing.insert(slot(number)?, from.parse().map_err(|_| REASON)?);
            } else {
                return Err(REASON);
            }
            continue;
        }
        let (start, end) = word.split_once('-').unwrap_or((word, word));
        let (start, end) = (slot(start)?, slot(end)?);
        if start > end {
            return Err(REASON);
        }
        owned.extend((start.0..=end.0).map(Slot));
    }
    Ok(owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOCK: &str = "\
07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:30004@31004,host-4 slave \
e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 0 1426238317239 4 connected
67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 [::1]:30002@31002 master - 0 1426238316232 2 connected \
5461-10922
292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f :0@0 master,noaddr,fail - 1426238316232 0 3 \
disconnected 10923-16383
e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 127.0.0.1:30001@31001,,shard-id=\
00000000000000000000000000000000000000aa,new=field myself,master - 0 0 1 connected 0-5459 5460 \
[93-<-292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f]
vars currentEpoch 6 lastVoteEpoch 5 laterVariable 9
";

    #[test]
    fn reads_what_a_stock_server_wrote() {
        let text = STOCK.replace("[::1]", "::1");
        let saved = read(&text).unwrap();
        assert_eq!(saved.id.to_string(), "e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca");
        assert_eq!((saved.current_epoch, saved.last_vote_epoch, saved.config_epoch), (6, 5, 1));
        assert_eq!(saved.peers.len(), 3);
        assert_eq!(saved.slots.of(saved.id).ranges(), [(0, 5460)]);
        assert!(saved.slots.is_complete());
        assert_eq!(saved.importing.len(), 1);
        let [replica, ..] = saved.peers.values().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!((replica.hostname.as_str(), replica.primary), ("host-4", Some(saved.id)));
    }

    #[test]
    fn garbage_is_an_error_that_names_the_line() {
        assert_eq!(read("garbage\n").unwrap_err().line, 1);
        assert_eq!(read(&STOCK.replace("5461-10922", "5461-20000")).unwrap_err().line, 2);
        assert_eq!(read("vars currentEpoch 1 lastVoteEpoch 0").unwrap_err().line, 1);
        let cut = &STOCK[..STOCK.find("myself").unwrap()];
        assert!(read(cut).is_err(), "a file cut in the middle of our own line");
    }
}
