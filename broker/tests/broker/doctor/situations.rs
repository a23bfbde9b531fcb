//! Situations that agents, people and old tools leave behind for git and gh. Each
//! test creates a situation, finds its line, runs the remedy as printed in the
//! same shell, and checks that the line is gone.

use std::fs;
use std::os::unix::fs::symlink;

use crate::kit::doctor::{doctor, doctor_after, fault, found, healthy, is_good, remedy};
use crate::kit::{DaemonWorld, text};

/// Secret that must not appear in any line of `doctor`.
const CANARY: &str = "ghs_canary0123456789";

struct Situation {
    name: &'static str,
    make: fn(&mut DaemonWorld),
    check: &'static str,
    named: &'static str,
}

const fn situation(
    name: &'static str,
    check: &'static str,
    named: &'static str,
    make: fn(&mut DaemonWorld),
) -> Situation {
    Situation { name, make, check, named }
}

/// Checks that the fault is found, that its remedy removes it, and that all other
/// faults are gone once their remedies were run too.
#[track_caller]
fn is_found_and_mended(situation: &Situation) {
    let Situation { name, make, check, named } = situation;
    let mut world = healthy();
    make(&mut world);
    let first = doctor(&world);
    let line = found(&first, check, named);
    let said = text(&first.stdout) + &text(&first.stderr);
    assert!(!said.contains("canary"), "{name}: a secret is shown:\n{said}");
    let mut remedies = vec![remedy(&line).to_owned()];
    let mut out = doctor_after(&world, &remedies);
    let left = text(&out.stdout);
    assert!(left.contains("socket"), "{name}: `{}`: {left}{}", remedies[0], text(&out.stderr));
    assert_eq!(fault(&left, check, named), None, "{name}: `{}` doesn't help:\n{left}", remedies[0]);
    while let Some(line) = text(&out.stdout).lines().find(|line| !line.starts_with("ok")) {
        remedies.push(remedy(line).to_owned());
        assert!(remedies.len() < 6, "{name}: {remedies:#?}");
        out = doctor_after(&world, &remedies);
    }
    is_good(&out);
}

fn all(situations: &[Situation]) {
    situations.iter().for_each(is_found_and_mended);
}

fn write(world: &DaemonWorld, name: &str, content: &str) {
    let path = world.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn gemini(world: &mut DaemonWorld) {
    for (name, value) in [
        ("GIT_ASKPASS", ""),
        ("SSH_ASKPASS", ""),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "credential.helper"),
        ("GIT_CONFIG_VALUE_0", ""),
    ] {
        world.set(name, value);
    }
}

#[test]
fn what_agents_do_to_the_environment_is_seen_and_mended() {
    all(&[
        situation("Gemini CLI's settings: helper", "git-helper", "doesn't ask the broker", gemini),
        situation("Gemini CLI's settings: askpass", "askpass", "emptied", gemini),
        situation("an empty helper in variables", "git-helper", "an empty helper drops ours (GIT_CONFIG_*", |world| {
            world.set("GIT_CONFIG_COUNT", "1");
            world.set("GIT_CONFIG_KEY_0", "credential.helper");
            world.set("GIT_CONFIG_VALUE_0", "");
        }),
        situation("variables named KEY removed", "git-variables", "GIT_CONFIG_KEY_0", |world| {
            world.set("GIT_CONFIG_COUNT", "2");
            world.set("GIT_CONFIG_VALUE_0", "");
            world.set("GIT_CONFIG_VALUE_1", "molecule");
        }),
        situation("broken parameters", "git-variables", "GIT_CONFIG_PARAMETERS", |world| {
            world.set("GIT_CONFIG_PARAMETERS", "'credential.helper");
        }),
        situation("counted and parameters broken", "git-variables", "every git command fails", |world| {
            world.set("GIT_CONFIG_COUNT", "1");
            world.set("GIT_CONFIG_PARAMETERS", "'credential.helper");
        }),
        situation("another global file", "git-helper", "doesn't ask the broker", |world| {
            world.set("GIT_CONFIG_GLOBAL", world.path("home/other").display().to_string());
            world.set("GIT_CONFIG_NOSYSTEM", "1");
        }),
        situation("a token in variables", "git-token", "remote.o.pushurl", |world| {
            world.set("GIT_CONFIG_COUNT", "1");
            world.set("GIT_CONFIG_KEY_0", "remote.o.pushurl");
            world.set("GIT_CONFIG_VALUE_0", format!("https://x:{CANARY}@github.com/o/r"));
        }),
    ]);
}

#[test]
fn another_gh_in_front_of_the_shim_is_seen_and_mended() {
    let other = |world: &mut DaemonWorld| {
        fs::create_dir(world.path("other bin")).unwrap();
        world.script("other bin/gh", "exit 0");
        let path = format!("{}:{}", world.path("other bin").display(), world.env["PATH"]);
        world.set("PATH", path);
    };
    let without: fn(&mut DaemonWorld) = |world| {
        fs::remove_file(world.path("bin/gh")).unwrap();
        fs::create_dir(world.path("first")).unwrap();
        world.script("first/gh", "exit 0");
        let path = format!("{}:{}", world.path("first").display(), world.env["PATH"]);
        world.set("PATH", path);
    };
    all(&[
        situation("a gh before the shim", "gh", "comes before the shim", other),
        situation("no shim for gh", "gh", "without the shim", without),
        situation("no shim for a later gh", "gh", "without the shim", |world| {
            fs::remove_file(world.path("bin/gh")).unwrap();
            fs::create_dir(world.path("last")).unwrap();
            world.script("last/gh", "exit 0");
            let path = format!("{}:{}", world.path("bin").display(), world.path("last").display());
            world.set("PATH", format!("{path}:/bin"));
        }),
    ]);
}

#[test]
fn urls_of_a_managed_host_that_go_by_ssh_are_seen_and_mended() {
    all(&[
        situation("an ssh remote", "git-ssh", "remote.origin.url", |world| {
            world.git(&["remote", "add", "origin", "git@github.com:o/a b.git"]);
        }),
        situation("an ssh remote on port 443", "git-ssh", "remote.origin.pushurl", |world| {
            world.git(&["remote", "add", "origin", "https://github.com/o/r"]);
            world.git(&["config", "remote.origin.pushurl", "ssh://git@ssh.github.com:443/o/r"]);
        }),
        situation("one of two ssh URLs", "git-ssh", "remote.origin.url", |world| {
            world.git(&["remote", "add", "origin", "https://github.com/o/r"]);
            world.git(&["config", "--add", "remote.origin.url", "git@github.com:o/r"]);
        }),
        situation("a short form of an ssh URL", "git-ssh", "remote.origin.url", |world| {
            world.git(&["config", "--global", "url.git@github.com:.insteadOf", "gh:"]);
            world.git(&["remote", "add", "origin", "gh:o/r"]);
        }),
        situation("insteadOf", "git-ssh", "leads https URLs of github.com to ssh", |world| {
            world.git(&["config", "--global", "url.git@github.com:.insteadOf", "https://github.com/"]);
            world.git(&["config", "--global", "--add", "url.git@github.com:.insteadOf", "gh:"]);
        }),
        situation("pushInsteadOf", "git-ssh", "pushinsteadof", |world| {
            world.git(&["config", "url.ssh://git@github.com/.pushInsteadOf", "https://github.com/"]);
        }),
        situation("a submodule's URL in .gitmodules", "git-ssh", "submodule.s.url", |world| {
            write(world, "repo/.gitmodules", "[submodule \"s\"]\n\tpath = s\n\turl = git@github.com:o/s.git\n");
        }),
        situation("a branch's remote", "git-ssh", "branch.main.remote", |world| {
            world.git(&["config", "branch.main.remote", "ssh://git@github.com/o/r"]);
        }),
    ]);
}

#[test]
fn logins_in_urls_are_seen_and_mended_and_never_shown() {
    all(&[
        situation("a remote's pushurl", "git-token", "remote.origin.pushurl", |world| {
            world.git(&["remote", "add", "origin", "https://github.com/o/r"]);
            world.git(&["config", "remote.origin.pushurl", &format!("https://x:{CANARY}@github.com/o/r")]);
        }),
        situation("one of two URLs", "git-token", "remote.origin.url", |world| {
            world.git(&["remote", "add", "origin", "https://github.com/o/r"]);
            world.git(&["config", "--add", "remote.origin.url", &format!("HTTPS://{CANARY}@GitHub.com/o/r+s")]);
        }),
        situation("a submodule's URL", "git-token", "submodule.lib.v1.url", |world| {
            world.git(&["config", "submodule.lib.v1.url", &format!("https://{CANARY}@github.com/o/lib")]);
        }),
        situation("lfs.url", "git-token", "lfs.url", |world| {
            world.git(&["config", "lfs.url", &format!("https://x:{CANARY}@github.com/o/r.git/info/lfs")]);
        }),
        situation("lfs.pushurl for all", "git-token", "lfs.pushurl", |world| {
            world.git(&["config", "--global", "lfs.pushurl", "https://x:canary-pw@github.com/o/r.git/info/lfs"]);
        }),
        situation("lfs.url in .lfsconfig", "git-token", "lfs.url", |world| {
            write(world, "repo/.lfsconfig", &format!("[lfs]\n\turl = https://x:{CANARY}@github.com/o/r\n"));
        }),
        situation("a remote's lfsurl", "git-token", "remote.origin.lfsurl", |world| {
            world.git(&["config", "remote.origin.lfsurl", &format!("https://x:{CANARY}@github.com/o/r")]);
        }),
        situation("a branch's remote", "git-token", "branch.main.remote", |world| {
            world.git(&["config", "branch.main.remote", &format!("https://x:{CANARY}@github.com/o/r")]);
        }),
        situation("insteadOf", "git-token", "a url.….insteadOf puts a login", |world| {
            let base = format!("url.https://x:{CANARY}@github.com/.insteadOf");
            world.git(&["config", "--global", &base, "https://github.com/"]);
            world.git(&["config", "--global", "--add", &base, "gh:"]);
        }),
        situation("a header", "git-token", "extraheader", |world| {
            world.git(&["config", "http.https://github.com/.extraheader", "Authorization: basic Y2FuYXJ5canary"]);
        }),
    ]);
}

#[test]
fn logins_in_netrc_are_seen_and_mended_and_never_shown() {
    const OTHER: &str = "machine other.example login x password y\n";
    fn netrc(world: &DaemonWorld, text: &str) {
        write(world, "home/.netrc", &format!("{OTHER}{text}{OTHER}"));
    }
    all(&[
        situation("a default entry", "netrc", "every host without an entry", |world| {
            netrc(world, "default\n  login x\n  password canary\n");
        }),
        situation("one machine, on a line", "netrc", "github.com", |world| {
            netrc(world, "machine github.com login x password canary\n");
        }),
        situation("two machines, one a line and one on four", "netrc", "gist.github.com and GitHub.com", |world| {
            netrc(
                world,
                "machine gist.github.com login x password canary\n\n machine GitHub.com\n login x\n password canary\n account z\n",
            );
        }),
        situation("what requests reads", "netrc", "Python's requests", |world| {
            write(world, "home/_netrc", "default login x password canary\n");
        }),
    ]);
    let world = healthy();
    netrc(&world, "machine github.com login x password canary\ndefault login y password canary\n");
    let line = found(&doctor(&world), "netrc", "github.com and every host");
    is_good(&doctor_after(&world, &[remedy(&line).to_owned()]));
    assert_eq!(
        fs::read_to_string(world.path("home/.netrc")).unwrap(),
        format!("{OTHER}{OTHER}").replacen(OTHER, OTHER, 1)
    );
}

#[test]
fn helpers_beside_ours_are_seen_and_mended() {
    const KEY: &str = "credential.https://github.com.helper";
    all(&[
        situation("a helper of the user's", "git-helper", "also tells the helper 'store'", |world| {
            world.git(&["config", "--global", "credential.helper", "store"]);
        }),
        situation("a helper of the repository's", "git-helper", "also tells the helper 'cache'", |world| {
            world.git(&["config", "credential.helper", "cache"]);
        }),
        situation("both", "git-helper", "also tells the helper", |world| {
            world.git(&["config", "--global", "credential.helper", "store"]);
            world.git(&["config", "credential.helper", "cache"]);
        }),
        situation("ours emptied by the repository", "git-helper", "an empty helper drops ours", |world| {
            world.git(&["config", KEY, ""]);
        }),
        situation("ours replaced by the repository", "git-helper", "and not the broker", |world| {
            world.git(&["config", KEY, ""]);
            world.git(&["config", "--add", KEY, "store"]);
        }),
        situation("gh's own", "git-helper", "as `gh auth setup-git` writes it", |world| {
            world.git(&["config", "--global", "--add", KEY, ""]);
            world.git(&["config", "--global", "--add", KEY, "!/usr/bin/gh auth git-credential"]);
        }),
        situation("a helper in variables", "git-helper", "also tells the helper 'store'", |world| {
            world.set("GIT_CONFIG_COUNT", "1");
            world.set("GIT_CONFIG_KEY_0", "credential.helper");
            world.set("GIT_CONFIG_VALUE_0", "store");
        }),
        situation("a helper that is included", "git-helper", "also tells the helper 'store'", |world| {
            write(world, "home/included", "[credential]\n\thelper = store\n");
            world.git(&["config", "include.path", world.path("home/included").to_str().unwrap()]);
        }),
        situation("no askpass where it is named", "askpass", "isn't there", |world| {
            world.set("GIT_ASKPASS", world.path("no/where/molecule-askpass").display().to_string());
        }),
    ]);
}

#[test]
fn a_remote_whose_host_no_credential_covers_is_named() {
    let world = healthy();
    world.git(&["remote", "add", "origin", "https://githbu.com/o/r"]);
    world.git(&["remote", "add", "plain", "http://github.com/o/r"]);
    let out = doctor(&world);
    for named in
        ["https://githbu.com, where remote.origin.url leads", "http://github.com, where remote.plain.url leads"]
    {
        let line = found(&out, "git-remote", named);
        assert!(line.contains("MOLECULE_BROKER_HOSTS"), "{line}");
    }
    // A path, and a host that is reached without a login, aren't reported.
    let world = healthy();
    for (name, url) in [("a", "/srv/git/r"), ("b", "git@elsewhere.example:o/r"), ("c", "https://gist.github.com/x")] {
        world.git(&["remote", "add", name, url]);
    }
    is_good(&doctor(&world));
}

#[test]
fn a_shim_by_its_path_alone_is_enough_for_git() {
    let mut world = healthy();
    let away = world.path("away");
    fs::create_dir(&away).unwrap();
    fs::rename(world.path("bin/git-credential-molecule"), away.join("git-credential-molecule")).unwrap();
    for key in ["credential.https://github.com.helper", "credential.https://gist.github.com.helper"] {
        world.git(&["config", "--global", "--add", key, ""]);
        let helper = away.join("git-credential-molecule");
        world.git(&["config", "--global", "--add", key, helper.to_str().unwrap()]);
    }
    fs::remove_file(world.path("bin/gh")).unwrap();
    symlink(away.join("git-credential-molecule"), world.path("bin/gh")).unwrap();
    world.set("GIT_ASKPASS", "");
    let out = doctor(&world);
    assert!(text(&out.stdout).contains("ok   askpass       emptied"), "{}", text(&out.stdout));
    is_good(&out);
}
