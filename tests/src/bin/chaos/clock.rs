//! A boot clock that jumps into the future, for supervisor and daemon alike, as
//! it does while a machine is suspended. A library that is loaded before libc
//! shifts the time that they read, and their alarms with it.
//!
//! A time namespace can't do this: only the children of a process can be put
//! into one, and the supervisor starts its daemons itself. The wall clock isn't
//! stepped here, because everything that the judge reads is stamped by it, and
//! the platform and git would have to be stepped with it. The tests of rule 44
//! do both.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use molecule_tests::skip;
use molecule_tests::world::World;

/// An alarm that is set already goes off at the original instant. There are two
/// kinds of absolute alarms, and those of the wall clock have a time far beyond
/// any uptime.
const SHIFT: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
static volatile long long nothing, *shift = &nothing;
__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CHAOS_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *page = mmap(0, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) shift = page;
    close(fd);
}
int clock_gettime(clockid_t clock, struct timespec *t) {
    int failed = syscall(SYS_clock_gettime, clock, t);
    if (!failed && clock == CLOCK_BOOTTIME) t->tv_sec += *shift;
    return failed;
}
int timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *from) {
    struct itimerspec real = *to;
    if (flags & TFD_TIMER_ABSTIME && real.it_value.tv_sec && real.it_value.tv_sec < 1000000000) {
        real.it_value.tv_sec -= *shift;
        if (real.it_value.tv_sec < 0) real.it_value = (struct timespec){0, 1};
    }
    return syscall(SYS_timerfd_settime, fd, flags, &real, from);
}
"#;

pub(crate) struct Clock(File);

impl Clock {
    /// Prepares the clock for the broker of this world, which isn't started
    /// yet. Returns `None`, with a SKIP line, if there is no C compiler.
    pub(crate) fn new(world: &mut World) -> Option<Self> {
        let [source, library, clock] = ["shift.c", "shift.so", "clock"].map(|name| world.path().join(name));
        fs::write(&source, SHIFT).expect("our own folder is writable");
        let built = molecule_tests::program("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output();
        if !built.is_ok_and(|output| output.status.success()) {
            skip("a boot clock that jumps: there is no C compiler here");
            return None;
        }
        fs::write(&clock, [0; 8]).expect("our own folder is writable");
        world.broker.set_env("LD_PRELOAD", &library.display().to_string());
        world.broker.set_env("CHAOS_CLOCK", &clock.display().to_string());
        Some(Self(File::options().read(true).write(true).open(&clock).expect("the file was just written")))
    }

    pub(crate) fn jump(&self, by: Duration) {
        let mut seconds = [0; 8];
        self.0.read_exact_at(&mut seconds, 0).expect("eight bytes were written");
        let later = i64::from_ne_bytes(seconds) + by.as_secs() as i64;
        self.0.write_all_at(&later.to_ne_bytes(), 0).expect("our own folder is writable");
    }
}
