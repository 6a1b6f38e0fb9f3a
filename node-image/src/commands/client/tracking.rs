//! CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO: asking to be told of changes.
//!
//! Not known here: who is told, and when (`crate::tracking`).

use holdfast_store::number::parse_i64;

use super::me;
use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::is_word;
use crate::commands::{CommandError, Ctx};
use crate::tracking::Tracking;

fn text(text: &'static str) -> CommandError {
    CommandError::new(text)
}

fn redirect(ctx: &Ctx<'_>, before: Option<u64>, arg: &[u8]) -> Result<Option<u64>, CommandError> {
    if before.is_some() {
        return Err(text("ERR A client can only redirect to a single other client"));
    }
    let serial = parse_i64(arg).ok_or(CommandError::NOT_AN_INTEGER)?;
    let known = u64::try_from(serial).ok().filter(|s| ctx.core.clients.by_serial(*s).is_some());
    // It must exist now, so that a mistake is seen at once.
    let missing = text("ERR The client ID you want redirect to does not exist");
    known.map(Some).ok_or(missing)
}

fn parse(ctx: &Ctx<'_>, words: &[&[u8]]) -> Result<(Tracking, Vec<Vec<u8>>), CommandError> {
    let mut wish = Tracking::default();
    let mut prefixes = Vec::new();
    let mut rest = words;
    loop {
        rest = match rest {
            [] => return Ok((wish, prefixes)),
            [word, serial, others @ ..] if is_word(word, "REDIRECT") => {
                wish.redirect = redirect(ctx, wish.redirect, serial)?;
                others
            }
            [word, prefix, others @ ..] if is_word(word, "PREFIX") => {
                prefixes.push(prefix.to_vec());
                others
            }
            [word, others @ ..] => {
                let option = [
                    ("BCAST", &mut wish.broadcast),
                    ("OPTIN", &mut wish.opt_in),
                    ("OPTOUT", &mut wish.opt_out),
                    ("NOLOOP", &mut wish.no_loop),
                ];
                let option = option.into_iter().find(|(name, _)| is_word(word, name));
                *option.ok_or(CommandError::SYNTAX)?.1 = true;
                others
            }
        };
    }
}

/// What does not go together, within the wish and with what is on already.
fn check(
    wish: &Tracking,
    prefixes: &[Vec<u8>],
    before: Option<&Tracking>,
) -> Result<(), CommandError> {
    if !wish.broadcast && !prefixes.is_empty() {
        return Err(text("ERR PREFIX option requires BCAST mode to be enabled"));
    }
    if before.is_some_and(|before| before.broadcast != wish.broadcast) {
        return Err(text(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, \
             and then re-enabling it with a different mode.",
        ));
    }
    if wish.broadcast && (wish.opt_in || wish.opt_out) {
        return Err(text("ERR OPTIN and OPTOUT are not compatible with BCAST"));
    }
    if wish.opt_in && wish.opt_out {
        return Err(text("ERR You can't specify both OPTIN mode and OPTOUT mode"));
    }
    let switches =
        |before: &Tracking| (wish.opt_in && before.opt_out) || (wish.opt_out && before.opt_in);
    if before.is_some_and(switches) {
        return Err(text(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, \
             and then re-enabling it with a different mode.",
        ));
    }
    for (at, prefix) in prefixes.iter().enumerate() {
        let overlaps = |other: &&Vec<u8>| prefix.starts_with(other) || other.starts_with(prefix);
        let old = before.and_then(|before| before.prefixes.iter().find(overlaps));
        if let Some(old) = old {
            return Err(collision(prefix, "an existing prefix", old));
        }
        if let Some(other) = prefixes.iter().skip(at + 1).find(overlaps) {
            return Err(collision(prefix, "another provided prefix", other));
        }
    }
    Ok(())
}

fn collision(prefix: &[u8], what: &str, other: &[u8]) -> CommandError {
    CommandError::text(format!(
        "ERR Prefix '{}' overlaps with {what} '{}'. Prefixes for a single client must not overlap.",
        String::from_utf8_lossy(prefix),
        String::from_utf8_lossy(other)
    ))
}

/// `CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX p...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]`
pub(super) fn tracking(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut wish, prefixes) = parse(ctx, args.get(3..).unwrap_or_default())?;
    let on = super::on_or_off(args.get(2))?;
    if on {
        check(&wish, &prefixes, me(ctx)?.tracking.as_deref())?;
        wish.prefixes = prefixes.into_iter().collect();
        ctx.core.start_tracking(ctx.client, wish);
    } else {
        ctx.core.stop_tracking(ctx.client);
    }
    ctx.reply.ok();
    DONE
}

/// `CLIENT CACHING YES|NO`
pub(super) fn caching(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let word = args.get(2).copied().unwrap_or_default();
    let tracking = me(ctx)?.tracking.as_deref_mut().filter(|t| t.opt_in || t.opt_out);
    let tracking = tracking.ok_or(text(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
         OPTOUT mode enabled",
    ))?;
    if is_word(word, "YES") {
        if !tracking.opt_in {
            return Err(text(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
    } else if is_word(word, "NO") {
        if !tracking.opt_out {
            return Err(text(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
    } else {
        return Err(CommandError::SYNTAX);
    }
    tracking.caching = true;
    ctx.reply.ok();
    DONE
}

/// Whom CLIENT LIST and others name as the one that is told: -1 without tracking, 0 the client.
pub(super) fn redirection(tracking: Option<&Tracking>) -> i64 {
    tracking.map_or(-1, |tracking| tracking.redirect.map_or(0, |serial| serial as i64))
}

/// `CLIENT GETREDIR`
pub(super) fn getredir(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Ended {
    let serial = redirection(me(ctx)?.tracking.as_deref());
    ctx.reply.integer(serial);
    DONE
}

/// `CLIENT TRACKINGINFO`
pub(super) fn trackinginfo(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Ended {
    let tracking = me(ctx)?.tracking.as_deref().cloned();
    let mut flags = vec![if tracking.is_some() { "on" } else { "off" }];
    let wish = tracking.clone().unwrap_or_default();
    let all = [
        (wish.broadcast, "bcast"),
        (wish.opt_in, "optin"),
        (wish.opt_in && wish.caching, "caching-yes"),
        (wish.opt_out, "optout"),
        (wish.opt_out && wish.caching, "caching-no"),
        (wish.no_loop, "noloop"),
        (wish.broken, "broken_redirect"),
    ];
    flags.extend(all.iter().filter(|(on, _)| *on).map(|(_, name)| name));
    ctx.reply.map(3);
    ctx.reply.bulk_str("flags");
    ctx.reply.set(flags.len());
    flags.iter().for_each(|flag| ctx.reply.bulk_str(flag));
    ctx.reply.bulk_str("redirect");
    ctx.reply.integer(redirection(tracking.as_ref()));
    ctx.reply.bulk_str("prefixes");
    ctx.reply.array(wish.prefixes.len());
    wish.prefixes.iter().for_each(|prefix| ctx.reply.bulk(prefix));
    DONE
}
