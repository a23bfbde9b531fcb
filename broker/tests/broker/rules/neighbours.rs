//! C: another process of the daemon's own user, which isn't root, looks for the
//! token.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::Child;

use nix::sys::signal::Signal;

use crate::kit::{Ability, BROKER, DaemonWorld, alone, can, program, set_mode, text, wait_for};

const USER: u32 = 54321;

/// Program that tries every way into the process with the given pid and prints
/// each that succeeded. Without a pid it looks for processes with the daemon's
/// name until there is a file `stop`. It then doesn't use ptrace, because the
/// parent of a traced process that was killed wouldn't hear of its end.
const NOSY: &str = r#"
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
static int opens(int pid, const char *what) {
    char path[64], byte;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
    int fd = open(path, O_RDONLY), got;
    if (fd < 0) return 0;
    got = read(fd, &byte, 1);
    close(fd);
    return !strcmp(what, "mem") || got == 1;
}
static void try(int pid, int trace) {
    int i;
    const char *files[] = {"environ", "mem", "maps", "smaps", "auxv", "syscall", "stack", "io"};
    for (i = 0; i < 8; i++) if (opens(pid, files[i])) printf("%s ", files[i]);
    char path[64], link[256];
    snprintf(path, sizeof path, "/proc/%d/fd/0", pid);
    if (readlink(path, link, sizeof link) > 0) printf("fd ");
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) >= 0 || errno == EFAULT) printf("process_vm_readv ");
    int pidfd = syscall(SYS_pidfd_open, pid, 0);
    for (i = 0; i < 16; i++) if (syscall(SYS_pidfd_getfd, pidfd, i, 0) >= 0) { printf("pidfd_getfd "); break; }
    close(pidfd);
    if (trace && ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) printf("ptrace ");
    fflush(stdout);
}
static int is_daemon(int pid) {
    char path[64], name[32];
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    int fd = open(path, O_RDONLY), got = fd < 0 ? 0 : read(fd, name, 16);
    close(fd);
    return got == 15 && !memcmp(name, "watched-broker\n", 15);
}
int main(int count, char **words) {
    if (count > 1) return try(atoi(words[1]), 1), 0;
    while (access("stop", F_OK)) {
        DIR *proc = opendir("/proc");
        for (struct dirent *entry; (entry = readdir(proc)); )
            if (is_daemon(atoi(entry->d_name))) try(atoi(entry->d_name), 0);
        closedir(proc);
        write(2, "\n", 1);
    }
    return 0;
}
"#;

/// Process that is killed at the end of the test, also if the test fails.
struct Nosy(Child);

impl Drop for Nosy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns a world for a daemon whose user isn't root, the nosy program, and the
/// broker as installed.
fn world() -> Option<(DaemonWorld, PathBuf, PathBuf)> {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway, Ability::CompileC]) {
        return None;
    }
    let world = DaemonWorld::fast();
    let (source, nosy, installed) = (world.path("nosy.c"), world.path("nosy"), world.path("watched-broker"));
    fs::write(&source, NOSY).unwrap();
    assert!(program("cc").args(["-w", "-o"]).arg(&nosy).arg(&source).status().unwrap().success());
    fs::copy(BROKER, &installed).unwrap();
    set_mode(&installed, 0o711);
    chown(world.path("run"), Some(USER), Some(USER)).unwrap();
    Some((world, nosy, installed))
}

fn ways_into(nosy: &PathBuf, pid: u32) -> String {
    text(&program(nosy).arg(pid.to_string()).uid(USER).gid(USER).output().unwrap().stdout)
}

#[test]
fn rule20_a_process_of_the_same_user_cant_read_the_daemon() {
    let Some((mut world, nosy, installed)) = world() else { return };
    let mut sleeper = program("sleep").arg("60").uid(USER).gid(USER).spawn().unwrap();
    let control = wait_for("the control", || Some(ways_into(&nosy, sleeper.id())).filter(|ways| ways.contains("mem")));
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    for way in ["environ", "mem", "maps", "process_vm_readv", "pidfd_getfd", "ptrace"] {
        let found = control.contains(way);
        // A seccomp filter here may refuse some of these calls for every process.
        assert!(
            found || !can(&[Ability::EveryCall]),
            "the program must find every way into an open process: {control}"
        );
    }
    world.start_as_user(USER, &installed);
    assert!(world.get().starts_with("molecule/1 ok\n"));
    assert_eq!(ways_into(&nosy, world.pid()), "");
}

#[test]
fn rule20_a_daemon_is_closed_from_its_first_instruction() {
    let Some((mut world, nosy, installed)) = world() else { return };
    let _alone = alone();
    // A binary that its user can read mustn't be installed. Here it shows that
    // the neighbour is fast enough.
    for (mode, is_open) in [(0o755, true), (0o711, false)] {
        set_mode(&installed, mode);
        let (found, rounds) = (world.path(&format!("found-{mode:o}")), world.path(&format!("rounds-{mode:o}")));
        let mut neighbour = world.command(nosy.to_str().unwrap());
        neighbour.uid(USER).gid(USER).stdout(fs::File::create(&found).unwrap());
        let mut neighbour = Nosy(neighbour.stderr(fs::File::create(&rounds).unwrap()).spawn().unwrap());
        wait_for("the neighbour", || (fs::metadata(&rounds).unwrap().len() > 0).then_some(()));
        let ways = || fs::read_to_string(&found).unwrap();
        for _ in 0..100 {
            world.start_as_user(USER, &installed);
            world.kill();
            if is_open && !ways().is_empty() {
                break;
            }
        }
        fs::write(world.path("repo/stop"), "").unwrap();
        neighbour.0.wait().unwrap();
        fs::remove_file(world.path("repo/stop")).unwrap();
        assert_eq!(ways().is_empty(), !is_open, "mode {mode:o}: {}", ways());
    }
}

#[test]
fn rule20_a_crash_leaves_no_core() {
    let mut world = DaemonWorld::settled();
    world.signal(Signal::SIGABRT);
    let ended = world.stopped();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(Signal::SIGABRT as i32), false));
}
