//! G: the platform is down, many callers come at once, or the bearer changes.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use crate::kit::platform::{Answer, HOUR};
use crate::kit::wire::{self, GET, connect};
use crate::kit::world::FAST;
use crate::kit::{Ability, DaemonWorld, alone, can, set_mode, wait_for};

const SECOND: Duration = Duration::from_secs(1);

/// Checks an outage that lasts past the token's expiry, in which the platform
/// gives this answer.
fn outage_over_an_expiry(answer: Answer, class: &str) {
    let mut world = DaemonWorld::fast();
    let dies = SystemTime::now() + 6 * SECOND;
    world.platform.next(Answer::Token("ghs_last".into(), dies));
    world.platform.answer(answer);
    world.start();
    wait_for("the token", || world.token());
    let (served, refused) = loop_until_refused(&world, dies);
    assert!(served > 20, "{served}");
    assert!(SystemTime::now() >= dies, "refused before the true expiry: {refused}");
    for part in
        ["reason=no credential for https://github.com", "has expired", class, "failed", "molecule-broker status"]
    {
        assert!(refused.contains(part), "{part:?} is not in {refused}");
    }
    assert!(!refused.contains("ghs_"));
    assert_eq!(world.credential("github")["state"], "expired");
    assert_eq!(world.broker(&["status"]).status.code(), Some(1));
    world.platform.answer(Answer::Mint(HOUR));
    wait_for("service again", || world.token());
    assert_eq!(world.credential("github")["state"], "ok");
}

/// Returns the number of served requests and the first refusal, and checks that no
/// expired token is served.
fn loop_until_refused(world: &DaemonWorld, dies: SystemTime) -> (usize, String) {
    let mut served = 0;
    loop {
        let before = SystemTime::now();
        let answer = world.get();
        if !answer.starts_with("molecule/1 ok\n") {
            return (served, answer);
        }
        assert_eq!(wire::password(&answer), Some("ghs_last"));
        assert!(before < dies, "a dead token was served");
        let expiry: u64 = wire::value(&answer, "password_expiry_utc").unwrap().parse().unwrap();
        assert!(expiry >= before.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), "{answer}");
        served += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn rule39_in_an_outage_service_lasts_until_the_true_expiry() {
    outage_over_an_expiry(Answer::Say(500, String::new(), r#"{"error":"token refresh failed"}"#.into()), "http_5xx");
}

#[test]
fn rule39_dropped_connections_are_an_outage_too() {
    outage_over_an_expiry(Answer::Close, "connect");
}

#[test]
fn rule40_hammering_callers_dont_add_attempts_in_an_outage() {
    let _alone = alone();
    let mut world = DaemonWorld::fast();
    world.platform.fails();
    world.start();
    wait_for("the first failure", || (world.platform.count() > 0).then_some(()));
    let (before, began) = (world.platform.count(), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while began.elapsed() < 6 * SECOND {
                    assert!(world.get().starts_with("molecule/1 refused\n"));
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
    });
    let attempts = world.platform.count() - before;
    // Each pause is drawn from 0 to 400 ms, which makes about 30 attempts. A hot
    // loop makes thousands.
    assert!((8..=90).contains(&attempts), "{attempts} attempts in 6 s");
}

#[test]
fn rule40_by_default_an_outage_costs_few_attempts() {
    let mut world = DaemonWorld::fast();
    world.config("[refresh]\nboot_spread = \"0s\"\n");
    world.platform.fails();
    world.start();
    let began = Instant::now();
    while began.elapsed() < 10 * SECOND {
        world.get();
        std::thread::sleep(Duration::from_millis(50));
    }
    let attempts = world.platform.count();
    // The pauses are drawn from 0 to 1, 2, 4, 8 and 16 s.
    assert!((2..=25).contains(&attempts), "{attempts}");
}

#[test]
fn rule43_a_hundred_cold_callers_share_one_platform_request() {
    let _alone = alone();
    let mut world = DaemonWorld::fast();
    world.config(&format!("{FAST}initial_delay = \"1h\"\n"));
    world.platform.hold();
    world.start();
    let mut first = connect(&world.socket());
    first.write_all(GET.as_bytes()).unwrap();
    wait_for("the first caller's fetch", || (world.platform.count() == 1).then_some(()));
    let mut others: Vec<_> = (0..99)
        .map(|_| {
            let mut stream = connect(&world.socket());
            stream.write_all(GET.as_bytes()).unwrap();
            stream
        })
        .collect();
    drop(first);
    // The daemon accepts this status request after all of them.
    assert_eq!(world.credential("github")["serving"], false);
    world.platform.release();
    for stream in &mut others {
        let answer = wire::rest(stream);
        assert_eq!(wire::password(&answer), Some("ghs_minted_1"), "{answer}");
    }
    assert_eq!(world.platform.count(), 1);
}

#[test]
fn rule45_an_unusable_bearer_file_leaves_the_last_good_bearer() {
    let world = DaemonWorld::settled();
    let file = world.path("configs/.auth_token");
    type Spoil = fn(&std::path::Path);
    let spoils: [(&str, Spoil); 4] = [
        ("empty", |file| fs::write(file, "").unwrap()),
        ("blank", |file| fs::write(file, " \n\n").unwrap()),
        ("a folder", |file| {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        }),
        ("missing", |file| fs::remove_dir(file).unwrap()),
    ];
    for (what, spoil) in spoils {
        spoil(&file);
        let done = world.broker(&["refresh", "github"]);
        assert!(done.status.success(), "{what}: {}", crate::kit::text(&done.stderr));
        assert_eq!(world.platform.asked().last().unwrap().bearer, "bearer-1", "{what}");
    }
}

#[test]
fn rule45_a_new_bearer_ends_the_back_off_of_a_refused_one() {
    let mut world = DaemonWorld::fast();
    world.config(
        &FAST
            .replace("retry_base = \"100ms\"", "retry_base = \"1s\"")
            .replace("retry_max = \"400ms\"", "retry_max = \"1h\""),
    );
    world.platform.answer(Answer::Say(401, String::new(), String::new()));
    world.start();
    // By then the back-off is so long that an immediate attempt stands out.
    wait_for("some refusals", || (world.credential("github")["next_refresh_in_s"].as_u64() > Some(5)).then_some(()));
    world.platform.answer(Answer::Mint(HOUR));
    let began = Instant::now();
    world.bearer("bearer-2");
    wait_for("service", || world.token());
    assert!(began.elapsed() < 4 * SECOND, "{:?}", began.elapsed());
    assert_eq!(world.platform.asked().last().unwrap().bearer, "bearer-2");
}

#[test]
fn rule45_after_a_401_the_previous_bearer_is_tried_once() {
    let world = DaemonWorld::settled();
    let before = world.platform.count();
    world.platform.next(Answer::Say(401, String::new(), String::new()));
    world.bearer("bearer-2");
    assert!(world.broker(&["refresh", "github"]).status.success());
    let asked = world.platform.asked();
    let bearers: Vec<&str> = asked[before..].iter().map(|asked| &*asked.bearer).collect();
    assert_eq!(bearers, ["bearer-2", "bearer-1"]);
}

/// Command that runs the daemon in a pid namespace, like a container that has just
/// started.
const YOUNG: [&str; 5] = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

fn in_a_young_container() -> bool {
    can(&[Ability::PidNamespace])
}

#[test]
fn the_provision_time_token_serves_only_during_an_outage() {
    if !in_a_young_container() {
        return;
    }
    let mut world = DaemonWorld::fast();
    world.set("GITHUB_TOKEN", "ghs_provisioned");
    world.platform.fails();
    world.start_through(&YOUNG);
    wait_for("the fallback", || world.token().filter(|token| token == "ghs_provisioned"));
    let credential = world.credential("github");
    assert_eq!((credential["source"].as_str(), credential["state"].as_str()), (Some("env"), Some("stale")));
    assert!(credential["expires_in_s"].as_u64() <= Some(3600));
    world.platform.answer(Answer::Mint(HOUR));
    wait_for("the platform's", || world.token().filter(|token| token.starts_with("ghs_minted")));
    world.platform.fails();
    world.broker(&["refresh", "github"]);
    assert!(world.token().unwrap().starts_with("ghs_minted"), "a live token comes before the fallback");
}

#[test]
fn a_rejected_provision_time_token_is_never_served_again() {
    if !in_a_young_container() {
        return;
    }
    let mut world = DaemonWorld::fast();
    world.set("GH_TOKEN", "ghs_provisioned");
    world.platform.fails();
    world.start_through(&YOUNG);
    wait_for("the fallback", || world.token());
    world.ask(&crate::rules::load::erase_of("ghs_provisioned"));
    wait_for("its end", || world.token().is_none().then_some(()));
    assert_eq!(world.credential("github")["state"], "rejected");
    assert_eq!(world.broker(&["reload"]).status.code(), Some(0));
    let answer = wait_for("a failure after the reload", || {
        let answer = world.get();
        assert_ne!(wire::password(&answer), Some("ghs_provisioned"), "served again after a reload");
        answer.contains("http_5xx").then_some(answer)
    });
    assert!(answer.starts_with("molecule/1 refused\n"), "{answer}");
}

#[test]
fn the_provision_time_token_needs_a_container_of_known_age() {
    if !can(&[Ability::MountNamespace]) {
        return;
    }
    let mut world = DaemonWorld::fast();
    world.set("GITHUB_TOKEN", "ghs_provisioned");
    world.platform.fails();
    let script = "mount -t tmpfs none /proc && exec \"$@\"";
    world.start_through(&["unshare", "--mount", "sh", "-c", script, "sh"]);
    wait_for("a failure", || world.get().contains("http_5xx").then_some(()));
    assert_eq!(world.token(), None);
    assert!(world.log().contains("its age is unknown"), "{}", world.log());
}

#[test]
fn a_persona_is_only_marked_when_it_is_erased() {
    let mut world = DaemonWorld::fast();
    world.set("GIT_HTTP_USERNAME", "bot");
    world.set("GIT_HTTP_PASSWORD", "hunter2");
    world.set("MOLECULE_BROKER_PERSONA_HOSTS", "git.example.com");
    world.start();
    let get = "molecule/1 get\nprotocol=https\nhost=git.example.com\n\n";
    let erase = crate::rules::load::erase_of("hunter2").replace("github.com", "git.example.com");
    for _ in 0..3 {
        assert_eq!(wire::password(&world.ask(get)), Some("hunter2"));
        assert_eq!(world.ask(&erase), "molecule/1 ok\n\n");
        wait_for("the mark", || world.credential("persona")["suspect"].as_bool().filter(|suspect| *suspect));
    }
    assert_eq!(world.broker(&["status"]).status.code(), Some(0), "any client can forge an erase");
}

#[test]
fn an_erase_of_a_token_that_isnt_served_is_ignored() {
    let world = DaemonWorld::settled();
    let (asked, token) = (world.platform.count(), world.token());
    world.ask(&crate::rules::load::erase_of("ghs_of_another_user"));
    let out_of_scope = crate::rules::load::erase_of(token.as_deref().unwrap()).replace("github.com", "evil.example");
    assert_eq!(world.ask(&out_of_scope), "molecule/1 ok\n\n");
    assert_eq!((world.token(), world.platform.count()), (token, asked));
    assert_eq!(world.credential("github")["suspect"], false);
}

#[test]
fn rule45_a_bearer_that_appears_after_the_start_is_used_at_once() {
    let mut world = DaemonWorld::fast();
    fs::remove_file(world.path("configs/.auth_token")).unwrap();
    world.start();
    wait_for("the complaint", || world.log().contains("no bearer for the platform").then_some(()));
    world.bearer("bearer-late");
    set_mode(&world.path("configs/.auth_token"), 0o600);
    wait_for("service", || world.token());
    assert_eq!(world.platform.asked()[0].bearer, "bearer-late", "without a bearer the platform isn't asked");
}
