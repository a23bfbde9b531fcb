//! The processes in a container, except those that `docker exec` started.

use std::collections::HashMap;

use crate::docker::{AGENT, Container, ExecOptions};

#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    uid: u32,
    pub(super) name: String,
    pub(super) environment: Vec<(String, String)>,
}

/// Returns the agent's own processes: those with its uid. If there are none,
/// because the runtime runs as root, returns all except the broker's.
pub(super) fn of_the_agent(container: &Container) -> Vec<Process> {
    let is_agents = |process: &Process| process.name != "molecule-broker";
    let own: Vec<_> = all(container, None).into_iter().filter(|p| is_agents(p) && p.uid == AGENT).collect();
    if own.is_empty() { all(container, Some("0")).into_iter().filter(is_agents).collect() } else { own }
}

/// Returns all descendants of PID 1, with the environment of those that `user`
/// may read. Root may not read other users' environments without
/// CAP_SYS_PTRACE, which it lacks by default. A process started by `docker
/// exec` has a parent outside of the container.
fn all(container: &Container, user: Option<&'static str>) -> Vec<Process> {
    let script = "for p in /proc/[0-9]*; do\n\
        s=$(cat $p/status 2>/dev/null) || continue\n\
        printf 'P %s\\n' \"${p#/proc/}\"\n\
        printf '%s\\n' \"$s\" | grep -E '^(Name|PPid|Uid):'\n\
        tr '\\0' '\\n' <$p/environ 2>/dev/null | grep -E '^[A-Za-z_]+[A-Za-z_0-9]*=' | sed 's/^/E /'\n\
        done 2>/dev/null";
    let listed = container.exec(&ExecOptions { user, ..ExecOptions::default() }, &["sh", "-c", script]);
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
