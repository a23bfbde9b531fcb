//! As git's credential helper, and with the old script's actions.

use std::os::unix::process::CommandExt;

use crate::support::*;

const FRAME: &str =
    "molecule/1 get\nclient=helper\ncommand=git-credential-molecule\nprotocol=https\nhost=github.com\n\n";

#[test]
fn rule01_the_brokers_answer_reaches_git_as_it_is() {
    let place = SocketPath::new();
    let server = place.serve("molecule/1 ok\nusername=u\npassword=p\npassword_expiry_utc=1776466200\nnew=x\n\n");
    assert_eq!(place.get(GET), says("username=u\npassword=p\npassword_expiry_utc=1776466200\nnew=x\n"));
    assert_eq!(server.requests(), [FRAME]);
}

#[test]
fn what_the_decision_needs_is_sent_on_and_nothing_else() {
    let place = SocketPath::new();
    let server = place.serve(OK);
    place.get("capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=github.com\npath=o/r\nusername=u\nurl=https://x\npassword=secret\nstate[]=s\nwwwauth[]=w\nnew=n\n\nhost=ignored\n");
    assert_eq!(
        server.requests(),
        [
            "molecule/1 get\nclient=helper\ncommand=git-credential-molecule\ncapability[]=authtype\ncapability[]=state\nprotocol=https\nhost=github.com\npath=o/r\nusername=u\nurl=https://x\n\n"
        ]
    );
}

#[test]
fn rule09_a_servers_text_of_any_length_changes_nothing() {
    let place = SocketPath::new();
    let server = place.serve(OK);
    for length in [1001, 4073, 65535] {
        let input = format!("protocol=https\nhost=github.com\nwwwauth[]={}\n\n", "\r".repeat(length));
        assert_eq!(place.get(&input).status, Some(0));
    }
    assert_eq!(server.requests(), [FRAME; 3]);
}

#[test]
fn rule06_rule10_a_faulty_request_is_silence_and_is_never_sent() {
    let place = SocketPath::new();
    let server = place.serve(OK);
    for fault in ["host=a\rb", "host=a\0", "password=a\x7f", "nonsense", "=x", "new=\x1b"] {
        assert_eq!(place.get(&format!("protocol=https\n{fault}\n\n")), silence(), "{fault:?}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn rule07_a_key_that_came_twice_is_the_brokers_to_refuse() {
    let place = SocketPath::new();
    let server = place.serve("molecule/1 malformed\nreason=a key came twice\n\n");
    assert_eq!(place.get("protocol=https\nhost=a\nhost=b\n\n"), silence());
    assert_eq!(
        server.requests(),
        ["molecule/1 get\nclient=helper\ncommand=git-credential-molecule\nprotocol=https\nhost=a\nhost=b\n\n"]
    );
}

#[test]
fn rule48_the_username_is_sent_on_for_the_broker_to_judge() {
    let place = SocketPath::new();
    let server = place.serve("molecule/1 silent\n\n");
    assert_eq!(place.get("protocol=https\nhost=h\nusername=somebody\n\n"), silence());
    assert_eq!(
        server.requests(),
        [
            "molecule/1 get\nclient=helper\ncommand=git-credential-molecule\nprotocol=https\nhost=h\nusername=somebody\n\n"
        ]
    );
}

#[test]
fn a_refusal_stops_git_and_says_why() {
    let place = SocketPath::new();
    let _server = place.serve("molecule/1 refused\nreason=github: no token yet; see \x1b[1m\n\n");
    let said = place.get(GET);
    assert_eq!((said.out.as_str(), said.status), ("quit=1\n", Some(0)));
    assert_eq!(said.err, "molecule-broker: github: no token yet; see ?[1m\n");
}

#[test]
fn a_long_refusal_is_told_to_its_end_where_the_remedy_stands() {
    let place = SocketPath::new();
    let reason = format!("{}; see: molecule-broker status", "why ".repeat(220));
    let _server = place.serve(format!("molecule/1 refused\nreason={reason}\n\n").leak());
    assert_eq!(place.get(GET).err, format!("molecule-broker: {reason}\n"));
}

#[test]
fn erase_sends_the_hash_and_never_the_password() {
    let place = SocketPath::new();
    let server = place.serve("molecule/1 ok\n\n");
    let sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    // printf x-access-token:test | base64
    for secret in ["password=test", "credential=eC1hY2Nlc3MtdG9rZW46dGVzdA=="] {
        let input = format!("protocol=https\nhost=h\n{secret}\n\n");
        assert_eq!(run(place.shim(HELPER).arg("erase"), input.as_bytes()), silence());
    }
    let expected = format!(
        "molecule/1 erase\nclient=helper\ncommand=git-credential-molecule\nprotocol=https\nhost=h\nsha256={sha256}\n\n"
    );
    assert_eq!(server.requests(), [expected.clone(), expected]);
}

#[test]
fn erase_of_nothing_and_a_refused_erase_are_silence() {
    let place = SocketPath::new();
    let server = place.serve("molecule/1 refused\nreason=x\n\n");
    assert_eq!(run(place.shim(HELPER).arg("erase"), GET.as_bytes()), silence());
    assert_eq!(server.requests(), [""; 0]);
    let input = b"protocol=https\nhost=h\npassword=p\n\n";
    assert_eq!(run(place.shim(HELPER).arg("erase"), input), silence());
}

#[test]
fn store_reads_and_sends_nothing() {
    let place = SocketPath::new();
    let server = place.serve(OK);
    let mut command = place.shim(HELPER);
    // Its input never ends while the child lives: reading it would never end.
    let mut child = command.arg("store").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(input);
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn rule46_capability_needs_no_broker() {
    let place = SocketPath::new();
    assert_eq!(run(place.shim(HELPER).arg("capability"), b""), says("version 0\n"));
}

#[test]
fn rule46_unknown_no_or_two_actions_are_silence() {
    let place = SocketPath::new();
    let server = place.serve(OK);
    for arguments in [&[][..], &["approve"], &["get", "get"], &["--help"], &[""], &["GET"]] {
        assert_eq!(run(place.shim(HELPER).args(arguments), GET.as_bytes()), silence(), "{arguments:?}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn the_old_scripts_name_without_an_action_means_get() {
    let place = SocketPath::new();
    let server = place.serve("molecule/1 ok\nusername=u\npassword=p\n\n");
    assert_eq!(run(&mut place.shim(SCRIPT), GET.as_bytes()), says("username=u\npassword=p\n"));
    assert_eq!(server.requests(), [FRAME.replace(HELPER, SCRIPT)]);
}

#[test]
fn a_name_that_no_line_holds_is_not_told_and_takes_nothing_away() {
    let place = SocketPath::new();
    let server = place.serve("molecule/1 ok\nusername=u\npassword=p\n\n");
    let longest = "n".repeat(64);
    for name in ["", "bin/", "a\nhost=b", &format!("{longest}n"), &longest] {
        let said = run(place.shim(SCRIPT).arg0(name).arg("get"), GET.as_bytes());
        assert_eq!(said, says("username=u\npassword=p\n"), "{name:?}");
    }
    let nameless = FRAME.replace("command=git-credential-molecule\n", "");
    let mut expected = vec![nameless; 4];
    expected.push(FRAME.replace(HELPER, &longest));
    assert_eq!(server.requests(), expected);
}

#[test]
fn fetch_token_prints_the_raw_token() {
    let place = SocketPath::new();
    let server = place.serve("molecule/1 ok\nusername=u\npassword=ghs_a\nhost=github.com\n\n");
    assert_eq!(run(place.shim(SCRIPT).arg("_fetch_token"), b""), says("ghs_a\n"));
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
        let place = SocketPath::new();
        let _server = place.serve(answer);
        let said = run(place.shim(SCRIPT).arg("_fetch_token"), b"");
        assert_eq!(said, Said { out: String::new(), err: line.into(), status: Some(1) });
    }
    let said = run(SocketPath::new().shim(SCRIPT).arg("_fetch_token"), b"");
    assert_eq!((said.out.as_str(), said.status), ("", Some(1)));
    assert!(said.err.starts_with("molecule-broker: the broker isn't running"), "{said:?}");
}

#[test]
fn invalidate_cache_asks_for_a_refresh_and_never_waits_for_it() {
    let place = SocketPath::new();
    let listener = std::os::unix::net::UnixListener::bind(place.socket()).unwrap();
    let mut held = Vec::new();
    let server = Server::on(listener, move |_, stream| held.push(stream));
    assert_eq!(run(place.shim(SCRIPT).arg("_invalidate_cache"), b""), silence());
    until("the request", || server.requests() == ["molecule/1 refresh\nclient=script\nname=github\n\n"]);
}

#[test]
fn invalidate_cache_without_a_broker_is_no_fault() {
    assert_eq!(run(SocketPath::new().shim(SCRIPT).arg("_invalidate_cache"), b""), silence());
}

#[test]
fn refresh_gh_becomes_the_brokers_refresh() {
    let place = SocketPath::new();
    place.script("path/molecule-broker", "#!/bin/sh\necho \"$@\"; exit 1\n");
    let said = run(place.shim(SCRIPT).arg("_refresh_gh").env("PATH", place.folder.join("path")), b"");
    assert_eq!((said.out.as_str(), said.status), ("refresh --login github\n", Some(1)));
    let said = run(place.shim(SCRIPT).arg("_refresh_gh"), b"");
    assert_eq!((said.out.as_str(), said.status), ("", Some(1)));
    assert!(said.err.starts_with("molecule-broker: can't run molecule-broker"), "{said:?}");
}
