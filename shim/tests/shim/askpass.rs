//! The shim as `GIT_ASKPASS`, and as `SSH_ASKPASS`, which is a mistake.

use crate::support::*;

fn refusal() -> ProgramOutput {
    ProgramOutput { out: String::new(), err: String::new(), status: Some(1) }
}

#[test]
fn gits_and_git_lfs_prompts_are_answered() {
    let world = ShimWorld::new();
    let server = world.serve("molecule/1 ok\nanswer=a\n\n");
    for prompt in [
        "Username for 'https://github.com': ",
        "Password for 'https://me%40x@github.com': ",
        "Password for 'https://u@github.com/o/r.git': ",
        "Username for \"https://github.com\"",
    ] {
        assert_eq!(world.askpass(prompt), prints("a\n"), "{prompt}");
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
    let world = ShimWorld::new();
    let server = world.serve(OK);
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
        assert_eq!(world.askpass(prompt), refusal(), "{prompt:?}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn rule16_other_programs_prompts_get_status_1_and_no_request() {
    let world = ShimWorld::new();
    let server = world.serve(OK);
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
        assert_eq!(world.askpass(prompt), refusal(), "{prompt:?}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn rule16_no_argument_two_and_ssh_confirmations_get_status_1() {
    let world = ShimWorld::new();
    let server = world.serve(OK);
    let prompt = "Username for 'https://github.com': ";
    assert_eq!(run(&mut world.shim(ASKPASS), b""), refusal());
    assert_eq!(run(world.shim(ASKPASS).args([prompt, prompt]), b""), refusal());
    for kind in ["confirm", "none", ""] {
        assert_eq!(run(world.shim(ASKPASS).arg(prompt).env("SSH_ASKPASS_PROMPT", kind), b""), refusal(), "{kind}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn without_an_answer_askpass_prints_nothing_and_fails() {
    for answer in [
        "molecule/1 silent\n\n",
        "molecule/1 ok\n\n",
        "molecule/1 ok\nanswer=\n\n",
        "molecule/1 malformed\nreason=x\n\n",
    ] {
        let world = ShimWorld::new();
        let _server = world.serve(answer);
        assert_eq!(world.askpass("Username for 'https://github.com': "), refusal(), "{answer:?}");
    }
}

#[test]
fn a_refusal_in_scope_prints_its_reason() {
    let world = ShimWorld::new();
    let _server = world.serve("molecule/1 refused\nreason=why\n\n");
    let output = world.askpass("Password for 'https://u@github.com': ");
    assert_eq!(output, ProgramOutput { out: String::new(), err: "molecule-broker: why\n".into(), status: Some(1) });
}

#[test]
fn without_a_broker_one_line_explains_status_1() {
    let output = ShimWorld::new().askpass("Password for 'https://u@github.com': ");
    assert_eq!((output.out.as_str(), output.status), ("", Some(1)));
    assert_eq!(output.err.lines().count(), 1);
}
