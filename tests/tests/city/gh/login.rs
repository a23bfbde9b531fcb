//! gh's own logins through the shim. The result is the same as with gh itself
//! in an environment without a dead token.

use std::fs;
use std::time::Duration;

use molecule_tests::git_host::APP;
use molecule_tests::programs::GH_TOKENS;
use molecule_tests::world::{RunResult, WorldSetup, run_with_input};

use crate::gh::scene::{PATIENCE, SHIMS, Scene, Site, Way};

/// The result of one command: its status, its output, and gh's and git's
/// configuration afterwards.
type Seen = (Option<i32>, String, String, String, String);

struct Desk<'a> {
    scene: &'a Scene,
    token: &'a str,
    way: Way,
}

impl Desk<'_> {
    fn clear(&self) {
        let _ = fs::remove_dir_all(self.scene.world.home().join(".config"));
        let _ = fs::remove_file(self.git_config());
    }

    fn git_config(&self) -> std::path::PathBuf {
        self.scene.world.home().join("gitconfig")
    }

    fn run(&self, arguments: &[&str]) -> RunResult {
        let mut gh = self.scene.gh(self.way, arguments);
        if self.way == Way::Bare {
            for name in GH_TOKENS {
                gh.env_remove(name);
            }
        }
        gh.env("GIT_CONFIG_GLOBAL", self.git_config());
        run_with_input(&mut gh, self.token.as_bytes(), PATIENCE)
    }

    fn see(&self, arguments: &[&str]) -> Seen {
        let ran = self.run(arguments);
        let hosts = fs::read_to_string(self.scene.world.home().join(".config/gh/hosts.yml")).unwrap_or_default();
        let git = fs::read_to_string(self.git_config()).unwrap_or_default();
        // The only difference: gh writes down its own path.
        let moved = self.scene.world.path().join("image/usr/bin/gh.distrib").display().to_string();
        (ran.code(), ran.stdout, ran.stderr, hosts, git.replace(&moved, &self.scene.real.path.display().to_string()))
    }
}

/// At github.com, because gh 2.102 can't log in at a host with a port.
#[test]
fn a_login_through_the_shim_is_the_same_as_by_gh_itself() {
    for scene in Scene::each_started(Site::GitHub, WorldSetup::default) {
        let token = scene.world.ledger.mint(Duration::from_secs(3600)).token;
        let host = scene.host();
        let steps: [&[&str]; 5] = [
            &["auth", "setup-git"],
            &["auth", "login", "--with-token"],
            &["auth", "setup-git"],
            &["auth", "logout", "--hostname", &host],
            &["auth", "logout", "--hostname", &host],
        ];
        let walk = |way| {
            let desk = Desk { scene: &scene, token: &token, way };
            desk.clear();
            steps.map(|step| desk.see(step))
        };
        let bare = walk(Way::Bare);
        assert!(bare[1].3.contains(&token) && bare[2].4.contains("auth git-credential"), "{bare:?}");
        assert_eq!(bare[3].0, Some(0), "{bare:?}");
        for way in SHIMS {
            assert_eq!(walk(way), bare, "{way:?}");
        }
        assert_eq!(scene.world.host.dead_shown(), 0);
    }
}

#[test]
fn rule56_auth_status_shows_the_login_that_works() {
    for site in [Site::GitHub, Site::Enterprise] {
        for scene in Scene::each_started(site, WorldSetup::default) {
            for way in SHIMS {
                let ran = Desk { scene: &scene, token: "", way }.run(&["auth", "status"]).ok();
                let said = ran.stdout + &ran.stderr;
                // `as app[bot]` up to gh 2.39, `account app[bot]` in later
                // versions.
                let line = said.lines().find(|line| line.contains(&format!("Logged in to {}", scene.host())));
                assert!(line.is_some_and(|line| line.contains(APP)), "{way:?}: {said}");
            }
            assert_eq!(scene.world.host.dead_shown(), 0);
        }
    }
}
