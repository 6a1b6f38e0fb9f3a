//! SORT: the elements of a collection by their value, or by what other keys hold about them.
//!
//! Elements that compare equal are put in the order of their bytes, so that the result does not
//! depend on the way of sorting; only an ALPHA sort by other keys leaves them as they were.

use std::cmp::Ordering;

use holdfast_store::Value;
use holdfast_store::float;
use holdfast_store::list::{End, List};

use crate::commands::keyspace::{DONE, Ended, Keyspace};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

#[derive(Debug, Default)]
struct Options<'a> {
    by: Option<&'a [u8]>,
    unsorted: bool,
    limit: Option<(i64, i64)>,
    get: Vec<&'a [u8]>,
    descending: bool,
    alpha: bool,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// `patterns` is an error where patterns of other keys are refused.
    fn parse(
        args: &[&'a [u8]],
        read_only: bool,
        patterns: &impl Fn(&str) -> Result<(), CommandError>,
    ) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if is_word(arg, "ASC") {
                options.descending = false;
            } else if is_word(arg, "DESC") {
                options.descending = true;
            } else if is_word(arg, "ALPHA") {
                options.alpha = true;
            } else if is_word(arg, "LIMIT") {
                let [start, count] =
                    [args.next(), args.next()].map(|arg| arg.map(|arg| integer(arg)));
                let (start, count) =
                    (start.ok_or(CommandError::SYNTAX)??, count.ok_or(CommandError::SYNTAX)??);
                options.limit = Some((start, count));
            } else if is_word(arg, "STORE") && !read_only {
                options.store = Some(args.next().ok_or(CommandError::SYNTAX)?);
            } else if is_word(arg, "BY") {
                let pattern = args.next().ok_or(CommandError::SYNTAX)?;
                let names_keys = pattern.contains(&b'*');
                // Once said, it stays said, also in front of a pattern that names keys.
                options.unsorted |= !names_keys;
                if names_keys {
                    patterns("BY")?;
                }
                options.by = Some(pattern);
            } else if is_word(arg, "GET") {
                let pattern = args.next().ok_or(CommandError::SYNTAX)?;
                patterns("GET")?;
                options.get.push(pattern);
            } else {
                return Err(CommandError::SYNTAX);
            }
        }
        Ok(options)
    }

    /// The part of `len` elements that LIMIT leaves.
    fn part(&self, len: usize) -> (usize, usize) {
        let Some((start, count)) = self.limit else { return (0, len) };
        let start = (start.max(0) as usize).min(len);
        let count = if count < 0 { len } else { count as usize };
        (start, count.min(len - start))
    }
}

/// What a pattern names for an element: a string key, or a field of a hash key. `#` is the
/// element itself.
fn look_up(keys: &mut Keyspace<'_>, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let (before, after) = (pattern.get(..star)?, pattern.get(star + 1..)?);
    let arrow = after.windows(2).position(|two| two == b"->");
    // An arrow with nothing behind it belongs to the key's name.
    let arrow = arrow.filter(|arrow| arrow + 2 < after.len());
    let (after, field) = match arrow {
        Some(arrow) => (after.get(..arrow)?, after.get(arrow + 2..)),
        None => (after, None),
    };
    let key = [before, element, after].concat();
    match (keys.value(&key)?, field) {
        (Value::String(string), None) => Some(string.text().to_vec()),
        (Value::Hash(hash), Some(field)) => hash.get(field).map(<[u8]>::to_vec),
        _ => None,
    }
}

/// A number as SORT reads it: nothing counts as 0.
fn weight(text: &[u8]) -> Result<f64, CommandError> {
    let number = match text.trim_ascii_start() {
        b"" => Some(0.0),
        text => float::to_f64(text),
    };
    number.ok_or(CommandError::new("ERR One or more scores can't be converted into double"))
}

fn sorted(
    keys: &mut Keyspace<'_>,
    options: &Options<'_>,
    elements: Vec<Vec<u8>>,
) -> Result<Vec<Vec<u8>>, CommandError> {
    let mut weighed: Vec<(Option<Vec<u8>>, f64, Vec<u8>)> = Vec::with_capacity(elements.len());
    for element in elements {
        let by = match options.by {
            Some(pattern) => look_up(keys, pattern, &element),
            None => Some(element.clone()),
        };
        let number = if options.alpha { 0.0 } else { weight(by.as_deref().unwrap_or_default())? };
        weighed.push((by, number, element));
    }
    weighed.sort_by(|left, right| {
        let order = if options.alpha {
            left.0.cmp(&right.0)
        } else {
            let by_number = left.1.partial_cmp(&right.1).unwrap_or(Ordering::Equal);
            by_number.then_with(|| left.2.cmp(&right.2))
        };
        if options.descending { order.reverse() } else { order }
    });
    Ok(weighed.into_iter().map(|(_, _, element)| element).collect())
}

/// `SORT key [BY pattern] [LIMIT start count] [GET pattern...] [ASC|DESC] [ALPHA] [STORE key]`
pub(super) fn sort(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    sort_with(ctx, args, false)
}

/// `SORT_RO`: the same without STORE.
pub(super) fn sort_ro(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    sort_with(ctx, args, true)
}

/// The elements of a collection, in its own order where it has one.
fn elements(
    keys: &mut Keyspace<'_>,
    key: &[u8],
    options: &mut Options<'_>,
) -> Result<Vec<Vec<u8>>, CommandError> {
    let backwards = options.unsorted && options.descending;
    match keys.value(key) {
        None => Ok(Vec::new()),
        Some(Value::List(list)) => {
            let elements = list.iter().map(<[u8]>::to_vec);
            Ok(if backwards { elements.rev().collect() } else { elements.collect() })
        }
        Some(Value::Set(set)) => {
            if options.unsorted && options.store.is_some() {
                // What is stored must be the same on every replica, and a set has no order.
                (options.unsorted, options.alpha, options.by) = (false, true, None);
            }
            Ok(set.iter().map(|member| member.to_vec()).collect())
        }
        Some(Value::SortedSet(set)) => {
            let members = set.iter().map(|(member, _)| member.to_vec());
            Ok(if backwards { members.rev().collect() } else { members.collect() })
        }
        Some(_) => Err(CommandError::WRONG_TYPE),
    }
}

fn sort_with(ctx: &mut Ctx<'_>, args: &[&[u8]], read_only: bool) -> Ended {
    let cluster = ctx.core.is_cluster();
    let reads_all =
        ctx.is_replay() || crate::acl::reads_all_keys(ctx.core, ctx.client, ctx.command, args);
    let patterns = |option: &str| match (cluster, reads_all) {
        (true, _) => {
            Err(CommandError::text(format!("ERR {option} option of SORT denied in Cluster mode.")))
        }
        (_, false) => Err(CommandError::text(format!(
            "ERR {option} option of SORT denied due to insufficient ACL permissions."
        ))),
        _ => Ok(()),
    };
    let mut options = Options::parse(args.get(2..).unwrap_or_default(), read_only, &patterns)?;
    let mut keys = ctx.keys();
    let elements = elements(&mut keys, args[1], &mut options)?;
    let elements = if options.unsorted { elements } else { sorted(&mut keys, &options, elements)? };
    let (start, count) = options.part(elements.len());
    let mut output: Vec<Option<Vec<u8>>> = Vec::new();
    for element in elements.into_iter().skip(start).take(count) {
        if options.get.is_empty() {
            output.push(Some(element));
        } else {
            let looked_up = options.get.iter().map(|get| look_up(&mut keys, get, &element));
            output.extend(looked_up);
        }
    }
    match options.store {
        Some(target) => store(ctx, target, &output),
        None => {
            ctx.reply.array(output.len());
            for element in &output {
                match element {
                    Some(element) => ctx.reply.bulk(element),
                    None => ctx.reply.null(),
                }
            }
        }
    }
    DONE
}

/// Puts the result in a list; what is not there becomes an empty element.
fn store(ctx: &mut Ctx<'_>, target: &[u8], output: &[Option<Vec<u8>>]) {
    let mut keys = ctx.keys();
    let limits = keys.limits();
    let existed = keys.remove(target);
    if !output.is_empty() {
        let mut list = List::new();
        for element in output {
            list.push(End::Right, element.as_deref().unwrap_or_default(), &limits);
        }
        keys.set(target, list, None);
    }
    if existed || !output.is_empty() {
        ctx.touched(target);
        if output.is_empty() {
            ctx.effect(&[b"DEL", target]);
            ctx.notify(EventClass::Generic, "del", target);
        } else {
            ctx.effect_verbatim();
            ctx.notify(EventClass::List, "sortstore", target);
        }
    }
    ctx.reply.integer(output.len() as i64);
}
