//! The shim under the name `gh`.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::*;

/// The real gh: it prints the variables of its environment without `GH_PATH`.
const REAL: &str = "#!/bin/sh\necho \"real $*\"\n\
    /usr/bin/env | /bin/grep -E '^(GH_[^P]|GITHUB|KEPT|MOLECULE_BROKER_GH)' | /usr/bin/sort\nexit 7\n";
const FRAME: &str = "molecule/1 get\nclient=gh\ncommand=gh\nprotocol=https\nhost=github.com\n\n";

/// Makes a folder where `one/gh` is the shim and `two/gh` the real gh.
fn image() -> (ShimWorld, FakeServer) {
    let world = ShimWorld::new();
    fs::create_dir(world.folder.join("one")).unwrap();
    symlink(lone_shim(), world.folder.join("one/gh")).unwrap();
    world.script("two/gh", REAL);
    let server = world.serve("molecule/1 ok\nusername=x-access-token\npassword=ghs_new\n\n");
    (world, server)
}

fn path(world: &ShimWorld, folders: &[&str]) -> String {
    let folders: Vec<_> = folders.iter().map(|f| world.folder.join(f).display().to_string()).collect();
    folders.join(":")
}

fn gh(world: &ShimWorld, arguments: &str, variables: &[(&str, &str)]) -> ProgramOutput {
    let mut command = program(world.folder.join("one/gh"));
    command.env_clear().env("MOLECULE_BROKER_SOCKET", world.socket()).env("PATH", path(world, &["one", "two"]));
    run(command.args(arguments.split_whitespace()).envs(variables.iter().copied()), b"")
}

/// The output of the real gh, with its exit status.
fn real(out: &str) -> ProgramOutput {
    ProgramOutput { out: out.into(), err: String::new(), status: Some(7) }
}

#[test]
fn gh_gets_a_fresh_token_instead_of_the_dead_ones() {
    let (world, server) = image();
    let dead = [("GH_TOKEN", "ghs_old"), ("GITHUB_TOKEN", "ghs_old"), ("KEPT", "1")];
    assert_eq!(gh(&world, "pr list", &dead), real("real pr list\nGH_TOKEN=ghs_new\nKEPT=1\n"));
    assert_eq!(gh(&world, "pr list", &[]), real("real pr list\nGH_TOKEN=ghs_new\n"));
    assert_eq!(server.requests(), [FRAME, FRAME]);
}

#[test]
fn the_users_own_token_is_left_alone() {
    let (world, server) = image();
    assert_eq!(gh(&world, "pr list", &[("GH_TOKEN", "ghp_own")]), real("real pr list\nGH_TOKEN=ghp_own\n"));
    assert_eq!(gh(&world, "pr list", &[("GITHUB_TOKEN", "x")]), real("real pr list\nGITHUB_TOKEN=x\n"));
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn login_and_help_only_lose_their_dead_variables() {
    let (world, server) = image();
    world.script("two/gh", "#!/bin/sh\necho \"real $*\"\n/usr/bin/env | /bin/grep -E 'GH|GITHUB|KEPT'\n");
    for line in ["auth login --with-token", "auth logout", "auth setup-git", "--version", "help pr", "completion -s sh"]
    {
        let output = gh(&world, line, &[("GITHUB_TOKEN", "ghs_old"), ("KEPT", "1")]);
        assert_eq!(output, prints(&format!("real {line}\nKEPT=1\n")));
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn auth_token_prints_the_token_of_the_named_host() {
    let (world, server) = image();
    assert_eq!(gh(&world, "auth token", &[]), real("real auth token\nGH_TOKEN=ghs_new\n"));
    let line = "auth token -h ghe.corp";
    assert_eq!(gh(&world, line, &[]), real(&format!("real {line}\nGH_ENTERPRISE_TOKEN=ghs_new\n")));
    let asked = FRAME.replace("github.com", "ghe.corp");
    assert_eq!(server.requests(), [FRAME, &asked]);
}

/// git's request reaches the broker, and then the real gh.
#[test]
fn git_gets_the_token_of_the_host_that_it_names() {
    let (world, server) = image();
    world.script("two/gh", "#!/bin/sh\necho \"$GH_TOKEN$GH_ENTERPRISE_TOKEN\"\ncat\n");
    let get = |input: &str| {
        let mut command = program(world.folder.join("one/gh"));
        command.env_clear().env("MOLECULE_BROKER_SOCKET", world.socket());
        command.env("PATH", path(&world, &["one", "two"]) + ":/usr/bin:/bin").env("GH_HOST", "other.corp");
        run(command.args(["auth", "git-credential", "get"]), input.as_bytes())
    };
    let long = format!("wwwauth[]=Basic realm=\"{}\"", "x".repeat(70_000));
    for host in ["gist.github.com", "ghe.corp:8443"] {
        let asked = format!("protocol=https\nhost={host}\npath=o/r.git\nusername=me\n");
        assert_eq!(get(&format!("{asked}{long}\npassword=p\n\n")), prints(&format!("ghs_new\n{asked}\n")));
        let request = server.requests().pop().unwrap();
        assert_eq!(request, format!("molecule/1 get\nclient=gh\ncommand=gh\n{asked}\n"));
    }
    assert_eq!(get("protocol=https\nhost=a\nhost=b\n\n"), prints("\n"), "a malformed request is never sent");
    assert_eq!(server.requests().len(), 2);
}

/// So each call of gh by gh itself or by one of its extensions has a fresh token.
#[test]
fn gh_path_names_the_shim() {
    let (world, _server) = image();
    world.script("two/gh", "#!/bin/sh\necho \"$GH_PATH\"\n");
    let shim = world.folder.join("one/gh").display().to_string();
    assert_eq!(gh(&world, "pr list", &[]), prints(&format!("{shim}\n")));
    assert_eq!(gh(&world, "pr list", &[("GH_PATH", "/mine")]), prints("/mine\n"));
    let run_as = |file: &str, name: &str| {
        let mut command = program("/bin/bash");
        command.env_clear().current_dir(&world.folder).env("MOLECULE_BROKER_SOCKET", world.socket());
        command.env("PATH", path(&world, &["one", "two"]));
        run(command.args(["-c", &format!("exec -a {name} {file} pr")]), b"")
    };
    assert_eq!(run_as("one/gh", "gh"), prints(&format!("{shim}\n")), "a relative path");
    let elsewhere = lone_shim().display().to_string();
    assert_eq!(run_as(&elsewhere, "gh"), prints("\n"), "a path that doesn't lead back to the shim");
}

/// `hosts.yml` of a login whose token is in the keyring.
const LOGIN: &str = "github.com:\n    users:\n        alice:\n    user: alice\n";

fn store_login(world: &ShimWorld, text: &str) -> String {
    let folder = world.folder.join("config");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("hosts.yml"), text).unwrap();
    folder.display().to_string()
}

#[test]
fn commands_that_demand_a_persons_login_get_it() {
    let (world, server) = image();
    let config = store_login(&world, LOGIN);
    for line in ["agent-task list", "copilot -p x"] {
        let output = gh(&world, line, &[("GH_CONFIG_DIR", &config), ("GH_TOKEN", "ghs_old")]);
        let expected = format!("real {line}\nGH_CONFIG_DIR={config}\nMOLECULE_BROKER_GH=login\n");
        assert_eq!(output, real(&expected));
    }
    let output = gh(&world, "copilot", &[("GH_TOKEN", "gho_own")]);
    assert_eq!(output, real("real copilot\nGH_TOKEN=gho_own\nMOLECULE_BROKER_GH=login\n"));
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn without_a_persons_login_a_line_names_the_remedy() {
    let (world, server) = image();
    let config = store_login(&world, "github.com:\n    oauth_token: ghs_sink\n    user: x\n");
    for config in [&config[..], "/nowhere"] {
        let output = gh(&world, "agent-task list", &[("GH_CONFIG_DIR", config)]);
        assert_eq!(
            output.err,
            "molecule-broker: gh agent-task can't use the broker's token, only a person's own login: run `gh auth login`\n"
        );
        assert!(output.out.starts_with("real agent-task list\n") && !output.out.contains("ghs_"), "{output:?}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn a_persons_login_is_preferred_on_request() {
    let (world, _server) = image();
    let config = store_login(&world, LOGIN);
    let told = |value: &'static str, config: &str| {
        gh(&world, "pr list", &[("MOLECULE_BROKER_GH", value), ("GH_CONFIG_DIR", config), ("GITHUB_TOKEN", "ghs_old")])
    };
    assert_eq!(
        told("login", &config),
        real(&format!("real pr list\nGH_CONFIG_DIR={config}\nMOLECULE_BROKER_GH=login\n"))
    );
    // Without a stored login gh gets the broker's token.
    let with_token = |value: &str, config: &str| {
        format!("real pr list\nGH_CONFIG_DIR={config}\nGH_TOKEN=ghs_new\nMOLECULE_BROKER_GH={value}\n")
    };
    assert_eq!(told("login", "/nowhere"), real(&with_token("login", "/nowhere")));
    let output = told("logn", &config);
    assert_eq!((output.out, output.err.lines().count()), (with_token("logn", &config), 1));
    assert_eq!(
        gh(&world, "pr list", &[("GH_CONFIG_DIR", &config)]).err,
        "",
        "without the variable there is no message"
    );
}

#[test]
fn auth_status_reports_the_login_that_works() {
    let (world, _server) = image();
    assert_eq!(gh(&world, "auth status", &[]), real("real auth status\nGH_TOKEN=ghs_new\n"));
}

#[test]
fn an_enterprise_host_has_its_own_variable() {
    let (world, server) = image();
    let output = gh(&world, "api repos/o/r/pulls", &[("GH_HOST", "ghe.corp"), ("GITHUB_TOKEN", "ghs_old")]);
    assert_eq!(output, real("real api repos/o/r/pulls\nGH_ENTERPRISE_TOKEN=ghs_new\nGH_HOST=ghe.corp\n"));
    assert_eq!(server.requests(), ["molecule/1 get\nclient=gh\ncommand=gh\nprotocol=https\nhost=ghe.corp\n\n"]);
}

#[test]
fn an_enterprise_token_is_withheld_if_another_host_is_named() {
    let (world, server) = image();
    for line in ["api --hostname evil.corp user", "pr list -R evil.corp/o/r", "pr view https://evil.corp/o/r/pull/1"] {
        assert_eq!(gh(&world, line, &[("GH_HOST", "ghe.corp")]), real(&format!("real {line}\nGH_HOST=ghe.corp\n")));
    }
    let output = gh(&world, "pr list", &[("GH_HOST", "ghe.corp"), ("GH_REPO", "evil.corp/o/r")]);
    assert_eq!(output, real("real pr list\nGH_HOST=ghe.corp\nGH_REPO=evil.corp/o/r\n"));
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn without_a_token_gh_runs_without_the_dead_one() {
    for (answer, err) in
        [("molecule/1 silent\n\n", ""), ("molecule/1 refused\nreason=why\n\n", "molecule-broker: why\n")]
    {
        let (world, _server) = image();
        fs::remove_file(world.socket()).unwrap();
        let _server = world.serve(answer);
        let output = gh(&world, "pr list", &[("GH_TOKEN", "ghs_old")]);
        assert_eq!(output, ProgramOutput { out: "real pr list\n".into(), err: err.into(), status: Some(7) });
    }
}

#[test]
fn without_a_broker_gh_runs_at_once() {
    let (world, _server) = image();
    fs::remove_file(world.socket()).unwrap();
    assert_eq!(gh(&world, "pr list", &[("GH_TOKEN", "ghs_old")]), real("real pr list\n"));
}

#[test]
fn the_diverted_gh_takes_precedence_over_path() {
    let (world, _server) = image();
    world.script("one/gh.distrib", "#!/bin/sh\necho \"diverted $* $GH_TOKEN\"\n");
    assert_eq!(gh(&world, "pr list", &[]), prints("diverted pr list ghs_new\n"));
}

#[test]
fn a_wrapper_earlier_on_path_is_not_run_in_a_loop() {
    let (world, _server) = image();
    let shim = world.folder.join("one/gh").display().to_string();
    world.script("zero/gh", &format!("#!/bin/sh\nexec {shim} \"$@\"\n"));
    let wrapped = |folders: &[&str]| {
        let mut command = program(world.folder.join("zero/gh"));
        command.arg("pr").env("MOLECULE_BROKER_SOCKET", world.socket()).env("PATH", path(&world, folders));
        command.env_remove("GH_TOKEN").env_remove("GITHUB_TOKEN");
        run(&mut command, b"")
    };
    assert!(wrapped(&["zero", "one", "two", "zero"]).out.starts_with("real pr\n"));
    // Without a gh further down, the shim tries the wrapper a few times, and the
    // wrapper runs the shim again.
    assert_eq!(wrapped(&["zero", "one", "zero"]).status, Some(127));
    // The same without the shim on PATH.
    assert_eq!(wrapped(&["zero"]).status, Some(127));
}

/// An extension of a gh that comes before the shim on PATH inherits the guard against
/// loops, and still reaches the shim by `GH_PATH`.
#[test]
fn an_extension_finds_a_shim_that_is_not_on_path() {
    let (world, _server) = image();
    world.script("two/gh", "#!/bin/sh\necho \"$1 $GH_TOKEN\"\n[ \"$1\" = pr ] || exec \"$GH_PATH\" pr\n");
    let mut command = program(world.folder.join("one/gh"));
    command.env_clear().env("MOLECULE_BROKER_SOCKET", world.socket()).env("PATH", path(&world, &["two"]));
    assert_eq!(run(command.arg("extension"), b""), prints("extension ghs_new\npr ghs_new\n"));
}

#[test]
fn a_gh_earlier_on_path_is_used_if_there_is_no_other() {
    let (world, _server) = image();
    let mut command = program(world.folder.join("one/gh"));
    command.env_clear().env("MOLECULE_BROKER_SOCKET", world.socket()).env("PATH", path(&world, &["two", "one"]));
    assert_eq!(run(command.arg("pr"), b""), real("real pr\nGH_TOKEN=ghs_new\nMOLECULE_BROKER_GH_SHIM=1\n"));
}

#[test]
fn without_a_real_gh_the_status_is_127() {
    let (world, _server) = image();
    fs::remove_file(world.folder.join("two/gh")).unwrap();
    symlink(lone_shim(), world.folder.join("two/gh")).unwrap();
    let output = gh(&world, "pr list", &[]);
    assert_eq!((output.out.as_str(), output.status, output.err.lines().count()), ("", Some(127), 1));
    assert!(output.err.contains("gh.distrib") && output.err.contains("cli.github.com"), "{output:?}");
}

/// Kubernetes sets seven variables for each port of each service.
#[test]
fn rule55_gh_runs_with_seven_thousand_variables() {
    let (world, _server) = image();
    let names: Vec<_> = (0..7000).map(|n| format!("SERVICE_{n}_PORT_8080_TCP_ADDR")).collect();
    let mut variables: Vec<_> = names.iter().map(|n| (n.as_str(), "10.0.0.1")).collect();
    variables.push(("GH_TOKEN", "ghs_old"));
    assert_eq!(gh(&world, "pr list", &variables), real("real pr list\nGH_TOKEN=ghs_new\n"));
}
