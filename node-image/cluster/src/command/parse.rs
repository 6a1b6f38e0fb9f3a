//! Reads the arguments of a CLUSTER command.
//!
//! The texts of errors are Redis 7.0's. Not known here: whether the command may run.

use std::net::IpAddr;

use holdfast_wire::id::NodeId;
use holdfast_wire::slot::{SLOTS, Slot, SlotSet};

use super::{ClusterCommand, FailoverKind, SlotChange};

/// Why arguments are no command of the cluster's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not one of ours: the shell looks among its own subcommands.
    #[error("ERR unknown subcommand '{0}'. Try CLUSTER HELP.")]
    Unknown(String),
    /// Too few or too many arguments.
    #[error("ERR wrong number of arguments for 'cluster|{0}' command")]
    Arity(String),
    /// An argument is wrong; the text is the whole error.
    #[error("{0}")]
    Argument(String),
}

type Parsed = Result<ClusterCommand, ParseError>;

fn wrong(text: impl Into<String>) -> ParseError {
    ParseError::Argument(text.into())
}

/// Reads what follows `CLUSTER`: the subcommand and its arguments.
pub fn parse(args: &[&[u8]]) -> Parsed {
    let Some((name, rest)) = args.split_first() else {
        return Err(ParseError::Arity(String::new()));
    };
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let arity = || ParseError::Arity(name.clone());
    let alone = |command| if rest.is_empty() { Ok(command) } else { Err(arity()) };
    let one = || match rest {
        [id] => Ok(*id),
        _ => Err(arity()),
    };
    match name.as_str() {
        "meet" => parse_meet(rest).unwrap_or_else(|| Err(arity())),
        "forget" => Ok(ClusterCommand::Forget(node_id(one()?)?)),
        "addslots" | "delslots" if rest.is_empty() => Err(arity()),
        "addslots" => Ok(ClusterCommand::AddSlots(slot_list(rest)?)),
        "delslots" => Ok(ClusterCommand::DelSlots(slot_list(rest)?)),
        "addslotsrange" | "delslotsrange" if rest.is_empty() || rest.len() % 2 == 1 => Err(arity()),
        "addslotsrange" => Ok(ClusterCommand::AddSlots(slot_ranges(rest)?)),
        "delslotsrange" => Ok(ClusterCommand::DelSlots(slot_ranges(rest)?)),
        "flushslots" => alone(ClusterCommand::FlushSlots),
        "setslot" if rest.len() < 2 => Err(arity()),
        "setslot" => parse_set_slot(rest),
        "replicate" => Ok(ClusterCommand::Replicate(node_id(one()?)?)),
        "failover" => parse_failover(rest).unwrap_or_else(|| Err(arity())),
        "reset" => parse_reset(rest).unwrap_or_else(|| Err(arity())),
        "set-config-epoch" => {
            let epoch = number(one()?).ok_or_else(not_integer)?;
            let epoch = u64::try_from(epoch)
                .map_err(|_| wrong(format!("ERR Invalid config epoch specified: {epoch}")))?;
            Ok(ClusterCommand::SetConfigEpoch(epoch))
        }
        "bumpepoch" => alone(ClusterCommand::BumpEpoch),
        "count-failure-reports" => Ok(ClusterCommand::CountFailureReports(node_id(one()?)?)),
        "nodes" => alone(ClusterCommand::Nodes),
        "slots" => alone(ClusterCommand::Slots),
        "shards" => alone(ClusterCommand::Shards),
        "info" => alone(ClusterCommand::Info),
        "myid" => alone(ClusterCommand::MyId),
        "myshardid" => alone(ClusterCommand::MyShardId),
        "replicas" | "slaves" => Ok(ClusterCommand::Replicas(node_id(one()?)?)),
        "links" => alone(ClusterCommand::Links),
        "saveconfig" => alone(ClusterCommand::SaveConfig),
        _ => Err(ParseError::Unknown(name.chars().take(128).collect())),
    }
}

/// A node id as an argument; the error that Redis gives for one that nobody has.
pub(crate) fn unknown_node(id: &[u8]) -> String {
    format!("ERR Unknown node {}", String::from_utf8_lossy(id.get(..128).unwrap_or(id)))
}

fn node_id(argument: &[u8]) -> Result<NodeId, ParseError> {
    NodeId::from_ascii(argument).map_err(|_| wrong(unknown_node(argument)))
}

fn number(argument: &[u8]) -> Option<i64> {
    std::str::from_utf8(argument).ok()?.parse().ok()
}

fn not_integer() -> ParseError {
    wrong("ERR value is not an integer or out of range")
}

fn slot(argument: &[u8]) -> Result<Slot, ParseError> {
    number(argument)
        .and_then(|number| u64::try_from(number).ok())
        .and_then(Slot::new)
        .ok_or_else(|| wrong("ERR Invalid or out of range slot"))
}

fn slot_list(arguments: &[&[u8]]) -> Result<SlotSet, ParseError> {
    let mut set = SlotSet::new();
    for argument in arguments {
        let slot = slot(argument)?;
        if !set.insert(slot) {
            return Err(wrong(format!("ERR Slot {slot} specified multiple times")));
        }
    }
    Ok(set)
}

/// Reads `start end [start end ...]`, both ends included, as ADDSLOTSRANGE and MIGRATESLOTS do.
pub fn slot_ranges(arguments: &[&[u8]]) -> Result<SlotSet, ParseError> {
    let mut set = SlotSet::new();
    for pair in arguments.chunks(2) {
        let [start, end] = pair else { return Err(wrong("ERR syntax error")) };
        let (start, end) = (slot(start)?, slot(end)?);
        if start > end {
            return Err(wrong(format!(
                "ERR start slot number {start} is greater than end slot number {end}"
            )));
        }
        for number in start.0..=end.0.min(SLOTS - 1) {
            if !set.insert(Slot(number)) {
                return Err(wrong(format!("ERR Slot {number} specified multiple times")));
            }
        }
    }
    Ok(set)
}

fn parse_meet(arguments: &[&[u8]]) -> Option<Parsed> {
    let (ip, port, bus) = match arguments {
        [ip, port] => (ip, port, None),
        [ip, port, bus] => (ip, port, Some(bus)),
        _ => return None,
    };
    Some(meet(ip, port, bus.copied()))
}

fn meet(ip: &[u8], port: &[u8], bus: Option<&[u8]>) -> Parsed {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let base = number(port)
        .ok_or_else(|| wrong(format!("ERR Invalid base port specified: {}", shown(port))))?;
    let bus_number = match bus {
        None => base.saturating_add(10_000),
        Some(bus) => number(bus)
            .ok_or_else(|| wrong(format!("ERR Invalid bus port specified: {}", shown(bus))))?,
    };
    let address = std::str::from_utf8(ip).ok().and_then(|text| text.parse::<IpAddr>().ok());
    let valid = |port: i64| u16::try_from(port).ok().filter(|port| *port != 0);
    match (address, valid(base), valid(bus_number)) {
        (Some(ip), Some(port), Some(bus_port)) => Ok(ClusterCommand::Meet { ip, port, bus_port }),
        _ => {
            Err(wrong(format!("ERR Invalid node address specified: {}:{}", shown(ip), shown(port))))
        }
    }
}

fn parse_set_slot(arguments: &[&[u8]]) -> Parsed {
    let (Some(number), Some(action)) = (arguments.first(), arguments.get(1)) else {
        return Err(ParseError::Arity("setslot".to_owned()));
    };
    let slots = SlotSet::from_iter([slot(number)?]);
    let id = arguments.get(2).copied();
    let change = match (action.to_ascii_lowercase().as_slice(), id, arguments.len()) {
        (b"stable", None, 2) => SlotChange::Stable,
        (b"migrating", Some(id), 3) => SlotChange::Migrating(slot_node(id)?),
        (b"importing", Some(id), 3) => SlotChange::Importing(slot_node(id)?),
        (b"node", Some(id), 3) => SlotChange::Node(node_id(id)?),
        _ => {
            return Err(wrong(
                "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP",
            ));
        }
    };
    Ok(ClusterCommand::SetSlots { slots, change })
}

fn slot_node(argument: &[u8]) -> Result<NodeId, ParseError> {
    NodeId::from_ascii(argument).map_err(|_| {
        wrong(format!("ERR I don't know about node {}", String::from_utf8_lossy(argument)))
    })
}

fn parse_failover(arguments: &[&[u8]]) -> Option<Parsed> {
    let kind = match arguments {
        [] => FailoverKind::Graceful,
        [word] if word.eq_ignore_ascii_case(b"force") => FailoverKind::Force,
        [word] if word.eq_ignore_ascii_case(b"takeover") => FailoverKind::Takeover,
        [_] => return Some(Err(wrong("ERR syntax error"))),
        _ => return None,
    };
    Some(Ok(ClusterCommand::Failover(kind)))
}

fn parse_reset(arguments: &[&[u8]]) -> Option<Parsed> {
    let hard = match arguments {
        [] => false,
        [word] if word.eq_ignore_ascii_case(b"hard") => true,
        [word] if word.eq_ignore_ascii_case(b"soft") => false,
        [_] => return Some(Err(wrong("ERR syntax error"))),
        _ => return None,
    };
    Some(Ok(ClusterCommand::Reset { hard }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Parsed {
        parse(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    fn error(line: &str) -> String {
        read(line).unwrap_err().to_string()
    }

    #[test]
    fn reads_what_redis_cli_sends() {
        let meet = ClusterCommand::Meet { ip: [127, 0, 0, 1].into(), port: 7000, bus_port: 17000 };
        assert_eq!(read("MEET 127.0.0.1 7000"), Ok(meet));
        let slots = SlotSet::from_ranges(&[(0, 5), (9, 9)]);
        assert_eq!(read("addslotsrange 0 5 9 9"), Ok(ClusterCommand::AddSlots(slots)));
        let failover = ClusterCommand::Failover(FailoverKind::Takeover);
        assert_eq!(read("failover TakeOver"), Ok(failover));
        let stable = ClusterCommand::SetSlots {
            slots: SlotSet::from_iter([Slot(7)]),
            change: SlotChange::Stable,
        };
        assert_eq!(read("setslot 7 stable"), Ok(stable));
    }

    #[test]
    fn refuses_with_the_texts_of_redis() {
        assert_eq!(error("addslots 16384"), "ERR Invalid or out of range slot");
        assert_eq!(error("addslots 1 1"), "ERR Slot 1 specified multiple times");
        assert_eq!(
            error("addslotsrange 5 4"),
            "ERR start slot number 5 is greater than end slot number 4"
        );
        assert_eq!(error("forget abc"), "ERR Unknown node abc");
        assert_eq!(error("meet 1.2.3 7000"), "ERR Invalid node address specified: 1.2.3:7000");
        assert_eq!(error("nodes now"), "ERR wrong number of arguments for 'cluster|nodes' command");
        assert!(matches!(read("keyslot a"), Err(ParseError::Unknown(_))));
        assert_eq!(error("setslot 1 migrating zz"), "ERR I don't know about node zz");
    }
}
