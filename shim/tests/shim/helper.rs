//! The shim as git's credential helper, and with the old script's actions.

use std::os::unix::process::CommandExt;

use crate::support::*;

const FRAME: &str =
    "molecule/1 get\nclient=helper\ncommand=git-credential-molecule\nprotocol=https\nhost=github.com\n\n";

#[test]
fn rule01_the_brokers_answer_reaches_git_unchanged() {
    let world = ShimWorld::new();
    let server = world.serve("molecule/1 ok\nusername=u\npassword=p\npassword_expiry_utc=1776466200\nnew=x\n\n");
    assert_eq!(world.get(GET), prints("username=u\npassword=p\npassword_expiry_utc=1776466200\nnew=x\n"));
    assert_eq!(server.requests(), [FRAME]);
}

#[test]
fn only_keys_for_the_brokers_decision_are_sent_on() {
    let world = ShimWorld::new();
    let server = world.serve(OK);
    world.get("capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=github.com\npath=o/r\nusername=u\nurl=https://x\npassword=secret\nstate[]=s\nwwwauth[]=w\nnew=n\n\nhost=ignored\n");
    assert_eq!(
        server.requests(),
        [
            "molecule/1 get\nclient=helper\ncommand=git-credential-molecule\ncapability[]=authtype\ncapability[]=state\nprotocol=https\nhost=github.com\npath=o/r\nusername=u\nurl=https://x\n\n"
        ]
    );
}

#[test]
fn rule09_a_servers_text_of_any_length_changes_nothing() {
    let world = ShimWorld::new();
    let server = world.serve(OK);
    for length in [1001, 4073, 65535] {
        let input = format!("protocol=https\nhost=github.com\nwwwauth[]={}\n\n", "\r".repeat(length));
        assert_eq!(world.get(&input).status, Some(0));
    }
    assert_eq!(server.requests(), [FRAME; 3]);
}

#[test]
fn rule06_rule10_an_invalid_request_is_never_sent() {
    let world = ShimWorld::new();
    let server = world.serve(OK);
    for fault in ["host=a\rb", "host=a\0", "password=a\x7f", "nonsense", "=x", "new=\x1b"] {
        assert_eq!(world.get(&format!("protocol=https\n{fault}\n\n")), prints_nothing(), "{fault:?}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn rule07_a_duplicate_key_is_left_to_the_broker_to_refuse() {
    let world = ShimWorld::new();
    let server = world.serve("molecule/1 malformed\nreason=a key came twice\n\n");
    assert_eq!(world.get("protocol=https\nhost=a\nhost=b\n\n"), prints_nothing());
    assert_eq!(
        server.requests(),
        ["molecule/1 get\nclient=helper\ncommand=git-credential-molecule\nprotocol=https\nhost=a\nhost=b\n\n"]
    );
}

#[test]
fn rule48_the_username_is_sent_on_for_the_broker_to_judge() {
    let world = ShimWorld::new();
    let server = world.serve("molecule/1 silent\n\n");
    assert_eq!(world.get("protocol=https\nhost=h\nusername=somebody\n\n"), prints_nothing());
    assert_eq!(
        server.requests(),
        [
            "molecule/1 get\nclient=helper\ncommand=git-credential-molecule\nprotocol=https\nhost=h\nusername=somebody\n\n"
        ]
    );
}

#[test]
fn a_refusal_stops_git_and_prints_its_reason() {
    let world = ShimWorld::new();
    let _server = world.serve("molecule/1 refused\nreason=github: no token yet; see \x1b[1m\n\n");
    let output = world.get(GET);
    assert_eq!((output.out.as_str(), output.status), ("quit=1\n", Some(0)));
    assert_eq!(output.err, "molecule-broker: github: no token yet; see ?[1m\n");
}

#[test]
fn a_long_reason_is_printed_up_to_the_remedy_at_its_end() {
    let world = ShimWorld::new();
    let reason = format!("{}; see: molecule-broker status", "why ".repeat(220));
    let _server = world.serve(format!("molecule/1 refused\nreason={reason}\n\n").leak());
    assert_eq!(world.get(GET).err, format!("molecule-broker: {reason}\n"));
}

#[test]
fn erase_sends_the_hash_and_never_the_password() {
    let world = ShimWorld::new();
    let server = world.serve("molecule/1 ok\n\n");
    let sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    // printf x-access-token:test | base64
    for secret in ["password=test", "credential=eC1hY2Nlc3MtdG9rZW46dGVzdA=="] {
        let input = format!("protocol=https\nhost=h\n{secret}\n\n");
        assert_eq!(run(world.shim(HELPER).arg("erase"), input.as_bytes()), prints_nothing());
    }
    let expected = format!(
        "molecule/1 erase\nclient=helper\ncommand=git-credential-molecule\nprotocol=https\nhost=h\nsha256={sha256}\n\n"
    );
    assert_eq!(server.requests(), [expected.clone(), expected]);
}

#[test]
fn an_empty_or_refused_erase_prints_nothing() {
    let world = ShimWorld::new();
    let server = world.serve("molecule/1 refused\nreason=x\n\n");
    assert_eq!(run(world.shim(HELPER).arg("erase"), GET.as_bytes()), prints_nothing());
    assert_eq!(server.requests(), [""; 0]);
    let input = b"protocol=https\nhost=h\npassword=p\n\n";
    assert_eq!(run(world.shim(HELPER).arg("erase"), input), prints_nothing());
}

#[test]
fn store_reads_and_sends_nothing() {
    let world = ShimWorld::new();
    let server = world.serve(OK);
    let mut command = world.shim(HELPER);
    // The child's input stays open while the child runs, so reading it would block.
    let mut child = command.arg("store").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(input);
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn rule46_capability_needs_no_broker() {
    let world = ShimWorld::new();
    assert_eq!(run(world.shim(HELPER).arg("capability"), b""), prints("version 0\n"));
}

#[test]
fn rule46_without_one_known_action_nothing_is_printed() {
    let world = ShimWorld::new();
    let server = world.serve(OK);
    for arguments in [&[][..], &["approve"], &["get", "get"], &["--help"], &[""], &["GET"]] {
        assert_eq!(run(world.shim(HELPER).args(arguments), GET.as_bytes()), prints_nothing(), "{arguments:?}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn the_old_scripts_name_without_an_action_means_get() {
    let world = ShimWorld::new();
    let server = world.serve("molecule/1 ok\nusername=u\npassword=p\n\n");
    assert_eq!(run(&mut world.shim(SCRIPT), GET.as_bytes()), prints("username=u\npassword=p\n"));
    assert_eq!(server.requests(), [FRAME.replace(HELPER, SCRIPT)]);
}

#[test]
fn a_name_that_fits_no_line_is_left_out_of_the_request() {
    let world = ShimWorld::new();
    let server = world.serve("molecule/1 ok\nusername=u\npassword=p\n\n");
    let longest = "n".repeat(64);
    for name in ["", "bin/", "a\nhost=b", &format!("{longest}n"), &longest] {
        let output = run(world.shim(SCRIPT).arg0(name).arg("get"), GET.as_bytes());
        assert_eq!(output, prints("username=u\npassword=p\n"), "{name:?}");
    }
    let nameless = FRAME.replace("command=git-credential-molecule\n", "");
    let mut expected = vec![nameless; 4];
    expected.push(FRAME.replace(HELPER, &longest));
    assert_eq!(server.requests(), expected);
}

#[test]
fn fetch_token_prints_the_raw_token() {
    let world = ShimWorld::new();
    let server = world.serve("molecule/1 ok\nusername=u\npassword=ghs_a\nhost=github.com\n\n");
    assert_eq!(run(world.shim(SCRIPT).arg("_fetch_token"), b""), prints("ghs_a\n"));
    let name = SCRIPT.rsplit('/').next().unwrap();
    assert_eq!(server.requests(), [format!("molecule/1 get\nclient=script\ncommand={name}\nname=github\n\n")]);
}

#[test]
fn a_failed_fetch_token_exits_1_and_prints_nothing() {
    for (answer, line) in [
        ("molecule/1 refused\nreason=why\n\n", "molecule-broker: why\n"),
        (
            "molecule/1 silent\n\n",
            "molecule-broker: there is no credential named github; see `molecule-broker status`\n",
        ),
    ] {
        let world = ShimWorld::new();
        let _server = world.serve(answer);
        let output = run(world.shim(SCRIPT).arg("_fetch_token"), b"");
        assert_eq!(output, ProgramOutput { out: String::new(), err: line.into(), status: Some(1) });
    }
    let output = run(ShimWorld::new().shim(SCRIPT).arg("_fetch_token"), b"");
    assert_eq!((output.out.as_str(), output.status), ("", Some(1)));
    assert!(output.err.starts_with("molecule-broker: the broker isn't running"), "{output:?}");
}

#[test]
fn invalidate_cache_requests_a_refresh_without_waiting() {
    let world = ShimWorld::new();
    let listener = std::os::unix::net::UnixListener::bind(world.socket()).unwrap();
    let mut held = Vec::new();
    let server = FakeServer::on(listener, move |_, stream| held.push(stream));
    assert_eq!(run(world.shim(SCRIPT).arg("_invalidate_cache"), b""), prints_nothing());
    wait_until("the request", || server.requests() == ["molecule/1 refresh\nclient=script\nname=github\n\n"]);
}

#[test]
fn invalidate_cache_without_a_broker_succeeds() {
    assert_eq!(run(ShimWorld::new().shim(SCRIPT).arg("_invalidate_cache"), b""), prints_nothing());
}

#[test]
fn refresh_gh_runs_the_brokers_refresh() {
    let world = ShimWorld::new();
    world.script("path/molecule-broker", "#!/bin/sh\necho \"$@\"; exit 1\n");
    let output = run(world.shim(SCRIPT).arg("_refresh_gh").env("PATH", world.folder.join("path")), b"");
    assert_eq!((output.out.as_str(), output.status), ("refresh --login github\n", Some(1)));
    let output = run(world.shim(SCRIPT).arg("_refresh_gh"), b"");
    assert_eq!((output.out.as_str(), output.status), ("", Some(1)));
    assert!(output.err.starts_with("molecule-broker: can't run molecule-broker"), "{output:?}");
}
