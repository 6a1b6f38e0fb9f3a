//! MIGRATE: sends keys to another node and deletes them here once they have arrived.
//!
//! The work is done by a thread ([`crate::migration`]); the client waits for its reply and others
//! go on. Not known here: sockets.

use std::time::Duration;

use holdfast_cluster::{Access, Presence, Route};
use holdfast_wire::slot::key_slot;

use super::{Categories, Command, CommandError, Ctx, Flags, Group, Outcome};
use crate::migration::{Credentials, Freight, take_named};

/// The commands of this file. The keys are found by the handler: with KEYS the third argument is
/// an empty word and no key, which the table's specifications cannot say.
pub const COMMANDS: &[Command] = &[Command {
    name: "migrate",
    arity: -6,
    flags: Flags::WRITE.and(Flags::MOVABLEKEYS).and(Flags::NO_MULTI).and(Flags::NOSCRIPT),
    extra_categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
    since: "2.6.0",
    summary: "Moves keys to another node.",
    group: Group::Generic,
    complexity: "O(N) where N is the size of the values",
    handler: migrate,
    ..Command::BLANK
}];

/// What was asked, apart from the keys.
#[derive(Default)]
struct Options {
    copy: bool,
    replace: bool,
    credentials: Credentials,
}

/// `MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password | AUTH2 user password]
/// [KEYS key [key ...]]`.
fn migrate(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let [_, host, port, key, db, timeout, rest @ ..] = args else {
        return Err(CommandError::wrong_arity("migrate"));
    };
    let (options, listed) = options(rest)?;
    let keys = match listed {
        None => std::slice::from_ref(key),
        Some(keys) if key.is_empty() => keys,
        Some(_) => {
            return Err(CommandError::new(
                "ERR When using MIGRATE KEYS option, the key argument must be set to the empty \
                 string",
            ));
        }
    };
    let timeout_ms = u64::try_from(number(timeout)?).ok().filter(|ms| *ms > 0).unwrap_or(1000);
    let db = usize::try_from(number(db)?).map_err(|_| CommandError::NOT_AN_INTEGER)?;
    served_here(ctx, keys)?;
    let port = number(port)?;
    let port = u16::try_from(port)
        .map_err(|_| CommandError::new("IOERR error or timeout connecting to the client"));
    let Some(batch) = take_named(ctx.core, ctx.db, keys)? else {
        ctx.reply.simple("NOKEY");
        return Ok(Outcome::Done);
    };
    let token = ctx.promise();
    let freight = Freight {
        lock: batch.lock,
        keys: batch.keys,
        target: (String::from_utf8_lossy(host).into_owned(), port?, options.credentials),
        db,
        replace: options.replace,
        copy: options.copy,
        timeout: Duration::from_millis(timeout_ms),
        token,
    };
    ctx.core.migrations.movers.send(freight, ctx.core.to_core.clone());
    Ok(Outcome::Promised(token))
}

fn number(word: &[u8]) -> Result<i64, CommandError> {
    let text = std::str::from_utf8(word).ok();
    text.and_then(|text| text.parse().ok()).ok_or(CommandError::NOT_AN_INTEGER)
}

type Listed<'a> = Option<&'a [&'a [u8]]>;

fn options<'a>(words: &'a [&'a [u8]]) -> Result<(Options, Listed<'a>), CommandError> {
    let mut options = Options::default();
    let mut rest = words;
    while let Some((word, behind)) = rest.split_first() {
        rest = match (word.to_ascii_lowercase().as_slice(), behind) {
            (b"copy", _) => {
                options.copy = true;
                behind
            }
            (b"replace", _) => {
                options.replace = true;
                behind
            }
            (b"auth", [password, behind @ ..]) => {
                options.credentials.password = Some(password.to_vec());
                behind
            }
            (b"auth2", [user, password, behind @ ..]) => {
                options.credentials.user = user.to_vec();
                options.credentials.password = Some(password.to_vec());
                behind
            }
            (b"keys", keys) if !keys.is_empty() => return Ok((options, Some(keys))),
            _ => return Err(CommandError::SYNTAX),
        };
    }
    Ok((options, None))
}

/// In a cluster the keys lie in one slot, and MIGRATE is served wherever that slot is in motion.
fn served_here(ctx: &Ctx<'_>, keys: &[&[u8]]) -> Result<(), CommandError> {
    if !ctx.core.is_cluster() {
        return Ok(());
    }
    let mut slots = keys.iter().map(|key| key_slot(key));
    let Some(slot) = slots.next() else { return Ok(()) };
    if slots.any(|other| other != slot) {
        return Err(CommandError::new("CROSSSLOT Keys in request don't hash to the same slot"));
    }
    let access =
        Access { write: true, migrate: true, multiple_keys: keys.len() > 1, ..Access::default() };
    match ctx.core.routing.route(slot, access, || Presence::All) {
        Route::Here => Ok(()),
        other => Err(CommandError::text(other.error(slot).unwrap_or_default())),
    }
}
