//! Golden scenarios: a file of commands, each followed by what the planner says to it.
//!
//! A line that begins with `> ` is a command; everything else but comments is output and is
//! compared. `UPDATE_EXPECT=1` writes the outputs anew. Node ids are shortened to `node-<n>`.

use std::fmt::Write as _;

use holdfast::api::RedisClusterStatus;
use holdfast::plan::{Plan, plan};
use holdfast::report::{Outcome, report};
use holdfast_wire::id::NodeId;

use crate::world::World;

/// Runs a script and gives it back with its outputs.
pub(crate) fn run(text: &str) -> String {
    let mut world = World::new(serde_json::Value::Null);
    let mut output = String::new();
    for line in text.lines() {
        if line.starts_with('#') {
            let _ = writeln!(output, "{line}");
        } else if let Some(command) = line.strip_prefix("> ") {
            let _ = writeln!(output, "\n> {command}");
            let said = perform(&mut world, command);
            output.push_str(&shorten(&world, &said));
        }
    }
    assert!(world.violations.is_empty(), "{:?}\n{output}", world.violations);
    output
}

fn perform(world: &mut World, command: &str) -> String {
    let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
    match verb {
        "wish" => world.spec = serde_norway::from_str(rest).unwrap(),
        "plan" => return say(&plan_of(world)),
        "step" => step(world),
        "steps" => (0..rest.parse().unwrap()).for_each(|_| step(world)),
        "tick" => world.tick(),
        "ticks" => (0..rest.parse().unwrap()).for_each(|_| world.tick()),
        "converge" => return converge(world),
        "write" => world.write(),
        "kill" => world.kill(rest, true),
        "restart" => world.kill(rest, false),
        "mend" => world.pods.get_mut(rest).unwrap().broken = false,
        "silence" => world.pods.get_mut(rest).unwrap().silenced = true,
        "heal" => world.pods.get_mut(rest).unwrap().silenced = false,
        "delete-pod" => world.pods.get_mut(rest).unwrap().deleting = true,
        "force-delete-pod" => world.force_delete(rest),
        "kill-lingering" => world.kill_lingering(),
        "delete-all-pods" => world.pods.values_mut().for_each(|pod| pod.deleting = true),
        "lose-machine" => world.lose_machine(rest),
        "lose-volume" => {
            world.volumes.get_mut(rest).unwrap().1 = None;
        }
        "boot" => {
            let (pod, state) = rest.split_once(' ').unwrap();
            world.pretend_boot(pod, Some(state).filter(|s| *s != "ready"));
        }
        "offset" => {
            let (pod, offset) = rest.split_once(' ').unwrap();
            world.node_in(pod).unwrap().offset = offset.parse().unwrap();
        }
        "bad-image" => {
            let pod = world.pods.get_mut(rest).unwrap();
            pod.broken = true;
            pod.container.waiting_reason = "ImagePullBackOff".into();
        }
        "elections" => world.elections = rest == "on",
        "machines" => world.machines = rest.parse().unwrap(),
        "restart-operator" => world.restart_operator(),
        "delete" => world.deleting = true,
        "show" => return show(world),
        "conditions" => return conditions(world),
        other => panic!("no such command: {other}"),
    }
    String::new()
}

pub(crate) fn plan_of(world: &mut World) -> Plan {
    let observed = world.observe();
    plan(&world.cluster(), &observed)
}

fn step(world: &mut World) {
    for step in plan_of(world).steps {
        let _ = world.carry_out(&step);
    }
    world.tick();
}

fn converge(world: &mut World) -> String {
    for round in 0..400 {
        let plan = plan_of(world);
        if plan.steps.is_empty() && plan.waiting_on.is_empty() {
            return format!("converged after {} s\n", f64::from(round) / 2.0);
        }
        step(world);
    }
    let plan = plan_of(world);
    format!("did not converge\n{}", say(&plan))
}

pub(crate) fn say(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        let _ = writeln!(text, "step     {step}");
    }
    for waiting in &plan.waiting_on {
        let _ = writeln!(text, "waiting  {:?} {waiting}", waiting.reason);
    }
    if text.is_empty() { "nothing to do, nothing to wait for\n".to_owned() } else { text }
}

/// One line a pod: what its node is.
pub(crate) fn show(world: &mut World) -> String {
    let observed = world.observe();
    let mut text = String::new();
    for pod in &observed.pods {
        let Some(state) = pod.view.state() else {
            let _ = writeln!(text, "{}  no answer", pod.name);
            continue;
        };
        let slots: Vec<String> = state.slots.iter().map(|(a, b)| format!("{a}-{b}")).collect();
        let role = match state.primary_id.as_str() {
            "" => format!("primary of {:?}", slots.join(",")),
            id => format!("replica of {id}"),
        };
        let _ = writeln!(text, "{}  {}  {role}, {} keys", pod.name, state.node_id, state.keys);
    }
    text
}

fn conditions(world: &mut World) -> String {
    let observed = world.observe();
    let cluster = world.cluster();
    let plan = plan(&cluster, &observed);
    let mut object = world.object();
    // It was ready once when a scenario asks.
    object.status = Some(RedisClusterStatus { phase: "Ready".into(), ..Default::default() });
    let report = report(&object, &cluster, &observed, &plan, &Outcome::default());
    let mut text = format!("phase {}\n", report.status.phase);
    for condition in &report.status.conditions {
        let (kind, status, reason) = (&condition.type_, &condition.status, &condition.reason);
        let _ = writeln!(text, "{kind}={status} {reason}: {}", condition.message);
    }
    text
}

fn shorten(world: &World, text: &str) -> String {
    let numbered = |id: &NodeId| u64::from_str_radix(id.to_string().trim_start_matches('0'), 16);
    let short = world.nodes.keys().fold(text.to_owned(), |text, id| {
        text.replace(&id.to_string(), &format!("node-{}", numbered(id).unwrap()))
    });
    short.replace("boot 000000000000000000000000000000", "boot ")
}
