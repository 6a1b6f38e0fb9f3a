//! Packets to bytes.
//!
//! Not known here: who may get which extension; the caller fills in only what the peer
//! understands.

use std::net::IpAddr;

use crate::id::NodeId;

use super::{Body, Extensions, GOSSIP_BYTES, Gossip, HEADER_BYTES, Header, Heartbeat, MARK};
use super::{Packet, extension};

/// Message flag: writes are paused.
pub(super) const PAUSED: u8 = 1;
/// Message flag: vote by force.
pub(super) const FORCE: u8 = 2;
/// Message flag: the sender understands extensions.
pub(super) const EXTENSIONS: u8 = 4;

/// The frame of a packet.
pub fn encode(packet: &Packet) -> Vec<u8> {
    let mut body = Vec::new();
    let (kind, count, extensions) = encode_body(&mut body, &packet.body);
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    let header = &packet.header;
    frame.extend(b"RCmb");
    frame.extend(((HEADER_BYTES + body.len()) as u32).to_be_bytes());
    frame.extend(1u16.to_be_bytes());
    frame.extend(header.port.to_be_bytes());
    frame.extend(kind.to_be_bytes());
    frame.extend(count.to_be_bytes());
    frame.extend(header.current_epoch.to_be_bytes());
    frame.extend(header.config_epoch.to_be_bytes());
    frame.extend(header.offset.to_be_bytes());
    push_id(&mut frame, header.sender);
    frame.extend(header.slots.to_bytes());
    match header.replica_of {
        Some(primary) => push_id(&mut frame, primary),
        None => frame.extend([0; 40]),
    }
    push_ip(&mut frame, header.ip);
    frame.extend(extensions.to_be_bytes());
    frame.extend(if header.ours { MARK } else { [0; MARK.len()] });
    frame.extend([0; 30 - MARK.len()]);
    frame.extend(header.second_port.to_be_bytes());
    frame.extend(header.bus_port.to_be_bytes());
    frame.extend(header.flags.to_be_bytes());
    frame.push(u8::from(!header.cluster_ok));
    frame.extend([message_flags(header), 0, 0]);
    frame.extend(body);
    frame
}

fn message_flags(header: &Header) -> u8 {
    let mut flags = 0;
    flags |= if header.paused { PAUSED } else { 0 };
    flags |= if header.force_vote { FORCE } else { 0 };
    flags |= if header.extensions { EXTENSIONS } else { 0 };
    flags
}

/// Type number, count of gossip entries, count of extensions.
fn encode_body(out: &mut Vec<u8>, body: &Body) -> (u16, u16, u16) {
    match body {
        Body::Ping(heartbeat) => encode_heartbeat(out, 0, heartbeat),
        Body::Pong(heartbeat) => encode_heartbeat(out, 1, heartbeat),
        Body::Meet(heartbeat) => encode_heartbeat(out, 2, heartbeat),
        Body::Fail(node) => {
            push_id(out, *node);
            (3, 0, 0)
        }
        Body::Publish { channel, message, sharded } => {
            out.extend((channel.len() as u32).to_be_bytes());
            out.extend((message.len() as u32).to_be_bytes());
            out.extend(channel);
            out.extend(message);
            (if *sharded { 10 } else { 4 }, 1, 0)
        }
        Body::VoteRequest => (5, 0, 0),
        Body::Vote => (6, 0, 0),
        Body::Update { node, config_epoch, slots } => {
            out.extend(config_epoch.to_be_bytes());
            push_id(out, *node);
            out.extend(slots.to_bytes());
            (7, 0, 0)
        }
        Body::ManualFailoverStart => (8, 0, 0),
    }
}

fn encode_heartbeat(out: &mut Vec<u8>, kind: u16, heartbeat: &Heartbeat) -> (u16, u16, u16) {
    let Heartbeat { gossip, extensions } = heartbeat;
    out.reserve(gossip.len() * GOSSIP_BYTES);
    for entry in gossip {
        push_gossip(out, entry);
    }
    let written =
        if extensions == &Extensions::default() { 0 } else { extension::write(out, extensions) };
    (kind, gossip.len() as u16, written)
}

fn push_gossip(out: &mut Vec<u8>, gossip: &Gossip) {
    push_id(out, gossip.node);
    out.extend(gossip.ping_sent_s.to_be_bytes());
    out.extend(gossip.pong_received_s.to_be_bytes());
    push_ip(out, gossip.ip);
    out.extend(gossip.port.to_be_bytes());
    out.extend(gossip.bus_port.to_be_bytes());
    out.extend(gossip.flags.to_be_bytes());
    out.extend(gossip.second_port.to_be_bytes());
    out.extend([0, 0]);
}

fn push_id(out: &mut Vec<u8>, id: NodeId) {
    out.extend(id.to_string().as_bytes());
}

fn push_ip(out: &mut Vec<u8>, ip: Option<IpAddr>) {
    let text = ip.map(|ip| ip.to_string()).unwrap_or_default();
    let end = out.len() + 46;
    out.extend(text.as_bytes());
    out.resize(end, 0);
}
