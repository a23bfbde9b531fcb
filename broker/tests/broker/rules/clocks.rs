//! G: stepped clocks, suspended machines and time namespaces.
//!
//! Tests may not step the clock of the machine that runs them, so a library that
//! is loaded before libc shifts what the daemon reads from its two clocks. How
//! the kernel treats a timer over a suspend isn't tested here.

use std::fs;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::kit::platform::{Answer, HOUR};
use crate::kit::wire;
use crate::kit::{Ability, DaemonWorld, can, program, wait_for};

const SHIFT: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static volatile long *shift;
__attribute__((constructor)) static void begin(void) {
    int fd = open(getenv("RULES_CLOCKS"), O_RDONLY | O_CLOEXEC);
    shift = mmap(0, 16, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
}
int clock_gettime(clockid_t clock, struct timespec *t) {
    int failed = syscall(SYS_clock_gettime, clock, t);
    if (!failed && clock == CLOCK_REALTIME) t->tv_sec += shift[0];
    if (!failed && clock == CLOCK_BOOTTIME) t->tv_sec += shift[1];
    return failed;
}
"#;

struct Clocks {
    world: DaemonWorld,
    file: fs::File,
}

impl Clocks {
    /// Starts a daemon with a token of one hour. Returns `None` where the library
    /// can't be built.
    fn new() -> Option<Self> {
        if !can(&[Ability::CompileC]) {
            return None;
        }
        let mut world = DaemonWorld::fast();
        let (source, library) = (world.path("shift.c"), world.path("shift.so"));
        fs::write(&source, SHIFT).unwrap();
        let built = program("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().unwrap();
        assert!(built.success());
        fs::write(world.path("clocks"), [0; 16]).unwrap();
        let file = fs::File::options().write(true).open(world.path("clocks")).unwrap();
        world.set("LD_PRELOAD", library.display().to_string());
        world.set("RULES_CLOCKS", world.path("clocks").display().to_string());
        world.start();
        world.settle();
        Some(Self { world, file })
    }

    fn wall(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    fn boot(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 8).unwrap();
    }

    fn left(&self) -> Option<u64> {
        self.world.credential("github")["expires_in_s"].as_u64()
    }
}

#[test]
fn rule44_a_clock_two_hours_ahead_ends_the_token_and_is_named() {
    let Some(clocks) = Clocks::new() else { return };
    clocks.wall(7200);
    let refused = clocks.world.get();
    assert!(refused.starts_with("molecule/1 refused\n") && refused.contains("clock"), "{refused}");
    clocks.wall(0);
    assert!(clocks.world.token().is_some(), "with a correct clock the token is served again");
}

#[test]
fn rule44_a_wall_clock_two_hours_back_extends_no_life() {
    let Some(clocks) = Clocks::new() else { return };
    clocks.wall(-7200);
    assert!(clocks.left() <= Some(3600), "{:?}", clocks.left());
    let answer = clocks.world.get();
    let expiry: u64 = wire::value(&answer, "password_expiry_utc").unwrap().parse().unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() - 7200;
    assert!((now..=now + 3601).contains(&expiry), "in the future by the clock that git reads: {answer}");
    clocks.world.platform.fails();
    clocks.boot(3601);
    assert!(clocks.world.get().starts_with("molecule/1 refused\n"), "an hour later the token has expired all the same");
}

#[test]
fn rule44_after_fifty_minutes_suspended_ten_minutes_are_left() {
    let Some(clocks) = Clocks::new() else { return };
    let (asked, token) = (clocks.world.platform.count(), clocks.world.token());
    clocks.boot(3000);
    assert_eq!(clocks.world.token(), token);
    assert!((580..=600).contains(&clocks.left().unwrap()), "{:?}", clocks.left());
    assert_eq!(clocks.world.platform.count(), asked, "a live token is held, so no request reaches the platform");
    clocks.boot(3601);
    let next = clocks.world.token();
    assert!(next.is_some() && next != token, "the first caller after the resume waits for a new one: {next:?}");
}

#[test]
fn rule44_a_suspend_past_the_expiry_ends_in_a_refusal() {
    let Some(clocks) = Clocks::new() else { return };
    clocks.world.platform.fails();
    clocks.boot(7200);
    let refused = clocks.world.get();
    assert!(refused.starts_with("molecule/1 refused\n") && refused.contains("expired"), "{refused}");
    assert_eq!(clocks.world.credential("github")["state"], "expired");
}

#[test]
fn rule44_in_a_time_namespace_refreshes_fall_due_as_anywhere() {
    if !can(&[Ability::TimeNamespace]) {
        return;
    }
    let mut world = DaemonWorld::fast();
    world.platform.answer(Answer::Mint(Duration::from_secs(4)));
    world.start_through(&["unshare", "--time", "--boottime", "1000000", "--fork", "--kill-child"]);
    wait_for("the first token", || world.token());
    wait_for("the fourth", || {
        assert!(world.token().is_some(), "{}", world.get());
        (world.credential("github")["generation"].as_u64() >= Some(4)).then_some(())
    });
    world.platform.answer(Answer::Mint(HOUR));
}
