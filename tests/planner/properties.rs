//! What holds of every plan, over generated wishes and troubles.
//!
//! The world itself notes broken promises (`world/effects.rs`): slots handed out twice, a last
//! copy deleted, a takeover from the living, a shard deleted before it was empty.

use holdfast::plan::{Plan, Step};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::script::{plan_of, say, show};
use crate::world::World;

/// One thing that happens between two looks of the operator.
#[derive(Clone, Debug)]
enum Happening {
    Wish { shards: u16, replicas: u16 },
    Image(u8),
    Restart(usize),
    DeletePod(usize),
    OperatorRestarts,
    Looks(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => (1..=4_u16, 0..=2_u16)
            .prop_map(|(shards, replicas)| Happening::Wish { shards, replicas }),
        1 => (0..3_u8).prop_map(Happening::Image),
        2 => (0..32_usize).prop_map(Happening::Restart),
        2 => (0..32_usize).prop_map(Happening::DeletePod),
        1 => Just(Happening::OperatorRestarts),
        4 => (1..12_u8).prop_map(Happening::Looks),
    ]
}

fn wish(shards: u16, replicas: u16, image: u8) -> Value {
    json!({
        "shards": shards,
        "replicasPerShard": replicas,
        "storage": {"size": "1Gi"},
        "image": {"tag": format!("v{image}")},
        "update": {"noReplica": "Proceed"},
    })
}

fn carry_out_all(world: &mut World, plan: &Plan) {
    for step in &plan.steps {
        // What does not fit the world any more fails there, and is planned anew.
        let _ = world.carry_out(step);
    }
    world.tick();
}

fn is_done(plan: &Plan) -> bool {
    plan.steps.is_empty() && plan.waiting_on.is_empty()
}

/// Looks until there is nothing to do; the number of looks that may take is bounded (L1).
fn converge(world: &mut World, looks_max: u32) {
    for _ in 0..looks_max {
        let plan = plan_of(world);
        if is_done(&plan) {
            return;
        }
        carry_out_all(world, &plan);
        if world.carried.formed {
            world.write();
        }
    }
    let plan = plan_of(world);
    panic!("{}", stuck(world, &plan));
}

fn stuck(world: &mut World, plan: &Plan) -> String {
    format!("not converged\n{}{}", say(plan), show(world))
}

fn happen(world: &mut World, happening: &Happening, image: &mut u8) {
    let nth_pod = |world: &World, n: usize| {
        let names: Vec<String> = world.pods.keys().cloned().collect();
        (!names.is_empty()).then(|| names[n % names.len()].clone())
    };
    match happening {
        Happening::Wish { shards, replicas } => world.spec = wish(*shards, *replicas, *image),
        Happening::Image(tag) => {
            *image = *tag;
            world.spec["image"]["tag"] = json!(format!("v{tag}"));
        }
        Happening::Restart(n) => {
            if let Some(name) = nth_pod(world, *n) {
                world.kill(&name, false);
                world.tick();
            }
        }
        Happening::DeletePod(n) => {
            if let Some(name) = nth_pod(world, *n) {
                world.pods.get_mut(&name).unwrap().deleting = true;
                world.tick();
            }
        }
        Happening::OperatorRestarts => world.restart_operator(),
        Happening::Looks(count) => {
            for _ in 0..*count {
                let plan = plan_of(world);
                carry_out_all(world, &plan);
            }
        }
    }
}

/// Every slot that was ever written still has its key, at an owner that serves.
fn assert_whole(world: &World) {
    assert!(world.violations.is_empty(), "{:?}", world.violations);
    let cluster = world.cluster();
    let pods = usize::from(cluster.shards) * usize::from(cluster.replicas_per_shard + 1);
    assert_eq!(world.pods.len(), pods);
    assert_eq!(world.slots_with_their_key().len(), 16384);
}

/// Few lives by default; `PROPTEST_CASES` asks for more. A failure that is found becomes a scenario
/// of its own, so no seeds are kept.
fn config() -> ProptestConfig {
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
        ProptestConfig::default().cases
    } else {
        16
    };
    ProptestConfig { cases, max_shrink_iters: 100, failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn converges_although_the_operator_restarts_after_every_step(
        shards in 1..=4_u16,
        replicas in 0..=2_u16,
        then_shards in 1..=4_u16,
        then_replicas in 0..=2_u16,
        choices in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let mut world = World::new(wish(shards, replicas, 0));
        for spec in [wish(shards, replicas, 0), wish(then_shards, then_replicas, 1)] {
            world.spec = spec;
            let mut looks = 0;
            loop {
                let plan = plan_of(&mut world);
                if is_done(&plan) {
                    break;
                }
                looks += 1;
                prop_assert!(looks < 600, "{}", stuck(&mut world, &plan));
                if !plan.steps.is_empty() {
                    let choice = choices[looks % choices.len()].index(plan.steps.len());
                    let _ = world.carry_out(&plan.steps[choice]);
                    world.restart_operator();
                }
                world.tick();
            }
            world.write();
        }
        assert_whole(&world);
    }

    #[test]
    fn converges_whatever_happened_and_then_stays_at_rest(
        happenings in prop::collection::vec(happening(), 1..12),
    ) {
        let mut world = World::new(wish(3, 1, 0));
        converge(&mut world, 100);
        world.write();
        let mut image = 0;
        for happening in &happenings {
            happen(&mut world, happening, &mut image);
        }
        converge(&mut world, 800);
        assert_whole(&world);
        for _ in 0..5 {
            world.tick();
            let plan = plan_of(&mut world);
            prop_assert!(is_done(&plan), "{:?} {:?}", plan.steps, plan.waiting_on);
        }
    }

    #[test]
    fn the_same_facts_give_the_same_plan(happenings in prop::collection::vec(happening(), 1..8)) {
        let mut world = World::new(wish(2, 1, 0));
        let mut image = 0;
        for happening in &happenings {
            happen(&mut world, happening, &mut image);
            let observed = world.observe();
            let cluster = world.cluster();
            let (one, two) = (
                holdfast::plan::plan(&cluster, &observed),
                holdfast::plan::plan(&cluster, &observed.clone()),
            );
            prop_assert_eq!(format!("{one:?}"), format!("{two:?}"));
        }
    }

    #[test]
    fn nothing_is_destroyed_on_the_strength_of_silence(
        happenings in prop::collection::vec(happening(), 0..6),
        silent in 0..32_usize,
        shards in 1..=4_u16,
        replicas in 0..=2_u16,
    ) {
        let mut world = World::new(wish(3, 1, 0));
        converge(&mut world, 100);
        world.write();
        let mut image = 0;
        for happening in &happenings {
            happen(&mut world, happening, &mut image);
        }
        let names: Vec<String> = world.pods.keys().cloned().collect();
        prop_assume!(!names.is_empty());
        let name = names[silent % names.len()].clone();
        let pod = world.pods.get_mut(&name).unwrap();
        pod.silenced = true;
        let (uid, shard) = (pod.uid.clone(), pod.shard);
        world.spec = wish(shards, replicas, image);
        for _ in 0..60 {
            let is_there = world.pods.get(&name).is_some_and(|pod| pod.uid == uid);
            let plan = plan_of(&mut world);
            if is_there {
                for step in &plan.steps {
                    prop_assert!(!destroys(step, &name, shard), "{step} while {name} is silent");
                }
            }
            carry_out_all(&mut world, &plan);
        }
        if let Some(pod) = world.pods.get_mut(&name) {
            pod.silenced = false;
        }
        converge(&mut world, 800);
        assert_whole(&world);
    }
}

/// The step could take something that the silent pod's node has or is.
fn destroys(step: &Step, name: &str, shard: u16) -> bool {
    match step {
        Step::Forget { .. } => true,
        Step::DeletePod { name: pod, .. } => pod == name,
        Step::DeleteStatefulSet { name: set, .. } => *set == format!("cache-{shard}"),
        Step::DeleteVolume { name: volume, .. } => *volume == format!("data-{name}"),
        _ => false,
    }
}
