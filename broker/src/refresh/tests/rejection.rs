use super::bench::{Bench, env_token, failure, from_platform, lease, mins, secs, sha, start, token};
use crate::credential::lease::Class;
use crate::refresh::{CredentialState, Event, InitialState, RefreshOutcome, RefreshPolicy};

#[test]
fn a_rejected_token_makes_callers_wait_for_the_next_one() {
    let mut bench = Bench::served();
    bench.wait(secs(6));
    let action = bench.reject("ghs_first");
    assert!(action.fetch);
    assert_eq!(action.outcome, RefreshOutcome::Rejected);
    assert!(bench.waits());
    assert!(bench.held().live(bench.now).is_some());
    bench.answer(token(bench.now, "ghs_next", mins(60)));
    assert_eq!((bench.live(), bench.held().suspect()), (Some("ghs_next"), false));
}

#[test]
fn rule35_a_thousand_rejections_in_ten_seconds_cause_one_fetch() {
    for answer in
        [|now| token(now, "ghs_first", mins(59)), |now| token(now, "ghs_next", mins(60)), |_| failure(Class::Http404)]
    {
        let mut bench = Bench::served();
        bench.wait(mins(1));
        for i in 0..1_000 {
            bench.wait(secs(1) / 100);
            if bench.reject("ghs_first").fetch {
                let answer = answer(bench.now);
                bench.answer(answer);
            }
            if i > 0 {
                assert!(bench.live().is_some());
            }
            assert!(!bench.send(Event::Due).fetch);
        }
        assert_eq!(bench.asks.len(), 1);
    }
}

#[test]
fn rule35_an_hour_of_rejections_causes_few_fetches() {
    let mut bench = Bench::served();
    bench.wait(secs(10));
    let end = bench.now.plus(mins(50));
    for _ in 0..3_000 {
        bench.wait(secs(1));
        let left = end.boot.saturating_sub(bench.now.boot) + mins(5);
        let rejected = bench.reject("ghs_first").fetch;
        if rejected || bench.send(Event::Due).fetch {
            bench.answer(token(bench.now, "ghs_first", left));
        }
        assert_eq!(bench.live(), Some("ghs_first"));
    }
    // At most one fetch per 20 s for a suspect, and one per 30 s for rejections.
    assert!(bench.asks.len() <= 3_000 / 20 + 3_000 / 30, "{}", bench.asks.len());
}

#[test]
fn a_rejected_token_that_the_source_repeats_stays_as_suspect() {
    let mut bench = Bench::served();
    bench.wait(mins(2));
    bench.reject("ghs_first");
    assert_eq!(bench.answer(token(bench.now, "ghs_first", mins(58))), RefreshOutcome::SameToken);
    assert_eq!((bench.live(), bench.state()), (Some("ghs_first"), CredentialState::Ok));
    assert!(bench.held().suspect());
    for _ in 0..20 {
        assert!((secs(20)..=secs(40)).contains(&bench.sleep()));
        bench.wait(bench.sleep());
        bench.ask(Event::Due, token(bench.now, "ghs_first", mins(40)));
    }
    bench.wait(bench.sleep());
    bench.ask(Event::Due, token(bench.now, "ghs_next", mins(20)));
    assert_eq!((bench.live(), bench.held().suspect()), (Some("ghs_next"), false));
}

#[test]
fn a_rejected_token_is_served_on_when_the_fetch_fails() {
    let mut bench = Bench::served();
    bench.wait(mins(2));
    bench.reject("ghs_first");
    bench.answer(failure(Class::Timeout));
    assert_eq!((bench.live(), bench.state()), (Some("ghs_first"), CredentialState::Stale));
    assert!(bench.held().suspect());
}

#[test]
fn forged_rejections_make_callers_wait_only_once() {
    let mut bench = Bench::served();
    bench.wait(mins(2));
    bench.reject("ghs_first");
    bench.answer(failure(Class::Timeout));
    bench.wait(mins(1));
    assert!(bench.reject("ghs_first").fetch);
    assert_eq!(bench.live(), Some("ghs_first"));
}

#[test]
fn rule35_only_the_first_rejection_of_a_token_is_news() {
    let mut bench = Bench::served();
    assert_eq!(bench.reject("ghs_first").outcome, RefreshOutcome::TooFresh);
    assert_eq!(bench.reject("ghs_first").outcome, RefreshOutcome::RejectedAgain);
    bench.wait(secs(6));
    assert_eq!(bench.reject("ghs_first").outcome, RefreshOutcome::Rejected);
    bench.answer(token(bench.now, "ghs_first", mins(50)));
    assert_eq!(bench.reject("ghs_first").outcome, RefreshOutcome::RejectedAgain);
}

#[test]
fn a_rejection_at_the_end_of_the_gap_asks_again() {
    let mut bench = Bench::served();
    bench.wait(mins(2));
    bench.reject("ghs_first");
    bench.answer(token(bench.now, "ghs_first", mins(58)));
    bench.wait(RefreshPolicy::default().forced_min_gap);
    assert!(bench.reject("ghs_first").fetch);
}

#[test]
fn a_rejection_within_the_gap_is_followed_up_when_the_gap_ends() {
    let mut bench = Bench::served();
    bench.wait(mins(2));
    bench.reject("ghs_first");
    bench.answer(token(bench.now, "ghs_next", mins(60)));
    bench.wait(secs(6));
    let action = bench.reject("ghs_next");
    assert_eq!((action.fetch, action.outcome), (false, RefreshOutcome::Rejected));
    assert_eq!(bench.live(), Some("ghs_next"));
    assert_eq!(bench.sleep(), secs(24));
}

#[test]
fn a_token_rejected_within_five_seconds_yields_to_the_previous() {
    let mut bench = Bench::served();
    bench.wait(mins(45));
    bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_next", mins(60)));
    bench.wait(secs(2));
    assert_eq!(bench.reject("ghs_next").outcome, RefreshOutcome::TooFresh);
    assert_eq!(bench.live(), Some("ghs_first"));
    assert!(!bench.held().suspect());
    bench.wait(secs(2));
    assert_eq!(bench.live(), Some("ghs_first"));
    bench.wait(secs(1));
    assert_eq!(bench.live(), Some("ghs_next"));
    assert_eq!(bench.asks.len(), 1);
}

#[test]
fn a_too_fresh_token_without_a_good_predecessor_is_served_on() {
    let mut bench = Bench::served();
    assert_eq!(bench.reject("ghs_first").outcome, RefreshOutcome::TooFresh);
    assert_eq!(bench.live(), Some("ghs_first"));

    bench.wait(mins(1));
    bench.reject("ghs_first");
    bench.answer(token(bench.now, "ghs_next", mins(60)));
    assert_eq!(bench.reject("ghs_next").outcome, RefreshOutcome::TooFresh);
    assert_eq!(bench.live(), Some("ghs_next"), "the previous token was rejected itself");
}

#[test]
fn a_rejection_of_anything_else_changes_nothing() {
    let mut bench = Bench::served();
    bench.wait(mins(45));
    bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_next", mins(60)));
    bench.wait(mins(1));
    for name in ["ghs_first", "ghs_never_seen"] {
        assert_eq!(bench.reject(name).outcome, RefreshOutcome::Idle);
    }
    assert_eq!((bench.live(), bench.held().rejected.len()), (Some("ghs_next"), 0));
}

#[test]
fn a_rejected_env_token_is_never_served_again() {
    let mut bench = Bench::new(InitialState { fallback: Some(env_token(start(), mins(60))), ..from_platform() });
    bench.ask(Event::Demand, failure(Class::Connect));
    bench.run_for(mins(5), |_| failure(Class::Connect));
    assert!(bench.reject("ghs_env").fetch);
    assert!(bench.waits());
    bench.answer(failure(Class::Connect));
    for _ in 0..50 {
        bench.run_for(mins(1), |_| failure(Class::Connect));
        assert_eq!(bench.live(), None);
        assert!(!bench.reject("ghs_env").fetch);
    }
    assert_eq!(bench.state(), CredentialState::Rejected);
}

#[test]
fn a_platform_that_gives_the_rejected_env_token_gives_a_suspect() {
    let mut bench = Bench::new(InitialState { fallback: Some(env_token(start(), mins(60))), ..from_platform() });
    bench.ask(Event::Demand, failure(Class::Connect));
    bench.reject("ghs_env");
    bench.answer(token(bench.now, "ghs_env", mins(30)));
    assert_eq!(bench.live(), Some("ghs_env"));
    assert!(bench.held().suspect());
    assert!(bench.sleep() <= secs(40));
}

#[test]
fn a_rejected_persona_is_only_marked() {
    let persona = lease("hunter2", None, 1, start());
    let mut bench = Bench::new(InitialState { leases: vec![persona], ..InitialState::default() });
    bench.wait(secs(1));
    let action = bench.reject("hunter2");
    assert_eq!((action.fetch, action.outcome), (false, RefreshOutcome::Rejected));
    assert_eq!((bench.live(), bench.state()), (Some("hunter2"), CredentialState::Ok));
    assert!(bench.held().suspect());
}

#[test]
fn the_replication_grace_ends_when_a_new_token_comes() {
    let mut bench = Bench::served();
    bench.reject("ghs_first");
    bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_next", mins(60)));
    assert_eq!(bench.live(), Some("ghs_next"));
}

#[test]
fn held_tokens_are_known_by_their_hash_alone() {
    let fallback = Some(env_token(start(), mins(50)));
    let mut bench = Bench::new(InitialState { fallback, ..from_platform() });
    for name in ["ghs_first", "ghs_second"] {
        bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, name, mins(60)));
    }
    for name in ["ghs_first", "ghs_second", "ghs_env"] {
        assert!(bench.held().holds(&sha(name)), "{name}");
    }
    assert!(!bench.held().holds(&sha("ghs_third")));
}
