//! The bus thread's loop, a turn at a time.
//!
//! Everything that happens becomes an event in one queue; the queue is emptied before the next
//! look at the sockets. Not known here: how what follows is carried out (`carry.rs`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Poll, Token};

use holdfast_cluster::{Answer, Event, Millis, Node, Ticket};

use super::answer::Question;
use super::links::{FIRST_TOKEN, Links};
use super::record::Record;
use super::{Asker, ToBus};
use crate::clock::unix_ms;
use crate::control::Controls;
use crate::messages::{Outbox, ToCore, ToDisk};
use crate::migration::Jobs;
use crate::resolver::Resolver;
use crate::shared::Shared;

/// The mailbox's waker.
pub(super) const WAKE: Token = Token(0);

/// Tokens of listeners of the bus begin here, those of the control port follow.
pub(super) const LISTENERS: usize = 1;

/// Messages taken from the mailbox in one turn: sockets must get their share too.
const MESSAGES_A_TURN: usize = 512;

/// How often the view for STATE and /metrics is made anew.
pub(super) const VIEW_EVERY_MS: u64 = 50;

/// How often strangers are looked for.
const SWEEP_EVERY_MS: u64 = 1000;

/// Milliseconds since the Unix epoch that never go back: the wall clock is read once.
pub(super) struct BusClock {
    wall_ms: u64,
    since: Instant,
}

impl BusClock {
    pub(super) fn start() -> Self {
        Self { wall_ms: unix_ms(), since: Instant::now() }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.wall_ms + self.since.elapsed().as_millis() as u64
    }
}

/// All that the bus thread owns.
pub(super) struct Bus {
    pub(super) node: Node,
    pub(super) links: Links,
    pub(super) controls: Controls,
    pub(super) jobs: Jobs,
    pub(super) record: Record,
    pub(super) resolver: Resolver,
    pub(super) shared: Arc<Shared>,
    pub(super) to_core: Outbox<ToCore>,
    pub(super) to_disk: Outbox<ToDisk>,
    pub(super) events: VecDeque<Event>,
    /// Who waits for the answer of which question.
    pub(super) askers: BTreeMap<u64, Asker>,
    /// Commands of the control port that wait for facts of the core.
    pub(super) questions: BTreeMap<u64, Question>,
    /// Connections of the control port that may have another order.
    pub(super) to_read: Vec<u64>,
    /// Answers that wait for the disk.
    pub(super) held_answers: Vec<Answer>,
    pub(super) next_token: u64,
    pub(super) wake_at: Millis,
    /// What the view shows is older than what happened.
    pub(super) view_is_old: bool,
    pub(super) clock: BusClock,
    pub(super) now_ms: u64,
    pub(super) poll: Poll,
    pub(super) inbox: Receiver<ToBus>,
    pub(super) bus_listeners: Vec<TcpListener>,
    pub(super) control_listeners: Vec<TcpListener>,
    pub(super) next_sweep_ms: u64,
    pub(super) next_view_ms: u64,
}

impl Bus {
    /// Turns until the process ends.
    pub(super) fn run(mut self) {
        let mut ready = mio::Events::with_capacity(1024);
        loop {
            let patience = self.patience();
            if let Err(error) = self.poll.poll(&mut ready, Some(patience))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!("The cluster bus failed to wait for its sockets: {error}.");
                std::thread::sleep(Duration::from_millis(10));
            }
            self.now_ms = self.clock.now_ms();
            self.take_messages();
            for event in &ready {
                self.on_socket(event.token(), event.is_readable(), event.is_writable());
            }
            self.links.read_unfinished(&mut self.events);
            self.on_time();
            self.work_off();
            self.show();
        }
    }

    /// Handles all events that are there, and those that come of them. Connections of the control
    /// port that got an answer may have sent the next order already.
    pub(super) fn work_off(&mut self) {
        loop {
            if let Some(event) = self.events.pop_front() {
                let spoke = match &event {
                    Event::Packet { link, .. } => Some(*link),
                    _ => None,
                };
                let ready = self.node.handle(Millis(self.now_ms), event);
                if let Some(link) = spoke {
                    self.links.note_member(link, &self.node);
                }
                self.carry(ready);
            } else if let Some(connection) = self.to_read.pop() {
                self.read_on(connection);
            } else {
                return;
            }
        }
    }

    fn patience(&self) -> Duration {
        if self.links.has_unfinished() || !self.events.is_empty() {
            return Duration::ZERO;
        }
        let now = self.clock.now_ms();
        let view = self.view_is_old.then_some(self.next_view_ms);
        let due =
            [Some(self.next_sweep_ms), view, self.resolver.next_due_ms(), self.record.due_ms()]
                .into_iter()
                .flatten()
                .fold(self.wake_at.0, u64::min);
        // The poll counts in whole milliseconds; one more makes sure that the moment has come.
        Duration::from_millis(due.saturating_sub(now).min(1000))
    }

    fn take_messages(&mut self) {
        for _ in 0..MESSAGES_A_TURN {
            let Ok(message) = self.inbox.try_recv() else { return };
            self.on_message(message);
        }
        // More may wait, and the waker has been used up: come back without sleeping.
        self.wake_at = Millis(self.now_ms);
    }

    fn on_message(&mut self, message: ToBus) {
        match message {
            ToBus::Command { asker, command, facts } => self.command(asker, command, facts),
            ToBus::Migration(asker, order) => self.order_migration(asker, order),
            ToBus::KeysCounted { question, facts } => self.keys_counted(question, facts),
            ToBus::Replication(facts) => self.events.push_back(Event::Replication(facts)),
            ToBus::WritesPaused { offset } => {
                self.events.push_back(Event::WritesPaused { offset });
            }
            ToBus::Booted { has_data_mark, keys } => {
                self.events.push_back(Event::Booted { has_data_mark, keys });
            }
            ToBus::Persisted { ticket } => self.persisted(ticket),
            ToBus::PersistFailed { ticket } => self.persist_failed(ticket),
            ToBus::Fenced { token, durable } => {
                self.to_read.extend(self.controls.fenced_up_to(token, durable));
            }
            ToBus::Resolved { node, ip } => {
                self.resolver.answered(&node);
                self.events.push_back(Event::Resolved { node, ip });
            }
            ToBus::Reconfigured => {
                let config = super::setup::cluster_config(&self.shared);
                self.events.push_back(Event::Reconfigured(Box::new(config)));
            }
            ToBus::Publish { channel, message, sharded } => {
                self.events.push_back(Event::Publish { channel, message, sharded });
            }
            ToBus::Leave { deadline_ms } => self.events.push_back(Event::Leave { deadline_ms }),
        }
    }

    fn on_socket(&mut self, token: Token, readable: bool, writable: bool) {
        if token == WAKE {
            return;
        }
        if token.0 >= FIRST_TOKEN {
            if self.controls.owns(token) {
                self.on_control(token, readable, writable);
            } else {
                self.links.on_socket(token, readable, writable, &mut self.events);
            }
            return;
        }
        let index = token.0 - LISTENERS;
        if let Some(listener) = self.bus_listeners.get(index) {
            self.links.accept(listener, self.now_ms, &mut self.events);
        } else if let Some(listener) = self.control_listeners.get(index - self.bus_listeners.len())
        {
            self.controls.accept(listener, self.poll.registry(), self.now_ms);
        }
    }

    fn on_time(&mut self) {
        for node in self.resolver.overdue(self.now_ms) {
            self.events.push_back(Event::Resolved { node, ip: None });
        }
        if self.now_ms >= self.next_sweep_ms {
            self.next_sweep_ms = self.now_ms + SWEEP_EVERY_MS;
            self.links.drop_strangers(self.now_ms, &self.node, &mut self.events);
            self.controls.drop_strangers(self.now_ms);
        }
        if let Some(again) = self.record.due(self.now_ms) {
            self.write_down(again);
        }
        if self.now_ms >= self.wake_at.0 {
            // The event's own Ready names the next moment.
            self.wake_at = Millis(u64::MAX);
            self.events.push_back(Event::Tick);
        }
    }

    fn persisted(&mut self, ticket: Ticket) {
        let next = self.record.written(ticket);
        self.events.push_back(Event::Persisted { ticket });
        self.links.release(self.record.durable(), &mut self.events);
        self.release_answers();
        if let Some(next) = next {
            self.write_down(next);
        }
    }

    fn persist_failed(&mut self, ticket: Ticket) {
        tracing::error!("The cluster configuration could not be written; it is tried again.");
        self.events.push_back(Event::PersistFailed { ticket });
        self.refuse_answers(ticket);
        if let Some(next) = self.record.failed(ticket, self.now_ms) {
            self.write_down(next);
        }
    }
}
