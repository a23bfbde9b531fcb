//! The fallback: if no daemon serves, `molecule-broker answer` answers one request.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::support::*;

const ECHO: &str = "#!/bin/sh\n[ \"$*\" = answer ] || exit 9\necho noise >&2\nhead=$(/bin/cat)\nprintf 'molecule/1 ok\\nanswer=x\\nsent=%s\\n\\n' \"$(echo \"$head\" | /usr/bin/tr '\\n' ' ')\"\n";

fn with_broker(world: &ShimWorld, text: &str) -> std::process::Command {
    world.script("path/molecule-broker", text);
    let mut shim = world.shim(HELPER);
    shim.arg("get").env("PATH", format!("/nowhere:{}", world.folder.join("path").display()));
    shim
}

#[test]
fn without_a_socket_the_broker_is_run_for_one_answer() {
    let world = ShimWorld::new();
    let output = run(&mut with_broker(&world, ECHO), GET.as_bytes());
    let sent = "molecule/1 get client=helper command=git-credential-molecule protocol=https host=github.com ";
    assert_eq!(output, prints(&format!("answer=x\nsent={sent}\n")));
}

#[test]
fn a_socket_without_a_listener_leads_to_the_fallback() {
    let world = ShimWorld::new();
    drop(UnixListener::bind(world.socket()).unwrap());
    let start = Instant::now();
    let output = run(&mut with_broker(&world, "#!/bin/sh\nprintf 'molecule/1 silent\\n\\n'\n"), GET.as_bytes());
    assert_eq!(output, prints_nothing());
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn a_broker_beside_the_shim_takes_precedence_over_path() {
    let world = ShimWorld::new();
    world.script("bin/molecule-broker", "#!/bin/sh\nprintf 'molecule/1 ok\\nfrom=beside\\n\\n'\n");
    let output = run(&mut with_broker(&world, ECHO), GET.as_bytes());
    assert_eq!(output, prints("from=beside\n"));
}

#[test]
fn relative_entries_of_path_are_ignored() {
    let world = ShimWorld::new();
    let mut shim = with_broker(&world, ECHO);
    let output = run(shim.env("PATH", ":.:path").current_dir(&world.folder), GET.as_bytes());
    assert_eq!(output.out, "quit=1\n");
}

#[test]
fn askpass_uses_the_fallback_too() {
    let world = ShimWorld::new();
    with_broker(&world, ECHO);
    let mut shim = world.shim(ASKPASS);
    shim.arg("Username for 'https://github.com': ").env("PATH", world.folder.join("path"));
    assert_eq!(run(&mut shim, b""), prints("x\n"));
}

#[test]
fn a_fallback_without_an_answer_counts_as_no_broker() {
    for text in ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "#!/bin/sh\nprintf 'molecule/1 ok\\ncut'\n"] {
        let world = ShimWorld::new();
        let output = run(&mut with_broker(&world, text), GET.as_bytes());
        assert_eq!((output.out.as_str(), output.status), ("quit=1\n", Some(0)));
        assert!(output.err.contains("the broker isn't running"), "{output:?}");
    }
}

#[test]
fn rule37_a_broker_that_hangs_is_killed_in_time() {
    let world = ShimWorld::new();
    let pid = world.folder.join("pid");
    let text = format!("#!/bin/sh\necho $$ > {}\nexec /bin/sleep 60\n", pid.display());
    let start = Instant::now();
    let output = run(&mut with_broker(&world, &text), GET.as_bytes());
    assert_eq!((output.out.as_str(), output.status), ("quit=1\n", Some(0)));
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
    let pid = fs::read_to_string(pid).unwrap();
    assert!(!fs::exists(format!("/proc/{}", pid.trim())).unwrap());
}

#[test]
fn without_any_broker_https_is_refused_with_the_remedy() {
    let world = ShimWorld::new();
    let output = world.get(GET);
    assert_eq!((output.out.as_str(), output.status), ("quit=1\n", Some(0)));
    assert!(output.err.contains("molecule-broker serve") && output.err.lines().count() == 1, "{output:?}");
}

#[test]
fn rule05_without_a_broker_or_https_host_nothing_is_printed() {
    let world = ShimWorld::new();
    for input in
        ["protocol=http\nhost=h\n", "protocol=https\nhost=\n", "protocol=https\n", "host=h\n", "", "url=https://h\n"]
    {
        assert_eq!(world.get(input), prints_nothing(), "{input:?}");
    }
}
