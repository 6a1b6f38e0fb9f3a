//! The load: many connections from one thread, each with a batch of requests on its way.
//!
//! A connection sends its next batch when the last reply of the one before has come, so the load
//! is closed: a slow server gets fewer requests. The time of a batch counts for all requests in
//! it. Not known here: what the requests say.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Failure;
use crate::client::reply_bytes;
use crate::histogram::Histogram;
use crate::servers::Server;
use crate::workloads::{Keys, Random, Workload};

/// The share of a run that is not measured, at its start.
const WARM_UP: f64 = 0.2;

/// How the load is shaped.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Connections.
    pub connections: usize,
    /// Measured seconds.
    pub seconds: f64,
    /// Which random requests.
    pub seed: u64,
}

/// What a run showed.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Requests a second.
    pub per_second: f64,
    /// The server's processor time for a request, in microseconds.
    pub cpu_us: f64,
    /// Half of the requests took at most so long, in microseconds.
    pub p50_us: f64,
    /// 99 % of them.
    pub p99_us: f64,
    /// 99.9 % of them.
    pub p999_us: f64,
}

struct Connection {
    socket: TcpStream,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    sent: usize,
    missing: usize,
    sent_at: Instant,
}

/// What one look at a connection found.
enum Seen {
    Nothing,
    BatchDone,
    /// The server does not know the command.
    Refused,
}

impl Connection {
    fn new(port: u16) -> Result<Self, Failure> {
        let socket = std::net::TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let socket = TcpStream::from_std(socket);
        let (unread, unsent) = (Vec::new(), Vec::new());
        Ok(Connection { socket, unread, unsent, sent: 0, missing: 0, sent_at: Instant::now() })
    }

    fn begin(&mut self, workload: &Workload, keys: &Keys, random: &mut Random) -> io::Result<()> {
        self.unsent.clear();
        self.sent = 0;
        for _ in 0..workload.pipeline {
            (workload.request)(&mut self.unsent, keys, random, workload);
        }
        self.missing = workload.pipeline;
        self.sent_at = Instant::now();
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.unsent.len() {
            match self.socket.write(self.unsent.get(self.sent..).unwrap_or_default()) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, scratch: &mut [u8]) -> io::Result<Seen> {
        loop {
            match self.socket.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    let chunk = scratch.get(..count).unwrap_or_default();
                    if self.take(chunk) {
                        return Ok(Seen::Refused);
                    }
                    if self.missing == 0 {
                        return Ok(Seen::BatchDone);
                    }
                    if count < scratch.len() {
                        return Ok(Seen::Nothing);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Seen::Nothing);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Counts the replies in some bytes; true when one of them is an error.
    fn take(&mut self, chunk: &[u8]) -> bool {
        let joined = !self.unread.is_empty();
        if joined {
            self.unread.extend_from_slice(chunk);
        }
        let bytes = if joined { self.unread.as_slice() } else { chunk };
        let mut at = 0;
        while let Some(rest) = bytes.get(at..)
            && let Some(len) = reply_bytes(rest)
        {
            if rest.first() == Some(&b'-') {
                return true;
            }
            at += len;
            self.missing = self.missing.saturating_sub(1);
        }
        if joined {
            self.unread.drain(..at);
        } else {
            self.unread.extend_from_slice(chunk.get(at..).unwrap_or_default());
        }
        false
    }
}

/// One run; `None` when the server does not know the command.
pub fn run(
    server: &Server,
    workload: &Workload,
    keys: &Keys,
    shape: Shape,
) -> Result<Option<Run>, Failure> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut random = Random(shape.seed.wrapping_mul(0x1234_5678_9ABC_DEF1) + 1);
    let mut connections = Vec::new();
    for place in 0..shape.connections {
        let mut connection = Connection::new(server.port())?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut connection.socket, Token(place), interest)?;
        connection.begin(workload, keys, &mut random)?;
        connections.push(connection);
    }
    let mut scratch = vec![0; 64 * 1024];
    let mut times = Histogram::new();
    let (mut done, mut cpu_before) = (0_u64, None);
    let began = Instant::now();
    let warm = Duration::from_secs_f64(shape.seconds * WARM_UP);
    let end = warm + Duration::from_secs_f64(shape.seconds);
    let mut measured_from = began;
    while began.elapsed() < end {
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        if cpu_before.is_none() && began.elapsed() >= warm {
            (cpu_before, measured_from, done) = (Some(server.cpu_ns()?), Instant::now(), 0);
        }
        for event in &events {
            let Some(connection) = connections.get_mut(event.token().0) else { continue };
            if event.is_writable() {
                connection.send()?;
            }
            match connection.receive(&mut scratch)? {
                Seen::Nothing => {}
                Seen::Refused => return Ok(None),
                Seen::BatchDone => {
                    done += workload.pipeline as u64;
                    if cpu_before.is_some() {
                        let nanos = connection.sent_at.elapsed().as_nanos() as u64;
                        times.add(nanos, workload.pipeline as u64);
                    }
                    connection.begin(workload, keys, &mut random)?;
                }
            }
        }
    }
    let seconds = measured_from.elapsed().as_secs_f64();
    let cpu_ns = server.cpu_ns()? - cpu_before.unwrap_or_default();
    Ok(Some(Run {
        per_second: done as f64 / seconds,
        cpu_us: cpu_ns as f64 / 1000.0 / done.max(1) as f64,
        p50_us: times.quantile_us(0.5),
        p99_us: times.quantile_us(0.99),
        p999_us: times.quantile_us(0.999),
    }))
}
