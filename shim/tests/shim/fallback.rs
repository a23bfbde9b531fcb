//! No daemon serves: `molecule-broker answer` answers one request.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::support::*;

const ECHO: &str = "#!/bin/sh\n[ \"$*\" = answer ] || exit 9\necho noise >&2\nhead=$(/bin/cat)\nprintf 'molecule/1 ok\\nanswer=x\\nsent=%s\\n\\n' \"$(echo \"$head\" | /usr/bin/tr '\\n' ' ')\"\n";

fn with_broker(place: &SocketPath, text: &str) -> std::process::Command {
    place.script("path/molecule-broker", text);
    let mut shim = place.shim(HELPER);
    shim.arg("get").env("PATH", format!("/nowhere:{}", place.folder.join("path").display()));
    shim
}

#[test]
fn without_a_socket_the_broker_is_run_for_one_answer() {
    let place = SocketPath::new();
    let said = run(&mut with_broker(&place, ECHO), GET.as_bytes());
    let sent = "molecule/1 get client=helper command=git-credential-molecule protocol=https host=github.com ";
    assert_eq!(said, says(&format!("answer=x\nsent={sent}\n")));
}

#[test]
fn a_socket_that_nobody_listens_on_leads_there_too() {
    let place = SocketPath::new();
    drop(UnixListener::bind(place.socket()).unwrap());
    let start = Instant::now();
    let said = run(&mut with_broker(&place, "#!/bin/sh\nprintf 'molecule/1 silent\\n\\n'\n"), GET.as_bytes());
    assert_eq!(said, silence());
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn a_broker_beside_the_shim_comes_before_the_path() {
    let place = SocketPath::new();
    place.script("bin/molecule-broker", "#!/bin/sh\nprintf 'molecule/1 ok\\nfrom=beside\\n\\n'\n");
    let said = run(&mut with_broker(&place, ECHO), GET.as_bytes());
    assert_eq!(said, says("from=beside\n"));
}

#[test]
fn a_relative_path_entry_never_brings_a_broker() {
    let place = SocketPath::new();
    let mut shim = with_broker(&place, ECHO);
    let said = run(shim.env("PATH", ":.:path").current_dir(&place.folder), GET.as_bytes());
    assert_eq!(said.out, "quit=1\n");
}

#[test]
fn askpass_falls_back_too() {
    let place = SocketPath::new();
    with_broker(&place, ECHO);
    let mut shim = place.shim(ASKPASS);
    shim.arg("Username for 'https://github.com': ").env("PATH", place.folder.join("path"));
    assert_eq!(run(&mut shim, b""), says("x\n"));
}

#[test]
fn a_broker_that_gives_no_answer_is_none() {
    for text in ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "#!/bin/sh\nprintf 'molecule/1 ok\\ncut'\n"] {
        let place = SocketPath::new();
        let said = run(&mut with_broker(&place, text), GET.as_bytes());
        assert_eq!((said.out.as_str(), said.status), ("quit=1\n", Some(0)));
        assert!(said.err.contains("the broker isn't running"), "{said:?}");
    }
}

#[test]
fn rule37_a_broker_that_hangs_is_killed_in_time() {
    let place = SocketPath::new();
    let pid = place.folder.join("pid");
    let text = format!("#!/bin/sh\necho $$ > {}\nexec /bin/sleep 60\n", pid.display());
    let start = Instant::now();
    let said = run(&mut with_broker(&place, &text), GET.as_bytes());
    assert_eq!((said.out.as_str(), said.status), ("quit=1\n", Some(0)));
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
    let pid = fs::read_to_string(pid).unwrap();
    assert!(!fs::exists(format!("/proc/{}", pid.trim())).unwrap());
}

#[test]
fn without_any_broker_https_is_refused_with_the_remedy() {
    let place = SocketPath::new();
    let said = place.get(GET);
    assert_eq!((said.out.as_str(), said.status), ("quit=1\n", Some(0)));
    assert!(said.err.contains("molecule-broker serve") && said.err.lines().count() == 1, "{said:?}");
}

#[test]
fn rule05_without_a_broker_what_has_no_https_host_is_silence() {
    let place = SocketPath::new();
    for input in
        ["protocol=http\nhost=h\n", "protocol=https\nhost=\n", "protocol=https\n", "host=h\n", "", "url=https://h\n"]
    {
        assert_eq!(place.get(input), silence(), "{input:?}");
    }
}
