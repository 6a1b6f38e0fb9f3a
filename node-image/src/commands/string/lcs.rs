//! The longest common subsequence of two strings.
//!
//! The classic table: `lengths[i][j]` is the length for the first `i` bytes of one and the first
//! `j` of the other; the way back through it finds the subsequence, and the runs of places in
//! which both strings go along with it.

use holdfast_store::Value;
use holdfast_wire::resp::ReplyBuf;

use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx};
use crate::config::Name;

#[derive(Debug, Default)]
struct Options {
    length: bool,
    indexes: bool,
    with_lengths: bool,
    shortest: i64,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut at = 3;
        while let Some(arg) = args.get(at) {
            if is_word(arg, "IDX") {
                options.indexes = true;
            } else if is_word(arg, "LEN") {
                options.length = true;
            } else if is_word(arg, "WITHMATCHLEN") {
                options.with_lengths = true;
            } else if is_word(arg, "MINMATCHLEN") {
                at += 1;
                options.shortest = integer(args.get(at).ok_or(CommandError::SYNTAX)?)?.max(0);
            } else {
                return Err(CommandError::SYNTAX);
            }
            at += 1;
        }
        if options.length && options.indexes {
            return Err(CommandError::new(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

/// A run of bytes that both strings have, both ends included.
struct Match {
    left: (usize, usize),
    right: (usize, usize),
}

struct Lengths {
    cells: Vec<u32>,
    width: usize,
}

impl Lengths {
    fn new(left: &[u8], right: &[u8]) -> Self {
        let width = right.len() + 1;
        let mut cells = vec![0_u32; (left.len() + 1) * width];
        for (i, a) in left.iter().enumerate() {
            let (above, below) = cells.split_at_mut((i + 1) * width);
            let above = &above[i * width..];
            let mut before = 0;
            for (j, b) in right.iter().enumerate() {
                before = if a == b { above[j] + 1 } else { above[j + 1].max(before) };
                below[j + 1] = before;
            }
        }
        Self { cells, width }
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    /// Goes back from the end: the subsequence, and its runs, the last first.
    fn trace(&self, left: &[u8], right: &[u8]) -> (Vec<u8>, Vec<Match>) {
        let (mut i, mut j) = (left.len(), right.len());
        let mut common = Vec::with_capacity(self.at(i, j) as usize);
        let mut matches: Vec<Match> = Vec::new();
        while i > 0 && j > 0 {
            if left[i - 1] == right[j - 1] {
                common.push(left[i - 1]);
                match matches.last_mut() {
                    Some(run) if run.left.0 == i && run.right.0 == j => {
                        run.left.0 = i - 1;
                        run.right.0 = j - 1;
                    }
                    _ => matches.push(Match { left: (i - 1, i - 1), right: (j - 1, j - 1) }),
                }
                i -= 1;
                j -= 1;
            } else if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        common.reverse();
        (common, matches)
    }
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n] [WITHMATCHLEN]`
pub(super) fn lcs(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let mut texts = Vec::with_capacity(2);
    for key in [args[1], args[2]] {
        texts.push(match ctx.keys().value(key) {
            Some(Value::String(string)) => string.text().to_vec(),
            None => Vec::new(),
            Some(_) => {
                return Err(CommandError::new("ERR The specified keys must contain string values"));
            }
        });
    }
    let [left, right] = &texts[..] else { return Err(CommandError::SYNTAX) };
    let options = Options::parse(args)?;
    let cells = (left.len() as u64 + 1).saturating_mul(right.len() as u64 + 1);
    if cells.saturating_mul(4) > ctx.core.config.size(Name::ProtoMaxBulkLen) as u64 {
        return Err(CommandError::new(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    let lengths = Lengths::new(left, right);
    if options.length {
        ctx.reply.integer(i64::from(lengths.at(left.len(), right.len())));
        return DONE;
    }
    let (common, matches) = lengths.trace(left, right);
    if options.indexes {
        write_matches(ctx.reply, &options, &matches, common.len());
    } else {
        ctx.reply.bulk(&common);
    }
    DONE
}

fn write_matches(reply: &mut ReplyBuf, options: &Options, matches: &[Match], total: usize) {
    let length = |run: &Match| (run.left.1 - run.left.0 + 1) as i64;
    let shown: Vec<&Match> = matches.iter().filter(|run| length(run) >= options.shortest).collect();
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(shown.len());
    for run in shown {
        reply.array(2 + usize::from(options.with_lengths));
        for (first, last) in [run.left, run.right] {
            reply.array(2);
            reply.integer(first as i64);
            reply.integer(last as i64);
        }
        if options.with_lengths {
            reply.integer(length(run));
        }
    }
    reply.bulk(b"len");
    reply.integer(total as i64);
}
