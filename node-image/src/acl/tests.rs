//! What users may do, as sentences.

use super::*;
use crate::commands::table;

fn user(rules: &[&str]) -> User {
    let mut user = User::new(b"u", false);
    for rule in rules {
        user.apply(rule.as_bytes(), false).unwrap();
    }
    user
}

fn check(user: &User, request: &str) -> Result<(), Denied> {
    let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
    user.check(table::find(args[0]).unwrap(), &args)
}

#[test]
fn a_new_user_may_nothing_and_cannot_log_in() {
    let user = user(&[]);
    assert_eq!(check(&user, "ping"), Err(Denied::Command));
    assert!(!user.lets_in(&super::user::hash(b"")));
    assert_eq!(user.line(), b"user u off resetchannels -@all");
}

#[test]
fn reading_and_writing_are_rights_of_their_own() {
    let user = user(&["+@all", "%R~in:*", "%W~out:*", "~both"]);
    for (request, verdict) in [
        ("get in:1", Ok(())),
        ("get out:1", Err(Denied::Key(1))),
        ("lpush out:1 x", Ok(())),
        ("lpush in:1 x", Err(Denied::Key(1))),
        ("copy in:1 out:1", Ok(())),
        ("copy out:1 in:1", Err(Denied::Key(1))),
        ("set out:1 x", Ok(())),
        ("set out:1 x get", Err(Denied::Key(1))),
        ("set both x get", Ok(())),
        ("exists in:1 out:1 other", Err(Denied::Key(3))),
        ("bitfield in:1 get u8 0", Ok(())),
        ("bitfield in:1 set u8 0 1", Err(Denied::Key(1))),
    ] {
        assert_eq!(check(&user, request), verdict, "{request}");
    }
}

#[test]
fn a_request_must_fit_one_selector_and_the_nearest_one_says_what_is_missing() {
    let user = user(&["+mget", "~key", "(+mget ~key ~other)"]);
    assert_eq!(check(&user, "mget key other"), Ok(()));
    assert_eq!(check(&user, "mget other third"), Err(Denied::Key(2)));
    assert_eq!(check(&user, "get key"), Err(Denied::Command));
    let apart = self::user(&["(%R~a +@all)", "(%W~b +@all)"]);
    assert_eq!(check(&apart, "copy a b"), Err(Denied::Key(2)));
}

#[test]
fn a_password_that_was_removed_lets_nobody_in() {
    let hash = super::user::hash;
    let mut user = user(&["on", ">one", ">two"]);
    assert!(user.lets_in(&hash(b"one")) && user.lets_in(&hash(b"two")));
    assert!(!user.lets_in(&hash(b"three")));
    user.apply(b"<one", false).unwrap();
    assert!(!user.lets_in(&hash(b"one")));
    assert_eq!(user.apply(b"<one", false), Err(RuleError::NoSuchPassword));
    assert_eq!(user.apply(b"#0", false), Err(RuleError::BadHash));
    user.apply(b"off", false).unwrap();
    assert!(!user.lets_in(&hash(b"two")));
    user.apply(b"nopass", false).unwrap();
    assert!(!user.lets_in(&hash(b"two")), "nobody gets in as a user that is off");
}

#[test]
fn a_line_makes_the_same_user_again() {
    let first = user(&["on", ">x", "%R~a", "~b", "&c", "+@read", "-get", "(+set %W~k)"]);
    let line = first.line();
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').skip(2).collect();
    let mut again = User::new(b"u", true);
    for rule in joined_selectors(&words).unwrap() {
        again.apply(&rule, true).unwrap();
    }
    assert_eq!(again.line(), line);
    assert!(again == first);
}

#[test]
fn selectors_may_be_split_at_spaces_but_must_be_closed() {
    let words = |text: &str| {
        let words: Vec<&[u8]> = text.split('|').map(str::as_bytes).collect();
        joined_selectors(&words)
    };
    assert_eq!(words("on|(|~a|+get )").unwrap(), [b"on".to_vec(), b"( ~a +get )".to_vec()]);
    assert_eq!(words("on|(~a|+get"), Err(b"(~a".to_vec()));
}
