//! Our helper together with other helpers, and git's own test of external
//! helpers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use molecule_tests::git_host::CredentialState;
use molecule_tests::programs::{Git, gits};
use molecule_tests::world::{RunResult, Wiring, World, WorldSetup, run, run_with_input, write_program};
use molecule_tests::{machine_tool, skip};

const PATIENCE: Duration = Duration::from_secs(20);

/// git passes a credential that worked to every helper that it knows. The empty
/// helper before ours removes all that were read before.
#[test]
fn rule21_a_store_read_before_setup_gits_entry_keeps_nothing() {
    for git in gits() {
        let world = World::started(WorldSetup::default());
        let store = Store::new(&world);
        let system = world.path().join("system");
        fs::write(&system, &store.section).unwrap();
        let in_city = |program: &Path| {
            let mut command = world.command(program);
            command.env_remove("GIT_CONFIG_NOSYSTEM").env("GIT_CONFIG_SYSTEM", &system);
            command.env("MOLECULE_BROKER_HOSTS", world.host.origin());
            command
        };
        let mut askpass = in_city(&git.path);
        askpass.env("GIT_ASKPASS", world.bin().join("molecule-askpass"));
        run(askpass.args(["ls-remote", &store.url]), PATIENCE).ok();
        assert!(store.taken().contains("x-access-token"), "the control, git {}", git.version);
        run(in_city(&world.bin().join("molecule-broker")).args(["setup-git", "--global"]), PATIENCE).ok();
        run(in_city(&git.path).args(["ls-remote", &store.url]), PATIENCE).ok();
        assert_eq!(store.taken(), "", "git {}", git.version);
    }
}

/// The store may be configured anywhere: the settings of `supervise` are read
/// last.
#[test]
fn rule21_beside_supervises_settings_a_store_keeps_nothing() {
    for git in gits() {
        let world = World::new(WorldSetup::default());
        let store = Store::new(&world);
        let [system, global] = ["system", "global"].map(|name| world.path().join(name));
        fs::write(&system, &store.section).unwrap();
        fs::write(&global, &store.section).unwrap();
        run(world.git(&git, Wiring::Nothing).args(["init", "-q"]), PATIENCE).ok();
        let own = world.work().join(".git/config");
        fs::write(&own, fs::read_to_string(&own).unwrap() + &store.section).unwrap();
        let below = |words: &[&str]| {
            let mut supervised = world.broker.command(&["supervise", "--", "env"]);
            supervised.args(words).arg(&git.path).args(["ls-remote", &store.url]).current_dir(world.work());
            supervised.env("GIT_CONFIG_SYSTEM", &system).env("GIT_CONFIG_GLOBAL", &global);
            supervised.env("GIT_SSL_CAINFO", world.ca_file());
            supervised.env("PATH", format!("{}:/usr/bin:/bin", world.bin().display()));
            run(&mut supervised, PATIENCE).ok();
        };
        // Then git uses askpass.
        below(&["--unset=GIT_CONFIG_PARAMETERS"]);
        assert!(store.taken().contains("x-access-token"), "the control, git {}", git.version);
        let live = world.host.shown_count(CredentialState::Live);
        below(&[]);
        assert!(world.host.shown_count(CredentialState::Live) > live, "git {}", git.version);
        assert_eq!(store.taken(), "", "git {}", git.version);
    }
}

/// A private repository, and a section of a configuration that stores its token
/// in a file.
struct Store {
    url: String,
    section: String,
    file: PathBuf,
}

impl Store {
    fn new(world: &World) -> Self {
        world.host.create_repository("acme/app.git");
        let file = world.home().join("stored");
        let section = format!("[credential]\n\thelper = store --file={}\n", file.display());
        Self { url: world.host.url("acme/app.git"), section, file }
    }

    /// Returns and removes everything that was stored until now.
    fn taken(&self) -> String {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let _ = fs::remove_file(&self.file);
        text
    }
}

/// Lengths of the header's text, in a test case of git itself: they just fill a
/// buffer of 1 KiB, one of 4 KiB, and exceed any.
const LONG: [usize; 3] = [1001, 4073, 65535];

/// The host whose password that test case tries to get. Here our helper has one
/// for it.
const VICTIM: &str = "victim.example.com";

#[test]
fn rule47_our_helper_stores_nothing_in_gits_own_helper_test() {
    let Some(folder) = git_tests() else { return };
    let world = World::started(WorldSetup { hosts: Some(VICTIM.into()), ..WorldSetup::default() });
    let ours = world.bin().join("git-credential-molecule");
    for git in gits() {
        for long in LONG {
            let silent = score(&world, &folder, &git, Path::new("/bin/true"), long);
            let passes = |words: &str| silent.iter().any(|line| line.starts_with("ok ") && line.contains(words));
            // There are passing and failing cases, so that the result can tell
            // helpers apart.
            assert!(passes("has no existing data"), "git {}: {silent:?}", git.version);
            assert!(silent.iter().any(|line| line.starts_with("not ok ")), "git {}: {silent:?}", git.version);
            assert_eq!(score(&world, &folder, &git, &ours, long), silent, "git {}, {long} bytes", git.version);
            if !silent.iter().any(|line| line.contains("long header")) {
                skip("t0303's case of a long header: the source of this Debian's git is older than the case (2.41)");
                break;
            }
            if hands_headers_on(&git) {
                assert!(passes("not confused by long header"), "git {}, {long} bytes: {silent:?}", git.version);
            }
        }
    }
}

/// Since 2.41 git passes the server's own text to its helpers.
fn hands_headers_on(git: &Git) -> bool {
    git.at_least(2, 41)
}

/// The same test case without git's test suite, for every git of this machine.
#[test]
fn rule47_a_long_header_makes_no_helper_confuse_two_hosts() {
    let world = World::started(WorldSetup { hosts: Some(VICTIM.into()), ..WorldSetup::default() });
    let (askpass, heard) = (world.bin().join("askpass"), world.path().join("heard"));
    let script = "#!/bin/sh\ncase $1 in U*) echo askpass-username ;; *) echo askpass-password ;; esac\n";
    write_program(&askpass, script);
    let helper = format!("credential.helper=!tee {} | git-credential-molecule", heard.display());
    let fill = |git: &Git, question: &str| {
        let mut command = world.git(git, Wiring::Nothing);
        command.env("GIT_ASKPASS", &askpass).args(["-c", &helper, "credential", "fill"]);
        run_with_input(&mut command, question.as_bytes(), PATIENCE).ok().stdout
    };
    for git in gits() {
        if !hands_headers_on(&git) {
            skip(&format!("git {} and long headers: it passes none on", git.version));
            continue;
        }
        for long in LONG {
            let head = "protocol=https\nhost=badguy.example.com\n";
            let header = format!("wwwauth[]=basic realm={}host={VICTIM}\n", "a".repeat(long));
            let filled = fill(&git, &format!("{head}{header}"));
            let by_askpass = format!("{head}username=askpass-username\npassword=askpass-password\n{header}");
            assert!(filled == by_askpass, "git {}, {long} bytes: {}", git.version, filled.replace("aaaa", ""));
            let heard = fs::read_to_string(&heard).unwrap();
            assert!(heard.contains(&header), "git {}: the helper didn't get all of it", git.version);
        }
        let filled = fill(&git, &format!("protocol=https\nhost={VICTIM}\n"));
        assert!(filled.contains("password=ghs_"), "there must be a password: {filled}");
    }
}

/// Returns the folder with git's own `t/`, fetched from Debian's source
/// package.
fn git_tests() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here.join("../target/git-tests");
    let mut fetch = machine_tool(here.join("fetch-git-tests"));
    let ran = run(fetch.arg(&folder), Duration::from_secs(180));
    if !ran.success() {
        let why = ran.stderr.lines().chain(ran.stdout.lines()).last().unwrap_or("no reason given").to_owned();
        skip(&format!("git's own helper tests (t0303): their source can't be fetched: {why}"));
        return None;
    }
    // The library of the tests demands a built git. These files are all that it
    // needs of one.
    fs::create_dir_all(folder.join("t/helper")).unwrap();
    fs::create_dir_all(folder.join("templates/blt")).unwrap();
    let options = "SHELL_PATH=/bin/sh\nTEST_SHELL_PATH=/bin/sh\nPERL_PATH=perl\nDIFF=diff\nNO_GETTEXT=Yes\n";
    // git 2.55 reads the folder from here. It is quoted, because it may contain
    // a space.
    let templates = folder.canonicalize().unwrap().join("templates/blt");
    let options = format!("{options}GIT_TEST_TEMPLATE_DIR='{}'\n", templates.display());
    fs::write(folder.join("GIT-BUILD-OPTIONS"), options).unwrap();
    let tool = folder.join("t/helper/test-tool");
    fs::copy("/bin/false", tool).unwrap();
    Some(folder)
}

/// Length of `wwwauth[]=basic realm=` and a NUL, as the test script has them.
const HEAD_AND_END: usize = 23;

fn score(world: &World, folder: &Path, git: &Git, helper: &Path, long: usize) -> Vec<String> {
    let mut command = world.command(Path::new("/bin/sh"));
    command
        .arg("./t0303-credential-external.sh")
        .arg(format!("--root={}", world.work().join("t0303").display()))
        .current_dir(folder.join("t"))
        .env("GIT_TEST_CREDENTIAL_HELPER", helper)
        .env("GIT_TEST_INSTALLED", git.path.parent().unwrap())
        .env("GIT_TEST_LONG_CRED_BUFFER", (long + HEAD_AND_END).to_string())
        .env("GIT_TEST_CHAIN_LINT", "0")
        .env("TEST_NO_MALLOC_CHECK", "1");
    let RunResult { stdout, .. } = run(&mut command, 6 * PATIENCE);
    let is_verdict = |line: &&str| line.starts_with("ok ") || line.starts_with("not ok ");
    let name = helper.display().to_string();
    stdout.lines().filter(is_verdict).map(|line| line.replace(&name, "HELPER")).collect()
}
