//! Under the name `gh`.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::*;

/// Every variable of its environment but the way back to the shim.
const REAL: &str = "#!/bin/sh\necho \"real $*\"\n\
    /usr/bin/env | /bin/grep -E '^(GH_[^P]|GITHUB|KEPT|MOLECULE_BROKER_GH)' | /usr/bin/sort\nexit 7\n";
const FRAME: &str = "molecule/1 get\nclient=gh\ncommand=gh\nprotocol=https\nhost=github.com\n\n";

/// `one/gh` is the shim and `two/gh` the real one.
fn image() -> (SocketPath, Server) {
    let place = SocketPath::new();
    fs::create_dir(place.folder.join("one")).unwrap();
    symlink(lone_shim(), place.folder.join("one/gh")).unwrap();
    place.script("two/gh", REAL);
    let server = place.serve("molecule/1 ok\nusername=x-access-token\npassword=ghs_new\n\n");
    (place, server)
}

fn path(place: &SocketPath, folders: &[&str]) -> String {
    let folders: Vec<_> = folders.iter().map(|f| place.folder.join(f).display().to_string()).collect();
    folders.join(":")
}

fn gh(place: &SocketPath, arguments: &str, variables: &[(&str, &str)]) -> Said {
    let mut command = program(place.folder.join("one/gh"));
    command.env_clear().env("MOLECULE_BROKER_SOCKET", place.socket()).env("PATH", path(place, &["one", "two"]));
    run(command.args(arguments.split_whitespace()).envs(variables.iter().copied()), b"")
}

/// What the real gh prints, with its own exit status.
fn real(out: &str) -> Said {
    Said { out: out.into(), err: String::new(), status: Some(7) }
}

#[test]
fn gh_gets_a_fresh_token_and_the_dead_ones_go() {
    let (place, server) = image();
    let dead = [("GH_TOKEN", "ghs_old"), ("GITHUB_TOKEN", "ghs_old"), ("KEPT", "1")];
    assert_eq!(gh(&place, "pr list", &dead), real("real pr list\nGH_TOKEN=ghs_new\nKEPT=1\n"));
    assert_eq!(gh(&place, "pr list", &[]), real("real pr list\nGH_TOKEN=ghs_new\n"));
    assert_eq!(server.requests(), [FRAME, FRAME]);
}

#[test]
fn the_users_own_token_is_left_alone() {
    let (place, server) = image();
    assert_eq!(gh(&place, "pr list", &[("GH_TOKEN", "ghp_own")]), real("real pr list\nGH_TOKEN=ghp_own\n"));
    assert_eq!(gh(&place, "pr list", &[("GITHUB_TOKEN", "x")]), real("real pr list\nGITHUB_TOKEN=x\n"));
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn logging_in_and_help_pass_through_but_for_dead_variables() {
    let (place, server) = image();
    place.script("two/gh", "#!/bin/sh\necho \"real $*\"\n/usr/bin/env | /bin/grep -E 'GH|GITHUB|KEPT'\n");
    for line in ["auth login --with-token", "auth logout", "auth setup-git", "--version", "help pr", "completion -s sh"]
    {
        let said = gh(&place, line, &[("GITHUB_TOKEN", "ghs_old"), ("KEPT", "1")]);
        assert_eq!(said, says(&format!("real {line}\nKEPT=1\n")));
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn a_printed_token_is_the_one_of_the_host_that_is_named() {
    let (place, server) = image();
    assert_eq!(gh(&place, "auth token", &[]), real("real auth token\nGH_TOKEN=ghs_new\n"));
    let line = "auth token -h ghe.corp";
    assert_eq!(gh(&place, line, &[]), real(&format!("real {line}\nGH_ENTERPRISE_TOKEN=ghs_new\n")));
    let asked = FRAME.replace("github.com", "ghe.corp");
    assert_eq!(server.requests(), [FRAME, &asked]);
}

/// What git asks reaches the broker, and the real gh after it.
#[test]
fn git_gets_the_token_of_the_host_that_it_names() {
    let (place, server) = image();
    place.script("two/gh", "#!/bin/sh\necho \"$GH_TOKEN$GH_ENTERPRISE_TOKEN\"\ncat\n");
    let get = |input: &str| {
        let mut command = program(place.folder.join("one/gh"));
        command.env_clear().env("MOLECULE_BROKER_SOCKET", place.socket());
        command.env("PATH", path(&place, &["one", "two"]) + ":/usr/bin:/bin").env("GH_HOST", "other.corp");
        run(command.args(["auth", "git-credential", "get"]), input.as_bytes())
    };
    let long = format!("wwwauth[]=Basic realm=\"{}\"", "x".repeat(70_000));
    for host in ["gist.github.com", "ghe.corp:8443"] {
        let asked = format!("protocol=https\nhost={host}\npath=o/r.git\nusername=me\n");
        assert_eq!(get(&format!("{asked}{long}\npassword=p\n\n")), says(&format!("ghs_new\n{asked}\n")));
        let request = server.requests().pop().unwrap();
        assert_eq!(request, format!("molecule/1 get\nclient=gh\ncommand=gh\n{asked}\n"));
    }
    assert_eq!(get("protocol=https\nhost=a\nhost=b\n\n"), says("\n"), "a malformed request reaches nobody");
    assert_eq!(server.requests().len(), 2);
}

/// Each call of gh that gh or an extension of it makes has a fresh token.
#[test]
fn gh_is_told_the_way_back_to_the_shim() {
    let (place, _server) = image();
    place.script("two/gh", "#!/bin/sh\necho \"$GH_PATH\"\n");
    let shim = place.folder.join("one/gh").display().to_string();
    assert_eq!(gh(&place, "pr list", &[]), says(&format!("{shim}\n")));
    assert_eq!(gh(&place, "pr list", &[("GH_PATH", "/mine")]), says("/mine\n"));
    let run_as = |file: &str, name: &str| {
        let mut command = program("/bin/bash");
        command.env_clear().current_dir(&place.folder).env("MOLECULE_BROKER_SOCKET", place.socket());
        command.env("PATH", path(&place, &["one", "two"]));
        run(command.args(["-c", &format!("exec -a {name} {file} pr")]), b"")
    };
    assert_eq!(run_as("one/gh", "gh"), says(&format!("{shim}\n")), "a path that is relative");
    let elsewhere = lone_shim().display().to_string();
    assert_eq!(run_as(&elsewhere, "gh"), says("\n"), "a path that wouldn't lead to the shim for gh");
}

/// As `hosts.yml` holds it where the keyring has the token.
const LOGIN: &str = "github.com:\n    users:\n        alice:\n    user: alice\n";

fn store_login(place: &SocketPath, text: &str) -> String {
    let folder = place.folder.join("config");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("hosts.yml"), text).unwrap();
    folder.display().to_string()
}

#[test]
fn what_demands_a_persons_login_gets_it() {
    let (place, server) = image();
    let config = store_login(&place, LOGIN);
    for line in ["agent-task list", "copilot -p x"] {
        let said = gh(&place, line, &[("GH_CONFIG_DIR", &config), ("GH_TOKEN", "ghs_old")]);
        let expected = format!("real {line}\nGH_CONFIG_DIR={config}\nMOLECULE_BROKER_GH=login\n");
        assert_eq!(said, real(&expected));
    }
    let said = gh(&place, "copilot", &[("GH_TOKEN", "gho_own")]);
    assert_eq!(said, real("real copilot\nGH_TOKEN=gho_own\nMOLECULE_BROKER_GH=login\n"));
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn without_a_persons_login_a_line_says_what_is_missing() {
    let (place, server) = image();
    let config = store_login(&place, "github.com:\n    oauth_token: ghs_sink\n    user: x\n");
    for config in [&config[..], "/nowhere"] {
        let said = gh(&place, "agent-task list", &[("GH_CONFIG_DIR", config)]);
        assert_eq!(
            said.err,
            "molecule-broker: gh agent-task can't use the broker's token, only a person's own login: run `gh auth login`\n"
        );
        assert!(said.out.starts_with("real agent-task list\n") && !said.out.contains("ghs_"), "{said:?}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn a_persons_login_is_preferred_where_that_is_said() {
    let (place, _server) = image();
    let config = store_login(&place, LOGIN);
    let told = |value: &'static str, config: &str| {
        gh(&place, "pr list", &[("MOLECULE_BROKER_GH", value), ("GH_CONFIG_DIR", config), ("GITHUB_TOKEN", "ghs_old")])
    };
    assert_eq!(
        told("login", &config),
        real(&format!("real pr list\nGH_CONFIG_DIR={config}\nMOLECULE_BROKER_GH=login\n"))
    );
    // None is stored: the broker's is better than nothing.
    let with_token = |value: &str, config: &str| {
        format!("real pr list\nGH_CONFIG_DIR={config}\nGH_TOKEN=ghs_new\nMOLECULE_BROKER_GH={value}\n")
    };
    assert_eq!(told("login", "/nowhere"), real(&with_token("login", "/nowhere")));
    let said = told("logn", &config);
    assert_eq!((said.out, said.err.lines().count()), (with_token("logn", &config), 1));
    assert_eq!(gh(&place, "pr list", &[("GH_CONFIG_DIR", &config)]).err, "", "and not by itself");
}

#[test]
fn auth_status_reports_the_login_that_works() {
    let (place, _server) = image();
    assert_eq!(gh(&place, "auth status", &[]), real("real auth status\nGH_TOKEN=ghs_new\n"));
}

#[test]
fn an_enterprise_host_has_its_own_variable() {
    let (place, server) = image();
    let said = gh(&place, "api repos/o/r/pulls", &[("GH_HOST", "ghe.corp"), ("GITHUB_TOKEN", "ghs_old")]);
    assert_eq!(said, real("real api repos/o/r/pulls\nGH_ENTERPRISE_TOKEN=ghs_new\nGH_HOST=ghe.corp\n"));
    assert_eq!(server.requests(), ["molecule/1 get\nclient=gh\ncommand=gh\nprotocol=https\nhost=ghe.corp\n\n"]);
}

#[test]
fn an_enterprise_token_is_withheld_if_another_host_is_named() {
    let (place, server) = image();
    for line in ["api --hostname evil.corp user", "pr list -R evil.corp/o/r", "pr view https://evil.corp/o/r/pull/1"] {
        assert_eq!(gh(&place, line, &[("GH_HOST", "ghe.corp")]), real(&format!("real {line}\nGH_HOST=ghe.corp\n")));
    }
    let said = gh(&place, "pr list", &[("GH_HOST", "ghe.corp"), ("GH_REPO", "evil.corp/o/r")]);
    assert_eq!(said, real("real pr list\nGH_HOST=ghe.corp\nGH_REPO=evil.corp/o/r\n"));
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn without_a_token_gh_runs_without_the_dead_one() {
    for (answer, err) in
        [("molecule/1 silent\n\n", ""), ("molecule/1 refused\nreason=why\n\n", "molecule-broker: why\n")]
    {
        let (place, _server) = image();
        fs::remove_file(place.socket()).unwrap();
        let _server = place.serve(answer);
        let said = gh(&place, "pr list", &[("GH_TOKEN", "ghs_old")]);
        assert_eq!(said, Said { out: "real pr list\n".into(), err: err.into(), status: Some(7) });
    }
}

#[test]
fn without_a_broker_gh_runs_at_once() {
    let (place, _server) = image();
    fs::remove_file(place.socket()).unwrap();
    assert_eq!(gh(&place, "pr list", &[("GH_TOKEN", "ghs_old")]), real("real pr list\n"));
}

#[test]
fn the_diverted_gh_comes_before_the_path() {
    let (place, _server) = image();
    place.script("one/gh.distrib", "#!/bin/sh\necho \"diverted $* $GH_TOKEN\"\n");
    assert_eq!(gh(&place, "pr list", &[]), says("diverted pr list ghs_new\n"));
}

#[test]
fn a_wrapper_before_us_that_runs_us_is_never_run_in_turn() {
    let (place, _server) = image();
    let shim = place.folder.join("one/gh").display().to_string();
    place.script("zero/gh", &format!("#!/bin/sh\nexec {shim} \"$@\"\n"));
    let wrapped = |folders: &[&str]| {
        let mut command = program(place.folder.join("zero/gh"));
        command.arg("pr").env("MOLECULE_BROKER_SOCKET", place.socket()).env("PATH", path(&place, folders));
        command.env_remove("GH_TOKEN").env_remove("GITHUB_TOKEN");
        run(&mut command, b"")
    };
    assert!(wrapped(&["zero", "one", "two", "zero"]).out.starts_with("real pr\n"));
    // With nothing further down, the wrapper is tried a few times, and comes back
    // to us.
    assert_eq!(wrapped(&["zero", "one", "zero"]).status, Some(127));
    // Not on PATH ourselves: the same.
    assert_eq!(wrapped(&["zero"]).status, Some(127));
}

/// An extension of a gh that is found before us has the guard against loops in
/// its environment, and comes back by the way that it is told.
#[test]
fn an_extension_comes_back_to_a_shim_that_is_not_on_the_path() {
    let (place, _server) = image();
    place.script("two/gh", "#!/bin/sh\necho \"$1 $GH_TOKEN\"\n[ \"$1\" = pr ] || exec \"$GH_PATH\" pr\n");
    let mut command = program(place.folder.join("one/gh"));
    command.env_clear().env("MOLECULE_BROKER_SOCKET", place.socket()).env("PATH", path(&place, &["two"]));
    assert_eq!(run(command.arg("extension"), b""), says("extension ghs_new\npr ghs_new\n"));
}

#[test]
fn a_gh_before_us_is_better_than_none() {
    let (place, _server) = image();
    let mut command = program(place.folder.join("one/gh"));
    command.env_clear().env("MOLECULE_BROKER_SOCKET", place.socket()).env("PATH", path(&place, &["two", "one"]));
    assert_eq!(run(command.arg("pr"), b""), real("real pr\nGH_TOKEN=ghs_new\nMOLECULE_BROKER_GH_SHIM=1\n"));
}

#[test]
fn without_a_real_gh_the_status_is_127() {
    let (place, _server) = image();
    fs::remove_file(place.folder.join("two/gh")).unwrap();
    symlink(lone_shim(), place.folder.join("two/gh")).unwrap();
    let said = gh(&place, "pr list", &[]);
    assert_eq!((said.out.as_str(), said.status, said.err.lines().count()), ("", Some(127), 1));
    assert!(said.err.contains("gh.distrib") && said.err.contains("cli.github.com"), "{said:?}");
}

/// Kubernetes sets seven for each port of each service.
#[test]
fn rule55_seven_thousand_variables_are_no_limit() {
    let (place, _server) = image();
    let names: Vec<_> = (0..7000).map(|n| format!("SERVICE_{n}_PORT_8080_TCP_ADDR")).collect();
    let mut variables: Vec<_> = names.iter().map(|n| (n.as_str(), "10.0.0.1")).collect();
    variables.push(("GH_TOKEN", "ghs_old"));
    assert_eq!(gh(&place, "pr list", &variables), real("real pr list\nGH_TOKEN=ghs_new\n"));
}
