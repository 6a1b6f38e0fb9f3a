//! Commands on sorted sets that wait for a member.
//!
//! As with lists (`blocking_list.rs`): each first tries what its sister that does not wait would
//! do, and is run again from the start whenever one of its keys was written. What it then takes
//! reaches replicas as the sister's command.

use super::pop::{End, PopMany, take};
use crate::commands::keyspace::Ended;
use crate::commands::parse::deadline_ms;
use crate::commands::{Block, CommandError, Ctx, Outcome, TimeoutReply};

fn wait(keys: &[&[u8]], deadline_ms: Option<i64>) -> Ended {
    let keys = keys.iter().map(|key| key.to_vec()).collect();
    Ok(Outcome::Block(Block { keys, deadline_ms, timeout_reply: TimeoutReply::NullArray }))
}

fn pop(ctx: &mut Ctx<'_>, args: &[&[u8]], end: End) -> Ended {
    let (timeout, keys) = match args {
        [_, keys @ .., timeout] => (timeout, keys),
        _ => return Err(CommandError::SYNTAX),
    };
    let deadline_ms = deadline_ms(timeout, ctx.now_ms)?;
    for key in keys {
        let taken = match take(ctx, key, end, 1) {
            // A key that turned into something else is one more to wait for.
            Err(_) if ctx.woken => continue,
            result => result?,
        };
        let Some(taken) = taken else { continue };
        ctx.effect(&[end.pop_name(), key]);
        ctx.reply.array(3);
        ctx.reply.bulk(key);
        for (member, score) in &taken {
            ctx.reply.bulk(member);
            ctx.reply.double(*score);
        }
        return Ok(Outcome::Done);
    }
    wait(keys, deadline_ms)
}

/// `BZPOPMIN key... timeout`
pub(super) fn bzpopmin(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    pop(ctx, args, End::Min)
}

/// `BZPOPMAX key... timeout`
pub(super) fn bzpopmax(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    pop(ctx, args, End::Max)
}

/// `BZMPOP timeout numkeys key... MIN|MAX [COUNT n]`
pub(super) fn bzmpop(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let deadline_ms = deadline_ms(args[1], ctx.now_ms)?;
    let wish = PopMany::parse(args.get(2..).unwrap_or_default())?;
    if wish.run(ctx)? { Ok(Outcome::Done) } else { wait(wish.keys, deadline_ms) }
}
