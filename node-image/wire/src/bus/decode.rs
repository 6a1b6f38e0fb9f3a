//! Bytes to packets.
//!
//! Every read is bounds-checked; a frame that does not add up exactly, as stock Redis demands it,
//! is an error. Not known here: whether the sender is believed.

use std::net::IpAddr;

use crate::id::NodeId;
use crate::slot::SlotSet;

use super::encode::{EXTENSIONS, FORCE, PAUSED};
use super::{Body, Extensions, FRAME_BYTES_MAX, Gossip, HEADER_BYTES, Header, Heartbeat, MARK};
use super::{Packet, extension};

/// The stream is not the cluster bus; the link must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It does not begin with `RCmb`.
    #[error("failed to read a frame: it does not begin with RCmb")]
    Signature,
    /// The length is shorter than a header or longer than we take.
    #[error("failed to read a frame: its length is {0} bytes")]
    Length(u32),
}

/// A frame makes no sense; it is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Another protocol version.
    #[error("failed to decode a packet: its version is {0}")]
    Version(u16),
    /// A type that we do not know.
    #[error("failed to decode a packet: its type is {0}")]
    Type(u16),
    /// Shorter or longer than its type and counts say.
    #[error("failed to decode a packet: its length does not match its content")]
    Length,
    /// A field that cannot be.
    #[error("failed to decode a packet: its field {0} makes no sense")]
    Field(&'static str),
}

/// How long the frame at the start of `bytes` is; `None` while too little of it is there. The
/// frame itself may not be there yet.
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    if !b"RCmb".starts_with(bytes.get(..4).unwrap_or(bytes)) {
        return Err(FrameError::Signature);
    }
    let Some(length) = bytes.get(4..8).and_then(|length| length.try_into().ok()) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(length);
    match length as usize {
        fits @ HEADER_BYTES..=FRAME_BYTES_MAX => Ok(Some(fits)),
        _ => Err(FrameError::Length(length)),
    }
}

/// True for a frame that carries a published message: one that may be lost.
pub fn is_published(frame: &[u8]) -> bool {
    matches!(frame.get(12..14), Some([0, 4 | 10]))
}

/// Reads one whole frame.
pub fn decode(frame: &[u8]) -> Result<Packet, DecodeError> {
    let mut reader = Reader(frame);
    let short = DecodeError::Length;
    if reader.take(4).ok_or(short)? != b"RCmb" {
        return Err(DecodeError::Field("signature"));
    }
    if reader.u32().ok_or(short)? as usize != frame.len() {
        return Err(short);
    }
    let version = reader.u16().ok_or(short)?;
    if version != 1 {
        return Err(DecodeError::Version(version));
    }
    let port = reader.u16().ok_or(short)?;
    let kind = reader.u16().ok_or(short)?;
    let count = reader.u16().ok_or(short)?;
    let (header, extensions) = decode_header(&mut reader, port)?;
    let body = decode_body(&mut reader, kind, count, extensions)?;
    if !reader.0.is_empty() {
        return Err(short);
    }
    Ok(Packet { header, body })
}

fn decode_header(reader: &mut Reader<'_>, port: u16) -> Result<(Header, u16), DecodeError> {
    let short = DecodeError::Length;
    let current_epoch = reader.u64().ok_or(short)?;
    let config_epoch = reader.u64().ok_or(short)?;
    let offset = reader.u64().ok_or(short)?;
    let sender = reader.id().ok_or(DecodeError::Field("sender"))?;
    let slots = reader.slots().ok_or(short)?;
    let primary = reader.take(40).ok_or(short)?;
    let replica_of = if primary.iter().all(|byte| *byte == 0) {
        None
    } else {
        Some(NodeId::from_ascii(primary).map_err(|_| DecodeError::Field("primary"))?)
    };
    let ip = address(reader.take(46).ok_or(short)?);
    let extensions = reader.u16().ok_or(short)?;
    let ours = reader.take(30).ok_or(short)?.starts_with(&MARK[..4]);
    let second_port = reader.u16().ok_or(short)?;
    let bus_port = reader.u16().ok_or(short)?;
    let flags = reader.u16().ok_or(short)?;
    let state = reader.take(4).ok_or(short)?;
    let [state, message_flags, ..] = state else { return Err(short) };
    let header = Header {
        sender,
        current_epoch,
        config_epoch,
        offset,
        slots,
        replica_of,
        ip,
        port,
        second_port,
        bus_port,
        flags,
        cluster_ok: *state == 0,
        paused: message_flags & PAUSED != 0,
        force_vote: message_flags & FORCE != 0,
        extensions: message_flags & EXTENSIONS != 0 || extensions > 0,
        ours,
    };
    Ok((header, extensions))
}

fn decode_body(
    reader: &mut Reader<'_>,
    kind: u16,
    count: u16,
    extensions: u16,
) -> Result<Body, DecodeError> {
    let short = DecodeError::Length;
    Ok(match kind {
        0 => Body::Ping(decode_heartbeat(reader, count, extensions)?),
        1 => Body::Pong(decode_heartbeat(reader, count, extensions)?),
        2 => Body::Meet(decode_heartbeat(reader, count, extensions)?),
        3 => Body::Fail(reader.id().ok_or(DecodeError::Field("failed node"))?),
        4 | 10 => {
            let channel_bytes = reader.u32().ok_or(short)? as usize;
            let message_bytes = reader.u32().ok_or(short)? as usize;
            Body::Publish {
                channel: reader.take(channel_bytes).ok_or(short)?.to_vec(),
                message: reader.take(message_bytes).ok_or(short)?.to_vec(),
                sharded: kind == 10,
            }
        }
        5 => Body::VoteRequest,
        6 => Body::Vote,
        7 => {
            let config_epoch = reader.u64().ok_or(short)?;
            let node = reader.id().ok_or(DecodeError::Field("updated node"))?;
            let slots = reader.slots().ok_or(short)?;
            Body::Update { node, config_epoch, slots }
        }
        8 => Body::ManualFailoverStart,
        other => return Err(DecodeError::Type(other)),
    })
}

fn decode_heartbeat(
    reader: &mut Reader<'_>,
    count: u16,
    extensions: u16,
) -> Result<Heartbeat, DecodeError> {
    let mut heartbeat = Heartbeat::default();
    for _ in 0..count {
        heartbeat.gossip.push(decode_gossip(reader)?);
    }
    for _ in 0..extensions {
        read_extension(reader, &mut heartbeat.extensions)?;
    }
    Ok(heartbeat)
}

fn decode_gossip(reader: &mut Reader<'_>) -> Result<Gossip, DecodeError> {
    let short = DecodeError::Length;
    let gossip = Gossip {
        node: reader.id().ok_or(DecodeError::Field("gossip"))?,
        ping_sent_s: reader.u32().ok_or(short)?,
        pong_received_s: reader.u32().ok_or(short)?,
        ip: address(reader.take(46).ok_or(short)?),
        port: reader.u16().ok_or(short)?,
        bus_port: reader.u16().ok_or(short)?,
        flags: reader.u16().ok_or(short)?,
        second_port: reader.u16().ok_or(short)?,
    };
    reader.take(2).ok_or(short)?;
    Ok(gossip)
}

fn read_extension(reader: &mut Reader<'_>, into: &mut Extensions) -> Result<(), DecodeError> {
    let short = DecodeError::Length;
    let length = reader.u32().ok_or(short)? as usize;
    let kind = reader.u16().ok_or(short)?;
    reader.take(2).ok_or(short)?;
    if !length.is_multiple_of(8) {
        return Err(DecodeError::Field("extension padding"));
    }
    let content = length.checked_sub(8).and_then(|bytes| reader.take(bytes)).ok_or(short)?;
    extension::read(into, kind, content).ok_or(DecodeError::Field("extension"))
}

/// An address, or none when the field is empty or no IP address (a peer may announce a name there,
/// which we do not follow).
fn address(field: &[u8]) -> Option<IpAddr> {
    let text = field.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Takes bytes from the front; `None` when there are too few.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(bytes)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn id(&mut self) -> Option<NodeId> {
        NodeId::from_ascii(self.take(40)?).ok()
    }

    fn slots(&mut self) -> Option<SlotSet> {
        SlotSet::from_bytes(self.take(2048)?)
    }
}
