//! The one table of commands.
//!
//! The slices of the files beside this one, joined and sorted by name once. Not known here: what
//! any of them does.

use std::sync::LazyLock;

use super::{Command, CommandError, Ctx, Outcome};

const FAMILIES: &[&[Command]] = &[
    super::acl::COMMANDS,
    super::bitmap::COMMANDS,
    super::client::COMMANDS,
    super::cluster::COMMANDS,
    super::command::COMMANDS,
    super::config::COMMANDS,
    super::connection::COMMANDS,
    super::debug::COMMANDS,
    super::expire::COMMANDS,
    super::function::COMMANDS,
    super::generic::COMMANDS,
    super::geo::COMMANDS,
    super::hash::COMMANDS,
    super::holdfast::COMMANDS,
    super::hyperloglog::COMMANDS,
    super::info::COMMANDS,
    super::list::COMMANDS,
    super::migrate::COMMANDS,
    super::persistence::COMMANDS,
    super::pubsub::COMMANDS,
    super::replication::COMMANDS,
    super::scripting::COMMANDS,
    super::server::COMMANDS,
    super::set::COMMANDS,
    super::sorted_set::COMMANDS,
    super::stream::COMMANDS,
    super::string::COMMANDS,
    super::transaction::COMMANDS,
];

/// Built once and kept for the life of the process, which is why leaking it is right: everybody
/// may hold a command for ever.
static SORTED: LazyLock<Vec<&'static Command>> = LazyLock::new(|| {
    let mut all: Vec<Command> = FAMILIES.iter().flat_map(|family| family.iter().copied()).collect();
    all.sort_by_key(|command| command.name);
    let mut next = 0;
    let mut number = |command: Command| {
        let place = next;
        next += 1;
        Command { place, ..command }
    };
    let numbered: Vec<Command> = all
        .into_iter()
        .map(|command| {
            let subcommands: Vec<Command> =
                command.subcommands.iter().map(|sub| number(*sub)).collect();
            number(Command { subcommands: subcommands.leak(), ..command })
        })
        .collect();
    numbered.leak().iter().collect()
});

/// Every command, sorted by name.
pub fn all() -> &'static [&'static Command] {
    &SORTED
}

/// The command of that name, in any case.
pub fn find(name: &[u8]) -> Option<&'static Command> {
    let mut lower = [0; 32];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let at = SORTED.binary_search_by(|c| c.name.as_bytes().cmp(lower)).ok()?;
    SORTED.get(at).copied()
}

/// The container's name (empty for a command that is no subcommand) and the command's own.
pub fn full_name(command: &Command) -> (&'static str, &'static str) {
    (command.container, command.name)
}

/// The subcommand of that name, in any case.
pub fn find_subcommand(container: &'static Command, name: &[u8]) -> Option<&'static Command> {
    container.subcommands.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The handler of a container whose subcommand is not known.
pub fn unknown_subcommand(_: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let name = |at: usize| String::from_utf8_lossy(args.get(at).unwrap_or(&&b""[..]));
    Err(CommandError::text(format!(
        "ERR unknown subcommand '{:.128}'. Try {} HELP.",
        name(1),
        name(0).to_uppercase()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    #[test]
    fn every_command_says_what_clients_ask_for() {
        for command in all() {
            assert_eq!(command.container, "", "{}", command.name);
            for one in std::iter::once(*command).chain(command.subcommands) {
                let name = one.name;
                assert_eq!(name, name.to_ascii_lowercase());
                assert!(one.arity != 0, "{name}");
                assert!(!one.summary.is_empty(), "{name}");
                assert!(one.since.starts_with(|c: char| c.is_ascii_digit()), "{name}");
            }
        }
    }

    #[test]
    fn every_subcommand_names_its_container_and_has_room_for_both_words() {
        for command in all() {
            for sub in command.subcommands {
                assert_eq!(sub.container, command.name, "{}", sub.name);
                assert!(sub.arity.abs() >= 2, "{}|{}", command.name, sub.name);
            }
        }
    }

    #[test]
    fn every_command_and_subcommand_has_a_number_of_its_own() {
        let with_subs = |command: &&'static Command| {
            std::iter::once(*command).chain(command.subcommands.iter())
        };
        let mut places: Vec<usize> =
            all().iter().flat_map(with_subs).map(|command| command.place).collect();
        places.sort_unstable();
        assert_eq!(places, (0..places.len()).collect::<Vec<_>>());
    }

    #[test]
    fn no_name_stands_twice() {
        for pair in all().windows(2) {
            assert_ne!(pair[0].name, pair[1].name);
        }
    }

    #[test]
    fn a_name_is_found_in_any_case() {
        assert_eq!(find(b"MuLtI").map(|command| command.name), Some("multi"));
        assert!(find(b"multi ").is_none());
        assert!(find(&[b'x'; 100]).is_none());
    }

    #[test]
    fn a_command_with_keys_reads_or_writes() {
        for command in all() {
            for one in std::iter::once(*command).chain(command.subcommands) {
                let flags = one.flags;
                if flags.has(super::super::Flags::WRITE) {
                    let readonly = flags.has(super::super::Flags::READONLY);
                    assert!(!readonly, "{} writes and is read-only", one.name);
                }
                let few: Vec<&[u8]> = vec![b"x"; one.arity.unsigned_abs() as usize];
                // Whatever the words are, looking for keys ends.
                keys::positions(one, &few);
            }
        }
    }
}
