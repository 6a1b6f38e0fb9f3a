use super::*;

fn settings(identity: &str) -> LeaseSettings {
    LeaseSettings {
        namespace: "ops".into(),
        name: "holdfast".into(),
        identity: identity.into(),
        duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
    }
}

fn held_by(identity: &str, version: &str) -> Lease {
    let mut lease = taken(None, &settings(identity));
    lease.metadata.resource_version = Some(version.to_owned());
    lease
}

#[test]
fn a_lease_is_taken_only_after_its_whole_duration_without_a_change_by_the_own_clock() {
    let mut watched = Watched::default();
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert!(!watched.may_take(&held_by("a", "1"), "b", at(0)));
    assert!(!watched.may_take(&held_by("a", "1"), "b", at(14)));
    // A renewal starts the count anew, whatever times it carries.
    assert!(!watched.may_take(&held_by("a", "2"), "b", at(14)));
    assert!(!watched.may_take(&held_by("a", "2"), "b", at(28)));
    assert!(watched.may_take(&held_by("a", "2"), "b", at(29)));
}

#[test]
fn a_lease_that_was_given_back_is_taken_at_once() {
    let mut watched = Watched::default();
    let mut lease = held_by("a", "1");
    lease.spec.as_mut().unwrap().holder_identity = Some(String::new());
    assert!(watched.may_take(&lease, "b", Instant::now()));
}

#[test]
fn an_earlier_life_of_the_same_pod_need_not_be_waited_for() {
    assert!(Watched::default().may_take(&held_by("a", "1"), "a", Instant::now()));
}

#[test]
fn each_holder_has_a_higher_token_than_all_before() {
    let first = taken(None, &settings("a"));
    let mut raised = taken(Some(&first), &settings("b"));
    assert!(token_of(&raised) > token_of(&first));
    raised.annotations_mut().insert(ANNOTATION_TOKEN.into(), "1000".into());
    let third = taken(Some(&raised), &settings("c"));
    assert_eq!(token_of(&third), 1001);
    assert_eq!(third.spec.unwrap().lease_transitions, Some(3));
}

#[test]
fn a_lease_whose_token_was_wiped_still_gives_a_token_above_its_transitions() {
    let mut lease = taken(Some(&taken(None, &settings("a"))), &settings("b"));
    lease.annotations_mut().clear();
    assert_eq!(token_of(&taken(Some(&lease), &settings("c"))), 4);
}
