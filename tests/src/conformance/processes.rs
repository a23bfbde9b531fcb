//! Who runs in a container, besides those that `docker exec` brought in.

use std::collections::HashMap;

use crate::docker::Container;

#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) name: String,
    pub(super) environment: Vec<(String, String)>,
}

/// The agent's own processes: those of its uid; where there are none, because
/// the runtime is root's, all but the broker's.
pub(super) fn of_the_agent(container: &Container, agent: u32) -> Vec<Process> {
    let all = all(container);
    let is_agents = |process: &&Process| process.name != "molecule-broker" && process.pid != 0;
    let of_its_uid: Vec<_> = all.iter().filter(is_agents).filter(|process| process.uid == agent).cloned().collect();
    if of_its_uid.is_empty() { all.iter().filter(is_agents).cloned().collect() } else { of_its_uid }
}

/// All that descend from PID 1. Who came by `docker exec` has a parent outside.
fn all(container: &Container) -> Vec<Process> {
    let listed = container.sh_as_root(
        "for p in /proc/[0-9]*; do\n\
         s=$(cat $p/status 2>/dev/null) || continue\n\
         printf 'P %s\\n' \"${p#/proc/}\"\n\
         printf '%s\\n' \"$s\" | grep -E '^(Name|PPid|Uid):'\n\
         tr '\\0' '\\n' <$p/environ 2>/dev/null | grep -E '^[A-Za-z_]+[A-Za-z_0-9]*=' | sed 's/^/E /'\n\
         done",
    );
    let mut found: Vec<(Process, u32)> = Vec::new();
    for line in listed.stdout.lines() {
        if let Some(pid) = line.strip_prefix("P ").and_then(|pid| pid.parse().ok()) {
            found.push((Process { pid, uid: 0, name: String::new(), environment: Vec::new() }, 0));
            continue;
        }
        let Some((process, parent)) = found.last_mut() else { continue };
        if let Some((name, value)) = line.strip_prefix("E ").and_then(|pair| pair.split_once('=')) {
            process.environment.push((String::from(name), String::from(value)));
        } else if let Some((field, value)) = line.split_once(':') {
            let number = || value.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default();
            match field {
                "Name" => process.name = String::from(value.trim()),
                "PPid" => *parent = number(),
                "Uid" => process.uid = number(),
                _ => {}
            }
        }
    }
    let parents: HashMap<u32, u32> = found.iter().map(|(process, parent)| (process.pid, *parent)).collect();
    let descends = |mut pid: u32| {
        while pid > 1 {
            pid = parents.get(&pid).copied().unwrap_or_default();
        }
        pid == 1
    };
    found.into_iter().map(|(process, _)| process).filter(|process| descends(process.pid)).collect()
}
