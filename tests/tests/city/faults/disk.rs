//! Disks that are full, and that can't be written to, under what the daemon
//! writes: its audit, and the sinks' token file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use molecule_tests::small_disk::SmallDisk;
use molecule_tests::wait::{eventually, eventually_some};
use molecule_tests::world::supervised::{Supervised, serves};
use molecule_tests::world::{Setup, World};

use crate::faults::asker::{Heard, ask};

const SOON: Duration = Duration::from_secs(10);

/// A daemon that sees a disk of a few KiB where nobody else does.
struct Scene {
    supervised: Supervised,
    disk: SmallDisk,
    world: World,
}

impl Scene {
    /// `None`, and said, where nothing may be mounted. `config` is put in front
    /// of the configuration, with the disk's path for each `DISK`.
    fn new(config: &str, audit_there: bool) -> Option<Self> {
        let small = Self::mounted("rw", config, audit_there)?;
        eventually("the broker serves", Duration::from_secs(20), || serves(&small.world));
        Some(small)
    }

    /// The disk can be read and written (`rw`), or only read (`ro`): then no
    /// daemon may come of it.
    fn mounted(access: &str, config: &str, audit_there: bool) -> Option<Self> {
        let world = World::new(Setup::default());
        let disk = SmallDisk::new(world.path().join("disk"))?;
        let path = world.broker.config_file().to_path_buf();
        let folder = disk.folder().display().to_string();
        let mut text = config.replace("DISK", &folder) + &fs::read_to_string(&path).unwrap();
        if audit_there {
            text = text.replace("/audit.log", "/disk/audit.log");
        }
        fs::write(path, text).unwrap();
        let way = disk.way(8, access);
        let supervised = Supervised::spawn_through(&world, &way.each_ref().map(String::as_str));
        Some(Self { supervised, disk, world })
    }

    /// As the daemon sees it.
    fn path(&self, name: &str) -> PathBuf {
        self.disk.seen_by(self.supervised.pid(), name)
    }

    fn fill(&self) {
        assert!(self.disk.fill(self.supervised.pid()));
    }

    fn make_read_only(&self) {
        self.remount("ro");
    }

    fn remount(&self, access: &str) {
        assert!(self.disk.remount(self.supervised.pid(), access));
    }

    fn refresh(&self) {
        self.world.broker.control(&["refresh"]).ok();
    }
}

#[test]
fn a_full_disk_under_the_audit_takes_no_credential_away_and_the_log_tells_how_many_lines_it_took() {
    let Some(small) = Scene::new("", true) else { return };
    let lost = || small.supervised.log().contains("an audit line was lost");
    eventually("the disk is full", Duration::from_secs(60), || {
        assert_eq!(ask(&small.world), Heard::Token);
        lost()
    });
    // The line that filled it may have got its beginning there.
    let audit = small.path("audit.log");
    let before = fs::read_to_string(&audit).unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&small.world), Heard::Token);
    }
    // Room is made in place, as by an operator in a hurry.
    let first_lines: String = before.lines().take(2).map(|line| format!("{line}\n")).collect();
    let torn = if before.ends_with('\n') { "" } else { before.lines().last().unwrap() };
    fs::write(&audit, first_lines.clone() + torn).unwrap();
    assert_eq!(ask(&small.world), Heard::Token);
    let told = eventually_some("the log tells of it", SOON, || {
        let log = small.supervised.log();
        let line = log.lines().find(|line| line.contains("takes lines again"))?;
        Some(String::from(line))
    });
    assert!(told.ends_with("lost=4"), "{told}");
    let after = fs::read_to_string(&audit).unwrap();
    let last = after.lines().last().unwrap();
    assert!(last.contains(" AUDIT uid=") && last.matches("AUDIT").count() == 1, "a line of its own: {after}");
}

/// Whoever asked for an audit gets no daemon without one.
#[test]
fn an_audit_on_a_read_only_disk_is_told_by_name_and_written_as_soon_as_it_can_be() {
    let Some(mut small) = Scene::mounted("ro", "", true) else { return };
    let audit = small.world.path().join("disk/audit.log");
    let told = format!("{}: Read-only file system", audit.display());
    eventually("the log tells of it", Duration::from_secs(30), || small.supervised.log().contains(&told));
    assert_eq!(ask(&small.world), Heard::No);
    assert!(small.supervised.lives(), "the command would be gone");
    small.remount("rw");
    eventually("the broker serves", Duration::from_secs(40), || serves(&small.world));
    assert_eq!(ask(&small.world), Heard::Token);
    assert!(fs::read_to_string(small.path("audit.log")).unwrap().contains(" AUDIT uid="));
}

#[test]
fn a_disk_that_takes_no_token_file_leaves_the_old_one_whole_and_the_credential_served() {
    type Break = fn(&Scene);
    let cases: [(&str, Break); 2] = [("full", Scene::fill), ("read-only", Scene::make_read_only)];
    for (what, break_it) in cases {
        let Some(small) = Scene::new("[sinks]\nfile = \"DISK/token\"\n", false) else { return };
        let file = small.path("token");
        let old = eventually_some("the first token file", SOON, || fs::read_to_string(&file).ok());
        break_it(&small);
        small.refresh();
        eventually("the log tells of it", SOON, || small.supervised.log().contains("can't be written: "));
        assert_eq!(fs::read_to_string(&file).unwrap(), old, "{what}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{what}");
        let others = fs::read_dir(small.path(".")).unwrap().flatten().map(|entry| entry.file_name());
        assert!(others.into_iter().all(|name| name == "token" || name == "filler"), "a draft was left: {what}");
        assert_eq!(ask(&small.world), Heard::Token, "{what}");
        assert!(!small.supervised.log().contains(old.trim()), "{what}");
    }
}
