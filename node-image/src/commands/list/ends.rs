//! Adding and taking at the ends of lists, and moving from one to another.
//!
//! A key whose last element goes is gone. What was taken by a command that names several keys
//! reaches replicas as LPOP or RPOP of the one key that had something.

use holdfast_store::list::{End, List};
use holdfast_store::number::IntText;

use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::commands::parse::{count, is_word, pop_many};
use crate::commands::{CommandError, Ctx, Outcome};
use crate::notify::EventClass;

/// The end that a word means.
pub(in crate::commands) fn end(arg: &[u8]) -> Result<End, CommandError> {
    if is_word(arg, "LEFT") {
        Ok(End::Left)
    } else if is_word(arg, "RIGHT") {
        Ok(End::Right)
    } else {
        Err(CommandError::SYNTAX)
    }
}

fn push(ctx: &mut Ctx<'_>, args: &[&[u8]], end: End, missing: Missing) -> Ended {
    let len = ctx.keys().change_list(args[1], missing, |list, limits| {
        args.iter().skip(2).for_each(|element| list.push(end, element, limits));
        list.len()
    })?;
    if len.is_some() {
        ctx.changed_by(EventClass::List, push_event(end), args[1]);
    }
    ctx.reply.integer(len.unwrap_or(0) as i64);
    DONE
}

/// `LPUSH key element...`
pub(super) fn lpush(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    push(ctx, args, End::Left, Missing::Create)
}

/// `RPUSH key element...`
pub(super) fn rpush(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    push(ctx, args, End::Right, Missing::Create)
}

/// `LPUSHX key element...`
pub(super) fn lpushx(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    push(ctx, args, End::Left, Missing::Skip)
}

/// `RPUSHX key element...`
pub(super) fn rpushx(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    push(ctx, args, End::Right, Missing::Skip)
}

/// Takes at most `count` elements; `None` without a key.
pub(in crate::commands) fn take(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    end: End,
    count: usize,
) -> Result<Option<Vec<Box<[u8]>>>, CommandError> {
    ctx.keys().change_list(key, Missing::Skip, |list, _| {
        (0..count.min(list.len())).filter_map(|_| list.pop(end)).collect()
    })
}

fn push_event(end: End) -> &'static str {
    match end {
        End::Left => "lpush",
        End::Right => "rpush",
    }
}

/// Tells that elements were taken from an end, and whether the list went with them.
pub(in crate::commands) fn notify_taken(ctx: &mut Ctx<'_>, key: &[u8], end: End) {
    let event = match end {
        End::Left => "lpop",
        End::Right => "rpop",
    };
    ctx.notify(EventClass::List, event, key);
    ctx.notify_if_gone(key);
}

/// The command that takes from an end.
pub(in crate::commands) fn pop_name(end: End) -> &'static [u8] {
    match end {
        End::Left => b"LPOP",
        End::Right => b"RPOP",
    }
}

fn pop(ctx: &mut Ctx<'_>, args: &[&[u8]], end: End) -> Ended {
    let key = args[1];
    let wanted = match args {
        [_, _] => None,
        [_, _, arg] => Some(count(arg)?),
        _ => return Err(CommandError::wrong_arity(ctx.command.name)),
    };
    if wanted == Some(0) {
        // Nothing is taken, but whether there is a list still shows.
        match ctx.keys().list(key)? {
            Some(_) => ctx.reply.array(0),
            None => ctx.reply.null_array(),
        }
        return DONE;
    }
    let Some(taken) = take(ctx, key, end, wanted.unwrap_or(1))? else {
        match wanted {
            Some(_) => ctx.reply.null_array(),
            None => ctx.reply.null(),
        }
        return DONE;
    };
    ctx.changed(key);
    notify_taken(ctx, key, end);
    if wanted.is_some() {
        ctx.reply.array(taken.len());
    }
    for element in &taken {
        ctx.reply.bulk(element);
    }
    DONE
}

/// `LPOP key [count]`
pub(super) fn lpop(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    pop(ctx, args, End::Left)
}

/// `RPOP key [count]`
pub(super) fn rpop(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    pop(ctx, args, End::Right)
}

/// What LMPOP and BLMPOP ask for.
pub(in crate::commands) struct PopMany<'a> {
    pub(in crate::commands) keys: &'a [&'a [u8]],
    pub(in crate::commands) end: End,
    pub(in crate::commands) count: usize,
}

impl<'a> PopMany<'a> {
    /// `numkeys key... LEFT|RIGHT [COUNT n]`
    pub(in crate::commands) fn parse(args: &'a [&'a [u8]]) -> Result<Self, CommandError> {
        let (keys, end, count) = pop_many(args, end)?;
        Ok(Self { keys, end, count })
    }

    /// Takes from the first key that has a list and writes the reply; false without any.
    pub(in crate::commands) fn run(&self, ctx: &mut Ctx<'_>) -> Result<bool, CommandError> {
        for key in self.keys {
            let taken = match take(ctx, key, self.end, self.count) {
                // BLMPOP goes on waiting for a key that turned into something else.
                Err(_) if ctx.woken => continue,
                result => result?,
            };
            let Some(taken) = taken else { continue };
            ctx.touched(key);
            ctx.effect(&[pop_name(self.end), key, &IntText::new(taken.len() as i64)]);
            notify_taken(ctx, key, self.end);
            ctx.reply.array(2);
            ctx.reply.bulk(key);
            ctx.reply.array(taken.len());
            for element in &taken {
                ctx.reply.bulk(element);
            }
            return Ok(true);
        }
        Ok(false)
    }
}

/// `LMPOP numkeys key... LEFT|RIGHT [COUNT n]`
pub(super) fn lmpop(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let wish = PopMany::parse(args.get(1..).unwrap_or_default())?;
    if !wish.run(ctx)? {
        ctx.reply.null_array();
    }
    DONE
}

/// Moves an element and writes the reply; false, and nothing written, without a source.
pub(in crate::commands) fn move_element(
    ctx: &mut Ctx<'_>,
    (source, from): (&[u8], End),
    (target, to): (&[u8], End),
) -> Result<bool, CommandError> {
    if ctx.keys().list(source)?.is_none() {
        return Ok(false);
    }
    // Both must be lists before anything is taken.
    ctx.keys().list(target)?;
    let element = ctx.keys().change_list(source, Missing::Skip, |list, limits| {
        let element = list.pop(from)?;
        if source == target {
            // The key must not go in between, with its expiry, when this is its only element.
            list.push(to, &element, limits);
        }
        Some(element)
    })?;
    let Some(Some(element)) = element else { return Ok(false) };
    if source != target {
        ctx.keys().change_list(target, Missing::Create, |list, limits| {
            list.push(to, &element, limits);
        })?;
    }
    ctx.touched(source);
    ctx.touched(target);
    let word = |end| if end == End::Left { &b"LEFT"[..] } else { b"RIGHT" };
    if ctx.command.name.ends_with("rpoplpush") {
        ctx.effect(&[b"RPOPLPUSH", source, target]);
    } else {
        ctx.effect(&[b"LMOVE", source, target, word(from), word(to)]);
    }
    ctx.notify(EventClass::List, push_event(to), target);
    notify_taken(ctx, source, from);
    ctx.reply.bulk(&element);
    Ok(true)
}

/// `LMOVE source target LEFT|RIGHT LEFT|RIGHT`
pub(super) fn lmove(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (from, to) = (end(args[3])?, end(args[4])?);
    if !move_element(ctx, (args[1], from), (args[2], to))? {
        ctx.reply.null();
    }
    DONE
}

/// `RPOPLPUSH source target`
pub(super) fn rpoplpush(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    if !move_element(ctx, (args[1], End::Right), (args[2], End::Left))? {
        ctx.reply.null();
    }
    DONE
}

/// `LLEN key`
pub(super) fn llen(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let len = ctx.keys().list(args[1])?.map_or(0, List::len);
    ctx.reply.integer(len as i64);
    Ok(Outcome::Done)
}
