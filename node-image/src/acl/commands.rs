//! Which commands a selector allows.
//!
//! ```text
//!   rules     -@all  +@read  -keys  +client|id          what was said, in order: what LIST shows
//!   allowed   0110 1001 ...                             a bit for each command and subcommand
//!   firsts    select -> {"0"}                           `+select|0`: only with this first argument
//! ```
//!
//! The bits decide; the rules are kept so that they can be shown and saved. A rule that makes
//! earlier ones void replaces them, and one that changes nothing is not kept, so that the rules do
//! not grow with repetition. Invariant: applying the rules to an empty set gives the bits.
//!
//! Not known here: keys, channels, users.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use super::rule::RuleError;
use crate::commands::{Command, Flags, table};

/// Categories in the order of ACL CAT.
pub const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// All commands and subcommands with a number each.
struct Numbered {
    commands: Vec<&'static Command>,
    by_address: HashMap<usize, usize>,
}

static NUMBERED: LazyLock<Numbered> = LazyLock::new(|| {
    let mut commands = Vec::new();
    for command in table::all() {
        commands.push(*command);
        commands.extend(command.subcommands);
    }
    let address = |(number, command): (usize, &&'static Command)| (address(command), number);
    let by_address = commands.iter().enumerate().map(address).collect();
    Numbered { commands, by_address }
});

fn address(command: &Command) -> usize {
    std::ptr::from_ref(command).addr()
}

fn number(command: &Command) -> Option<usize> {
    NUMBERED.by_address.get(&address(command)).copied()
}

/// The name of a command, for a subcommand `container|name`.
pub fn full_name(command: &Command) -> String {
    match table::full_name(command) {
        ("", name) => name.to_owned(),
        (container, name) => format!("{container}|{name}"),
    }
}

/// The command of a full name.
pub fn find(name: &str) -> Option<&'static Command> {
    match name.split_once('|') {
        None => table::find(name.as_bytes()),
        Some((container, sub)) => {
            table::find_subcommand(table::find(container.as_bytes())?, sub.as_bytes())
        }
    }
}

/// Commands and subcommands of a category, by their full names.
pub fn of_category(category: &str) -> Vec<String> {
    let category = format!("@{category}");
    let belongs = |command: &&&Command| command.categories().contains(&category.as_str());
    NUMBERED.commands.iter().filter(belongs).map(|command| full_name(command)).collect()
}

/// A set of commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSet {
    /// Every command, also those of later versions.
    all: bool,
    allowed: Vec<u64>,
    firsts: BTreeMap<usize, Vec<String>>,
    rules: Vec<String>,
}

impl Default for CommandSet {
    fn default() -> Self {
        let words = NUMBERED.commands.len().div_ceil(64);
        let rules = vec!["-@all".to_owned()];
        CommandSet { all: false, allowed: vec![0; words], firsts: BTreeMap::new(), rules }
    }
}

impl CommandSet {
    /// True when nothing is forbidden.
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// Whether a request may run. Who may say nothing else may still authenticate.
    pub fn allows(&self, command: &Command, args: &[&[u8]]) -> bool {
        if self.all || command.flags.has(Flags::NO_AUTH) {
            return true;
        }
        let Some(number) = number(command) else { return false };
        self.has(number)
            || self.firsts.get(&number).is_some_and(|firsts| {
                let first = args.get(1).copied().unwrap_or_default();
                firsts.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(first))
            })
    }

    /// The rules as ACL LIST shows them.
    pub fn shown(&self) -> String {
        self.rules.join(" ")
    }

    /// Applies `+what` or `-what`: a command, a subcommand, a command with a first argument, or a
    /// category with its `@`.
    pub fn apply(&mut self, allow: bool, what: &str) -> Result<(), RuleError> {
        let what = what.to_ascii_lowercase();
        let sign = if allow { '+' } else { '-' };
        let before = (self.all, self.allowed.clone(), self.firsts.clone());
        let was_nothing =
            !self.all && self.firsts.is_empty() && self.allowed.iter().all(|w| *w == 0);
        match what.strip_prefix('@') {
            Some("all") => {
                *self = CommandSet::default();
                if allow {
                    self.all = true;
                    self.allowed.fill(u64::MAX);
                }
                self.rules = vec![format!("{sign}@all")];
                return Ok(());
            }
            Some(category) => self.apply_category(allow, category)?,
            None => self.apply_command(allow, &what)?,
        }
        // What cannot change anything, now or in a later version, is no rule.
        let void = if allow { before.0 } else { was_nothing };
        let known = self.rules.len();
        self.rules.retain(|rule| !replaces(&what, rule.get(1..).unwrap_or_default()));
        let same = before == (self.all, self.allowed.clone(), self.firsts.clone());
        let of_command = !what.starts_with('@');
        if !(void || (of_command && same && self.rules.len() == known)) {
            self.rules.push(format!("{sign}{what}"));
        }
        Ok(())
    }

    fn apply_category(&mut self, allow: bool, category: &str) -> Result<(), RuleError> {
        if !CATEGORIES.contains(&category) {
            return Err(RuleError::UnknownCommand);
        }
        let category = format!("@{category}");
        for command in &NUMBERED.commands {
            if command.categories().contains(&category.as_str()) {
                self.set_with_subcommands(command, allow);
            }
        }
        Ok(())
    }

    fn apply_command(&mut self, allow: bool, what: &str) -> Result<(), RuleError> {
        if let Some(command) = find(what) {
            self.set_with_subcommands(command, allow);
            return Ok(());
        }
        let (name, first) = what.rsplit_once('|').ok_or(RuleError::UnknownCommand)?;
        let command = find(name).ok_or(RuleError::UnknownCommand)?;
        if !allow {
            return Err(RuleError::UnknownCommand);
        }
        if !command.container.is_empty() {
            return Err(RuleError::FirstOfSubcommand);
        }
        if first.is_empty() {
            return Err(RuleError::Syntax);
        }
        // What DEBUG can do differs from server to server: rules may name what this one lacks.
        if !command.subcommands.is_empty() && command.name != "debug" {
            return Err(RuleError::UnknownCommand);
        }
        if let Some(number) = number(command)
            && !self.has(number)
        {
            let firsts = self.firsts.entry(number).or_default();
            if !firsts.iter().any(|known| known == first) {
                firsts.push(first.to_owned());
            }
        }
        Ok(())
    }

    fn has(&self, number: usize) -> bool {
        self.allowed.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn set_with_subcommands(&mut self, command: &Command, allow: bool) {
        self.set(command, allow);
        for sub in command.subcommands {
            self.set(sub, allow);
        }
    }

    fn set(&mut self, command: &Command, allow: bool) {
        let Some(number) = number(command) else { return };
        self.firsts.remove(&number);
        if let Some(word) = self.allowed.get_mut(number / 64) {
            let bit = 1 << (number % 64);
            *word = if allow { *word | bit } else { *word & !bit };
        }
        self.all &= allow;
    }
}

/// Whether a rule on `new` makes an earlier one on `old` void: the same, or the whole of which the
/// old one named a part.
fn replaces(new: &str, old: &str) -> bool {
    old.strip_prefix(new)
        .is_some_and(|rest| rest.is_empty() || (rest.starts_with('|') && !new.starts_with('@')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(rules: &str) -> CommandSet {
        let mut set = CommandSet::default();
        for rule in rules.split_whitespace() {
            set.apply(rule.starts_with('+'), &rule[1..]).unwrap();
        }
        set
    }

    fn allows(set: &CommandSet, request: &str) -> bool {
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let mut command = table::find(args[0]).unwrap();
        if let Some(sub) = args.get(1).and_then(|sub| table::find_subcommand(command, sub)) {
            command = sub;
        }
        set.allows(command, &args)
    }

    #[test]
    fn the_last_rule_that_names_a_command_decides() {
        let rules = set("+@all -@string +incr -client +client|id");
        for (request, allowed) in [
            ("del k", true),
            ("get k", false),
            ("incr k", true),
            ("client id", true),
            ("client list", false),
        ] {
            assert_eq!(allows(&rules, request), allowed, "{request}");
        }
        assert!(allows(&set("-@all"), "auth x"), "everybody may authenticate");
    }

    #[test]
    fn a_first_argument_can_be_the_only_one_allowed() {
        let rules = set("+select|0");
        assert!(allows(&rules, "select 0") && !allows(&rules, "select 1"));
        assert_eq!(rules.shown(), "-@all +select|0");
        assert!(allows(&set("+select|0 +select"), "select 1"));
    }

    #[test]
    fn rules_that_became_void_are_not_shown() {
        for (said, shown) in [
            ("+memory|usage +memory", "-@all +memory"),
            ("+@all +client|id", "+@all"),
            ("+@all -memory|usage -memory", "+@all -memory"),
            ("+get -@all", "-@all"),
            ("-get", "-@all"),
            ("+@read +@read", "-@all +@read"),
            ("+get +getdel -get", "-@all +getdel -get"),
        ] {
            assert_eq!(set(said).shown(), shown, "{said}");
        }
    }

    #[test]
    fn each_category_is_shown_as_it_was_said() {
        for category in CATEGORIES {
            assert_eq!(set(&format!("+@all -@{category}")).shown(), format!("+@all -@{category}"));
            assert_eq!(set(&format!("+@{category}")).shown(), format!("-@all +@{category}"));
        }
    }

    #[test]
    fn what_names_no_command_is_refused() {
        let mut rules = CommandSet::default();
        for (rule, error) in [
            ("nosuch", RuleError::UnknownCommand),
            ("@nosuch", RuleError::UnknownCommand),
            ("config|nosuch", RuleError::UnknownCommand),
            ("config|get|appendonly", RuleError::FirstOfSubcommand),
            ("get|a|b", RuleError::UnknownCommand),
            ("select|", RuleError::Syntax),
        ] {
            assert_eq!(rules.apply(true, rule), Err(error), "{rule}");
        }
        assert_eq!(rules.apply(false, "select|0"), Err(RuleError::UnknownCommand));
    }
}
