//! Metrics as a scraper sees them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime};

use crate::kit;
use crate::kit::platform::Answer;
use crate::kit::{DaemonWorld, wait_for};

/// Names that dashboards rely on.
const FAMILIES: [&str; 10] = [
    "refresh_total",
    "platform_requests_total",
    "requests_total",
    "request_duration_seconds_count",
    "token_expiry_seconds",
    "token_generation",
    "rejected_total",
    "restarts_total",
    "unusual_rate_total",
    "build_info",
];

/// Adds a socket for the metrics, and `config`, to the world's configuration.
fn listening(mut world: DaemonWorld, config: &str) -> DaemonWorld {
    let listen = world.path("run/metrics.sock");
    world.config(&format!("{}[metrics]\nlisten = \"{}\"\n{config}", kit::world::FAST, listen.display()));
    world
}

fn scrape(world: &DaemonWorld) -> String {
    let mut stream = UnixStream::connect(world.path("run/metrics.sock")).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    text
}

/// Returns every sample of a family, by its labels.
fn samples(text: &str, family: &str) -> BTreeMap<String, f64> {
    let name = format!("molecule_broker_{family}");
    let lines = text.lines().filter_map(|line| line.strip_prefix(&name));
    let parts = lines.filter(|rest| rest.starts_with([' ', '{'])).filter_map(|rest| rest.rsplit_once(' '));
    parts.map(|(labels, value)| (labels.to_owned(), value.parse().unwrap())).collect()
}

#[test]
fn every_name_that_dashboards_rely_on_is_there_and_no_token() {
    let mut world = listening(DaemonWorld::new(), "");
    world.start();
    let token = wait_for("the token", || world.token());
    let served = || samples(&scrape(&world), "requests_total")["{client=\"helper\",outcome=\"ok\"}"];
    let before = served();
    assert!(world.token().is_some());
    assert_eq!(served(), before + 1.0);
    // More requests than a working client makes in a minute.
    (0..1_000).for_each(|_| assert!(world.token().is_some()));
    let text = scrape(&world);
    for family in FAMILIES {
        assert!(!samples(&text, family).is_empty(), "{family}: {text}");
    }
    let uid = nix::unistd::getuid();
    assert_eq!(samples(&text, "unusual_rate_total")[&format!("{{uid=\"{uid}\"}}")], 1.0);
    assert!(!text.contains(&token), "{text}");
    assert_eq!(samples(&text, "platform_requests_total")["{credential=\"github\",code=\"200\"}"], 1.0);
}

#[test]
fn a_malformed_request_counts_for_no_known_client() {
    let mut world = listening(DaemonWorld::new(), "");
    world.start();
    assert!(world.ask("molecule/1 get\nnonsense\n\n").starts_with("molecule/1 malformed"));
    let requests = samples(&scrape(&world), "requests_total");
    assert_eq!(requests.get("{client=\"unknown\",outcome=\"malformed\"}"), Some(&1.0), "{requests:?}");
}

#[test]
fn without_a_bearer_nothing_was_asked_of_the_platform() {
    let mut world = listening(DaemonWorld::new(), "");
    std::fs::remove_file(world.path("configs/.auth_token")).unwrap();
    world.start();
    world.broker(&["refresh"]);
    let text = scrape(&world);
    let failed = "{credential=\"github\",outcome=\"failed\",class=\"config\"}";
    assert!(samples(&text, "refresh_total")[failed] > 0.0, "{text}");
    assert!(samples(&text, "platform_requests_total").is_empty(), "{text}");
}

#[test]
fn an_expired_token_is_exported_as_zero_seconds() {
    let mut world = listening(DaemonWorld::new(), "");
    world.platform.next(Answer::Token("ghs_last".into(), SystemTime::now() + Duration::from_secs(3)));
    world.platform.fails();
    world.start();
    wait_for("the token", || world.token());
    let left = || samples(&scrape(&world), "token_expiry_seconds")["{credential=\"github\"}"];
    assert!(left() > 0.0);
    wait_for("its expiry", || world.token().is_none().then_some(()));
    assert_eq!(left(), 0.0);
}

#[test]
fn only_what_the_platform_was_asked_counts_as_a_request_to_it() {
    let world = DaemonWorld::new();
    let file = world.path("home/other");
    std::fs::write(&file, "from-a-file").unwrap();
    let other = format!(
        "[[credential]]\nname = \"other\"\norigins = [\"git.example\"]\nusername = \"x\"\nsource = {{ file = \"{}\" }}\n",
        file.display()
    );
    let mut world = listening(world, &other);
    world.start();
    wait_for("the file's token", || world.broker(&["token", "--host", "git.example"]).status.success().then_some(()));
    let text = scrape(&world);
    let of = |family| samples(&text, family).into_iter().filter(|(labels, _)| labels.contains("other")).count();
    assert_eq!((of("refresh_total"), of("platform_requests_total")), (1, 0), "{text}");
}
