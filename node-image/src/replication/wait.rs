//! WAIT: clients that wait until enough replicas have acknowledged what they wrote.
//!
//! Not known here: the stream; acknowledgements are counted by [`super::feed`].

use crate::commands::AnswerToken;
use crate::core::Core;

#[derive(Debug)]
struct Waiting {
    token: AnswerToken,
    offset: u64,
    replicas: usize,
    deadline_ms: Option<i64>,
}

/// The clients that wait.
#[derive(Debug, Default)]
pub struct Waits {
    waiting: Vec<Waiting>,
    ask: bool,
}

impl Waits {
    /// True once after somebody began to wait: replicas are asked for their offsets.
    pub(super) fn ask_for_acks(&mut self) -> bool {
        std::mem::take(&mut self.ask)
    }
}

/// A client waits until `replicas` have acknowledged everything that is in the log now.
pub fn begin(core: &mut Core, token: AnswerToken, replicas: usize, deadline_ms: Option<i64>) {
    let offset = core.log.end();
    let waits = &mut core.replication.waits;
    waits.ask = true;
    waits.waiting.push(Waiting { token, offset, replicas, deadline_ms });
}

/// A replica has acknowledged more.
pub(super) fn on_ack(core: &mut Core) {
    settle(core, |_| false);
}

pub(super) fn cron(core: &mut Core) {
    let now_ms = core.now_ms;
    settle(core, |waiting| waiting.deadline_ms.is_some_and(|deadline| now_ms >= deadline));
}

/// This node follows another now: nobody acknowledges to it any more.
pub(super) fn fail_all(core: &mut Core) {
    for waiting in std::mem::take(&mut core.replication.waits.waiting) {
        core.answer(waiting.token, |reply| {
            reply.error(
                "UNBLOCKED force unblock from blocking operation, instance state changed \
                 (master -> replica?)",
            );
        });
    }
}

fn settle(core: &mut Core, is_over: impl Fn(&Waiting) -> bool) {
    let feed = &core.replication.feed;
    let all = std::mem::take(&mut core.replication.waits.waiting);
    let (done, left): (Vec<_>, Vec<_>) = all.into_iter().partition(|waiting| {
        feed.count_acked(waiting.offset) >= waiting.replicas || is_over(waiting)
    });
    core.replication.waits.waiting = left;
    for waiting in done {
        let count = core.replication.feed.count_acked(waiting.offset);
        core.answer(waiting.token, |reply| reply.integer(count as i64));
    }
}
