//! How the cluster's replies look in RESP.
//!
//! Not known here: how they came about, and who gets them.

use holdfast_cluster::Reply;
use holdfast_cluster::command::{Endpoint, LinkLine, Shard, ShardNode, SlotRange};
use holdfast_wire::resp::ReplyBuf;

use crate::messages::WriteReply;

/// A reply on its way to the thread that has the client.
pub fn writer(reply: Reply) -> WriteReply {
    Box::new(move |out: &mut ReplyBuf| write(&reply, out))
}

/// Writes a reply in the dialect of the buffer.
pub fn write(reply: &Reply, out: &mut ReplyBuf) {
    match reply {
        Reply::Ok => out.ok(),
        Reply::Status(text) => out.simple(text),
        // CLUSTER INFO and NODES are texts with lines; an id is a plain string.
        Reply::Text(text) if text.contains('\n') => out.verbatim(*b"txt", text.as_bytes()),
        Reply::Text(text) => out.bulk_str(text),
        Reply::Integer(number) => out.integer(*number),
        Reply::Lines(lines) => {
            out.array(lines.len());
            for line in lines {
                out.bulk_str(line);
            }
        }
        Reply::Slots(ranges) => {
            out.array(ranges.len());
            for range in ranges {
                slot_range(range, out);
            }
        }
        Reply::Shards(shards) => {
            out.array(shards.len());
            for one in shards {
                shard(one, out);
            }
        }
        Reply::Links(links) => {
            out.array(links.len());
            for line in links {
                link(line, out);
            }
        }
    }
}

fn slot_range(range: &SlotRange, out: &mut ReplyBuf) {
    out.array(2 + range.nodes.len());
    out.integer(i64::from(range.start));
    out.integer(i64::from(range.end));
    for node in &range.nodes {
        endpoint(node, out);
    }
}

fn endpoint(node: &Endpoint, out: &mut ReplyBuf) {
    out.array(4);
    host(node.host.as_deref(), out);
    out.integer(i64::from(node.port));
    out.bulk_str(&node.id.to_string());
    out.map(node.metadata.len());
    for (name, value) in &node.metadata {
        out.bulk_str(name);
        out.bulk_str(value);
    }
}

fn host(host: Option<&str>, out: &mut ReplyBuf) {
    match host {
        Some(host) => out.bulk_str(host),
        None => out.null(),
    }
}

fn shard(shard: &Shard, out: &mut ReplyBuf) {
    out.map(2);
    out.bulk_str("slots");
    out.array(2 * shard.slots.len());
    for (start, end) in &shard.slots {
        out.integer(i64::from(*start));
        out.integer(i64::from(*end));
    }
    out.bulk_str("nodes");
    out.array(shard.nodes.len());
    for node in &shard.nodes {
        shard_node(node, out);
    }
}

fn shard_node(node: &ShardNode, out: &mut ReplyBuf) {
    let ports = [("port", node.ports.plain), ("tls-port", node.ports.tls)];
    let ports = ports.into_iter().filter(|(_, port)| *port != 0);
    out.map(6 + ports.clone().count() + usize::from(!node.hostname.is_empty()));
    out.bulk_str("id");
    out.bulk_str(&node.id.to_string());
    for (name, port) in ports {
        out.bulk_str(name);
        out.integer(i64::from(port));
    }
    out.bulk_str("ip");
    out.bulk_str(&node.ip);
    out.bulk_str("endpoint");
    host(node.endpoint.as_deref(), out);
    if !node.hostname.is_empty() {
        out.bulk_str("hostname");
        out.bulk_str(&node.hostname);
    }
    out.bulk_str("role");
    out.bulk_str(node.role);
    out.bulk_str("replication-offset");
    out.integer(i64::try_from(node.replication_offset).unwrap_or(i64::MAX));
    out.bulk_str("health");
    out.bulk_str(node.health);
}

fn link(line: &LinkLine, out: &mut ReplyBuf) {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    out.map(6);
    out.bulk_str("direction");
    out.bulk_str(line.direction);
    out.bulk_str("node");
    out.bulk_str(&line.node.to_string());
    out.bulk_str("create-time");
    out.integer(number(line.create_time));
    out.bulk_str("events");
    out.bulk_str(line.events);
    out.bulk_str("send-buffer-allocated");
    out.integer(number(line.send_buffer_allocated));
    out.bulk_str("send-buffer-used");
    out.integer(number(line.send_buffer_used));
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_wire::id::NodeId;
    use holdfast_wire::resp::Protocol;

    fn bytes(reply: &Reply, protocol: Protocol) -> String {
        let mut out = ReplyBuf::new(protocol);
        write(reply, &mut out);
        String::from_utf8(out.into_bytes()).unwrap()
    }

    #[test]
    fn slots_look_as_in_redis_7_with_an_empty_list_of_names() {
        let endpoint = Endpoint {
            host: Some("10.0.0.1".to_owned()),
            port: 6379,
            id: NodeId([0xab; 20]),
            metadata: Vec::new(),
        };
        let reply = Reply::Slots(vec![SlotRange { start: 0, end: 5, nodes: vec![endpoint] }]);
        let id = "ab".repeat(20);
        assert_eq!(
            bytes(&reply, Protocol::Resp2),
            format!(
                "*1\r\n*3\r\n:0\r\n:5\r\n*4\r\n$8\r\n10.0.0.1\r\n:6379\r\n$40\r\n{id}\r\n*0\r\n"
            )
        );
    }

    #[test]
    fn an_unknown_host_is_null_in_both_dialects() {
        let endpoint = Endpoint { host: None, port: 1, id: NodeId([0; 20]), metadata: Vec::new() };
        let reply = Reply::Slots(vec![SlotRange { start: 0, end: 0, nodes: vec![endpoint] }]);
        assert!(bytes(&reply, Protocol::Resp2).contains("*4\r\n$-1\r\n"));
        assert!(bytes(&reply, Protocol::Resp3).contains("*4\r\n_\r\n"));
    }

    #[test]
    fn texts_with_lines_are_verbatim_in_resp3() {
        let reply = Reply::Text("cluster_state:ok\r\n".to_owned());
        assert_eq!(bytes(&reply, Protocol::Resp2), "$18\r\ncluster_state:ok\r\n\r\n");
        assert_eq!(bytes(&reply, Protocol::Resp3), "=22\r\ntxt:cluster_state:ok\r\n\r\n");
    }
}
