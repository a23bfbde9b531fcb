//! A and H: the persona's credential stays within its scope.

use crate::kit::DaemonWorld;
use crate::kit::platform::Answer;
use crate::kit::wire;
use crate::kit::world::FAST;

fn persona(hosts: Option<&str>) -> DaemonWorld {
    let mut world = DaemonWorld::fast();
    world.set("GIT_HTTP_USERNAME", "bot");
    world.set("GIT_HTTP_PASSWORD", "hunter2");
    if let Some(hosts) = hosts {
        world.set("MOLECULE_BROKER_PERSONA_HOSTS", hosts);
    }
    world
}

/// Returns what every kind of client gets for an origin.
fn answers(world: &DaemonWorld, protocol: &str, host: &str) -> Vec<String> {
    let clients = ["helper", "askpass", "gh", "token", "exec", "script"];
    let ask = |client: &&str| {
        let field = if *client == "askpass" { "field=password\n" } else { "" };
        world.ask(&format!("molecule/1 get\nclient={client}\n{field}protocol={protocol}\nhost={host}\n\n"))
    };
    clients.iter().map(ask).collect()
}

#[test]
fn rule14_a_scoped_persona_is_given_at_its_own_origins_only() {
    let mut world = persona(Some("git.example.com,http://plain.example:8080,*.wild.example"));
    world.start();
    for (protocol, host) in [
        ("https", "git.example.com"),
        ("https", "GIT.example.com:443"),
        ("http", "plain.example:8080"),
        ("https", "a.wild.example"),
    ] {
        for answer in answers(&world, protocol, host) {
            assert!(answer.contains("hunter2"), "{protocol}://{host}: {answer}");
        }
    }
    for (protocol, host) in [
        ("http", "git.example.com"),
        ("https", "git.example.com:8443"),
        ("https", "git.example.com.evil.example"),
        ("https", "git.example.com."),
        ("https", "evil.example/git.example.com"),
        ("https", "plain.example:8080"),
        ("https", "wild.example"),
        ("https", "a.b.wild.example"),
        ("ssh", "git.example.com"),
        ("https", "elsewhere.example"),
    ] {
        for answer in answers(&world, protocol, host) {
            assert_eq!(answer, "molecule/1 silent\n\n", "{protocol}://{host}");
        }
    }
}

#[test]
fn rule14_an_unscoped_persona_is_given_over_https_alone() {
    let mut world = persona(None);
    world.start();
    assert!(answers(&world, "https", "any.example").iter().all(|answer| answer.contains("hunter2")));
    for protocol in ["http", "ssh", "git", "ftp", "file", ""] {
        for answer in answers(&world, protocol, "any.example") {
            assert_eq!(answer, "molecule/1 silent\n\n", "{protocol}");
        }
    }
    assert!(answers(&world, "https", "").iter().all(|answer| answer == "molecule/1 silent\n\n"));
    assert!(world.log().contains("MOLECULE_BROKER_PERSONA_HOSTS"), "the log must name the remedy");
}

#[test]
fn rule51_an_unscoped_persona_is_never_given_for_github() {
    type Spoil = fn(&mut DaemonWorld);
    let spoils: [(&str, Spoil); 5] = [
        ("serving", |_| {}),
        ("failing", |world| world.platform.fails()),
        ("not configured there", |world| {
            world.platform.answer(Answer::Say(404, String::new(), String::new()));
        }),
        ("switched off", |world| world.set("ENABLE_GITHUB_MIRROR_CREDENTIALS", "false")),
        ("without a platform", |world| world.set("PLATFORM_URL", "")),
    ];
    for (what, spoil) in spoils {
        let mut world = persona(None);
        spoil(&mut world);
        world.start();
        for host in ["github.com", "GitHub.com", "gist.github.com", "github.com:443"] {
            for answer in answers(&world, "https", host) {
                assert!(!answer.contains("hunter2") && !answer.contains("=bot"), "{what}: {host}: {answer}");
            }
        }
        let elsewhere = answers(&world, "https", "any.example");
        assert!(elsewhere.iter().all(|answer| answer.contains("hunter2")), "{what}: {elsewhere:?}");
    }
}

#[test]
fn rule51_an_empty_credentials_origin_isnt_the_personas() {
    let mut world = persona(None);
    let missing = world.path("missing");
    world.config(&format!(
        "{}[[credential]]\nname = \"forge\"\norigins = [\"forge.example\"]\nusername = \"u\"\nsource = {{ file = \"{}\" }}\n",
        FAST,
        missing.display()
    ));
    world.start();
    for answer in answers(&world, "https", "forge.example") {
        assert!(answer.starts_with("molecule/1 refused\n"), "{answer}");
    }
    assert_eq!(wire::password(&answers(&world, "https", "any.example")[0]), Some("hunter2"));
}

#[test]
fn rule48_another_user_name_than_a_tokens_own_is_overridden() {
    let mut world = DaemonWorld::fast();
    world.config(&format!("{FAST}[[credential]]\nname = \"github\"\nusername = \"git\"\n"));
    world.start();
    let ask = |name: &str| world.ask(&format!("molecule/1 get\nprotocol=https\nhost=github.com\nusername={name}\n\n"));
    for name in ["git", "x-access-token", "octocat"] {
        assert!(ask(name).contains("username=git\n"), "{name}: {}", ask(name));
    }
}
