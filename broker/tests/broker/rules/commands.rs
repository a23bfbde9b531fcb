//! Control commands against a real daemon: their output and exit statuses, and
//! how the daemon itself ends.

use std::fs;
use std::time::{Duration, Instant};

use molecule_protocol::{digest, encoding};
use nix::sys::signal::Signal;

use crate::kit::platform::{Answer, HOUR};
use crate::kit::world::FAST;
use crate::kit::{BROKER, DaemonWorld, set_mode, text, wait_for};

fn code(world: &DaemonWorld, words: &[&str]) -> Option<i32> {
    world.broker(words).status.code()
}

#[test]
fn status_is_3_without_a_daemon_and_0_with_a_token() {
    let mut world = DaemonWorld::fast();
    let none = world.broker(&["status"]);
    assert_eq!(none.status.code(), Some(3));
    assert!(text(&none.stderr).contains("molecule-broker serve"), "{}", text(&none.stderr));
    assert_eq!(code(&world, &["status", "--live"]), Some(3));
    world.start();
    world.settle();
    assert_eq!((code(&world, &["status"]), code(&world, &["status", "--strict"])), (Some(0), Some(0)));
}

#[test]
fn status_is_0_while_a_live_tokens_refresh_fails() {
    let world = DaemonWorld::settled();
    world.platform.fails();
    world.broker(&["refresh", "github"]);
    assert_eq!(world.credential("github")["state"], "stale");
    assert_eq!((code(&world, &["status"]), code(&world, &["status", "--strict"])), (Some(0), Some(0)));
}

#[test]
fn status_is_1_where_a_credential_is_unavailable() {
    let mut world = DaemonWorld::fast();
    world.platform.fails();
    world.start();
    wait_for("the failure", || (world.credential("github")["state"] == "unavailable").then_some(()));
    let status = world.broker(&["status"]);
    assert_eq!(status.status.code(), Some(1));
    let table = text(&status.stdout);
    assert!(table.contains("UNHEALTHY") && table.contains("http_5xx"), "{table}");
    assert_eq!(code(&world, &["status", "--live"]), Some(0), "a restart wouldn't mend the platform");
}

#[test]
fn a_starting_credential_is_healthy_except_to_strict() {
    let mut world = DaemonWorld::fast();
    world.config(&format!("{FAST}initial_delay = \"1h\"\n"));
    world.start();
    assert_eq!(world.credential("github")["state"], "starting");
    assert_eq!((code(&world, &["status"]), code(&world, &["status", "--strict"])), (Some(0), Some(1)));
}

#[test]
fn a_platform_without_an_app_leaves_status_healthy() {
    let mut world = DaemonWorld::fast();
    world.platform.answer(Answer::Say(404, String::new(), String::new()));
    world.start();
    wait_for("the answer", || (world.credential("github")["state"] == "unconfigured").then_some(()));
    assert_eq!(code(&world, &["status"]), Some(0));
    let next = world.credential("github")["next_refresh_in_s"].as_u64().unwrap();
    assert!((590..=600).contains(&next), "the platform must be asked again only rarely: {next}");
}

#[test]
fn status_waits_for_a_daemon_and_its_first_token() {
    let mut world = DaemonWorld::fast();
    world.platform.answer(Answer::Late(Duration::from_millis(700), Box::new(Answer::Mint(HOUR))));
    let mut waiting = world.command(BROKER).args(["status", "--wait", "20s", "--strict"]).spawn().unwrap();
    world.start();
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
    assert_eq!(world.credential("github")["serving"], true);
}

#[test]
fn status_gives_up_waiting_with_the_status_of_what_it_saw_last() {
    let mut world = DaemonWorld::fast();
    let began = Instant::now();
    assert_eq!(code(&world, &["status", "--wait", "300ms"]), Some(3));
    assert!(began.elapsed() >= Duration::from_millis(300));
    world.platform.fails();
    world.start();
    wait_for("the failure", || (world.credential("github")["state"] == "unavailable").then_some(()));
    assert_eq!(code(&world, &["status", "--wait", "300ms"]), Some(1));
}

#[test]
fn status_in_json_has_every_key_of_the_contract() {
    let world = DaemonWorld::settled();
    let printed = world.broker(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    let has = |value: &serde_json::Value, keys: &str| {
        for key in keys.split(' ') {
            assert!(value.get(key).is_some(), "{key} is not in {value}");
        }
    };
    has(&status, "version protocol pid uptime_s healthy sandbox credentials");
    has(
        &status["credentials"][0],
        "name state source origins scoped serving generation expires_in_s next_refresh_in_s last_success_ago_s \
         last_error consecutive_failures upstream_cached suspect token_sha256 requests",
    );
    assert!(!text(&printed.stdout).contains("ghs_"));
    assert_eq!(status["credentials"][0]["origins"], serde_json::json!(["github.com", "gist.github.com"]));
}

#[test]
fn token_without_a_host_is_githubs_in_each_format() {
    let world = DaemonWorld::settled();
    let token = world.token().unwrap();
    let printed = |words: &[&str]| text(&world.broker(words).stdout);
    assert_eq!(printed(&["token"]), format!("{token}\n"));
    assert_eq!(printed(&["token", "--format", "env"]), format!("GH_TOKEN={token}\nGITHUB_TOKEN={token}\n"));
    let json: serde_json::Value = serde_json::from_str(&printed(&["token", "--format", "json"])).unwrap();
    assert_eq!((&json["host"], &json["username"]), (&"github.com".into(), &"x-access-token".into()));
    assert_eq!(json["token"], *token);
    assert!(json["expires_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap() > jiff::Timestamp::now());
    assert_eq!(printed(&["token", "--host", "gist.github.com"]), format!("{token}\n"));
}

/// A shell evaluates the output: `eval "$(molecule-broker token --format env)"`.
#[test]
fn what_token_prints_for_a_shell_runs_nothing() {
    let mut world = DaemonWorld::fast();
    let password = "$(touch pwned);`touch pwned`'\"& x";
    world.set("GIT_HTTP_USERNAME", "bot");
    world.set("GIT_HTTP_PASSWORD", password);
    world.set("MOLECULE_BROKER_PERSONA_HOSTS", "git.example.com");
    world.start();
    let printed = text(&world.broker(&["token", "--host", "git.example.com", "--format", "env"]).stdout);
    let script = format!("{printed}\nprintf '%s\\n%s' \"$GH_TOKEN\" \"$GITHUB_TOKEN\"");
    let output = world.command("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(text(&output.stdout), format!("{password}\n{password}"), "{printed}");
    assert!(!world.path("repo/pwned").exists());
}

#[test]
fn token_prints_nothing_and_ends_with_1_where_there_is_none() {
    let mut world = DaemonWorld::fast();
    let nothing = |world: &DaemonWorld, words: &[&str], said: &str| {
        let output = world.broker(words);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()), "{words:?}");
        assert!(text(&output.stderr).contains(said), "{words:?}: {}", text(&output.stderr));
    };
    nothing(&world, &["token"], "no broker answers");
    world.platform.fails();
    world.start();
    nothing(&world, &["token"], "http_5xx");
    nothing(&world, &["token", "--host", "evil.example"], "no credential is configured for");
    nothing(&world, &["token", "--host", "github.com/../x"], "isn't a valid host or origin");
}

#[test]
fn exec_runs_a_command_with_the_token_and_ends_as_it_does() {
    let world = DaemonWorld::settled();
    let token = world.token().unwrap();
    let output = world.broker(&["exec", "--", "sh", "-c", "echo $GH_TOKEN $GITHUB_TOKEN; exit 7"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(7), format!("{token} {token}\n")));
    let mut exec = world.command(BROKER);
    exec.args(["exec", "--", "sh", "-c", "echo $GH_ENTERPRISE_TOKEN $GITHUB_ENTERPRISE_TOKEN"]);
    exec.env("GH_ENTERPRISE_TOKEN", "ghs_dead").env("GITHUB_ENTERPRISE_TOKEN", "ghp_own");
    assert_eq!(text(&exec.output().unwrap().stdout), "ghp_own\n", "the dead token isn't in the command's environment");
    assert_eq!(code(&world, &["exec", "--", "no-such-program"]), Some(127));
    assert_eq!(code(&world, &["exec", "--", "/etc/passwd"]), Some(126));
}

/// Checks for each host which token gh would read and which host it would ask.
#[test]
fn exec_points_gh_at_the_host_whose_token_it_gives() {
    let github = ["TOKEN", "TOKEN", "", ""];
    let enterprise = ["", "", "TOKEN", "TOKEN"];
    let mut world = DaemonWorld::fast();
    world.set("MOLECULE_BROKER_HOSTS", "github.com,gist.github.com,tenant.ghe.com,ghe.corp");
    world.start();
    world.settle();
    let token = world.token().unwrap();
    for (host, pointed, variables, gh_host) in [
        ("github.com", None, github, ""),
        ("github.com", Some("tenant.ghe.com"), github, "github.com"),
        ("gist.github.com", None, github, ""),
        ("tenant.ghe.com", None, github, "tenant.ghe.com"),
        ("tenant.ghe.com", Some("github.com"), github, "tenant.ghe.com"),
        ("ghe.corp", None, enterprise, "ghe.corp"),
    ] {
        let mut exec = world.command(BROKER);
        let print = "for name; do eval echo \"\\$$name.\"; done";
        let names = ["GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];
        exec.args(["exec", "--host", host, "--", "sh", "-c", print, "sh"]).args(names).arg("GH_HOST");
        exec.envs(names.map(|name| (name, "ghs_dead")));
        exec.envs(pointed.map(|pointed| ("GH_HOST", pointed)));
        let printed = text(&exec.output().unwrap().stdout).replace(&token, "TOKEN");
        let expected: Vec<_> = variables.into_iter().chain([gh_host]).map(|value| format!("{value}.")).collect();
        assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{host}, GH_HOST={pointed:?}");
    }
}

#[test]
fn exec_is_125_without_a_token_and_runs_nothing() {
    let mut world = DaemonWorld::fast();
    let mark = world.path("mark").display().to_string();
    assert_eq!(code(&world, &["exec", "--", "touch", &mark]), Some(125));
    world.platform.fails();
    world.start();
    assert_eq!(code(&world, &["exec", "--", "touch", &mark]), Some(125));
    assert_eq!(code(&world, &["exec", "--host", "evil.example", "--", "touch", &mark]), Some(125));
    assert!(!world.path("mark").exists());
}

#[test]
fn every_credential_handed_out_is_one_audit_line() {
    let mut world = DaemonWorld::fast();
    world.set("GIT_HTTP_USERNAME", "bot");
    world.set("GIT_HTTP_PASSWORD", "hunter2");
    world.config(&format!("{FAST}[log]\naudit_file = \"{}\"\n", world.path("audit").display()));
    world.start();
    world.settle();
    let token = world.token().unwrap();
    world.broker(&["token"]);
    world.ask("molecule/1 get\nclient=gh\ncommand=gh x=\"\u{1b}\nprotocol=https\nhost=any.example\n\n");
    world.ask("molecule/1 get\nclient=gh\ncommand=gh x=\"\nprotocol=https\nhost=any.example\n\n");
    let long = "n".repeat(65);
    world.ask(&format!("molecule/1 get\nclient=gh\ncommand={long}\nprotocol=https\nhost=any.example\n\n"));
    // None of these requests hands out a credential.
    world.ask("molecule/1 get\nprotocol=http\nhost=github.com\n\n");
    world.ask("molecule/1 get\nhost=github.com\nnonsense\n\n");
    world.ask(&crate::rules::load::erase_of("ghs_another"));
    world.ask("molecule/1 refresh\nname=github\n\n");
    world.broker(&["status"]);
    world.broker(&["reload"]);
    let audit = fs::read_to_string(world.path("audit")).unwrap();
    let lines: Vec<&str> = audit.lines().collect();
    assert_eq!(lines.len(), 4, "{audit}");
    let hash = encoding::base64_digest(&digest::sha256(token.as_bytes()));
    let hash = format!("token_sha256={}", std::str::from_utf8(&hash).unwrap());
    // The name of this process, which still runs when its line is completed.
    let own = format!("command={}", fs::read_to_string("/proc/self/comm").unwrap().trim_end());
    let own = own.as_str();
    for part in
        ["client=helper", "origin=https://github.com", "credential=github", "generation=2", "uid=", "pid=", &hash, own]
    {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    assert!(lines[1].contains("client=token") && lines[1].ends_with(" command=molecule-broker"), "{}", lines[1]);
    assert!(lines[2].contains("origin=https://any.example credential=persona"), "{}", lines[2]);
    // A password isn't hashed, and a name that a client sends can't end its field.
    assert!(lines[2].ends_with(" token_sha256=- command=gh?x??"), "{}", lines[2]);
    assert!(lines[3].ends_with(own), "for a name that is too long the kernel's name is logged: {}", lines[3]);
    assert!(!audit.contains("ghs_") && !audit.contains("hunter2"));
    assert_eq!(
        fs::metadata(world.path("audit")).map(|m| std::os::unix::fs::MetadataExt::mode(&m) & 0o777).unwrap(),
        0o600
    );
}

#[test]
fn sigterm_and_sigint_end_the_daemon_and_remove_the_socket() {
    let mut world = DaemonWorld::fast();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        world.start();
        assert!(world.socket().exists());
        world.signal(signal);
        wait_for("the socket to go", || (!world.socket().exists()).then_some(()));
        assert_eq!(world.stopped().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_bad_configuration_is_status_2_and_names_file_line_and_key() {
    let world = DaemonWorld::fast();
    for (config, line, said) in [
        ("[refresh]\n\nintervall = \"45m\"\n", ":3", "intervall"),
        ("[refresh]\ninterval = 45\n", ":2", "interval"),
        ("[socket]\nmode = \"0999\"\n", ":2", "mode"),
        ("[[credential]]\nname = \"github\"\norigins = [\"https://\"]\n", ":3", "origins"),
        ("[socket\n", ":1", "config.toml"),
    ] {
        world.rewrite_config(config);
        let (status, printed) = world.fails_to_start();
        assert_eq!(status, 2, "{config}: {printed}");
        assert!(printed.contains(&format!("config.toml{line}")) && printed.contains(said), "{config}: {printed}");
        assert!(!world.socket().exists());
        assert_eq!(code(&world, &["config"]), Some(2), "{config}");
    }
}

#[test]
fn a_configuration_that_others_can_write_is_refused() {
    let world = DaemonWorld::fast();
    set_mode(&world.path("config.toml"), 0o666);
    let (status, printed) = world.fails_to_start();
    assert!(status == 2 && printed.contains("chmod go-w"), "{status}: {printed}");
}

#[test]
fn an_audit_file_that_cannot_be_opened_is_named_with_the_remedy() {
    let mut world = DaemonWorld::fast();
    world.config(&format!("[log]\naudit_file = \"{}\"\n", world.path("nowhere/audit").display()));
    let (status, said) = world.fails_to_start();
    assert_eq!(status, 1, "{said}");
    for part in ["the audit file can't be opened", "nowhere/audit", "make its folder", "audit_file below [log]"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
