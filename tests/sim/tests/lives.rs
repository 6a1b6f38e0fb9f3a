//! A few lives in each run of the tests; `.ci/run` lives more of them in a release build.

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
