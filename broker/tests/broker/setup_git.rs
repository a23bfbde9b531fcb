//! `setup-git` against the real git, of every version that is installed here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const HELPER: &str = "bin/git-credential-molecule";
const GITS: [&str; 2] = ["/usr/bin/git", "/usr/local/bin/git"];

/// A home, a repository, and a folder for the programs that git may find.
struct World {
    root: tempfile::TempDir,
    git: PathBuf,
}

/// Runs a test in a fresh world for each git there is.
fn for_each_git(test: impl Fn(&World)) {
    let there: Vec<_> = GITS.iter().filter(|git| Path::new(git).exists()).collect();
    assert!(!there.is_empty(), "no git in {GITS:?}");
    for git in there {
        test(&World::new(Path::new(git)));
    }
}

impl World {
    fn new(git: &Path) -> Self {
        let world = Self { root: tempfile::tempdir().unwrap(), git: PathBuf::from(git) };
        for folder in ["bin", "home", "repo"] {
            fs::create_dir(world.path(folder)).unwrap();
        }
        std::os::unix::fs::symlink(git, world.path("bin/git")).unwrap();
        world.git("init -q").unwrap_ok();
        world.helper("ours", HELPER);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = molecule_test_kit::program(program);
        command.env_clear().current_dir(self.path("repo")).env("HOME", self.path("home"));
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command.env("GIT_CONFIG_SYSTEM", self.path("system")).env("GIT_TERMINAL_PROMPT", "0");
        command
    }

    fn git(&self, words: &str) -> Output {
        self.command(&self.git).args(words.split(' ')).output().unwrap()
    }

    fn setup_git(&self, words: &str, env: &[(&str, &str)]) -> Output {
        self.setup_git_by(Path::new(env!("CARGO_BIN_EXE_molecule-broker")), words, env)
    }

    fn setup_git_by(&self, broker: &Path, words: &str, env: &[(&str, &str)]) -> Output {
        let mut command = self.command(broker);
        command.arg("setup-git").args(words.split(' ').filter(|w| !w.is_empty())).envs(env.iter().copied());
        command.output().unwrap()
    }

    /// Returns git's variables after a shell has read what `--env` prints.
    fn variables(&self, env: &[(&str, &str)]) -> Vec<(String, String)> {
        let text = self.setup_git("--env", env).unwrap_ok();
        let mut shell = self.command("/bin/sh");
        let out = shell.args(["-c", "eval \"$0\"; env -0", &text]).envs(env.iter().copied()).output().unwrap();
        let pairs = out.unwrap_ok();
        let pairs =
            pairs.split('\0').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| name.starts_with("GIT_"));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Returns the value that names our helper in git's configuration.
    fn ours(&self) -> String {
        self.path(HELPER).display().to_string()
    }

    /// Installs a helper that records what it is asked. It gives a password if
    /// its name is `ours`.
    fn helper(&self, name: &str, file: &str) {
        let script = format!(
            "#!/bin/sh\necho \"{name} $1\" >> {}\ncat >/dev/null\n[ {name} = ours ] && [ $1 = get ] && printf 'username=u\\npassword=p\\n'\nexit 0\n",
            self.path("log").display()
        );
        fs::write(self.path(file), script).unwrap();
        fs::set_permissions(self.path(file), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Returns what the helpers saw of a successful login at this URL.
    fn log_in(&self, url: &str, env: &[(String, String)]) -> String {
        let _ = fs::remove_file(self.path("log"));
        for (action, input) in
            [("fill", format!("url={url}\n\n")), ("approve", format!("url={url}\nusername=u\npassword=p\n\n"))]
        {
            let mut command = self.command(&self.git);
            command.args(["credential", action]).envs(env.iter().map(|(k, v)| (k, v)));
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::io::Write::write_all(child.stdin.as_mut().unwrap(), input.as_bytes()).unwrap();
            child.wait().unwrap();
        }
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

trait Checked {
    fn unwrap_ok(self) -> String;
}

impl Checked for Output {
    fn unwrap_ok(self) -> String {
        assert!(self.status.success(), "{}", String::from_utf8_lossy(&self.stderr));
        String::from_utf8(self.stdout).unwrap()
    }
}

#[test]
fn default_hosts_get_ours_and_a_second_run_changes_nothing() {
    for_each_git(|world| {
        world.setup_git("--global", &[]).unwrap_ok();
        let first = fs::read_to_string(world.path("home/.gitconfig")).unwrap();
        for host in ["github.com", "gist.github.com"] {
            let values = world.git(&format!("config --global --get-all credential.https://{host}.helper")).unwrap_ok();
            assert_eq!(values, format!("\n{}\n", world.ours()), "{host}");
        }
        assert_eq!(world.setup_git("--global", &[]).unwrap_ok(), "nothing to change\n");
        assert_eq!(fs::read_to_string(world.path("home/.gitconfig")).unwrap(), first);
    });
}

#[test]
fn system_and_host_choose_the_file_and_the_hosts() {
    for_each_git(|world| {
        world.setup_git("--system --host git.example.com:8443 --host http://git:3000", &[]).unwrap_ok();
        let list = world.git("config --system --list").unwrap_ok();
        let both = |url: &str| format!("credential.{url}.helper=\ncredential.{url}.helper={}\n", world.ours());
        assert_eq!(list, both("https://git.example.com:8443") + &both("http://git:3000"));
        assert!(!world.path("home/.gitconfig").exists());
    });
}

#[test]
fn a_wildcard_and_an_address_with_a_port_lead_git_to_the_helper() {
    for_each_git(|world| {
        let words = "--system --host *.ghe.example --host [::1]:8443 --host http://127.0.0.1:3000";
        world.setup_git(words, &[]).unwrap_ok();
        assert_eq!(world.setup_git(words, &[]).unwrap_ok(), "nothing to change\n");
        for url in ["https://a.ghe.example/", "https://[::1]:8443/x", "http://127.0.0.1:3000/"] {
            assert_eq!(world.log_in(url, &[]), "ours get\nours store\n", "{url}");
        }
        for url in ["https://ghe.example/", "https://a.b.ghe.example/", "http://a.ghe.example/"] {
            assert_eq!(world.log_in(url, &[]), "", "{url}");
        }
    });
}

#[test]
fn foreign_helpers_for_the_host_are_dropped_and_the_rest_stays() {
    for_each_git(|world| {
        let before = "[user]\n\tname = me ; stays\n[credential \"https://github.com\"]\n\thelper = !gh auth git-credential\n[credential]\n\thelper = other\n";
        fs::write(world.path("home/.gitconfig"), before).unwrap();
        world.helper("other", "bin/git-credential-other");
        world.setup_git("", &[]).unwrap_ok();
        let after = fs::read_to_string(world.path("home/.gitconfig")).unwrap();
        assert!(after.contains("name = me ; stays") && !after.contains("gh auth"), "{after}");
        assert_eq!(world.log_in("https://github.com/a/b", &[]), "ours get\nours store\n");
        assert!(world.log_in("https://git.example.com/", &[]).contains("other get"), "others' hosts keep their helper");
        assert_eq!(world.setup_git("", &[]).unwrap_ok(), "nothing to change\n");
    });
}

#[test]
fn rule49_with_our_variables_a_repositorys_helper_sees_nothing() {
    for_each_git(|world| {
        world.helper("theirs", "bin/git-credential-theirs");
        for key in
            ["credential.helper", "credential.https://github.com.helper", "credential.https://u@github.com/a/b.helper"]
        {
            world.git(&format!("config {key} theirs")).unwrap_ok();
        }
        assert!(world.log_in("https://u@github.com/a/b", &[]).contains("theirs get"), "without our variables");
        let ours = world.variables(&[]);
        assert_eq!(world.log_in("https://u@github.com/a/b", &ours), "ours get\nours store\n");
    });
}

#[test]
fn our_variables_come_after_those_that_are_set() {
    for_each_git(|world| {
        let there = [
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "user.name"),
            ("GIT_CONFIG_VALUE_0", "me"),
            ("GIT_CONFIG_PARAMETERS", "'alias.x'='!echo it'\\''s'"),
        ];
        let text = world.setup_git("--env --host *.example.com", &there).unwrap_ok();
        assert!(text.starts_with("GIT_CONFIG_PARAMETERS='") && text.contains("GIT_TERMINAL_PROMPT=0\n"), "{text}");
        fs::write(world.path("env.sh"), &text).unwrap();
        let show = "set -e; . \"$0\"; git config --get-regexp 'name|alias|helper'; printenv GIT_TERMINAL_PROMPT";
        let mut shell = world.command("/bin/sh");
        let out = shell.args(["-c", show]).arg(world.path("env.sh")).envs(there).output().unwrap().unwrap_ok();
        let key = "credential.https://*.example.com.helper";
        let wanted = format!("user.name me\nalias.x !echo it's\n{key} \n{key} {}\n0\n", world.ours());
        assert_eq!(out, wanted);
    });
}

#[test]
fn printed_twice_the_variables_are_the_same() {
    for_each_git(|world| {
        let once = world.variables(&[("GIT_CONFIG_PARAMETERS", "'a.b'='c'")]);
        let pairs: Vec<_> = once.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(world.variables(&pairs), once);
    });
}

#[test]
fn the_variables_of_an_older_broker_are_replaced() {
    for_each_git(|world| {
        world.helper("former", "bin/git-credential-former");
        let key = "credential.https://github.com.helper";
        let old = [
            ("GIT_HTTP_USERNAME", "bot"),
            ("GIT_HTTP_PASSWORD", "pw"),
            ("GIT_CONFIG_COUNT", "3"),
            ("GIT_CONFIG_KEY_0", "credential.helper"),
            ("GIT_CONFIG_VALUE_0", "molecule"),
            ("GIT_CONFIG_KEY_1", key),
            ("GIT_CONFIG_VALUE_1", ""),
            ("GIT_CONFIG_KEY_2", key),
            ("GIT_CONFIG_VALUE_2", "molecule"),
        ];
        let new = world.variables(&old);
        assert!(new.contains(&("GIT_CONFIG_COUNT".into(), "0".into())), "{new:?}");
        assert_eq!(
            world.log_in("https://git.example.com/", &new),
            "ours get\nours store\n",
            "our helper is asked once"
        );
    });
}

#[test]
fn no_single_variable_that_is_missing_makes_git_fail() {
    for_each_git(|world| {
        let all = world.variables(&[]);
        for (gone, _) in &all {
            let mut git = world.command(&world.git);
            git.args(["config", "--list"]).envs(all.iter().filter(|(name, _)| name != gone).map(|(k, v)| (k, v)));
            let out = git.output().unwrap();
            assert!(out.status.success(), "without {gone}: {}", String::from_utf8_lossy(&out.stderr));
        }
    });
}

#[test]
fn an_open_persona_is_asked_after_the_users_helpers() {
    for_each_git(|world| {
        let persona = [("GIT_HTTP_USERNAME", "bot"), ("GIT_HTTP_PASSWORD", "pw")];
        world.helper("theirs", "bin/git-credential-theirs");
        world.helper("askpass", "bin/molecule-askpass");
        world.git("config --global credential.helper theirs").unwrap_ok();
        let ours = world.variables(&persona);
        assert!(world.log_in("https://git.example.com/", &ours).starts_with("theirs get\nours get\n"));
        assert_eq!(world.log_in("https://github.com/", &ours), "ours get\nours store\n");
        let said = world.setup_git("--system", &persona).unwrap_ok();
        assert!(said.contains("MOLECULE_BROKER_PERSONA_HOSTS"), "{said}");
        let askpass = format!("{}\n", world.path("bin/molecule-askpass").display());
        assert_eq!(world.git("config --system core.askPass").unwrap_ok(), askpass);
        assert_eq!(world.setup_git("--system", &persona).unwrap_ok(), "nothing to change\n");
        let scoped = [persona[0], persona[1], ("MOLECULE_BROKER_PERSONA_HOSTS", "git.example.com")];
        let ours = world.variables(&scoped);
        assert_eq!(world.log_in("https://git.example.com/", &ours), "ours get\nours store\n");
    });
}

#[test]
fn what_an_older_broker_wrote_is_replaced() {
    for_each_git(|world| {
        world.helper("askpass", "bin/molecule-askpass");
        let key = "credential.https://github.com.helper";
        let old = "[credential \"https://github.com\"]\n\thelper = \n\thelper = molecule\n[core]\n\taskPass = molecule-askpass\n";
        fs::write(world.path("home/.gitconfig"), old).unwrap();
        let persona = [("GIT_HTTP_USERNAME", "bot"), ("GIT_HTTP_PASSWORD", "pw")];
        world.setup_git("--global", &persona).unwrap_ok();
        let values = world.git(&format!("config --global --get-all {key}")).unwrap_ok();
        assert_eq!(values, format!("\n{}\n", world.ours()));
        let askpass = world.git("config --global --get-all core.askPass").unwrap_ok();
        assert_eq!(askpass, format!("{}\n", world.path("bin/molecule-askpass").display()));
        assert_eq!(world.setup_git("--global", &persona).unwrap_ok(), "nothing to change\n");
    });
}

/// Files that `setup-git` changes and that `--remove` restores byte for byte.
const FOUND: [&str; 7] = [
    "",
    "[user]\n\tname = me ; stays\n",
    "# ends with a comment\n",
    "[credential]\n\thelper = store\n[core]\n\taskPass = /usr/bin/other\n",
    "[credential \"https://github.com\"]\n\t# mine\n\tusername = me\n[user]\n\tname = me\n",
    "[credential \"https://other.example\"]\n\thelper = \n\thelper = store\n\n\n",
    "[includeIf \"gitdir:~/x/\"]\n\tpath = x\n\n# a\n\n[alias]\n\tx = \"!f() { echo \\\"a # b\\\"; }; f\" ; c\n",
];

#[test]
fn remove_leaves_everything_else_byte_for_byte() {
    for_each_git(|world| {
        world.helper("askpass", "bin/molecule-askpass");
        let persona = [("GIT_HTTP_USERNAME", "bot"), ("GIT_HTTP_PASSWORD", "pw")];
        for (scope, file) in [("--global", "home/.gitconfig"), ("--system", "system")] {
            for before in FOUND {
                fs::write(world.path(file), before).unwrap();
                world.setup_git(scope, &persona).unwrap_ok();
                let said = world.setup_git(&format!("{scope} --remove"), &[]).unwrap_ok();
                assert!(said.contains("removed credential.https://github.com.helper\n"), "{said}");
                assert_eq!(said.contains("removed core.askPass"), !before.contains("askPass"), "{said}");
                assert_eq!(fs::read_to_string(world.path(file)).unwrap(), before);
                assert_eq!(world.setup_git(&format!("{scope} --remove"), &[]).unwrap_ok(), "nothing to change\n");
            }
            fs::remove_file(world.path(file)).unwrap();
            assert_eq!(world.setup_git(&format!("{scope} --remove"), &[]).unwrap_ok(), "nothing to change\n");
        }
    });
}

#[test]
fn remove_takes_out_the_old_form_and_leaves_later_lines() {
    for_each_git(|world| {
        let old = "[credential \"https://github.com\"]\n\thelper = \n\thelper = molecule\n\t# mine\n\thelper = store\n\
                   [credential \"https://a.example\"]\n\thelper = \n\thelper = molecule\n\
                   [credential \"https://b.example\"]\n\thelper = molecule\n[core]\n\taskPass = molecule-askpass\n";
        fs::write(world.path("system"), old).unwrap();
        let said = world.setup_git("--system --remove --host a.example", &[]).unwrap_ok();
        assert_eq!(said, "removed credential.https://a.example.helper\n");
        world.setup_git("--system --remove", &[("MOLECULE_BROKER_HOSTS", "not a host/")]).unwrap_ok();
        let wanted = "[credential \"https://github.com\"]\n\t# mine\n\thelper = store\n\
                      [credential \"https://b.example\"]\n\thelper = molecule\n";
        assert_eq!(fs::read_to_string(world.path("system")).unwrap(), wanted);
    });
}

#[test]
fn a_helper_in_a_folder_with_a_shells_characters_is_asked() {
    for_each_git(|world| {
        let folder = "it's $(here) & \"there\"/ä b";
        for name in ["bin/git-credential-molecule", "bin/git"] {
            let _ = fs::remove_file(world.path(name));
        }
        fs::create_dir_all(world.path(folder)).unwrap();
        world.helper("ours", &format!("{folder}/git-credential-molecule"));
        world.helper("askpass", &format!("{folder}/molecule-askpass"));
        std::os::unix::fs::symlink(&world.git, world.path(folder).join("git")).unwrap();
        let path = format!("{}:/usr/bin:/bin", world.path(folder).display());
        let env = [("PATH", path.as_str()), ("GIT_HTTP_USERNAME", "bot"), ("GIT_HTTP_PASSWORD", "pw")];
        let variables = world.variables(&env);
        assert_eq!(world.log_in("https://github.com/", &variables), "ours get\nours store\n", "by variables");
        world.setup_git("--global", &env).unwrap_ok();
        assert_eq!(world.setup_git("--global", &env).unwrap_ok(), "nothing to change\n");
        assert_eq!(world.log_in("https://github.com/", &[]), "ours get\nours store\n", "by the file");
        assert!(world.log_in("https://other.example/", &[]).starts_with("askpass Username"), "by askpass");
        world.setup_git("--global --remove", &env).unwrap_ok();
        assert_eq!(fs::read_to_string(world.path("home/.gitconfig")).unwrap(), "");
    });
}

/// If the program's name on PATH is a link, the helper beside that link is named,
/// because an upgrade keeps the link. If the program isn't on PATH, the helper in
/// its own folder is named.
#[test]
fn the_helper_is_named_where_it_is_installed() {
    let world = World::new(Path::new(GITS.iter().find(|git| Path::new(git).exists()).unwrap()));
    for folder in ["opt/1.0", "links", "decoy"] {
        fs::create_dir_all(world.path(folder)).unwrap();
    }
    let own = world.path("opt/1.0/molecule-broker");
    // Copied by another process: a fork of this one would hold it open for writing.
    let copied =
        molecule_test_kit::program("cp").arg(env!("CARGO_BIN_EXE_molecule-broker")).arg(&own).status().unwrap();
    assert!(copied.success());
    world.helper("decoy", "decoy/git-credential-molecule");
    world.helper("ours", "opt/1.0/git-credential-molecule");
    let value = |path: &str| {
        let path = path.split(' ').map(|folder| world.path(folder).display().to_string()).collect::<Vec<_>>().join(":");
        let path = format!("{path}:/usr/bin:/bin");
        world.setup_git_by(&own, "--global --host h.example", &[("PATH", &path)]).unwrap_ok();
        world.git("config --global --get credential.https://h.example.helper").unwrap_ok().trim().to_owned()
    };
    assert_eq!(value("decoy"), world.path("opt/1.0/git-credential-molecule").display().to_string());
    std::os::unix::fs::symlink(&own, world.path("links/molecule-broker")).unwrap();
    std::os::unix::fs::symlink("../opt/1.0/git-credential-molecule", world.path("links/git-credential-molecule"))
        .unwrap();
    assert_eq!(value("decoy links"), world.path("links/git-credential-molecule").display().to_string());
}

#[test]
fn a_helper_that_isnt_installed_is_an_error_with_its_remedy() {
    for_each_git(|world| {
        fs::remove_file(world.path(HELPER)).unwrap();
        if Path::new("/usr/local/bin/git-credential-molecule").exists() {
            eprintln!("SKIP: a missing helper: it is installed on this machine");
            return;
        }
        for words in ["--global", "--env"] {
            let out = world.setup_git(words, &[]);
            assert_eq!((out.status.code(), out.stdout.len()), (Some(1), 0), "{words}");
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(said.contains("install the shim as /usr/local/bin/git-credential-molecule"), "{said}");
        }
        assert!(!world.path("home/.gitconfig").exists());
    });
}

#[test]
fn an_invalid_host_and_an_unwritable_file_are_clear_errors() {
    for_each_git(|world| {
        let bad = world.setup_git("--host github.com/x", &[]);
        assert_eq!(bad.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&bad.stderr).contains("expected host, host:port"));
        let gone = world.setup_git("--system", &[("GIT_CONFIG_SYSTEM", "/nonexistent/config")]);
        assert_eq!(gone.status.code(), Some(1));
        assert!(
            String::from_utf8_lossy(&gone.stderr).contains("git config --system failed")
                && String::from_utf8_lossy(&gone.stderr).contains("--global")
        );
    });
}
