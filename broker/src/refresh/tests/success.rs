use std::time::Duration;

use super::bench::{Bench, failure, from_platform, mins, minting, secs, start, token};
use crate::credential::lease::{Class, Fresh, SourceKind};
use crate::credential::secret::Secret;
use crate::refresh::{CredentialState, Event, RefreshOutcome, RefreshPolicy, schedule};
use crate::system::time::Deadline;

#[test]
fn a_new_token_gets_a_new_generation_and_keeps_the_previous_one() {
    let mut bench = Bench::served();
    bench.wait(mins(45));
    let next = token(bench.now, "ghs_next", mins(60));
    assert_eq!(
        bench.ask(Event::RefreshRequested { operator: true }, next),
        RefreshOutcome::Refreshed { generation: 2 }
    );
    assert_eq!(bench.live(), Some("ghs_next"));
    assert_eq!(bench.held().previous.as_ref().unwrap().secret.expose(), "ghs_first");
}

#[test]
fn an_absurdly_late_expiry_does_not_block_later_tokens() {
    let mut bench = Bench::served();
    let said = |wall| Deadline { wall, ..Deadline::after(bench.now, mins(60)) };
    let decades = Some(said(bench.now.wall + mins(60 * 24 * 365 * 70)));
    let fresh = token(bench.now, "ghs_forever", mins(60)).map(|fresh| Fresh { deadline: decades, ..fresh });
    bench.ask(Event::RefreshRequested { operator: true }, fresh);
    assert_eq!(bench.live(), Some("ghs_forever"));
    bench.wait(mins(45));
    let next = token(bench.now, "ghs_next", mins(60));
    bench.ask(Event::RefreshRequested { operator: true }, next);
    assert_eq!(bench.live(), Some("ghs_next"));
}

#[test]
fn a_token_that_expires_sooner_does_not_replace_the_current_one() {
    let mut bench = Bench::served();
    let shorter = token(bench.now, "ghs_short", mins(59));
    assert_eq!(bench.ask(Event::RefreshRequested { operator: true }, shorter), RefreshOutcome::ExpiresSooner);
    assert_eq!((bench.live(), bench.held().generation), (Some("ghs_first"), 1));
    assert_eq!(bench.state(), CredentialState::Ok);
}

#[test]
fn a_repeated_token_is_polled_from_the_start_of_its_lead() {
    let mut bench = Bench::served();
    let longest = schedule::longest_lead(&RefreshPolicy::default(), mins(60));
    bench.wait(mins(60) - longest);
    for _ in 0..3 {
        bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_first", longest));
        assert!((secs(20)..=secs(40)).contains(&bench.sleep()), "{:?}", bench.sleep());
    }
}

#[test]
fn just_before_the_lead_a_repeated_token_is_not_fetched_twice() {
    let policy = RefreshPolicy { lead_min: RefreshPolicy::default().lead_max, ..RefreshPolicy::default() };
    let left = policy.lead_max + Duration::from_millis(1);
    let mut bench = Bench::with(policy, from_platform(), start(), 0.5);
    bench.ask(Event::Demand, token(bench.now, "ghs_first", mins(60)));
    bench.wait(mins(60) - left);
    assert_eq!(
        bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_first", left)),
        RefreshOutcome::SameToken
    );
    assert_eq!(bench.sleep(), secs(1));
}

#[test]
fn a_token_that_expires_sooner_by_one_clock_only_is_taken() {
    for (boot, wall) in [(1, 0), (0, 1), (0, 0)] {
        let mut bench = Bench::served();
        let end = Deadline::after(bench.now, mins(60));
        let end = Deadline { boot: end.boot - secs(boot), wall: end.wall - secs(wall) };
        let next = token(bench.now, "ghs_next", mins(60)).map(|fresh| Fresh { deadline: Some(end), ..fresh });
        assert_eq!(
            bench.ask(Event::RefreshRequested { operator: true }, next),
            RefreshOutcome::Refreshed { generation: 2 }
        );
    }
}

#[test]
fn a_token_that_expires_sooner_replaces_a_rejected_one() {
    let mut bench = Bench::served();
    bench.wait(mins(1));
    assert!(bench.reject("ghs_first").fetch);
    let shorter = token(bench.now, "ghs_short", mins(7));
    assert_eq!(bench.answer(shorter), RefreshOutcome::Refreshed { generation: 2 });
    assert_eq!(bench.live(), Some("ghs_short"));
    assert!(!bench.held().suspect());
}

#[test]
fn a_repeated_token_is_next_fetched_before_it_expires() {
    let mut bench = Bench::served();
    let end = bench.now.plus(mins(60));
    bench.wait(mins(45));
    let same = token(bench.now, "ghs_first", mins(15));
    assert_eq!(bench.ask(Event::RefreshRequested { operator: true }, same), RefreshOutcome::SameToken);
    assert!(bench.held().upstream_cached);
    assert_eq!((bench.state(), bench.held().generation), (CredentialState::Ok, 1));
    let due = bench.wake.unwrap();
    assert!(due >= end.boot - secs(285) && due <= end.boot - mins(2), "{due:?}");
}

#[test]
fn inside_the_lead_a_repeated_token_is_polled_every_20_to_40_s() {
    let mut bench = Bench::served();
    bench.wait(mins(56));
    let end = bench.now.plus(mins(4));
    bench.ask(Event::Due, token(bench.now, "ghs_first", mins(4)));
    for _ in 0..4 {
        assert!((secs(20)..=secs(40)).contains(&bench.sleep()), "{:?}", bench.sleep());
        bench.wait(bench.sleep());
        let left = end.boot - bench.now.boot;
        bench.ask(Event::Due, token(bench.now, "ghs_first", left));
        assert!(bench.held().upstream_cached);
    }
    bench.wait(bench.sleep());
    bench.ask(Event::Due, token(bench.now, "ghs_next", mins(60)));
    assert!(!bench.held().upstream_cached);
    assert!(bench.sleep() >= mins(43));
}

#[test]
fn a_repeated_token_is_asked_for_again_when_it_dies() {
    let mut bench = Bench::served();
    bench.wait(mins(60) - secs(10));
    bench.ask(Event::Due, token(bench.now, "ghs_first", secs(10)));
    assert_eq!(bench.sleep(), secs(10));
}

#[test]
fn a_source_whose_tokens_die_at_once_is_not_asked_in_a_hot_loop() {
    let mut minted = 0;
    let mut dying = |now| {
        minted += 1;
        token(now, &format!("ghs_{minted}"), secs(1) / 100)
    };
    let mut bench = Bench::new(from_platform());
    bench.ask(Event::Demand, dying(bench.now));
    bench.run_for(mins(1), dying);
    assert!((50..=62).contains(&bench.asks.len()), "{}", bench.asks.len());
}

#[test]
fn a_command_that_repeats_its_token_runs_again_each_interval() {
    let mut bench = Bench::new(from_platform());
    let end = bench.now.boot + mins(480);
    let printed = |bench: &mut Bench, event| {
        let fresh = token(bench.now, "a", end - bench.now.boot).map(|f| Fresh { source: SourceKind::Command, ..f });
        bench.ask(event, fresh)
    };
    printed(&mut bench, Event::Demand);
    for _ in 0..3 {
        bench.wait(bench.sleep());
        assert_eq!(printed(&mut bench, Event::Due), RefreshOutcome::SameToken);
        assert!((mins(43)..=mins(47)).contains(&bench.sleep()), "{:?}", bench.sleep());
    }
}

#[test]
fn an_expired_token_is_not_revived_after_a_late_successor() {
    let mut bench = Bench::served();
    bench.wait(mins(61));
    bench.ask(Event::Demand, token(bench.now, "ghs_second", mins(30)));
    bench.wait(mins(1));
    let back = token(bench.now, "ghs_first", mins(60));
    assert_eq!(bench.ask(Event::RefreshRequested { operator: true }, back), RefreshOutcome::Failed(Class::Expired));
    assert_eq!(bench.live(), Some("ghs_second"));
}

#[test]
fn an_answer_never_makes_the_life_of_a_token_longer() {
    let mut bench = Bench::served();
    bench.wait(mins(50));
    bench.ask(Event::Due, token(bench.now, "ghs_first", mins(60)));
    bench.wait(mins(10));
    assert_eq!(bench.live(), None);
    bench.send(Event::Demand);
    let again = token(bench.now, "ghs_first", mins(60));
    assert_eq!(bench.answer(again), RefreshOutcome::Failed(Class::Expired));
    assert_eq!(bench.live(), None);
}

#[test]
fn a_token_that_comes_dead_is_a_failure_and_the_old_one_stays() {
    let mut bench = Bench::served();
    let dead = token(bench.now, "ghs_dead", secs(0));
    assert_eq!(bench.ask(Event::RefreshRequested { operator: true }, dead), RefreshOutcome::Failed(Class::Expired));
    assert_eq!((bench.live(), bench.state()), (Some("ghs_first"), CredentialState::Stale));
}

#[test]
fn the_first_interval_is_spread_and_the_second_is_the_usual() {
    let mut firsts = Vec::new();
    for i in 0..1_000 {
        let mut bench =
            Bench::with(RefreshPolicy::default(), from_platform(), start(), schedule::nth_jitter(f64::from(i), 1));
        bench.ask(Event::Demand, token(bench.now, "ghs_a", mins(60)));
        firsts.push(bench.sleep());
        bench.wait(bench.sleep());
        bench.ask(Event::Due, token(bench.now, "ghs_b", mins(60)));
        assert!((mins(43)..=mins(47)).contains(&bench.sleep()));
    }
    for quarter in 0..4 {
        let (from, to) = (mins(45) * quarter / 4, mins(45) * (quarter + 1) / 4);
        let hits = firsts.iter().filter(|d| (from..to).contains(*d)).count();
        assert!((200..300).contains(&hits), "quarter {quarter}: {hits}");
    }
}

#[test]
fn the_first_interval_after_a_recovery_is_spread_again() {
    let mut sooner = 0;
    for i in 0..200 {
        let mut bench = Bench::served();
        bench.wait(secs(i));
        bench.ask(Event::RefreshRequested { operator: true }, failure(Class::Http5xx));
        bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_b", mins(60)));
        sooner += usize::from(bench.sleep() < mins(43));
        bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_c", mins(60)));
        assert!(bench.sleep() >= mins(43));
    }
    assert!(sooner > 170, "{sooner} of 200");
}

#[test]
fn a_healthy_day_takes_about_one_fetch_per_45_minutes() {
    let mut bench = Bench::served();
    bench.run_for(mins(24 * 60), minting());
    assert!((30..=35).contains(&bench.asks.len()), "{}", bench.asks.len());
}

#[test]
fn without_an_expiry_only_the_ceiling_asks_again() {
    let forever = |name: &str| {
        Ok(Fresh { username: None, secret: Secret::token(name).unwrap(), deadline: None, source: SourceKind::Command })
    };
    let mut bench = Bench::new(from_platform());
    bench.ask(Event::Demand, forever("a"));
    assert!(bench.sleep() <= mins(47));
    bench.wait(bench.sleep());
    assert_eq!(bench.ask(Event::Due, forever("a")), RefreshOutcome::SameToken);
    assert!((mins(43)..=mins(47)).contains(&bench.sleep()));
    assert!(!bench.held().upstream_cached);
    assert_eq!(
        bench.ask(Event::RefreshRequested { operator: true }, forever("b")),
        RefreshOutcome::Refreshed { generation: 2 }
    );
    bench.wait(mins(600));
    assert_eq!(bench.live(), Some("b"));
}

#[test]
fn a_changed_file_causes_a_fetch_and_a_changed_bearer_does_not() {
    let mut bench = Bench::served();
    bench.wait(mins(1));
    assert_eq!(bench.send(Event::SourceChanged).outcome, RefreshOutcome::Idle);

    let file = |name: &str| {
        Ok(Fresh { username: None, secret: Secret::token(name).unwrap(), deadline: None, source: SourceKind::File })
    };
    let mut bench = Bench::new(from_platform());
    bench.ask(Event::SourceChanged, file("a"));
    bench.wait(mins(1));
    bench.ask(Event::SourceChanged, file("b"));
    assert_eq!(bench.live(), Some("b"));
    // A hundred more writes within the second cause one read after it.
    for _ in 0..100 {
        assert!(!bench.send(Event::SourceChanged).fetch);
    }
    assert_eq!(bench.sleep(), secs(1));
}

#[test]
fn an_earlier_expiry_for_the_same_token_is_believed() {
    let mut bench = Bench::served();
    bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_first", mins(20)));
    bench.wait(mins(20));
    assert_eq!(bench.live(), None);
}

#[test]
fn an_answer_does_not_extend_the_previous_tokens_life() {
    let mut bench = Bench::served();
    bench.wait(mins(10));
    bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_second", mins(60)));
    bench.wait(mins(10));
    // The previous token's own end is 40 minutes away, whatever the answer says.
    assert_eq!(
        bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_first", mins(70))),
        RefreshOutcome::ExpiresSooner
    );
    // An earlier end is believed.
    assert_eq!(
        bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_first", mins(5))),
        RefreshOutcome::ExpiresSooner
    );
    let end = bench.held().previous.as_ref().unwrap().deadline.unwrap();
    assert_eq!(end.left(bench.now), mins(5));
    assert_eq!(bench.live(), Some("ghs_second"));
}

#[test]
fn an_expired_previous_token_is_not_revived_by_an_answer() {
    let mut bench = Bench::served();
    bench.wait(mins(10));
    bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_second", mins(120)));
    bench.wait(mins(51));
    let back = token(bench.now, "ghs_first", mins(180));
    assert_eq!(bench.ask(Event::RefreshRequested { operator: true }, back), RefreshOutcome::Failed(Class::Expired));
    assert_eq!(bench.live(), Some("ghs_second"));
}
