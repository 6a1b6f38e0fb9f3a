//! Carries out what the control port understood.
//!
//! Not known here: sockets, passwords, fencing (`control.rs`).

use holdfast_cluster::Event;
use holdfast_wire::resp::ReplyBuf;
use mio::Token;

use super::Asker;
use super::turn::Bus;
use crate::control::order::Order;
use crate::messages::ToDisk;

impl Bus {
    pub(super) fn on_control(&mut self, token: Token, readable: bool, writable: bool) {
        if let Some(connection) = self.controls.on_socket(token, readable, writable) {
            self.read_on(connection);
        }
    }

    /// Carries out the next order of a connection, if it has sent one and is not busy. An order
    /// that is answered at once comes back here for the one behind it.
    pub(super) fn read_on(&mut self, connection: u64) {
        let Some(order) = self.controls.next_order(connection) else { return };
        let asker = Asker::Control(connection);
        match order {
            Order::Ping => self.reply(asker, Ok(Box::new(|out: &mut ReplyBuf| out.simple("PONG")))),
            Order::State => {
                let state = self.state();
                let text = serde_json::to_vec(&state)
                    .map_err(|error| format!("ERR failed to write the state as JSON: {error}"));
                let reply = text.map(|text| {
                    Box::new(move |out: &mut ReplyBuf| out.bulk(&text))
                        as crate::messages::WriteReply
                });
                self.reply(asker, reply);
            }
            Order::Fence(token) => self.to_disk.send(ToDisk::Fence { token }),
            Order::Dead { node, boot_id, config_epoch } => {
                let token = self.note(asker);
                self.events.push_back(Event::Dead { token, node, boot_id, config_epoch });
            }
            Order::Cluster(command) => self.command_without_facts(asker, command),
            Order::Migration(order) => self.order_migration(asker, order),
        }
    }
}
