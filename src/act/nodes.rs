//! Commands to nodes: under the fencing token, and only to the node that was meant.
//!
//! Not known here: what a command is good for.

use super::effect::Order;
use super::{ActError, Effect};
use crate::link::LinkError;
use crate::observe::{Seen, endpoint};
use crate::world::World;

pub(super) async fn order(world: &World, seen: &Seen, order: &Order) -> Result<(), ActError> {
    let what = || Effect::Order(order.clone()).in_prose();
    // The plan names a pod and a node id; the address must still be that of the pod observed.
    let pod = seen.observed.pods.iter().find(|p| p.name == order.at.pod && p.ip == order.at.ip);
    let at = pod.and_then(|pod| endpoint(&seen.key, pod));
    let (Some(at), Some(password)) = (at, &seen.control_password) else {
        return Err(ActError::Unreachable { what: what() });
    };
    let (name, arguments) = match order.words.split_first() {
        Some((name, arguments)) => (name, arguments),
        None => return Ok(()),
    };
    let mut cmd = redis::cmd(name);
    for word in arguments {
        cmd.arg(word);
    }
    let node_id = order.at.node_id.to_string();
    let raised = world.leadership.raise_above(seen.highest_token()).await;
    raised.map_err(|source| ActError::Token { what: what(), source })?;
    let token = world.leadership.show_token();
    match world.links.order(&at, password, token, &node_id, &cmd).await {
        Ok(redis::Value::SimpleString(word)) if word.starts_with("IGNORED") => {
            tracing::info!(pod = order.at.pod, answer = word, "A node ignored what it was told.");
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(LinkError::Refused { reason, .. })
            if order.already.iter().any(|already| reason.starts_with(already)) =>
        {
            Ok(())
        }
        Err(source) => Err(ActError::Node { what: what(), source }),
    }
}
