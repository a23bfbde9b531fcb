//! A, C and G: bad answers of the platform, and the harm that they mustn't do.

use std::time::{Duration, SystemTime};

use crate::kit::platform::{Answer, FakePlatform, HOUR, rfc3339};
use crate::kit::world::{FAST, calm};
use crate::kit::{DaemonWorld, text, wait_for};

#[test]
fn rule13_a_redirect_is_not_followed_and_the_old_token_stays() {
    let world = DaemonWorld::calm();
    let (elsewhere, token) = (FakePlatform::start(), world.token());
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}/workspaces/w-1/github-installation-token\r\n", elsewhere.url);
        world.platform.next(Answer::Say(status, location, String::new()));
        let refused = world.broker(&["refresh", "github"]);
        assert_eq!(refused.status.code(), Some(1), "{status}");
        assert!(text(&refused.stderr).contains("redirects are not followed"), "{}", text(&refused.stderr));
        assert_eq!(world.token(), token);
    }
    assert_eq!(elsewhere.count(), 0);
}

fn body(token: &str, expires_at: &str) -> Answer {
    Answer::Say(200, String::new(), format!(r#"{{"token":"{token}","expires_at":{expires_at}}}"#))
}

#[test]
fn rule22_an_unusable_token_is_refused_and_the_old_one_stays() {
    let world = DaemonWorld::calm();
    let before = world.token();
    let soon = format!("\"{}\"", rfc3339(SystemTime::now() + HOUR));
    let long = format!("ghs_planted{}", "x".repeat(8182));
    let bad = [
        r"ghs_planted\nquit=1",
        r"ghs_planted\r",
        "ghs_planted ",
        r"ghs_planted\u0000",
        r"ghs_planted\u007f",
        r"ghs_planted\t",
        "ghs_planted\u{e9}",
        r"ghs_planted\u00e9",
        "",
        &long,
    ];
    for token in bad {
        world.platform.next(body(token, &soon));
        assert_eq!(world.broker(&["refresh", "github"]).status.code(), Some(1), "{token:?}");
        assert_eq!(world.token(), before, "{token:?}");
        let class = &world.credential("github")["last_error"]["class"];
        assert_eq!(class, "body", "{token:?}");
    }
    assert!(!world.log().contains("planted"), "{}", world.log());
}

#[test]
fn rule22_a_token_over_the_limit_is_refused_with_both_lengths() {
    let world = DaemonWorld::calm();
    let soon = format!("\"{}\"", rfc3339(SystemTime::now() + HOUR));
    let token = "ghs_".to_owned() + &"x".repeat(8189);
    world.platform.next(body(&token, &soon));
    let refused = world.broker(&["refresh", "github"]);
    assert!(text(&refused.stderr).contains("it has 8193 bytes, and 8192 is the limit"), "{}", text(&refused.stderr));
    world.platform.next(body(&token[..8192], &soon));
    assert!(world.broker(&["refresh", "github"]).status.success());
    assert_eq!(world.token().as_deref(), Some(&token[..8192]));
}

#[test]
fn rule22_after_an_unusable_expiry_the_old_token_stays() {
    let world = DaemonWorld::calm();
    let before = world.token();
    let past = format!("\"{}\"", rfc3339(SystemTime::now() - Duration::from_secs(1)));
    let unix = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + 3600;
    let bad = [
        past,
        "null".into(),
        "\"\"".into(),
        "\"tomorrow\"".into(),
        "\"2099-01-01\"".into(),
        "\"2099-01-01T00:00:00\"".into(),
        "\"Thu, 01 Jan 2099 00:00:00 GMT\"".into(),
        unix.to_string(),
        format!("\"{unix}\""),
    ];
    for expires_at in bad {
        world.platform.next(body("ghs_planted", &expires_at));
        assert_eq!(world.broker(&["refresh", "github"]).status.code(), Some(1), "{expires_at}");
        assert_eq!(world.token(), before, "{expires_at}");
    }
    world.platform.next(Answer::Say(200, String::new(), r#"{"token":"ghs_planted"}"#.into()));
    assert_eq!(world.broker(&["refresh", "github"]).status.code(), Some(1));
    assert_eq!(world.token(), before);
    assert_eq!(world.credential("github")["state"], "stale");
}

#[test]
fn rule22_an_absent_expiry_is_an_hour_from_receipt() {
    let mut world = DaemonWorld::fast();
    world.config(&format!(
        "{FAST}[[credential]]\nname = \"github\"\nsource = {{ platform = \"{}\", allow_missing_expiry = true }}\n",
        world.platform.url
    ));
    world.platform.answer(Answer::Say(200, String::new(), r#"{"token":"ghs_endless"}"#.into()));
    world.start();
    assert_eq!(world.token().as_deref(), Some("ghs_endless"));
    let left = world.credential("github")["expires_in_s"].as_u64().unwrap();
    assert!((3500..=3600).contains(&left), "{left}");
}

#[test]
fn rule23_the_platforms_words_are_escaped_cut_and_redacted() {
    let world = DaemonWorld::calm();
    let said = format!("\\u001b[31mred\\u001b[0m\\nforged line ghs_canary123 Bearer bearer-1 {}", "x".repeat(1000));
    world.platform.next(Answer::Say(500, String::new(), format!(r#"{{"error":"{said}"}}"#)));
    let refused = world.broker(&["refresh", "github"]);
    let status = world.broker(&["status"]);
    let json = world.status().to_string();
    let log = world.log();
    for (place, quoted) in [
        ("log", &log),
        ("refresh", &text(&refused.stderr)),
        ("status", &text(&status.stdout)),
        ("status --json", &json),
    ] {
        assert!(quoted.contains("red") && quoted.contains("[redacted]"), "{place}: {quoted}");
        assert!(!quoted.contains('\u{1b}') && !quoted.contains("canary123"), "{place}: {quoted}");
        assert!(!quoted.contains("bearer-1") && !quoted.contains(&"x".repeat(200)), "{place}: {quoted}");
        assert!(!quoted.lines().any(|line| line.starts_with("forged line")), "{place}: {quoted}");
    }
}

#[test]
fn rule23_a_clients_own_bytes_reach_no_log() {
    let world = DaemonWorld::settled();
    world.ask("molecule/1 refresh\nname=\u{9b}31mghs_canary456\n\n");
    world.ask("molecule/1 get\nprotocol=https\nhost=ghs_canary456.example\n\n");
    world.ask("molecule/1 ghs_canary456\n\n");
    assert!(!world.log().contains("canary456") && !world.log().contains('\u{9b}'), "{}", world.log());
}

/// Lets the platform answer a refresh with 429 after a token with `life`. Returns
/// the seconds until the next attempt, as `status` shows them.
fn after_429(headers: &str, life: Duration) -> (DaemonWorld, u64) {
    let mut world = DaemonWorld::fast();
    // No retry before the next attempt's time was read.
    world.config(&FAST.replace("base = \"100ms\"", "base = \"2s\"").replace("400ms", "2s"));
    world.platform.answer(Answer::Mint(life));
    world.start();
    world.settle();
    world.platform.next(Answer::Say(429, headers.into(), String::new()));
    assert_eq!(world.broker(&["refresh", "github"]).status.code(), Some(1));
    let credential = world.credential("github");
    assert_eq!(credential["last_error"]["class"], "http_429");
    let next = credential["next_refresh_in_s"].as_u64().unwrap();
    (world, next)
}

#[test]
fn rule41_an_operators_refresh_doesnt_break_a_requested_wait() {
    let (world, next) = after_429("Retry-After: 120\r\n", HOUR);
    assert!((118..=123).contains(&next), "{next}");
    let asked = world.platform.count();
    let refused = world.broker(&["refresh", "github"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("asked to be left alone"), "{}", text(&refused.stderr));
    assert!(world.token().is_some(), "the live token is served meanwhile");
    assert_eq!(world.platform.count(), asked);
}

#[test]
fn rule41_a_date_is_waited_for() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(300));
    let (_world, next) = after_429(&format!("Retry-After: {date}\r\n"), HOUR);
    assert!((290..=303).contains(&next), "{next}");
}

#[test]
fn rule41_an_excessive_wait_is_cut_to_half_of_the_life_left() {
    let (_world, next) = after_429("Retry-After: 1000000000\r\n", HOUR);
    assert!((1700..=1800).contains(&next), "{next}");
}

#[test]
fn rule41_a_malformed_retry_after_leaves_the_back_off() {
    for garbage in ["soon", "-5", "1e3", "", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let (_world, next) = after_429(&format!("Retry-After: {garbage}\r\n"), HOUR);
        assert!(next <= 2, "{garbage:?}: {next}");
    }
}

#[test]
fn rule41_the_platform_gets_no_request_before_retry_after() {
    let world = DaemonWorld::settled();
    world.platform.next(Answer::Say(429, "Retry-After: 3\r\n".into(), String::new()));
    world.broker(&["refresh", "github"]);
    let before = world.platform.count();
    let after = wait_for("the next attempt", || world.platform.asked().get(before).cloned());
    let waited = after.at - world.platform.asked()[before - 1].at;
    assert!(waited >= Duration::from_secs(3), "{waited:?}");
}

#[test]
fn rule42_after_an_unusable_answer_the_old_token_stays() {
    let mut world = DaemonWorld::fast();
    world.config(&calm(FAST).replace("attempt_timeout = \"2s\"", "attempt_timeout = \"700ms\""));
    world.start();
    world.settle();
    let before = world.token();
    let html = "<!DOCTYPE html><title>Log in</title>";
    let cut = r#"HTTP/1.1 200 X
Content-Length: 900

{"token":"ghs_planted","exp"#
        .replace('\n', "\r\n");
    let bad: [(&str, Answer, &str); 12] = [
        ("a hang", Answer::Hang, "timeout"),
        ("a drip", Answer::Drip, "timeout"),
        ("64 MiB", Answer::Flood, "body"),
        ("a reset amid the answer", Answer::Reset(cut.clone().into_bytes()), "body"),
        ("a reset before it", Answer::Reset(Vec::new()), "connect"),
        ("cut JSON", Answer::Bytes(cut.into_bytes()), "body"),
        ("half JSON", Answer::Say(200, String::new(), r#"{"token":"ghs_planted","#.into()), "body"),
        ("HTML", Answer::Say(200, "Content-Type: text/html\r\n".into(), html.into()), "body"),
        ("a wrong type", Answer::Say(200, String::new(), r#"{"token":7,"expires_at":[]}"#.into()), "body"),
        ("an empty body", Answer::Say(200, String::new(), String::new()), "body"),
        ("no HTTP", Answer::Bytes(b"220 smtp ready\r\n".to_vec()), "body"),
        ("a closed connection", Answer::Close, "connect"),
    ];
    for (what, answer, class) in bad {
        let asked = world.platform.count();
        world.platform.next(answer);
        let refused = world.broker(&["refresh", "github"]);
        assert_eq!(refused.status.code(), Some(1), "{what}");
        assert_eq!(world.token(), before, "{what}");
        let error = world.credential("github")["last_error"].clone();
        assert_eq!(error["class"], class, "{what}: {error}");
        let seen = wait_for("the end of the answer", || {
            Some(world.platform.asked()[asked].clone()).filter(|a| a.left_after.is_some())
        });
        assert!(seen.left_after < Some(Duration::from_secs(3)), "{what}: {seen:?}");
        assert!(seen.written < 32 << 20, "{what}: more was written than the sockets' buffers hold: {seen:?}");
    }
    assert!(!world.log().contains("planted"));
}

#[test]
fn rule42_by_default_a_hanging_platform_is_left_after_7_s() {
    let mut world = DaemonWorld::fast();
    world.config("[refresh]\nboot_spread = \"0s\"\n");
    world.platform.answer(Answer::Hang);
    world.start();
    let first = wait_for("the end of an attempt", || world.platform.asked().first().cloned()?.left_after);
    assert!(first < Duration::from_millis(7_500), "{first:?}");
    let refused = world.get();
    assert!(refused.starts_with("molecule/1 refused\n") && refused.contains("timeout"), "{refused}");
}

#[test]
fn a_sources_timeout_message_comes_before_the_drivers() {
    let mut world = DaemonWorld::fast();
    world.platform.answer(Answer::Hang);
    world.start();
    let error = wait_for("the attempt's end", || {
        let error = world.credential("github")["last_error"].clone();
        error.is_object().then_some(error)
    });
    assert_eq!(error["class"], "timeout");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("/github-installation-token"), "the message must name the URL: {message}");
}
