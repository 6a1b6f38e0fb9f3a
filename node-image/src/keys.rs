//! Which arguments of a request are keys.
//!
//! Read off the key specifications of the command table, or found by the command itself. Not known
//! here: what the keys hold.

use crate::commands::Command;
use crate::commands::spec::{Begin, Find, KeySpec, KeyUse};

/// Calls `visit` with the position of each key and what is done with it; false when the request is
/// so formed that its keys cannot be told (the handler will refuse it).
pub fn visit(command: &Command, args: &[&[u8]], mut visit: impl FnMut(usize, KeyUse)) -> bool {
    if let Some(find) = command.find_keys {
        let Some((keys, usage)) = find(args) else { return false };
        keys.for_each(|at| visit(at, usage));
        return true;
    }
    let mut whole = true;
    for spec in command.keys {
        whole &= visit_spec(spec, args, &mut visit).is_some();
    }
    whole
}

/// Positions of all keys.
pub fn positions(command: &Command, args: &[&[u8]]) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    visit(command, args, |at, _| all.push(at)).then_some(all)
}

fn visit_spec(spec: &KeySpec, args: &[&[u8]], visit: &mut impl FnMut(usize, KeyUse)) -> Option<()> {
    let first = match spec.begin {
        Begin::Index(at) => at,
        Begin::Keyword(word, from) => match find_keyword(args, word, from) {
            Some(at) => at,
            None => return Some(()),
        },
    };
    let (first, last, step) = match spec.find {
        Find::Range { last, step, limit } => {
            let end = args.len();
            let last = match usize::try_from(last) {
                Ok(last) => first + last,
                Err(_) if limit > 1 => {
                    let from_end = last.unsigned_abs() as usize;
                    first + (end.checked_sub(first)? / limit).checked_sub(from_end)?
                }
                Err(_) => end.checked_sub(last.unsigned_abs() as usize)?,
            };
            (first, last, step)
        }
        Find::KeyNum { at, first: behind, step } => {
            let text = std::str::from_utf8(args.get(first + at)?).ok()?;
            let count: usize = text.parse().ok()?;
            let begin = first + behind;
            if count == 0 {
                return None;
            }
            (begin, begin.checked_add(count.checked_mul(step)?)?.checked_sub(step)?, step)
        }
        Find::Unknown => return None,
    };
    if last >= args.len() || first > last {
        return None;
    }
    for at in (first..=last).step_by(step.max(1)) {
        visit(at, spec.usage);
    }
    Some(())
}

/// Where the argument behind the keyword stands.
fn find_keyword(args: &[&[u8]], word: &str, from: i32) -> Option<usize> {
    let is_word =
        |at: &usize| args.get(*at).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    let found = match usize::try_from(from) {
        // STORE may be said more than once, and the last one counts.
        Ok(from) if word.starts_with("STORE") => last_store(args, from, is_word),
        Ok(from) => (from..args.len()).find(is_word),
        Err(_) => {
            let end = args.len().checked_sub(from.unsigned_abs() as usize)?;
            (1..=end).rev().find(is_word)
        }
    };
    found.map(|at| at + 1)
}

/// The last STORE with a key behind it that is not itself a pattern of BY or GET.
fn last_store(args: &[&[u8]], from: usize, is_word: impl Fn(&usize) -> bool) -> Option<usize> {
    let takes_pattern = |at: usize| {
        let arg = args.get(at).copied().unwrap_or_default();
        arg.eq_ignore_ascii_case(b"BY") || arg.eq_ignore_ascii_case(b"GET")
    };
    let mut found = None;
    let mut at = from;
    while at + 1 < args.len() {
        if is_word(&at) {
            found = Some(at);
        }
        at += if takes_pattern(at) { 2 } else { 1 };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(specs: &'static [KeySpec], request: &str) -> Option<Vec<usize>> {
        let command = Command { keys: specs, ..Command::BLANK };
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        positions(&command, &args)
    }

    #[test]
    fn keys_are_found_by_range_by_number_and_by_keyword() {
        const ONE: &[KeySpec] = &[KeySpec::one(1, KeyUse::Read)];
        const REST: &[KeySpec] = &[KeySpec::rest(1, 2, KeyUse::Overwrite)];
        const BUT_LAST: &[KeySpec] = &[KeySpec::range(1, -2, 1, KeyUse::Take)];
        const COUNTED: &[KeySpec] = &[KeySpec::counted(2, KeyUse::Take)];
        assert_eq!(keys(ONE, "get k"), Some(vec![1]));
        assert_eq!(keys(REST, "mset a 1 b 2"), Some(vec![1, 3]));
        assert_eq!(keys(BUT_LAST, "blpop a b 0"), Some(vec![1, 2]));
        assert_eq!(keys(COUNTED, "blmpop 0 2 a b left"), Some(vec![3, 4]));
        assert_eq!(keys(COUNTED, "blmpop 0 9 a b left"), None);
        assert_eq!(keys(COUNTED, "blmpop 0 18446744073709551615 a b left"), None);
        const STORE: &[KeySpec] = &[
            KeySpec::one(1, KeyUse::Read),
            KeySpec {
                begin: Begin::Keyword("STORE", 2),
                find: Find::Range { last: 0, step: 1, limit: 0 },
                usage: KeyUse::Overwrite,
            },
        ];
        assert_eq!(keys(STORE, "sort k desc store d"), Some(vec![1, 4]));
        assert_eq!(keys(STORE, "sort k desc"), Some(vec![1]));
        assert_eq!(keys(STORE, "sort k store a store b"), Some(vec![1, 5]));
        assert_eq!(keys(STORE, "sort k store a by store desc"), Some(vec![1, 3]));
        assert_eq!(keys(STORE, "sort k store store"), Some(vec![1, 3]));
        const KEYS: &[KeySpec] = &[KeySpec {
            begin: Begin::Keyword("KEYS", -2),
            find: Find::Range { last: -1, step: 1, limit: 0 },
            usage: KeyUse::Update,
        }];
        assert_eq!(keys(KEYS, "migrate h p  0 9 keys a b"), Some(vec![7, 8]));
    }
}
