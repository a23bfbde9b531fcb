//! `setup-git` against the real git, of every version that is installed here.

#![allow(clippy::unwrap_used, reason = "this is all test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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
        let world = World { root: tempfile::tempdir().unwrap(), git: PathBuf::from(git) };
        for folder in ["bin", "home", "repo"] {
            fs::create_dir(world.path(folder)).unwrap();
        }
        std::os::unix::fs::symlink(git, world.path("bin/git")).unwrap();
        world.git("init -q").unwrap_ok();
        test(&world);
    }
}

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.path("repo")).env("HOME", self.path("home"));
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command.env("GIT_CONFIG_SYSTEM", self.path("system")).env("GIT_TERMINAL_PROMPT", "0");
        command
    }

    fn git(&self, words: &str) -> Output {
        self.command(&self.git).args(words.split(' ')).output().unwrap()
    }

    fn setup_git(&self, words: &str, env: &[(&str, &str)]) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_molecule-broker"));
        command.arg("setup-git").args(words.split(' ').filter(|w| !w.is_empty())).envs(env.iter().copied());
        command.output().unwrap()
    }

    /// A helper that notes what it is asked, and has a password if it is ours.
    fn helper(&self, name: &str, file: &str) {
        let script = format!(
            "#!/bin/sh\necho \"{name} $1\" >> {}\ncat >/dev/null\n[ {name} = ours ] && [ $1 = get ] && printf 'username=u\\npassword=p\\n'\nexit 0\n",
            self.path("log").display()
        );
        fs::write(self.path(file), script).unwrap();
        fs::set_permissions(self.path(file), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What the helpers saw of a login at this URL that succeeded.
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

fn variables(text: &str) -> Vec<(String, String)> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
}

#[test]
fn each_default_host_gets_an_empty_helper_and_ours_and_the_second_run_changes_nothing() {
    for_each_git(|world| {
        world.setup_git("--global", &[]).unwrap_ok();
        let first = fs::read_to_string(world.path("home/.gitconfig")).unwrap();
        for host in ["github.com", "gist.github.com"] {
            let values = world.git(&format!("config --global --get-all credential.https://{host}.helper")).unwrap_ok();
            assert_eq!(values, "\nmolecule\n", "{host}");
        }
        assert_eq!(world.setup_git("--global", &[]).unwrap_ok(), "nothing to change\n");
        assert_eq!(fs::read_to_string(world.path("home/.gitconfig")).unwrap(), first);
    });
}

#[test]
fn the_system_file_is_written_with_system_and_only_the_named_hosts_with_host() {
    for_each_git(|world| {
        world.setup_git("--system --host git.example.com:8443 --host http://git:3000", &[]).unwrap_ok();
        let list = world.git("config --system --list").unwrap_ok();
        let wanted = "credential.https://git.example.com:8443.helper=\ncredential.https://git.example.com:8443.helper=molecule\n\
             credential.http://git:3000.helper=\ncredential.http://git:3000.helper=molecule\n";
        assert_eq!(list, wanted);
        assert!(!world.path("home/.gitconfig").exists());
    });
}

#[test]
fn a_wildcard_and_an_address_with_a_port_lead_git_to_the_helper() {
    for_each_git(|world| {
        world.helper("ours", "bin/git-credential-molecule");
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
fn what_others_configured_for_the_host_is_dropped_and_the_rest_of_the_file_stays() {
    for_each_git(|world| {
        let before = "[user]\n\tname = me ; stays\n[credential \"https://github.com\"]\n\thelper = !gh auth git-credential\n[credential]\n\thelper = other\n";
        fs::write(world.path("home/.gitconfig"), before).unwrap();
        world.helper("other", "bin/git-credential-other");
        world.helper("ours", "bin/git-credential-molecule");
        world.setup_git("", &[]).unwrap_ok();
        let after = fs::read_to_string(world.path("home/.gitconfig")).unwrap();
        assert!(after.contains("name = me ; stays") && !after.contains("gh auth"), "{after}");
        assert_eq!(world.log_in("https://github.com/a/b", &[]), "ours get\nours store\n");
        assert!(world.log_in("https://git.example.com/", &[]).contains("other get"), "others' hosts keep their helper");
        assert_eq!(world.setup_git("", &[]).unwrap_ok(), "nothing to change\n");
    });
}

#[test]
fn a49_beside_the_variables_a_repositorys_own_helper_receives_no_get_and_no_store() {
    for_each_git(|world| {
        world.helper("theirs", "bin/git-credential-theirs");
        world.helper("ours", "bin/git-credential-molecule");
        for key in
            ["credential.helper", "credential.https://github.com.helper", "credential.https://u@github.com/a/b.helper"]
        {
            world.git(&format!("config {key} theirs")).unwrap_ok();
        }
        assert!(world.log_in("https://u@github.com/a/b", &[]).contains("theirs get"), "the control");
        let ours = variables(&world.setup_git("--env", &[]).unwrap_ok());
        assert_eq!(world.log_in("https://u@github.com/a/b", &ours), "ours get\nours store\n");
    });
}

#[test]
fn the_variables_go_behind_those_that_are_there_and_a_shell_can_read_them() {
    for_each_git(|world| {
        let there = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "user.name"), ("GIT_CONFIG_VALUE_0", "me")];
        let text = world.setup_git("--env --host *.example.com", &there).unwrap_ok();
        assert!(text.starts_with("GIT_CONFIG_COUNT=3\n") && text.contains("GIT_TERMINAL_PROMPT=0\n"), "{text}");
        fs::write(world.path("env.sh"), &text).unwrap();
        let show = "set -e; . \"$0\"; git config --get-regexp 'name|helper'; printenv GIT_TERMINAL_PROMPT";
        let mut shell = world.command("/bin/sh");
        let out = shell.args(["-c", show]).arg(world.path("env.sh")).envs(there).output().unwrap().unwrap_ok();
        assert_eq!(
            out,
            "user.name me\ncredential.https://*.example.com.helper \ncredential.https://*.example.com.helper molecule\n0\n"
        );
        let mut again: Vec<_> = variables(&text);
        again.extend([("GIT_CONFIG_KEY_0".into(), "user.name".into()), ("GIT_CONFIG_VALUE_0".into(), "me".into())]);
        let pairs: Vec<_> = again.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            world.setup_git("--env --host *.example.com", &pairs).unwrap_ok(),
            text,
            "run twice it adds nothing"
        );
    });
}

#[test]
fn an_open_persona_is_asked_last_and_leaves_every_users_helper_in_place() {
    for_each_git(|world| {
        let persona = [("GIT_HTTP_USERNAME", "bot"), ("GIT_HTTP_PASSWORD", "pw")];
        world.helper("theirs", "bin/git-credential-theirs");
        world.helper("ours", "bin/git-credential-molecule");
        world.git("config --global credential.helper theirs").unwrap_ok();
        let ours = variables(&world.setup_git("--env", &persona).unwrap_ok());
        assert!(world.log_in("https://git.example.com/", &ours).starts_with("theirs get\nours get\n"));
        assert_eq!(world.log_in("https://github.com/", &ours), "ours get\nours store\n");
        let said = world.setup_git("--system", &persona).unwrap_ok();
        assert!(said.contains("MOLECULE_BROKER_PERSONA_HOSTS"), "{said}");
        assert_eq!(world.git("config --system core.askPass").unwrap_ok(), "molecule-askpass\n");
        assert_eq!(world.setup_git("--system", &persona).unwrap_ok(), "nothing to change\n");
        let scoped = [persona[0], persona[1], ("MOLECULE_BROKER_PERSONA_HOSTS", "git.example.com")];
        let ours = variables(&world.setup_git("--env", &scoped).unwrap_ok());
        assert_eq!(world.log_in("https://git.example.com/", &ours), "ours get\nours store\n");
    });
}

#[test]
fn a_host_that_is_none_and_a_file_that_cannot_be_written_are_clear_errors() {
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
