//! What the operator may say on the control port, as values.
//!
//! Pure: words in, an [`Order`] or the text of an error out. Not known here: who says it, and what
//! comes of it.

use holdfast_cluster::ClusterCommand;
use holdfast_cluster::command::{ParseError, parse as parse_cluster};
use holdfast_wire::id::{BootId, NodeId};

use crate::migration;

/// A request that was understood.
#[derive(Debug)]
pub(crate) enum Said<'a> {
    /// `AUTH user password`.
    Auth {
        /// The user; there is only `holdfast`.
        user: &'a [u8],
        /// The password.
        password: &'a [u8],
    },
    /// `HOLDFAST FENCE token`.
    Fence(u64),
    /// Anything else.
    Order(Order),
}

/// Something to carry out.
#[derive(Debug)]
pub(crate) enum Order {
    /// `PING`.
    Ping,
    /// `HOLDFAST STATE`.
    State,
    /// `HOLDFAST FENCE` with a token that is not durable yet.
    Fence(u64),
    /// `HOLDFAST DEAD node boot-id config-epoch`.
    Dead {
        /// The node.
        node: NodeId,
        /// The life that is over; none when nobody saw one.
        boot_id: Option<BootId>,
        /// The configuration epoch that the operator saw.
        config_epoch: u64,
    },
    /// A CLUSTER command.
    Cluster(ClusterCommand),
    /// `CLUSTER MIGRATESLOTS` and its sisters.
    Migration(migration::Order),
}

impl Order {
    /// True for what a leader that has been replaced must not do any more.
    pub(crate) fn changes_something(&self) -> bool {
        use ClusterCommand::{
            CountFailureReports, Info, Links, MyId, MyShardId, Nodes, Replicas, Shards, Slots,
        };
        match self {
            Self::Ping | Self::State | Self::Fence(_) | Self::Migration(migration::Order::List) => {
                false
            }
            Self::Dead { .. } | Self::Migration(_) => true,
            Self::Cluster(command) => !matches!(
                command,
                CountFailureReports(_)
                    | Info
                    | Links
                    | MyId
                    | MyShardId
                    | Nodes
                    | Replicas(_)
                    | Shards
                    | Slots
            ),
        }
    }
}

/// Reads a request; the error is the text of the reply.
pub(crate) fn parse<'a>(words: &[&'a [u8]]) -> Result<Said<'a>, String> {
    let Some((name, rest)) = words.split_first() else { return Err("ERR empty request".into()) };
    match name.to_ascii_lowercase().as_slice() {
        b"auth" => match rest {
            [user, password] => Ok(Said::Auth { user, password }),
            _ => Err(arity("auth")),
        },
        b"ping" => Ok(Said::Order(Order::Ping)),
        b"holdfast" => holdfast(rest),
        b"cluster" => cluster(rest).map(Said::Order),
        _ => Err(format!("ERR unknown command '{}' on the control port", shown(name))),
    }
}

fn shown(word: &[u8]) -> String {
    String::from_utf8_lossy(word).chars().take(128).collect()
}

fn arity(name: &str) -> String {
    format!("ERR wrong number of arguments for '{name}' command")
}

fn number(word: &[u8]) -> Result<u64, String> {
    let number = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| "ERR value is not an integer or out of range".to_owned())
}

fn holdfast<'a>(words: &[&'a [u8]]) -> Result<Said<'a>, String> {
    let Some((name, rest)) = words.split_first() else { return Err(arity("holdfast")) };
    match (name.to_ascii_lowercase().as_slice(), rest) {
        (b"state", []) => Ok(Said::Order(Order::State)),
        (b"state", _) => Err(arity("holdfast|state")),
        (b"fence", [token]) => Ok(Said::Fence(number(token)?)),
        (b"fence", _) => Err(arity("holdfast|fence")),
        (b"dead", [node, boot_id, config_epoch]) => dead(node, boot_id, config_epoch),
        (b"dead", _) => Err(arity("holdfast|dead")),
        _ => Err(format!("ERR unknown subcommand '{}' of HOLDFAST", shown(name))),
    }
}

/// The boot id is `-` or empty when the operator never saw one.
fn dead<'a>(node: &[u8], boot_id: &[u8], config_epoch: &[u8]) -> Result<Said<'a>, String> {
    let node = NodeId::from_ascii(node).map_err(|error| format!("ERR {error}"))?;
    let boot_id = match boot_id {
        b"" | b"-" => None,
        digits => Some(BootId::from_ascii(digits).map_err(|error| format!("ERR {error}"))?),
    };
    let config_epoch = number(config_epoch)?;
    Ok(Said::Order(Order::Dead { node, boot_id, config_epoch }))
}

fn cluster(words: &[&[u8]]) -> Result<Order, String> {
    if let Some(order) = migration::Order::parse(words) {
        return order.map(Order::Migration);
    }
    match parse_cluster(words) {
        Ok(command) => Ok(Order::Cluster(command)),
        Err(ParseError::Unknown(name)) => {
            Err(format!("ERR unknown subcommand '{name}' of CLUSTER on the control port"))
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<bool, String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        match parse(&words)? {
            Said::Order(order) => Ok(order.changes_something()),
            said => Err(format!("{said:?}")),
        }
    }

    #[test]
    fn looking_is_never_fenced_and_changing_always_is() {
        for line in ["HOLDFAST STATE", "cluster nodes", "CLUSTER SLOTS", "ping"] {
            assert_eq!(read(line), Ok(false), "{line}");
        }
        let id = "ab".repeat(20);
        for line in [
            "CLUSTER BUMPEPOCH".to_owned(),
            "cluster addslotsrange 0 5".to_owned(),
            format!("CLUSTER FORGET {id}"),
            format!("HOLDFAST DEAD {id} - 7"),
            format!("HOLDFAST DEAD {id} {} 7", "cd".repeat(16)),
            format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 NODE {id}"),
            "CLUSTER CANCELSLOTMIGRATIONS".to_owned(),
        ] {
            assert_eq!(read(&line), Ok(true), "{line}");
        }
        assert_eq!(read("CLUSTER GETSLOTMIGRATIONS"), Ok(false));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(read("GET key").unwrap_err().contains("'GET'"));
        assert!(read("HOLDFAST DEAD x - 7").unwrap_err().starts_with("ERR failed to read an id"));
        assert!(read("HOLDFAST FENCE").unwrap_err().contains("holdfast|fence"));
        assert!(read("CLUSTER FROB").unwrap_err().contains("'frob'"));
    }
}
