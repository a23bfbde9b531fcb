//! As `GIT_ASKPASS`, and by mistake as `SSH_ASKPASS`.

use crate::support::*;

fn refusal() -> Said {
    Said { out: String::new(), err: String::new(), status: Some(1) }
}

#[test]
fn gits_and_git_lfs_prompts_are_answered() {
    let place = SocketPath::new();
    let server = place.serve("molecule/1 ok\nanswer=a\n\n");
    for prompt in [
        "Username for 'https://github.com': ",
        "Password for 'https://me%40x@github.com': ",
        "Password for 'https://u@github.com/o/r.git': ",
        "Username for \"https://github.com\"",
    ] {
        assert_eq!(place.askpass(prompt), says("a\n"), "{prompt}");
    }
    let head = "molecule/1 get\nclient=askpass\ncommand=molecule-askpass\nprotocol=https\nhost=github.com\n";
    assert_eq!(
        server.requests(),
        [
            format!("{head}field=username\n\n"),
            format!("{head}username=me@x\nfield=password\n\n"),
            format!("{head}path=o/r.git\nusername=u\nfield=password\n\n"),
            format!("{head}field=username\n\n"),
        ]
    );
}

#[test]
fn rule15_forged_prompts_get_status_1_and_no_request() {
    let place = SocketPath::new();
    let server = place.serve(OK);
    for prompt in [
        "Password for 'https://x-access-token@github.com/@evil.example': ",
        "Password for 'https://x-access-token%40github.com%2F@evil.example%2f': ",
        "Password for 'https://a@b@github.com': ",
        "(git@evil) Password for 'https://u@github.com': ",
        " Password for 'https://u@github.com': ",
        "Password for 'https://u@github.com': x",
        "Password for 'https://u@github.com': \n",
        "Password for 'https://u@github.com\x1b': ",
    ] {
        assert_eq!(place.askpass(prompt), refusal(), "{prompt:?}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn rule16_other_programs_prompts_get_status_1_and_no_request() {
    let place = SocketPath::new();
    let server = place.serve(OK);
    let long = format!("Username for 'https://github.com/{}': ", "a".repeat(4096));
    for prompt in [
        "Username: ",
        "Password: ",
        "Enter passphrase for key '/home/agent/.ssh/id_ed25519': ",
        "Enter PIN for 'key': ",
        "git@github.com's password: ",
        "Are you sure you want to continue connecting (yes/no/[fingerprint])? ",
        "Certificate problem.",
        "",
        &long,
    ] {
        assert_eq!(place.askpass(prompt), refusal(), "{prompt:?}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn rule16_no_argument_two_and_ssh_confirmations_get_status_1() {
    let place = SocketPath::new();
    let server = place.serve(OK);
    let prompt = "Username for 'https://github.com': ";
    assert_eq!(run(&mut place.shim(ASKPASS), b""), refusal());
    assert_eq!(run(place.shim(ASKPASS).args([prompt, prompt]), b""), refusal());
    for kind in ["confirm", "none", ""] {
        assert_eq!(run(place.shim(ASKPASS).arg(prompt).env("SSH_ASKPASS_PROMPT", kind), b""), refusal(), "{kind}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn no_answer_is_never_an_empty_one() {
    for answer in [
        "molecule/1 silent\n\n",
        "molecule/1 ok\n\n",
        "molecule/1 ok\nanswer=\n\n",
        "molecule/1 malformed\nreason=x\n\n",
    ] {
        let place = SocketPath::new();
        let _server = place.serve(answer);
        assert_eq!(place.askpass("Username for 'https://github.com': "), refusal(), "{answer:?}");
    }
}

#[test]
fn a_refusal_in_scope_says_why() {
    let place = SocketPath::new();
    let _server = place.serve("molecule/1 refused\nreason=why\n\n");
    let said = place.askpass("Password for 'https://u@github.com': ");
    assert_eq!(said, Said { out: String::new(), err: "molecule-broker: why\n".into(), status: Some(1) });
}

#[test]
fn without_a_broker_the_status_is_1_and_one_line_says_so() {
    let said = SocketPath::new().askpass("Password for 'https://u@github.com': ");
    assert_eq!((said.out.as_str(), said.status), ("", Some(1)));
    assert_eq!(said.err.lines().count(), 1);
}
