//! Host names to addresses, off the bus thread.
//!
//! `getaddrinfo` blocks for as long as the system's resolver likes: five seconds for each silent
//! name server is the usual default. The bus thread must never wait for it, so a few threads ask,
//! and the bus thread counts the time: a question without an answer after [`PATIENCE_MS`] is
//! answered with "nothing" and the asker may ask again. A late answer is still delivered: it is as
//! fresh as one that was quick.
//!
//! Not known here: why a name is looked up, and what its address changes.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use holdfast_wire::id::NodeId;

/// How long an asker waits before it hears "no answer".
pub const PATIENCE_MS: u64 = 1000;

/// Threads that may hang in the system's resolver at the same time.
const WORKERS: usize = 4;

/// Questions that may wait for a free thread; beyond it a question fails at once.
const WAITING_MAX: usize = 1024;

struct Question {
    node: NodeId,
    name: String,
    asked: Instant,
}

/// The addresses of a name, or none when the lookup failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whose announced name was looked up.
    pub node: NodeId,
    /// The address to use; none when the name has none.
    pub ip: Option<IpAddr>,
}

/// The bus thread's end: asks, and keeps the time of what is still open.
pub struct Resolver {
    questions: Sender<Question>,
    open: BTreeMap<NodeId, u64>,
}

impl Resolver {
    /// Starts the threads. `deliver` is called on one of them for each answer.
    ///
    /// `prefer_ipv6` chooses among the addresses of a name that has both kinds.
    pub fn start<F>(prefer_ipv6: bool, deliver: F) -> std::io::Result<Self>
    where
        F: Fn(Answer) + Send + Clone + 'static,
    {
        let (questions, inbox) = channel::<Question>();
        let inbox = Arc::new(Mutex::new(inbox));
        for n in 0..WORKERS {
            let (inbox, deliver) = (Arc::clone(&inbox), deliver.clone());
            std::thread::Builder::new()
                .name(format!("resolve-{n}"))
                .spawn(move || work(&inbox, prefer_ipv6, &deliver))?;
        }
        Ok(Self { questions, open: BTreeMap::new() })
    }

    /// Asks for the address of `name`. A node with an open question is not asked about twice.
    pub fn ask(&mut self, now_ms: u64, node: NodeId, name: &str) {
        if self.open.contains_key(&node) || self.open.len() >= WAITING_MAX {
            return;
        }
        let question = Question { node, name: name.to_owned(), asked: Instant::now() };
        // The threads live as long as the sender: this cannot fail before the process ends.
        if self.questions.send(question).is_ok() {
            self.open.insert(node, now_ms + PATIENCE_MS);
        }
    }

    /// Notes that an answer came.
    pub fn answered(&mut self, node: &NodeId) {
        self.open.remove(node);
    }

    /// Nodes whose question has waited too long; each is returned once and may be asked again.
    pub fn overdue(&mut self, now_ms: u64) -> Vec<NodeId> {
        let late: Vec<NodeId> =
            self.open.iter().filter(|(_, due)| **due <= now_ms).map(|(node, _)| *node).collect();
        for node in &late {
            self.open.remove(node);
        }
        late
    }

    /// When [`Resolver::overdue`] next has something to say.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.open.values().min().copied()
    }
}

fn work(inbox: &Mutex<Receiver<Question>>, prefer_ipv6: bool, deliver: &impl Fn(Answer)) {
    loop {
        let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(question) = next else { return };
        // The asker has given up on it already and asks anew: do not hang in a queue of the past.
        if question.asked.elapsed().as_millis() as u64 >= PATIENCE_MS {
            continue;
        }
        deliver(Answer { node: question.node, ip: look_up(&question.name, prefer_ipv6) });
    }
}

fn look_up(name: &str, prefer_ipv6: bool) -> Option<IpAddr> {
    if let Ok(ip) = name.parse() {
        return Some(ip);
    }
    let found: Vec<IpAddr> = (name, 0).to_socket_addrs().ok()?.map(|a| a.ip()).collect();
    let preferred = found.iter().find(|ip| ip.is_ipv6() == prefer_ipv6);
    preferred.or(found.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn start() -> (Resolver, Receiver<Answer>) {
        let (tx, rx) = channel();
        let resolver = Resolver::start(false, move |answer| {
            let _ = tx.send(answer);
        });
        (resolver.unwrap(), rx)
    }

    #[test]
    fn an_address_and_a_name_in_the_hosts_file_resolve() {
        let (mut resolver, answers) = start();
        let (a, b) = (NodeId([1; 20]), NodeId([2; 20]));
        resolver.ask(0, a, "10.1.2.3");
        resolver.ask(0, b, "localhost");
        let mut got: Vec<Answer> =
            (0..2).map(|_| answers.recv_timeout(Duration::from_secs(10)).unwrap()).collect();
        got.sort_by_key(|answer| answer.node);
        assert_eq!(got[0], Answer { node: a, ip: Some([10, 1, 2, 3].into()) });
        assert!(got[1].ip.is_some_and(|ip| ip.is_loopback()), "{:?}", got[1]);
    }

    #[test]
    fn a_question_without_an_answer_is_given_up_after_a_second_and_may_be_asked_again() {
        let (mut resolver, _answers) = start();
        let node = NodeId([7; 20]);
        resolver.ask(100, node, "127.0.0.1");
        assert_eq!(resolver.next_due_ms(), Some(1100));
        assert!(resolver.overdue(1099).is_empty());
        assert_eq!(resolver.overdue(1100), [node]);
        assert!(resolver.overdue(1100).is_empty());
        resolver.ask(1101, node, "127.0.0.1");
        assert_eq!(resolver.next_due_ms(), Some(2101));
    }
}
