//! I: a fault that the environment or a source causes in one credential leaves the
//! others alone and is shown with its remedy.

use std::fs;

use crate::kit::world::FAST;
use crate::kit::{DaemonWorld, set_mode, text, wire};

const PERSONA_HOST: &str = "molecule/1 get\nclient=helper\nprotocol=https\nhost=git.example\n\n";

/// Returns a world with a working platform and a persona that has its own host.
fn world(password: &str) -> DaemonWorld {
    let mut world = DaemonWorld::fast();
    world.set("GIT_HTTP_USERNAME", "bot");
    world.set("GIT_HTTP_PASSWORD", password);
    world.set("MOLECULE_BROKER_PERSONA_HOSTS", "git.example");
    world
}

#[test]
fn rule54_a_password_of_600_bytes_is_served() {
    let job_token = "x".repeat(600);
    let mut world = world(&job_token);
    world.start();
    assert_eq!(wire::password(&world.ask(PERSONA_HOST)), Some(&*job_token));
    assert!(world.token().is_some());
}

#[test]
fn rule54_a_password_over_the_limit_affects_only_the_persona() {
    let mut world = world(&"canary".repeat(1400));
    world.start();
    assert!(world.token().is_some(), "github is served");
    let answer = world.ask(PERSONA_HOST);
    let words = "environment GIT_HTTP_PASSWORD: it has 8400 bytes, and 8192 is the limit";
    assert!(answer.starts_with("molecule/1 refused\n") && answer.contains(words), "{answer}");

    let persona = world.credential("persona");
    assert_eq!((persona["state"].as_str(), persona["serving"].as_bool()), (Some("unavailable"), Some(false)));
    assert_eq!(persona["last_error"]["class"], "config");
    assert!(persona["last_error"]["message"].as_str().unwrap().contains(words), "{persona}");
    assert_eq!(world.broker(&["status"]).status.code(), Some(1));
    let doctor = world.broker(&["doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(text(&doctor.stdout).contains("GIT_HTTP_PASSWORD"), "{}", text(&doctor.stdout));
    assert!(world.log().contains(words) && !world.log().contains("canary"), "{}", world.log());
}

#[test]
fn rule54_an_invalid_platform_url_affects_only_github() {
    let mut world = world("hunter2");
    world.set("PLATFORM_URL", "platform");
    world.start();
    assert_eq!(wire::password(&world.ask(PERSONA_HOST)), Some("hunter2"));
    let answer = world.get();
    assert!(answer.starts_with("molecule/1 refused\n") && answer.contains("PLATFORM_URL"), "{answer}");
    assert_eq!(world.credential("github")["state"], "unavailable");
    assert_eq!(world.broker(&["refresh", "github"]).status.code(), Some(1));
}

#[test]
fn rule54_an_unreadable_file_affects_only_its_credential() {
    let mut world = world("hunter2");
    let folder = world.path("closed");
    fs::create_dir(&folder).unwrap();
    set_mode(&folder, 0o000);
    let entry = |name: &str, file: std::path::PathBuf| {
        format!(
            "[[credential]]\nname = \"{name}\"\norigins = [\"{name}.example\"]\nusername = \"u\"\nsource = {{ file = \"{}\" }}\n",
            file.display()
        )
    };
    let missing = entry("missing", world.path("none"));
    let closed = entry("closed", folder.join("token"));
    world.config(&format!("{FAST}{missing}{closed}"));
    world.start();
    assert_eq!(wire::password(&world.ask(PERSONA_HOST)), Some("hunter2"));
    assert!(world.token().is_some());
    for name in ["missing", "closed"] {
        let answer = world.ask(&format!("molecule/1 get\nclient=helper\nprotocol=https\nhost={name}.example\n\n"));
        assert!(answer.starts_with("molecule/1 refused\n"), "{answer}");
        let message = world.credential(name)["last_error"]["message"].to_string();
        assert!(message.contains("can't be read"), "{message}");
    }
}

#[test]
fn rule54_a_variable_that_isnt_a_token_affects_nothing_else() {
    let mut world = world("hunter2");
    world.set("GITHUB_TOKEN", "two words");
    world.start();
    assert!(world.token().is_some());
    assert_eq!(wire::password(&world.ask(PERSONA_HOST)), Some("hunter2"));
    assert!(world.log().contains("environment GITHUB_TOKEN"), "{}", world.log());
}
