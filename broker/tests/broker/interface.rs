//! The interfaces that other programs read, compared byte for byte with the
//! files in `interface/`: `status --json`, the wire, the metrics, the audit
//! line and the exit statuses. Only numbers, tokens, paths and the texts for
//! people are replaced first.
//!
//! An intended change is written to the files by
//! `RECORD_INTERFACE=1 cargo test -p molecule-broker --test broker interface`.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::kit::{DaemonWorld, wait_for, wire, world};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broker/interface").join(name)
}

/// Compares `seen` with the recorded text, or records it.
fn compare(name: &str, seen: &str) {
    if std::env::var_os("RECORD_INTERFACE").is_some() {
        fs::create_dir_all(file("")).unwrap();
        fs::write(file(name), seen).unwrap();
    }
    let recorded = fs::read_to_string(file(name)).unwrap();
    assert_eq!(seen, recorded, "{name} differs from what other programs rely on");
}

/// Replaces each run of digits by `N`, and each token by `TOKEN`.
fn without_numbers(world: &DaemonWorld, text: &str) -> String {
    let text = text.replace(&world.path("").display().to_string().trim_end_matches('/').to_owned(), "ROOT");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("ghs_") {
            out.push_str("TOKEN");
            rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        } else if first.is_ascii_digit() {
            out.push('N');
            rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// Replaces the text between `before` and the next `after`.
fn replaced(text: &str, before: &str, after: &str, by: &str) -> String {
    let mut parts = text.split(before);
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find(after).unwrap_or(part.len());
        out.push_str(before);
        out.push_str(by);
        out.push_str(&part[end..]);
    }
    out
}

/// Returns `status --json` without its texts for people and without values that
/// depend on the kernel or the user.
fn status(world: &DaemonWorld) -> String {
    let text = String::from_utf8(world.broker(&["status", "--json"]).stdout).unwrap();
    let text = replaced(&text, "\"message\":\"", "\"", "TEXT");
    let text = replaced(&text, "\"sandbox\":\"", "\"", "LEVEL");
    without_numbers(world, &text)
}

#[test]
fn status_json_is_as_recorded() {
    let world = DaemonWorld::calm();
    let mut seen = status(&world);
    world.platform.fails();
    world.broker(&["refresh", "github"]);
    wait_for("a failure", || world.credential("github")["last_error"].is_object().then_some(()));
    seen.push_str(&status(&world));
    compare("status.json", &seen);
}

#[test]
fn answers_on_the_wire_are_as_recorded() {
    let world = DaemonWorld::calm();
    let mut seen = String::new();
    for request in [
        wire::GET,
        "molecule/1 get\nclient=askpass\nprotocol=https\nhost=github.com\nusername=x-access-token\n\n",
        "molecule/1 get\nclient=token\n\n",
        "molecule/1 get\nclient=token\nname=github\n\n",
        "molecule/1 get\nclient=helper\nprotocol=https\nhost=elsewhere.test\n\n",
        "molecule/1 get\nclient=helper\nprotocol=http\nhost=github.com\n\n",
        "molecule/1 get\nclient=helper\nprotocol=https\nhost=a\nhost=b\n\n",
        "molecule/1 erase\nclient=helper\nprotocol=https\nhost=github.com\nsha256=00\n\n",
        "molecule/1 refresh\nclient=script\nname=none\n\n",
        "molecule/1 refresh\nclient=script\nname=github\n\n",
        "molecule/1 reload\nclient=script\n\n",
        "molecule/1 sing\nclient=script\n\n",
        "molecule/2 get\n\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        let answer = replaced(&world.ask(request), "reason=", "\n", "TEXT");
        seen.push_str(&format!("> {request:?}\n{}\n", without_numbers(&world, &answer)));
    }
    compare("wire.txt", &seen);
}

#[test]
fn metrics_are_as_recorded() {
    let mut world = DaemonWorld::new();
    let listen = world.path("run/metrics.sock");
    world.config(&world::calm(&format!("{}[metrics]\nlisten = \"{}\"\n", world::FAST, listen.display())));
    world.start();
    world.settle();
    world.ask(wire::GET);
    let mut stream = UnixStream::connect(listen).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    // The values depend on chance, but the set of series doesn't.
    let lines = body.lines().map(|line| match line.rsplit_once(' ') {
        Some((series, _)) if !line.starts_with('#') => series.to_owned(),
        _ => line.to_owned(),
    });
    compare("metrics.txt", &(lines.collect::<Vec<_>>().join("\n") + "\n"));
}

#[test]
fn the_audit_line_is_as_recorded() {
    let mut world = DaemonWorld::new();
    let audit = world.path("audit.log");
    world.config(&world::calm(&format!("{}[log]\naudit_file = \"{}\"\n", world::FAST, audit.display())));
    world.start();
    world.settle();
    world.ask(wire::GET);
    let line = wait_for("a line", || fs::read_to_string(&audit).ok().filter(|text| text.ends_with('\n')));
    let line = replaced(&line, "token_sha256=", " ", "HASH");
    let line = replaced(&line, "command=", "\n", "NAME");
    compare("audit.txt", &without_numbers(&world, &line));
}

#[test]
fn exit_statuses_are_as_recorded() {
    let mut world = DaemonWorld::calm();
    let not_executable = world.path("repo/file");
    fs::write(&not_executable, "text").unwrap();
    let file = not_executable.display().to_string();
    let commands: [&[&str]; 20] = [
        &["status"],
        &["status", "--json"],
        &["status", "--live"],
        &["token"],
        &["token", "--host", "github.com"],
        &["token", "--host", "elsewhere.test"],
        &["refresh"],
        &["refresh", "github"],
        &["refresh", "none"],
        &["refresh", "--reload"],
        &["exec", "--", "true"],
        &["exec", "--", "sh", "-c", "exit 7"],
        &["exec", "--", "no-such-program"],
        &["exec", "--", &file],
        &["config"],
        &["setup-git", "--env"],
        &["sing"],
        &["status", "--sing"],
        &["answer"],
        &["supervise", "--user", "no-such-user", "--", "true"],
    ];
    let mut seen = String::new();
    let mut run = |world: &DaemonWorld, title: &str| {
        seen.push_str(&format!("{title}\n"));
        for words in commands {
            let status = world.broker(words).status.code();
            let words = without_numbers(world, &words.join(" ").replace(&file, "FILE"));
            seen.push_str(&format!("{:>4} {words}\n", status.map_or("-".into(), |code| code.to_string())));
        }
    };
    run(&world, "with a daemon");
    world.stop();
    run(&world, "without a daemon");
    world.rewrite_config("[refresh]\ninterval = \"soon\"\n");
    run(&world, "with a wrong configuration");
    compare("exit_statuses.txt", &seen);
}
