//! git-lfs, as Debian ships it, through every rotation: pushes and pulls of
//! objects. Each transfer needs its own credential.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use molecule_protocol::digest::sha256;
use molecule_protocol::encoding::hex;
use molecule_tests::ledger::random_alphanumerics;
use molecule_tests::programs::{Git, gits, has_git_lfs};
use molecule_tests::skip;
use molecule_tests::wait::eventually;
use molecule_tests::world::{RunResult, Wiring, World, WorldSetup, run, with_long_enough_lives};

/// Long enough for one run of git-lfs on a busy machine between a refresh and
/// the old token's expiry, which is a second and a half here.
const LIFE: Duration = Duration::from_secs(6);
const MINUTE: Duration = Duration::from_secs(60);
const REPOSITORY: &str = "acme/app.git";

/// Two clones of one repository: the first pushes, the second pulls.
struct Scene {
    world: World,
    git: Git,
    wiring: Wiring,
}

impl Scene {
    /// Returns `None` if git-lfs isn't installed.
    fn new(git: &Git, wiring: Wiring, life: Duration) -> Option<Self> {
        if !has_git_lfs() {
            skip("git-lfs: it isn't installed");
            return None;
        }
        let world = World::started(WorldSetup { life, ..WorldSetup::default() });
        world.host.create_repository(REPOSITORY);
        let scene = Self { world, git: git.clone(), wiring };
        for clone in ["here", "there"] {
            scene.git(".", &["clone", "--quiet", &scene.world.host.url(REPOSITORY), clone]).ok();
            scene.git(clone, &["lfs", "install", "--local"]).ok();
        }
        scene.git("here", &["lfs", "track", "*.bin"]).ok();
        Some(scene)
    }

    fn git(&self, folder: &str, arguments: &[&str]) -> RunResult {
        let mut git = self.world.git(&self.git, self.wiring);
        run(git.current_dir(self.world.work().join(folder)).args(arguments), Duration::from_secs(30))
    }

    /// Commits a new object without pushing it.
    fn commit(&self, number: usize) -> Vec<u8> {
        let bytes = random_alphanumerics(100_000).into_bytes();
        fs::write(self.file("here", number), &bytes).unwrap();
        self.git("here", &["add", "."]).ok();
        self.git("here", &["commit", "--quiet", "-m", "Work"]).ok();
        bytes
    }

    fn push(&self) -> RunResult {
        self.git("here", &["push", "--quiet", "origin", "HEAD:main"])
    }

    fn pull(&self) -> RunResult {
        self.git("there", &["pull", "--quiet", "origin", "main"])
    }

    fn file(&self, clone: &str, number: usize) -> PathBuf {
        self.world.work().join(clone).join(format!("{number}.bin"))
    }

    /// Checks that the host and the second clone have the same bytes.
    #[track_caller]
    fn arrived(&self, number: usize, bytes: &[u8]) {
        let oid = String::from_utf8(hex(&sha256(bytes)).to_vec()).unwrap();
        assert!(self.world.host.lfs_object(REPOSITORY, &oid).unwrap() == bytes, "{number} differs at the host");
        assert!(fs::read(self.file("there", number)).unwrap() == bytes, "{number} differs where it was pulled");
    }

    /// Prepares a rejection: the second clone knows of an object that it
    /// doesn't have, and the host refuses the current token from now on.
    fn before_a_rejection(&self) -> Vec<u8> {
        let bytes = self.commit(0);
        self.push().ok();
        self.git("there", &["config", "filter.lfs.smudge", "git-lfs smudge --skip -- %f"]).ok();
        self.git("there", &["config", "filter.lfs.process", "git-lfs filter-process --skip"]).ok();
        self.pull().ok();
        self.world.ledger.all().iter().for_each(|minted| self.world.ledger.revoke(&minted.token));
        self.world.host.forget_shown();
        bytes
    }

    fn transfers(&self) -> usize {
        self.world.host.shown().iter().filter(|shown| shown.path.contains("/info/lfs/objects/")).count()
    }
}

fn work_through_rotations(git: &Git, wiring: Wiring) {
    with_long_enough_lives(LIFE, |life| rotates(git, wiring, life));
}

/// Returns false if a run outlived its token.
fn rotates(git: &Git, wiring: Wiring, life: Duration) -> bool {
    let Some(scene) = Scene::new(git, wiring, life) else { return true };
    let (mut objects, first) = (Vec::new(), scene.world.ledger.count());
    while scene.world.ledger.count() < first + 3 {
        objects.push(scene.commit(objects.len()));
        for ran in [scene.push(), scene.pull()] {
            if ran.outlived(life) {
                return false;
            }
            assert!(ran.success(), "{ran:?}\nthe broker's log:\n{}", scene.world.broker.log());
        }
    }
    for (number, bytes) in objects.iter().enumerate() {
        scene.arrived(number, bytes);
    }
    assert_eq!(scene.world.host.dead_shown(), 0, "dead tokens were shown to the host");
    // A batch and a transfer in each direction.
    assert!(scene.transfers() >= 4 * objects.len(), "{} for {} objects", scene.transfers(), objects.len());
    true
}

#[test]
fn objects_are_pushed_and_pulled_through_rotations_by_helper() {
    for git in gits() {
        work_through_rotations(&git, Wiring::Helper);
    }
}

#[test]
fn objects_are_pushed_and_pulled_through_rotations_by_askpass() {
    work_through_rotations(&gits()[0], Wiring::Askpass);
}

/// git-lfs before 3.6 asks again and again, whatever it gets. It only stops
/// because it gets another token at its first rejection.
#[test]
fn rule35_a_rejected_token_is_replaced_at_the_first_rejection() {
    for wiring in [Wiring::Helper, Wiring::Both] {
        let Some(scene) = Scene::new(&gits()[0], wiring, MINUTE) else { return };
        let bytes = scene.before_a_rejection();
        let asked = scene.world.platform.request_count();
        scene.git("there", &["lfs", "pull"]).ok();
        scene.arrived(0, &bytes);
        assert_eq!(scene.world.host.dead_shown(), 1, "{wiring:?}: {:?}", scene.world.host.shown());
        assert_eq!(scene.world.platform.request_count() - asked, 1, "{wiring:?}");
    }
}

/// git doesn't report a rejection to askpass. So git-lfs asks until the next
/// refresh, whatever causes that. Newer versions give up after some attempts
/// (3.8.1 after less than a second), and succeed in the next run.
#[test]
fn rule35_askpass_gets_a_new_token_at_the_next_refresh() {
    let Some(scene) = Scene::new(&gits()[0], Wiring::Askpass, MINUTE) else { return };
    let bytes = scene.before_a_rejection();
    std::thread::scope(|scope| {
        let pull = scope.spawn(|| scene.git("there", &["lfs", "pull"]));
        eventually("git-lfs is rejected", MINUTE / 4, || scene.world.host.dead_shown() > 2);
        scene.world.broker.control(&["refresh"]).ok();
        let ran = pull.join().unwrap();
        if ran.stderr.contains("too many authentication attempts") {
            scene.git("there", &["lfs", "pull"]).ok();
        } else {
            ran.ok();
        }
    });
    scene.arrived(0, &bytes);
}

#[test]
fn with_an_expired_token_git_lfs_fails_at_once_and_says_why() {
    for wiring in [Wiring::Helper, Wiring::Askpass, Wiring::Both] {
        let life = Duration::from_secs(3);
        let Some(scene) = Scene::new(&gits()[0], wiring, life) else { return };
        scene.commit(0);
        scene.world.platform.refuse_connections();
        eventually("the token expires", life * 2, || scene.world.broker.credential("github")["state"] == "expired");
        let ran = scene.git("here", &["lfs", "push", "origin", "main"]);
        assert!(ran.code().is_some_and(|code| code != 0), "{wiring:?}: {ran:?}");
        let why = "molecule-broker: no credential for https://localhost";
        // In a container without IPv6, the error is that of the address ::1.
        assert!(ran.stderr.contains(why) && ran.stderr.contains("connect: no connection to"), "{wiring:?}: {ran:?}");
        assert_eq!(scene.world.host.dead_shown(), 0, "{wiring:?}");
    }
}
