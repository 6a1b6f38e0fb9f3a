//! Publish and subscribe: who listens to what, and getting a message to them.
//!
//! ```text
//!   channels   news ──> {client 3, client 7}          PUBLISH, over the bus to all nodes
//!   patterns   ne*  ──> {client 3}                    looked at one by one for each PUBLISH
//!   shard      slot 812 ── {news} ──> {client 9}      SPUBLISH, over the bus to the slot's shard
//! ```
//!
//! Each client remembers its own subscriptions too, so that it can leave without a search. A
//! message is encoded once a dialect, whoever many hear it. Messages are delivered at most once:
//! who reads too slowly is cut off at its output limit (class `pubsub`).
//!
//! Invariant: a client stands in a table exactly when the table's name stands in its own
//! [`Subscriptions`]; no name is kept without a client. Not known here: the bus, replicas, and
//! what the messages say.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use holdfast_store::glob;
use holdfast_wire::resp::{Protocol, ReplyBuf};
use holdfast_wire::slot::{Slot, key_slot};

use crate::clients::ClientId;
use crate::core::Core;

type Listeners = BTreeSet<ClientId>;

/// The three ways to subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SUBSCRIBE: by name.
    Channel,
    /// PSUBSCRIBE: by glob.
    Pattern,
    /// SSUBSCRIBE: by name, within the shard that serves the name's slot.
    Shard,
}

impl Kind {
    /// First word of the reply to a subscription.
    pub const fn joined(self) -> &'static str {
        match self {
            Kind::Channel => "subscribe",
            Kind::Pattern => "psubscribe",
            Kind::Shard => "ssubscribe",
        }
    }

    /// First word of the reply to the end of a subscription.
    pub const fn left(self) -> &'static str {
        match self {
            Kind::Channel => "unsubscribe",
            Kind::Pattern => "punsubscribe",
            Kind::Shard => "sunsubscribe",
        }
    }
}

/// What one client has subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Channels.
    pub channels: BTreeSet<Vec<u8>>,
    /// Patterns.
    pub patterns: BTreeSet<Vec<u8>>,
    /// Channels of shards.
    pub shard: BTreeSet<Vec<u8>>,
    bytes: usize,
}

/// What a subscription costs beside its name, in the client and in the table.
const SUBSCRIPTION_BYTES: usize = 96;

fn cost(name: &[u8]) -> usize {
    2 * name.len() + SUBSCRIPTION_BYTES
}

impl Subscriptions {
    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shard.is_empty()
    }

    /// What they cost.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn insert(&mut self, kind: Kind, name: &[u8]) -> bool {
        let new = self.of_mut(kind).insert(name.to_vec());
        self.bytes += if new { cost(name) } else { 0 };
        new
    }

    fn remove(&mut self, kind: Kind, name: &[u8]) -> bool {
        let was = self.of_mut(kind).remove(name);
        self.bytes -= if was { cost(name) } else { 0 };
        was
    }

    /// The number that replies tell: channels and patterns together, shard channels apart.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel | Kind::Pattern => self.channels.len() + self.patterns.len(),
            Kind::Shard => self.shard.len(),
        }
    }

    /// The names of one kind.
    pub fn of(&self, kind: Kind) -> &BTreeSet<Vec<u8>> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shard,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut BTreeSet<Vec<u8>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shard,
        }
    }
}

/// Everybody's subscriptions.
#[derive(Debug, Default)]
pub struct PubSub {
    channels: HashMap<Vec<u8>, Listeners>,
    patterns: BTreeMap<Vec<u8>, Listeners>,
    shard: BTreeMap<Slot, BTreeMap<Vec<u8>, Listeners>>,
}

impl PubSub {
    /// Channels that somebody listens to.
    pub fn channels(&self) -> impl Iterator<Item = &[u8]> {
        self.channels.keys().map(Vec::as_slice)
    }

    /// Channels of shards that somebody listens to.
    pub fn shard_channels(&self) -> impl Iterator<Item = &[u8]> {
        self.shard.values().flat_map(BTreeMap::keys).map(Vec::as_slice)
    }

    /// Number of different patterns.
    pub fn pattern_count(&self) -> usize {
        self.patterns.len()
    }

    /// Slots of whose channels somebody listens to one.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.shard.keys().copied()
    }

    /// Number of clients that listen to a channel by its name.
    pub fn listener_count(&self, channel: &[u8]) -> usize {
        self.channels.get(channel).map_or(0, BTreeSet::len)
    }

    /// Number of clients that listen to a channel of a shard.
    pub fn shard_listener_count(&self, slot: Slot, channel: &[u8]) -> usize {
        self.shard.get(&slot).and_then(|of| of.get(channel)).map_or(0, BTreeSet::len)
    }

    fn add(&mut self, id: ClientId, kind: Kind, slot: Slot, name: &[u8]) {
        let listeners = match kind {
            Kind::Channel => self.channels.entry(name.to_vec()).or_default(),
            Kind::Pattern => self.patterns.entry(name.to_vec()).or_default(),
            Kind::Shard => self.shard.entry(slot).or_default().entry(name.to_vec()).or_default(),
        };
        listeners.insert(id);
    }

    fn remove(&mut self, id: ClientId, kind: Kind, slot: Slot, name: &[u8]) {
        let left = |listeners: &mut Listeners| {
            listeners.remove(&id);
            listeners.is_empty()
        };
        match kind {
            Kind::Channel => {
                if self.channels.get_mut(name).is_some_and(left) {
                    self.channels.remove(name);
                }
            }
            Kind::Pattern => {
                if self.patterns.get_mut(name).is_some_and(left) {
                    self.patterns.remove(name);
                }
            }
            Kind::Shard => {
                let Some(of_slot) = self.shard.get_mut(&slot) else { return };
                if of_slot.get_mut(name).is_some_and(left) {
                    of_slot.remove(name);
                }
                if of_slot.is_empty() {
                    self.shard.remove(&slot);
                }
            }
        }
    }
}

/// A message in both dialects, each made when it is first wanted.
struct Encoded<'a> {
    words: &'a [&'a [u8]],
    resp2: Option<Vec<u8>>,
    resp3: Option<Vec<u8>>,
}

impl<'a> Encoded<'a> {
    fn new(words: &'a [&'a [u8]]) -> Self {
        Encoded { words, resp2: None, resp3: None }
    }

    fn bytes(&mut self, protocol: Protocol) -> &[u8] {
        let words = self.words;
        let place = match protocol {
            Protocol::Resp2 => &mut self.resp2,
            Protocol::Resp3 => &mut self.resp3,
        };
        place.get_or_insert_with(|| {
            let mut reply = ReplyBuf::new(protocol);
            reply.push(words.len());
            words.iter().for_each(|word| reply.bulk(word));
            reply.into_bytes()
        })
    }
}

impl Core {
    /// The slot of a channel of a shard; without cluster mode there is one shard.
    pub fn channel_slot(&self, channel: &[u8]) -> Slot {
        if self.is_cluster() { key_slot(channel) } else { Slot(0) }
    }

    /// The client listens from now on; false when it did already.
    pub fn subscribe(&mut self, id: ClientId, kind: Kind, name: &[u8]) -> bool {
        let slot = self.channel_slot(name);
        let Some(client) = self.clients.get_mut(id) else { return false };
        let new = client.subscriptions.insert(kind, name);
        if new {
            self.pubsub.add(id, kind, slot, name);
        }
        new
    }

    /// The client no longer listens.
    pub fn unsubscribe(&mut self, id: ClientId, kind: Kind, name: &[u8]) {
        let slot = self.channel_slot(name);
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.subscriptions.remove(kind, name) {
            self.pubsub.remove(id, kind, slot, name);
        }
    }

    /// The client listens to nothing any more, and is not told.
    pub fn unsubscribe_all(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let all = std::mem::take(&mut client.subscriptions);
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            for name in all.of(kind) {
                let slot = self.channel_slot(name);
                self.pubsub.remove(id, kind, slot, name);
            }
        }
    }

    /// Gets a message to local listeners of a channel, by name and by pattern. Gives their number;
    /// who matches in several ways gets and counts it several times.
    pub fn deliver(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let mut count = 0;
        if let Some(listeners) = self.pubsub.channels.get(channel) {
            let listeners: Vec<ClientId> = listeners.iter().copied().collect();
            count += self.send_message(&listeners, &[b"message", channel, message]);
        }
        if self.pubsub.patterns.is_empty() {
            return count;
        }
        let matching: Vec<(Vec<u8>, Vec<ClientId>)> = self
            .pubsub
            .patterns
            .iter()
            .filter(|(pattern, _)| glob::matches(pattern, channel))
            .map(|(pattern, listeners)| (pattern.clone(), listeners.iter().copied().collect()))
            .collect();
        for (pattern, listeners) in matching {
            count += self.send_message(&listeners, &[b"pmessage", &pattern, channel, message]);
        }
        count
    }

    /// Gets a message to local listeners of a channel of a shard. Gives their number.
    pub fn deliver_in_shard(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let slot = self.channel_slot(channel);
        let listeners = self.pubsub.shard.get(&slot).and_then(|of_slot| of_slot.get(channel));
        let listeners: Vec<ClientId> = listeners.into_iter().flatten().copied().collect();
        self.send_message(&listeners, &[b"smessage", channel, message])
    }

    fn send_message(&mut self, listeners: &[ClientId], words: &[&[u8]]) -> usize {
        let mut encoded = Encoded::new(words);
        for id in listeners {
            if let Some(protocol) = self.clients.get(*id).map(|client| client.protocol) {
                self.push(*id, encoded.bytes(protocol));
                crate::event_loop::check_output_size(self, *id);
            }
        }
        listeners.len()
    }

    /// Channels of slots that this node's shard no longer serves: everybody who listens there is
    /// told that the subscription is over, and comes back where the slot is.
    pub fn end_stray_subscriptions(&mut self) {
        let routing = std::sync::Arc::clone(&self.routing);
        let ours = |slot: &Slot| {
            routing.owner(*slot).is_some_and(|owner| {
                owner.id == routing.my_id || Some(owner.id) == routing.my_primary
            })
        };
        let stray: Vec<Slot> = self.pubsub.slots().filter(|slot| !ours(slot)).collect();
        for slot in stray {
            let Some(channels) = self.pubsub.shard.remove(&slot) else { continue };
            for (channel, listeners) in channels {
                for id in listeners {
                    self.end_subscription(id, &channel);
                }
            }
        }
    }

    fn end_subscription(&mut self, id: ClientId, channel: &[u8]) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.subscriptions.remove(Kind::Shard, channel);
        let mut reply = ReplyBuf::new(client.protocol);
        write_change(
            &mut reply,
            Kind::Shard.left(),
            Some(channel),
            client.subscriptions.shard.len(),
        );
        let bytes = reply.into_bytes();
        self.push(id, &bytes);
    }
}

/// The reply to one channel of a subscription or of its end.
pub fn write_change(reply: &mut ReplyBuf, what: &str, channel: Option<&[u8]>, count: usize) {
    reply.push(3);
    reply.bulk_str(what);
    match channel {
        Some(channel) => reply.bulk(channel),
        None => reply.null(),
    }
    reply.integer(count as i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(serial: u64) -> ClientId {
        ClientId { place: serial as usize, serial }
    }

    #[test]
    fn a_name_is_forgotten_with_its_last_listener() {
        let mut pubsub = PubSub::default();
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            pubsub.add(id(1), kind, Slot(7), b"news");
            pubsub.add(id(2), kind, Slot(7), b"news");
            pubsub.remove(id(1), kind, Slot(7), b"news");
        }
        assert_eq!(pubsub.channels().count(), 1);
        assert_eq!(pubsub.listener_count(b"news"), 1);
        assert_eq!(pubsub.shard_listener_count(Slot(7), b"news"), 1);
        assert_eq!(pubsub.pattern_count(), 1);
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            pubsub.remove(id(2), kind, Slot(7), b"news");
        }
        assert_eq!(pubsub.channels().count() + pubsub.shard_channels().count(), 0);
        assert_eq!(pubsub.pattern_count() + pubsub.slots().count(), 0);
    }

    #[test]
    fn a_message_is_a_push_in_resp3_and_an_array_before() {
        let mut encoded = Encoded::new(&[b"message", b"c", b"m"]);
        let tail = b"3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n";
        assert_eq!(encoded.bytes(Protocol::Resp2), [b"*", &tail[..]].concat());
        assert_eq!(encoded.bytes(Protocol::Resp3), [b">", &tail[..]].concat());
    }
}
