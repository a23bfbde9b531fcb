//! git in the environments that agents and launchers give to the commands that
//! they run. Each test starts from the environment that `supervise`, `setup-git
//! --env` or the shells' profile made, and fetches a private repository through
//! the broker.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use molecule_tests::git_host::CredentialState;
use molecule_tests::program;
use molecule_tests::programs::{Git, gits};
use molecule_tests::world::{RunResult, World, WorldSetup, run};

const PATIENCE: Duration = Duration::from_secs(30);

type Environment = BTreeMap<String, String>;

/// A world with a serving broker, and the git that uses it.
struct Scene {
    world: World,
    git: Git,
}

/// Runs a test with each git of this machine.
fn for_each_git(test: impl Fn(&Scene)) {
    for git in gits() {
        let world = World::started(WorldSetup::default());
        world.host.create_repository("acme/app.git");
        println!("git {}", git.version);
        test(&Scene { world, git });
    }
}

impl Scene {
    /// Returns the container's environment. Its variables of git come from the
    /// provisioner or the image.
    fn provisioned(&self) -> Environment {
        let shown = |path: &Path| path.display().to_string();
        let bin = self.world.bin();
        let folder = self.git.path.parent().unwrap();
        let pairs = [
            ("PATH", format!("{}:{}:/usr/bin:/bin", shown(&bin), shown(folder))),
            ("HOME", shown(&self.world.home())),
            ("GIT_ASKPASS", shown(&bin.join("molecule-askpass"))),
            ("GIT_SSL_CAINFO", shown(&self.world.ca_file())),
            ("MOLECULE_BROKER_SOCKET", shown(&self.world.socket())),
            ("MOLECULE_BROKER_HOSTS", self.world.host.origin()),
            ("SOME_API_KEY", "kept from commands".into()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Returns the environment of a command that these words start.
    fn started_by(&self, words: &[&str], environment: &Environment) -> Environment {
        let file = self.world.path().join("environment");
        let mut command = program(words[0]);
        command.args(&words[1..]).args(["/bin/sh", "-c", &format!("env -0 >{}", file.display())]);
        run(command.env_clear().envs(environment).current_dir(self.world.work()), PATIENCE).ok();
        let text = fs::read_to_string(file).unwrap();
        text.split('\0').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }

    /// Returns the environment of a command of `supervise`, which listens on
    /// its own socket. The result names the world's broker instead.
    fn supervised(&self, mut environment: Environment) -> Environment {
        let own = self.world.path().join("run/supervised.sock").display().to_string();
        environment.insert("MOLECULE_BROKER_SOCKET".into(), own.clone());
        environment.insert("CONFIGS_DIR".into(), self.world.path().join("configs").display().to_string());
        let broker = self.world.bin().join("molecule-broker").display().to_string();
        let mut found = self.started_by(&[&broker, "supervise", "--"], &environment);
        assert_eq!(found.insert("MOLECULE_BROKER_SOCKET".into(), self.world.socket().display().to_string()), Some(own));
        found
    }

    /// Returns the environment of a shell that has evaluated `setup-git --env`.
    fn evaluated(&self, environment: &Environment) -> Environment {
        self.started_by(&["/bin/sh", "-ec", "eval \"$(molecule-broker setup-git --env)\"; \"$@\"", "sh"], environment)
    }

    /// Returns the environment of a shell that `docker exec` opens, here with
    /// the folder of our programs.
    fn profiled(&self, environment: &Environment) -> Environment {
        let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/profile.sh");
        let text =
            fs::read_to_string(profile).unwrap().replace("/usr/local/bin", &self.world.bin().display().to_string());
        let file = self.world.path().join("profile.sh");
        fs::write(&file, text).unwrap();
        self.started_by(&["/bin/sh", "-eu", "-c", &format!(". {}; \"$@\"", file.display()), "sh"], environment)
    }

    /// Returns the environments of the three ways in which git gets its last
    /// settings.
    fn ways(&self) -> [(&'static str, Environment); 3] {
        let provisioned = self.provisioned();
        [
            ("supervise", self.supervised(provisioned.clone())),
            ("setup-git --env", self.evaluated(&provisioned)),
            ("profile.sh", self.profiled(&provisioned)),
        ]
    }

    fn git(&self, environment: &Environment, arguments: &[&str]) -> RunResult {
        let mut command = program(&self.git.path);
        command.env_clear().envs(environment).args(arguments).current_dir(self.world.work());
        run(&mut command, PATIENCE)
    }

    /// Checks that git gets a live token in this environment and shows the host
    /// no other.
    #[track_caller]
    fn fetches(&self, what: &str, environment: &Environment) {
        let live = self.world.host.shown_count(CredentialState::Live);
        let url = self.world.host.url("acme/app.git");
        let ran = self.git(environment, &["ls-remote", &url]);
        assert!(ran.success(), "git {}, {what}: {ran:?}\n{environment:#?}", self.git.version);
        assert!(self.world.host.shown_count(CredentialState::Live) > live, "git {}, {what}", self.git.version);
        assert_eq!(self.world.host.dead_shown(), 0, "git {}, {what}", self.git.version);
    }
}

/// Returns the environment that Gemini CLI gives to each command that it runs.
fn geminis(mut environment: Environment) -> Environment {
    let count: usize = environment.get("GIT_CONFIG_COUNT").map_or(0, |count| count.parse().unwrap());
    for (name, value) in [
        ("GIT_ASKPASS", ""),
        ("SSH_ASKPASS", ""),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        (&format!("GIT_CONFIG_KEY_{count}"), "credential.helper"),
        (&format!("GIT_CONFIG_VALUE_{count}"), ""),
        ("GIT_CONFIG_COUNT", &(count + 1).to_string()),
    ] {
        environment.insert(name.into(), value.into());
    }
    environment
}

/// Returns the environment of launchers that keep secrets from the programs
/// that they start.
fn without_secrets(mut environment: Environment) -> Environment {
    environment.retain(|name, _| !["KEY", "TOKEN", "SECRET"].iter().any(|word| name.contains(word)));
    environment
}

/// Adds a counted setting of the image, which no other program may change.
fn counted(mut environment: Environment) -> Environment {
    for (name, value) in [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "user.name"), ("GIT_CONFIG_VALUE_0", "image")]
    {
        environment.insert(name.into(), value.into());
    }
    environment
}

#[test]
fn rule55_in_gemini_clis_environment_git_works() {
    for_each_git(|scene| {
        for (way, environment) in scene.ways() {
            scene.fetches(way, &geminis(environment));
        }
        let counted = geminis(scene.supervised(counted(scene.provisioned())));
        scene.fetches("with a setting of the image", &counted);
        assert_eq!(scene.git(&counted, &["config", "user.name"]).stdout, "image\n");
    });
}

#[test]
fn rule55_without_variables_named_like_secrets_git_works() {
    for_each_git(|scene| {
        for (way, environment) in scene.ways() {
            let environment = without_secrets(environment);
            assert!(!environment.contains_key("SOME_API_KEY"));
            scene.fetches(way, &environment);
        }
    });
}

#[test]
fn rule55_with_global_configuration_elsewhere_git_works() {
    for_each_git(|scene| {
        let elsewhere = scene.world.path().join("elsewhere");
        fs::write(&elsewhere, "[credential]\n\thelper =\n[user]\n\tname = sandbox\n").unwrap();
        for (way, mut environment) in scene.ways() {
            environment.insert("GIT_CONFIG_GLOBAL".into(), elsewhere.display().to_string());
            environment.remove("GIT_ASKPASS");
            scene.fetches(way, &environment);
        }
    });
}

/// As cron, sudo's `secure_path` and `env -i` leave the environment: git has
/// only its files. The certificate and the socket are variables because the
/// stand-ins' places aren't the usual ones.
#[test]
fn rule55_with_a_bare_environment_git_works() {
    for_each_git(|scene| {
        let provisioned = scene.provisioned();
        run(
            program(scene.world.bin().join("molecule-broker"))
                .args(["setup-git", "--global"])
                .env_clear()
                .envs(&provisioned),
            PATIENCE,
        )
        .ok();
        let mut bare = provisioned.clone();
        bare.retain(|name, _| ["HOME", "GIT_SSL_CAINFO", "MOLECULE_BROKER_SOCKET"].contains(&name.as_str()));
        bare.insert("PATH".into(), "/usr/bin:/bin".into());
        bare.insert("GIT_CONFIG_NOSYSTEM".into(), "1".into());
        scene.fetches("env -i", &bare);
    });
}

/// Counts only variables that we set; other programs are responsible for
/// theirs.
#[test]
fn rule55_no_missing_variable_of_ours_breaks_git() {
    for_each_git(|scene| {
        let provisioned = scene.provisioned();
        for before in [provisioned.clone(), counted(provisioned)] {
            let after = scene.supervised(before.clone());
            for gone in after.keys().filter(|name| name.starts_with("GIT_") && before.get(*name) != after.get(*name)) {
                let mut rest = after.clone();
                rest.remove(gone);
                let ran = scene.git(&rest, &["config", "--list"]);
                assert!(ran.success(), "git {}, without {gone}: {ran:?}", scene.git.version);
            }
        }
    });
}

/// git passes the variable on to the gits that it starts, and appends to it.
#[test]
fn rule55_submodules_and_git_c_keep_the_settings() {
    for_each_git(|scene| {
        let host = &scene.world.host;
        host.create_repository("acme/part.git");
        let environment = geminis(scene.supervised(scene.provisioned()));
        let (app, part) = (host.url("acme/app.git"), host.url("acme/part.git"));
        let git = |arguments: &[&str]| scene.git(&environment, arguments).ok();
        git(&["-c", "user.name=a", "clone", "-q", &app, "app"]);
        git(&["-C", "app", "submodule", "--quiet", "add", &part, "part"]);
        git(&["-C", "app", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "with a part"]);
        git(&["-C", "app", "push", "-q", "origin", "HEAD"]);
        git(&["clone", "-q", "--recurse-submodules", &app, "again"]);
        git(&["-C", "again", "fetch", "-q", "--recurse-submodules"]);
        assert!(scene.world.work().join("again/part/.git").exists());
        assert_eq!(host.dead_shown(), 0);
    });
}

/// Settings of an older broker in an environment that is still in use.
#[test]
fn rule55_settings_of_an_older_broker_are_updated() {
    for_each_git(|scene| {
        let key = format!("credential.https://{}.helper", scene.world.host.origin());
        let mut old = scene.provisioned();
        for (name, value) in [
            ("GIT_CONFIG_COUNT", "4"),
            ("GIT_CONFIG_KEY_0", key.as_str()),
            ("GIT_CONFIG_VALUE_0", ""),
            ("GIT_CONFIG_KEY_1", key.as_str()),
            ("GIT_CONFIG_VALUE_1", "molecule"),
            ("GIT_CONFIG_KEY_2", "credential.https://former.example.helper"),
            ("GIT_CONFIG_VALUE_2", ""),
            ("GIT_CONFIG_KEY_3", "credential.https://former.example.helper"),
            ("GIT_CONFIG_VALUE_3", "molecule"),
        ] {
            old.insert(name.into(), value.into());
        }
        for new in [scene.supervised(old.clone()), scene.evaluated(&old)] {
            scene.fetches("unchanged", &new);
            scene.fetches("in Gemini CLI", &geminis(new.clone()));
            scene.fetches("without secrets", &without_secrets(new));
        }
    });
}

#[test]
fn the_shells_profile_keeps_settings_and_adds_its_own_once() {
    let world = World::new(WorldSetup::default());
    let scene = Scene { world, git: gits().remove(0) };
    let mut environment = scene.provisioned();
    environment.insert("GIT_CONFIG_PARAMETERS".into(), "'user.name'='me'".into());
    let once = scene.profiled(&environment);
    assert!(once["GIT_CONFIG_PARAMETERS"].starts_with("'user.name'='me' 'credential."), "{once:#?}");
    assert_eq!(once.get("GIT_TERMINAL_PROMPT"), None, "git may ask a person");
    assert_eq!(scene.profiled(&once), once);
    environment.insert("MOLECULE_BROKER_HOSTS".into(), "no host/".into());
    let unreadable = scene.profiled(&environment);
    assert_eq!(unreadable["GIT_CONFIG_PARAMETERS"], "'user.name'='me'");
    assert!(!unreadable.keys().any(|name| name.starts_with("molecule")), "{unreadable:#?}");
}
