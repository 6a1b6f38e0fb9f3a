//! MIGRATE: sends keys to another node and deletes them here once they have arrived.
//!
//! The work is done by a thread ([`crate::migration`]); the client waits for its reply and others
//! go on. Not known here: sockets.

use std::ops::Range;
use std::time::Duration;

use super::spec::{Begin, Find};
use super::{Categories, Command, CommandError, Ctx, Flags, Group, KeySpec, KeyUse, Outcome};
use crate::migration::{Credentials, Freight, take_named};

/// The commands of this file. With KEYS the third argument is an empty word and no key, which the
/// specifications cannot say: [`find_keys`] does.
pub const COMMANDS: &[Command] = &[Command {
    name: "migrate",
    arity: -6,
    flags: Flags::WRITE.and(Flags::MOVABLEKEYS).and(Flags::NO_MULTI).and(Flags::NOSCRIPT),
    extra_categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
    keys: &[
        KeySpec::one(KEY, KeyUse::Take),
        KeySpec {
            begin: Begin::Keyword("KEYS", -2),
            find: Find::Range { last: -1, step: 1, limit: 0 },
            usage: KeyUse::TakePerhaps,
        },
    ],
    find_keys: Some(find_keys),
    since: "2.6.0",
    summary: "Moves keys to another node.",
    group: Group::Generic,
    complexity: "O(N) where N is the size of the values",
    handler: migrate,
    ..Command::BLANK
}];

/// Where the key stands, or an empty word.
const KEY: usize = 3;
/// Where options begin.
const OPTIONS: usize = 6;

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
        contexts: crate::migration::contexts(&ctx.core.shared),
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

/// The one key, or those behind KEYS when its place is empty.
fn find_keys(args: &[&[u8]]) -> Option<(Range<usize>, KeyUse)> {
    let mut at = OPTIONS;
    while let Some(word) = args.get(at) {
        at += match word.to_ascii_lowercase().as_slice() {
            b"keys" if at + 1 == args.len() => break,
            b"keys" if args.get(KEY).is_some_and(|key| !key.is_empty()) => return None,
            b"keys" => return Some((at + 1..args.len(), KeyUse::Take)),
            b"auth" => 2,
            b"auth2" => 3,
            _ => 1,
        };
    }
    (args.len() > KEY).then_some((KEY..KEY + 1, KeyUse::Take))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_as_redis_finds_them() {
        let found = |line: &str| {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            find_keys(&words).map(|(keys, _)| keys)
        };
        // Two blanks in a row are an empty word.
        assert_eq!(found("MIGRATE h 1 key 0 10 COPY"), Some(3..4));
        assert_eq!(found("MIGRATE h 1  0 10 KEYS a b"), Some(7..9));
        assert_eq!(found("MIGRATE h 1 key 0 10 KEYS a b"), None);
        assert_eq!(found("MIGRATE h 1  0 10 COPY KEYS"), Some(3..4));
        assert_eq!(found("MIGRATE h 1  0 10 AUTH KEYS KEYS a"), Some(9..10));
        assert_eq!(found("MIGRATE h 1  0 10 AUTH2 KEYS KEYS KEYS a b"), Some(10..12));
        assert_eq!(found("MIGRATE h 1 key 0 10 AUTH keys"), Some(3..4));
        assert_eq!(found("MIGRATE"), None);
    }
}
