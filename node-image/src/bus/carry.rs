//! Carries out what the value wants, in the order of the fields of [`Ready`].
//!
//! Not known here: why it wants it.

use holdfast_cluster::{LogLevel, LogLine, Persist, Ready};

use super::FromBus;
use super::turn::Bus;
use crate::messages::{ToCore, ToDisk};

impl Bus {
    pub(super) fn carry(&mut self, ready: Ready) {
        ready.log.iter().for_each(log);
        if let Some(persist) = ready.persist
            && let Some(now) = self.record.wish(persist)
        {
            self.write_down(now);
        }
        self.carry_links(ready.connect, ready.close, ready.send);
        for wish in ready.resolve {
            self.resolver.ask(self.now_ms, wish.node, &wish.hostname);
        }
        self.wake_at = self.wake_at.min(ready.wake_at);
        if let Some(map) = ready.routing {
            self.jobs.on_routing(&map);
            self.shared.bus.store_routing(map.clone());
            self.tell_core(FromBus::Routing(map));
        }
        if let Some(role) = ready.role {
            self.tell_core(FromBus::Role(role));
        }
        if let Some(slots) = ready.drop_slots {
            self.tell_core(FromBus::DropSlots(slots));
        }
        if let Some(pause) = ready.pause {
            self.tell_core(FromBus::Pause(pause));
        }
        if let Some(offset) = ready.watch_offset {
            self.tell_core(FromBus::WatchOffset(offset));
        }
        for message in ready.published {
            self.tell_core(FromBus::Published(message));
        }
        if ready.flush_all {
            self.tell_core(FromBus::FlushAll);
        }
        if let Some(end) = ready.hand_over {
            self.tell_core(FromBus::HandOver(end));
        }
        for answer in ready.answers {
            self.answer_when_durable(answer);
        }
        self.view_is_old = true;
    }

    fn carry_links(
        &mut self,
        connect: Vec<holdfast_cluster::Connect>,
        close: Vec<holdfast_cluster::LinkId>,
        send: Vec<holdfast_cluster::Send>,
    ) {
        for wish in connect {
            self.links.connect(wish, self.now_ms, &mut self.events);
        }
        let durable = self.record.durable();
        for frame in send {
            self.links.send(frame.link, frame.frame, frame.after, durable, &mut self.events);
        }
        for link in close {
            self.links.close(link);
        }
    }

    pub(super) fn write_down(&self, persist: Persist) {
        self.to_disk.send(ToDisk::NodesConf { ticket: persist.ticket, text: persist.text });
    }

    pub(super) fn tell_core(&self, message: FromBus) {
        self.to_core.send(ToCore::Bus(message));
    }
}

fn log(line: &LogLine) {
    match line.level {
        LogLevel::Debug => tracing::debug!("{}", line.text),
        LogLevel::Verbose => tracing::debug!("{}", line.text),
        LogLevel::Notice => tracing::info!("{}", line.text),
        LogLevel::Warning => tracing::warn!("{}", line.text),
    }
}
