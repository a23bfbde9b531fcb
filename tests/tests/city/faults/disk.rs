//! Full and read-only disks for the files that the daemon writes: its audit log
//! and the sink's token file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use molecule_tests::small_disk::SmallDisk;
use molecule_tests::wait::{eventually, eventually_some};
use molecule_tests::world::supervised::{Supervised, serves};
use molecule_tests::world::{World, WorldSetup};

use crate::faults::asker::{Heard, ask};

const SOON: Duration = Duration::from_secs(10);

/// A daemon with a disk of a few KiB that no other process sees.
struct Scene {
    supervised: Supervised,
    disk: SmallDisk,
    world: World,
}

impl Scene {
    /// Starts a daemon that serves. Returns `None`, with a SKIP line, if this
    /// machine doesn't allow mounts. `config` goes before the usual
    /// configuration, with the disk's path in place of each `DISK`.
    fn new(config: &str, audit_there: bool) -> Option<Self> {
        let small = Self::mounted("rw", config, audit_there)?;
        eventually("the broker serves", Duration::from_secs(20), || serves(&small.world));
        Some(small)
    }

    /// Starts a daemon with a writable (`rw`) or a read-only (`ro`) disk. With
    /// a read-only disk the daemon may fail to start.
    fn mounted(access: &str, config: &str, audit_there: bool) -> Option<Self> {
        let world = World::new(WorldSetup::default());
        let disk = SmallDisk::new(world.path().join("disk"))?;
        let path = world.broker.config_file().to_path_buf();
        let folder = disk.folder().display().to_string();
        let mut text = config.replace("DISK", &folder) + &fs::read_to_string(&path).unwrap();
        if audit_there {
            text = text.replace("/audit.log", "/disk/audit.log");
        }
        fs::write(path, text).unwrap();
        let way = disk.command_prefix(8, access);
        let supervised = Supervised::spawn_through(&world, &way.each_ref().map(String::as_str));
        Some(Self { supervised, disk, world })
    }

    /// Returns the path of a file as the daemon sees it.
    fn path(&self, name: &str) -> PathBuf {
        self.disk.path_seen_by(self.supervised.pid(), name)
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
fn a_full_disk_loses_audit_lines_that_are_counted_but_no_token() {
    let Some(small) = Scene::new("", true) else { return };
    let lost = || small.supervised.log().contains("an audit line was lost");
    eventually("the disk is full", Duration::from_secs(60), || {
        assert_eq!(ask(&small.world), Heard::Token);
        lost()
    });
    // The beginning of the line that filled the disk may have been written.
    let audit = small.path("audit.log");
    let before = fs::read_to_string(&audit).unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&small.world), Heard::Token);
    }
    // Space is freed in place, as by an operator in a hurry.
    let first_lines: String = before.lines().take(2).map(|line| format!("{line}\n")).collect();
    let torn = if before.ends_with('\n') { "" } else { before.lines().last().unwrap() };
    fs::write(&audit, first_lines.clone() + torn).unwrap();
    assert_eq!(ask(&small.world), Heard::Token);
    let told = eventually_some("the log reports it", SOON, || {
        let log = small.supervised.log();
        let line = log.lines().find(|line| line.contains("takes lines again"))?;
        Some(String::from(line))
    });
    assert!(told.ends_with("lost=4"), "{told}");
    let after = fs::read_to_string(&audit).unwrap();
    let last = after.lines().last().unwrap();
    assert!(last.contains(" AUDIT uid=") && last.matches("AUDIT").count() == 1, "the line isn't on its own: {after}");
}

/// An operator who configured an audit log gets no daemon without one.
#[test]
fn an_audit_log_on_a_read_only_disk_is_named_and_written_later() {
    let Some(mut small) = Scene::mounted("ro", "", true) else { return };
    let audit = small.world.path().join("disk/audit.log");
    let told = format!("{}: Read-only file system", audit.display());
    eventually("the log reports it", Duration::from_secs(30), || small.supervised.log().contains(&told));
    assert_eq!(ask(&small.world), Heard::No);
    assert!(small.supervised.is_running(), "the supervisor ended, and the command with it");
    small.remount("rw");
    eventually("the broker serves", Duration::from_secs(40), || serves(&small.world));
    assert_eq!(ask(&small.world), Heard::Token);
    assert!(fs::read_to_string(small.path("audit.log")).unwrap().contains(" AUDIT uid="));
}

#[test]
fn without_space_for_a_token_file_the_old_one_stays_whole() {
    type Break = fn(&Scene);
    let cases: [(&str, Break); 2] = [("full", Scene::fill), ("read-only", Scene::make_read_only)];
    for (what, break_it) in cases {
        let Some(small) = Scene::new("[sinks]\nfile = \"DISK/token\"\n", false) else { return };
        let file = small.path("token");
        let old = eventually_some("the first token file", SOON, || fs::read_to_string(&file).ok());
        break_it(&small);
        small.refresh();
        eventually("the log reports it", SOON, || small.supervised.log().contains("can't be written: "));
        assert_eq!(fs::read_to_string(&file).unwrap(), old, "{what}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{what}");
        let others = fs::read_dir(small.path(".")).unwrap().flatten().map(|entry| entry.file_name());
        assert!(
            others.into_iter().all(|name| name == "token" || name == "filler"),
            "a temporary file was left: {what}"
        );
        assert_eq!(ask(&small.world), Heard::Token, "{what}");
        assert!(!small.supervised.log().contains(old.trim()), "{what}");
    }
}
