//! List commands that wait for an element.
//!
//! Each first tries what its sister that does not wait would do. When there is nothing to take it
//! tells on which keys it waits, and is run again, from the start, whenever one of them was
//! written. What it then takes reaches replicas as the sister's command.
//!
//! Not known here: queues of waiting clients and time.

use holdfast_store::list::End;

use super::keyspace::Ended;
use super::list::ends::{PopMany, end, move_element, notify_taken, pop_name, take};
use super::parse::deadline_ms;
use super::{Block, CommandError, Ctx, Outcome, TimeoutReply};

/// Waits for the keys.
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
        ctx.touched(key);
        ctx.effect(&[pop_name(end), key]);
        notify_taken(ctx, key, end);
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        for element in &taken {
            ctx.reply.bulk(element);
        }
        return Ok(Outcome::Done);
    }
    wait(keys, deadline_ms)
}

/// `BLPOP key... timeout`
pub(super) fn blpop(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    pop(ctx, args, End::Left)
}

/// `BRPOP key... timeout`
pub(super) fn brpop(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    pop(ctx, args, End::Right)
}

/// `BLMPOP timeout numkeys key... LEFT|RIGHT [COUNT n]`
pub(super) fn blmpop(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let deadline_ms = deadline_ms(args[1], ctx.now_ms)?;
    let wish = PopMany::parse(args.get(2..).unwrap_or_default())?;
    if wish.run(ctx)? { Ok(Outcome::Done) } else { wait(wish.keys, deadline_ms) }
}

fn move_or_wait(
    ctx: &mut Ctx<'_>,
    source: (&[u8], End),
    target: (&[u8], End),
    deadline_ms: Option<i64>,
) -> Ended {
    let has_list = matches!(ctx.keys().list(source.0), Ok(Some(_)));
    if ctx.woken && !has_list {
        return wait(&[source.0], deadline_ms);
    }
    if move_element(ctx, source, target)? {
        return Ok(Outcome::Done);
    }
    if ctx.in_exec {
        // Where waiting is not possible the answer is the sister's, not that of a timeout.
        ctx.reply.null();
        return Ok(Outcome::Done);
    }
    wait(&[source.0], deadline_ms)
}

/// `BLMOVE source target LEFT|RIGHT LEFT|RIGHT timeout`
pub(super) fn blmove(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (from, to) = (end(args[3])?, end(args[4])?);
    let deadline_ms = deadline_ms(args[5], ctx.now_ms)?;
    move_or_wait(ctx, (args[1], from), (args[2], to), deadline_ms)
}

/// `BRPOPLPUSH source target timeout`
pub(super) fn brpoplpush(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let deadline_ms = deadline_ms(args[3], ctx.now_ms)?;
    move_or_wait(ctx, (args[1], End::Right), (args[2], End::Left), deadline_ms)
}
