//! Under the name `gh`.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::*;

const REAL: &str =
    "#!/bin/sh\necho \"real $*\"\n/usr/bin/env | /bin/grep -E '^(GH|GITHUB|KEPT)' | /usr/bin/sort\nexit 7\n";
const FRAME: &str = "molecule/1 get\nclient=gh\ncommand=gh\nprotocol=https\nhost=github.com\n\n";

/// `one/gh` is the shim and `two/gh` the real one.
fn image() -> (Place, Server) {
    let place = Place::new();
    fs::create_dir(place.folder.join("one")).unwrap();
    symlink(lone_shim(), place.folder.join("one/gh")).unwrap();
    place.script("two/gh", REAL);
    let server = place.serve("molecule/1 ok\nusername=x-access-token\npassword=ghs_new\n\n");
    (place, server)
}

fn path(place: &Place, folders: &[&str]) -> String {
    let folders: Vec<_> = folders.iter().map(|f| place.folder.join(f).display().to_string()).collect();
    folders.join(":")
}

fn gh(place: &Place, arguments: &str, variables: &[(&str, &str)]) -> Said {
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
    for line in ["auth login --with-token", "auth logout", "auth setup-git", "--version", "help pr", "completion -s sh"]
    {
        assert_eq!(
            gh(&place, line, &[("GITHUB_TOKEN", "ghs_old"), ("KEPT", "1")]),
            real(&format!("real {line}\nKEPT=1\n"))
        );
    }
    assert_eq!(server.requests(), [""; 0]);
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
fn an_enterprise_token_is_withheld_when_anything_names_another_host() {
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
    // With nothing further down, the wrapper is tried once, and comes back to us.
    assert_eq!(wrapped(&["zero", "one", "zero"]).status, Some(127));
    // Not on PATH ourselves: likewise.
    assert_eq!(wrapped(&["zero"]).status, Some(127));
}

#[test]
fn a_gh_before_us_is_better_than_none() {
    let (place, _server) = image();
    let mut command = program(place.folder.join("one/gh"));
    command.env_clear().env("MOLECULE_BROKER_SOCKET", place.socket()).env("PATH", path(&place, &["two", "one"]));
    assert_eq!(run(command.arg("pr"), b""), real("real pr\nGH_TOKEN=ghs_new\n"));
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

#[test]
fn more_variables_than_anybody_has_are_passed_on_as_they_are() {
    let (place, _server) = image();
    let names: Vec<_> = (0..3000).map(|n| format!("V{n}")).collect();
    let mut variables: Vec<_> = names.iter().map(|n| (n.as_str(), "1")).collect();
    variables.push(("GH_TOKEN", "ghs_old"));
    assert_eq!(gh(&place, "pr list", &variables), real("real pr list\nGH_TOKEN=ghs_old\n"));
}
