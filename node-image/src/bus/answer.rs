//! Questions to the cluster and their answers.
//!
//! A question gets a number; the value answers by that number, sometimes only after nodes.conf is
//! durable. Not known here: how an answer looks in RESP (`commands/cluster_reply.rs`).

use holdfast_cluster::command::{ClusterCommand, Reply};
use holdfast_cluster::{Answer, CommandFacts, Event, Ticket, Token};
use holdfast_wire::slot::SlotSet;

use super::turn::Bus;
use super::{Asker, FromBus};
use crate::commands::CommandError;
use crate::commands::cluster_reply;
use crate::messages::{ToCore, WriteReply};
use crate::migration;

/// A command of the control port that waits until the core has counted keys.
pub(super) struct Question {
    asker: Asker,
    command: ClusterCommand,
}

const NOT_DURABLE: &str = "ERR the cluster configuration could not be written to disk";

impl Bus {
    fn next_token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    /// Notes who asks and gives the number for the question.
    pub(super) fn note(&mut self, asker: Asker) -> Token {
        let token = self.next_token();
        self.askers.insert(token, asker);
        Token(token)
    }

    pub(super) fn command(&mut self, asker: Asker, command: ClusterCommand, facts: CommandFacts) {
        let token = self.note(asker);
        self.events.push_back(Event::Command { token, command, facts });
    }

    /// A command whose asker knows nothing of the keyspace: the core counts first where it must.
    pub(super) fn command_without_facts(&mut self, asker: Asker, command: ClusterCommand) {
        let keys = u64::try_from(self.shared.stats.keys.get()).unwrap_or(0);
        let slots: SlotSet = command.slots_to_count().collect();
        if slots.is_empty() {
            return self.command(asker, command, CommandFacts { keys, ..CommandFacts::default() });
        }
        let question = self.next_token();
        self.questions.insert(question, Question { asker, command });
        self.tell_core(FromBus::CountKeys { question, slots });
    }

    pub(super) fn keys_counted(&mut self, question: u64, facts: CommandFacts) {
        if let Some(Question { asker, command }) = self.questions.remove(&question) {
            self.command(asker, command, facts);
        }
    }

    pub(super) fn answer_when_durable(&mut self, answer: Answer) {
        if answer.after.is_some_and(|ticket| ticket > self.record.durable()) {
            self.held_answers.push(answer);
        } else {
            self.answer(answer.token, answer.result);
        }
    }

    pub(super) fn release_answers(&mut self) {
        for answer in std::mem::take(&mut self.held_answers) {
            self.answer_when_durable(answer);
        }
    }

    pub(super) fn refuse_answers(&mut self, ticket: Ticket) {
        let (refused, kept) = std::mem::take(&mut self.held_answers)
            .into_iter()
            .partition::<Vec<_>, _>(|answer| answer.after.is_some_and(|t| t <= ticket));
        self.held_answers = kept;
        for answer in refused {
            self.answer(answer.token, Err(NOT_DURABLE.to_owned()));
        }
    }

    fn answer(&mut self, token: Token, mut result: Result<Reply, String>) {
        let Some(asker) = self.askers.remove(&token.0) else { return };
        if let Ok(Reply::Links(lines)) = &mut result {
            for line in lines.iter_mut() {
                self.links.fill_in(line);
            }
        }
        match asker {
            // A thread that no longer waits has no use for the answer.
            Asker::Thread(waiting) => drop(waiting.send(result)),
            asker => self.reply(asker, result.map(cluster_reply::writer)),
        }
    }

    /// Gives an answer to a client or to a connection of the control port.
    pub(super) fn reply(&mut self, asker: Asker, reply: Result<WriteReply, String>) {
        match asker {
            Asker::Client(token) => {
                let reply = reply.map_err(CommandError::text);
                self.to_core.send(ToCore::Answer { token, reply });
            }
            Asker::Control(connection) => {
                self.controls.answer(connection, reply);
                self.to_read.push(connection);
            }
            Asker::Thread(waiting) => {
                let _ = waiting.send(reply.map(|_| Reply::Ok));
            }
        }
    }

    pub(super) fn order_migration(&mut self, asker: Asker, order: migration::Order) {
        let reply = self.jobs.take_order(order, self.node.routing(), self.now_ms);
        self.view_is_old = true;
        self.reply(asker, reply);
    }
}
