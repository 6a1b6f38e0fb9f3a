//! Connections to the control ports of nodes.
//!
//! One connection for each incarnation of a pod, kept between looks, so that a look at a quiet
//! cluster costs one request and one reply a node. Every exchange has a hard deadline: an address
//! where nobody answers costs one second and never more. Before a command that changes
//! something goes the operator's fencing token; a node refuses the commands of
//! an operator whose token is lower than one it has seen. A connection that breaks wakes its
//! cluster: a process that dies is noticed when its sockets close, long before the kubelet tells.
//! Not known here: what the commands mean, and whether they should be sent.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, Value};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;

use crate::observe::watch::ClusterKey;

/// Longest time that one exchange with a node takes, connecting included.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// The user that the control port knows.
const CONTROL_USER: &str = "holdfast";

/// A connection that nobody has used for this long belongs to a pod that is gone.
const IDLE_MAX: Duration = Duration::from_mins(3);

/// A connection that was younger than this when it broke is no news: the node refuses us.
const NEWS_AGE_MIN: Duration = Duration::from_secs(1);

/// Where a node's control port is, and which incarnation is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Cluster of the pod.
    pub cluster: ClusterKey,
    /// Uid of the pod.
    pub pod_uid: String,
    /// Address of the pod.
    pub address: IpAddr,
    /// Its control port.
    pub port: u16,
}

impl Endpoint {
    fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

/// Why an exchange with a node came to nothing.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum LinkError {
    /// Nothing came back in time. Whether the command was carried out is not known.
    #[error("no answer from {0} within one second")]
    Deadline(SocketAddr),
    /// The connection could not be made, or it broke.
    #[error("failed to speak with {address}: {reason}")]
    Broken {
        /// Whom the operator spoke with.
        address: SocketAddr,
        /// What the connection said.
        reason: String,
    },
    /// The node answered with an error.
    #[error("{address} refused {command}: {reason}")]
    Refused {
        /// Whom the operator spoke with.
        address: SocketAddr,
        /// The first words of the command, without secrets.
        command: String,
        /// The node's own words.
        reason: String,
    },
    /// Another node than the one that was meant answers there; nothing was sent to it.
    #[error("{address} is somebody else: {reason}")]
    OtherNode {
        /// Whom the operator spoke with.
        address: SocketAddr,
        /// Who was expected, and who answered.
        reason: String,
    },
    /// The node has seen the token of a later operator.
    #[error("{address} has seen a later operator: {reason}")]
    Fenced {
        /// Whom the operator spoke with.
        address: SocketAddr,
        /// The node's own words.
        reason: String,
    },
}

struct Link {
    connection: MultiplexedConnection,
    used: Instant,
    password: String,
}

/// All connections of this operator.
pub struct Links {
    open: Mutex<HashMap<Endpoint, Link>>,
    broken: UnboundedSender<ClusterKey>,
}

impl Links {
    /// No connections yet. The cluster of a connection that breaks is sent to `broken`.
    pub fn new(broken: UnboundedSender<ClusterKey>) -> Self {
        Self { open: Mutex::new(HashMap::new()), broken }
    }

    /// Sends a command that changes nothing, and gives the reply.
    pub async fn ask(&self, at: &Endpoint, password: &str, cmd: &Cmd) -> Result<Value, LinkError> {
        let ask = async {
            if let Some(mut kept) = self.kept(at, password) {
                match send(&mut kept, at, cmd).await {
                    // The pod may have a new container, at the same address.
                    Err(LinkError::Broken { .. }) => self.drop_link(at),
                    other => return other,
                }
            }
            let mut fresh = self.connect(at, password).await?;
            send(&mut fresh, at, cmd).await
        };
        self.in_time(at, ask).await
    }

    /// Sends a command under the fencing token, if the node with this id answers there, and gives
    /// the reply. An error other than [`LinkError::Refused`] leaves open whether it was done.
    pub async fn order(
        &self,
        at: &Endpoint,
        password: &str,
        token: u64,
        node_id: &str,
        cmd: &Cmd,
    ) -> Result<Value, LinkError> {
        let order = async {
            let kept = match self.kept(at, password) {
                Some(mut kept) => match introduce(&mut kept, at, token, node_id).await {
                    Ok(()) => Some(kept),
                    Err(LinkError::Broken { .. }) => {
                        self.drop_link(at);
                        None
                    }
                    Err(e) => return Err(e),
                },
                None => None,
            };
            let mut connection = match kept {
                Some(kept) => kept,
                None => {
                    let mut fresh = self.connect(at, password).await?;
                    introduce(&mut fresh, at, token, node_id).await?;
                    fresh
                }
            };
            send(&mut connection, at, cmd).await
        };
        self.in_time(at, order).await
    }

    async fn in_time(
        &self,
        at: &Endpoint,
        work: impl Future<Output = Result<Value, LinkError>>,
    ) -> Result<Value, LinkError> {
        let result = match tokio::time::timeout(DEADLINE, work).await {
            Ok(result) => result,
            Err(_) => Err(LinkError::Deadline(at.socket())),
        };
        if matches!(result, Err(LinkError::Deadline(_) | LinkError::Broken { .. })) {
            self.drop_link(at);
        }
        result
    }

    fn drop_link(&self, at: &Endpoint) {
        self.lock().remove(at);
    }

    fn kept(&self, at: &Endpoint, password: &str) -> Option<MultiplexedConnection> {
        let mut open = self.lock();
        let link = open.get_mut(at).filter(|link| link.password == password)?;
        link.used = Instant::now();
        Some(link.connection.clone())
    }

    async fn connect(
        &self,
        at: &Endpoint,
        password: &str,
    ) -> Result<MultiplexedConnection, LinkError> {
        let address = at.socket();
        let broken = |e: redis::RedisError| LinkError::Broken { address, reason: e.to_string() };
        let user = RedisConnectionInfo::default()
            .set_username(CONTROL_USER)
            .set_password(password)
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(DEADLINE));
        let stream = TcpStream::connect(address).await.map_err(|e| broken(e.into()))?;
        stream.set_nodelay(true).map_err(|e| broken(e.into()))?;
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&user, stream, config).await.map_err(broken)?;
        let (cluster, news) = (at.cluster.clone(), self.broken.clone());
        let made = Instant::now();
        tokio::spawn(async move {
            driver.await;
            if made.elapsed() >= NEWS_AGE_MIN {
                // Nobody listens only when the operator ends.
                let _ = news.send(cluster);
            }
        });
        let now = Instant::now();
        let mut open = self.lock();
        open.retain(|_, link| now.duration_since(link.used) < IDLE_MAX);
        let password = password.to_owned();
        let link = Link { connection: connection.clone(), used: now, password };
        open.insert(at.clone(), link);
        Ok(connection)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Endpoint, Link>> {
        // The map is whole at every moment, so a thread that panicked has not spoiled it.
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Says by which token commands come, and makes sure that the right node listens. Both each time:
/// what was remembered could belong to a connection that broke.
async fn introduce(
    connection: &mut MultiplexedConnection,
    at: &Endpoint,
    token: u64,
    node_id: &str,
) -> Result<(), LinkError> {
    let mut fence = redis::cmd("HOLDFAST");
    fence.arg("FENCE").arg(token);
    send(connection, at, &fence).await?;
    let mut who = redis::cmd("CLUSTER");
    who.arg("MYID");
    match send(connection, at, &who).await? {
        Value::BulkString(id) if id == node_id.as_bytes() => Ok(()),
        Value::SimpleString(id) if id == node_id => Ok(()),
        other => {
            let reason = format!("{node_id} was expected there, not {other:?}");
            Err(LinkError::OtherNode { address: at.socket(), reason })
        }
    }
}

async fn send(
    connection: &mut MultiplexedConnection,
    at: &Endpoint,
    cmd: &Cmd,
) -> Result<Value, LinkError> {
    let address = at.socket();
    let reply = connection.send_packed_command(cmd).await;
    reply.and_then(Value::extract_error).map_err(|e| {
        if e.is_io_error() || e.is_connection_dropped() || e.is_timeout() {
            LinkError::Broken { address, reason: e.to_string() }
        } else if e.code() == Some("FENCED") {
            LinkError::Fenced { address, reason: e.detail().unwrap_or_default().to_owned() }
        } else {
            let code = e.code().unwrap_or_default();
            let reason = format!("{code} {}", e.detail().unwrap_or_default()).trim().to_owned();
            LinkError::Refused { address, command: first_words(cmd), reason }
        }
    })
}

/// The command's name and subcommand, for logs; arguments may be long and are left out.
fn first_words(cmd: &Cmd) -> String {
    let words = cmd.args_iter().take(2).filter_map(|arg| match arg {
        redis::Arg::Simple(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
