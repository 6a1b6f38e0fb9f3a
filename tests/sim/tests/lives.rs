//! A few lives in each run of the tests; `.ci/run` lives more of them in a release build.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use holdfast_sim::live;

#[test]
fn twenty_lives_keep_every_invariant() {
    for seed in 1..=20 {
        if let Err(failure) = live(seed, None, false) {
            panic!("{failure}");
        }
    }
}

#[test]
fn a_seed_replays_to_the_letter() {
    assert_eq!(live(3, None, false), live(3, None, false));
}

/// A replica won epoch 8, was a primary at once, and then voted for another in epoch 8.
#[test]
fn a_winner_does_not_vote_for_another_in_the_epoch_that_it_won() {
    if let Err(failure) = live(457, None, false) {
        panic!("{failure}");
    }
}
