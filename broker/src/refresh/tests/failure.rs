use super::bench::{Bench, failure, from_platform, mins, minting, retry_after, secs, token};
use crate::credential::lease::Class;
use crate::refresh::{CredentialState, Event, RefreshOutcome, RefreshPolicy};

#[test]
fn rule39_in_an_outage_a_token_is_served_until_its_true_expiry() {
    let mut bench = Bench::served();
    bench.run_for(mins(44), minting_until_44());
    let name = bench.live().unwrap().to_owned();
    let current = bench.held().current.clone().unwrap();
    let left = current.left(bench.now).unwrap();
    let end = bench.now.plus(left);
    while bench.now.plus(secs(1)).boot < end.boot {
        assert_eq!(bench.live(), Some(name.as_str()));
        bench.run_for(secs(1), |_| failure(Class::Connect));
    }
    bench.now = end;
    assert_eq!(bench.live(), None);
    bench.run_for(secs(3), |_| failure(Class::Connect));
    assert_eq!(bench.state(), CredentialState::Expired);
    assert!(bench.held().last_error.is_some());
    bench.run_for(mins(10), |_| failure(Class::Connect));
    assert_eq!(bench.refused(), Some(CredentialState::Expired));
    bench.run_for(secs(60), minting());
    assert_eq!((bench.live(), bench.state()), (Some("ghs_minted1"), CredentialState::Ok));
}

/// Returns a source that mints tokens of an hour. The first interval may be short,
/// so a fetch can fall within the first 44 minutes.
fn minting_until_44() -> impl FnMut(crate::system::time::Moment) -> super::bench::Answer {
    let mut minted = 0;
    move |now| {
        minted += 1;
        token(now, &format!("ghs_early{minted}"), mins(60))
    }
}

#[test]
fn a_failed_early_refresh_does_not_replace_a_live_token() {
    for class in Class::ALL {
        let mut bench = Bench::served();
        let end = bench.now.plus(mins(60));
        bench.wait(mins(10));
        bench.ask(Event::RefreshRequested { operator: true }, failure(class));
        for probe in [0, 1, 59, 61, 600, 1_800, 2_700, 2_999] {
            bench.now = end;
            bench.now.boot -= secs(3_000 - probe);
            bench.now.wall -= secs(3_000 - probe);
            assert_eq!(bench.live(), Some("ghs_first"), "{class:?}, {probe} s after the failure");
            assert_eq!(bench.state(), CredentialState::Stale);
        }
        bench.now = end;
        assert_eq!(bench.live(), None, "{class:?}");
    }
}

#[test]
fn a_torn_answer_is_tried_again_as_soon_as_any_other_failure() {
    for class in Class::ALL {
        let mut bench = Bench::served();
        bench.ask(Event::RefreshRequested { operator: true }, failure(class));
        let at_most = if class == Class::Http404 { mins(11) } else { secs(1) };
        assert!(bench.sleep() <= at_most, "{class:?}: {:?}", bench.sleep());
        bench.run_for(at_most, minting());
        assert_eq!((bench.live(), bench.state()), (Some("ghs_minted1"), CredentialState::Ok), "{class:?}");
    }
}

#[test]
fn the_loop_does_not_end_after_an_outage_of_weeks() {
    for class in Class::ALL {
        let mut bench = Bench::served();
        bench.run_for(mins(60 * 24 * 14), |_| failure(class));
        assert_eq!(bench.live(), None);
        bench.run_for(mins(11), minting());
        assert_eq!((bench.live(), bench.state()), (Some("ghs_minted1"), CredentialState::Ok), "{class:?}");
    }
}

#[test]
fn rule40_hours_of_outage_mean_bounded_attempts() {
    let mut bench = Bench::served();
    bench.run_for(mins(60), |_| failure(Class::Http5xx));
    for hour in 0..12 {
        bench.asks.clear();
        bench.run_for(mins(60), |_| failure(Class::Http5xx));
        // A mean of 30 s between two attempts makes 120 an hour, with a
        // standard deviation of 6.
        assert!((85..=160).contains(&bench.asks.len()), "hour {hour}: {}", bench.asks.len());
        assert!(bench.asks.windows(2).all(|two| two[1] - two[0] >= secs(1) / 10));
        assert!(bench.asks.windows(2).all(|two| two[1] - two[0] <= secs(60)));
    }
}

#[test]
fn the_pace_of_retries_does_not_follow_the_life_left() {
    let sleeps = |age| {
        let mut bench = Bench::served();
        bench.wait(age);
        (0..10)
            .map(|_| {
                bench.ask(Event::RefreshRequested { operator: true }, failure(Class::Connect));
                bench.sleep()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(sleeps(mins(1)), sleeps(mins(59)));
    assert_eq!(sleeps(mins(1)), sleeps(mins(300)));
}

#[test]
fn callers_without_a_token_do_not_break_a_back_off() {
    let mut bench = Bench::new(from_platform());
    bench.ask(Event::Demand, failure(Class::Connect));
    assert_eq!(bench.refused(), Some(CredentialState::Unavailable));
    for _ in 0..100 {
        assert_eq!(bench.send(Event::Demand).outcome, RefreshOutcome::BackingOff);
    }
    assert_eq!(bench.asks.len(), 1);
    bench.wait(bench.sleep());
    assert!(bench.waits());
    assert!(bench.send(Event::Demand).fetch);
}

#[test]
fn a_platform_without_an_app_is_asked_every_ten_minutes() {
    let mut bench = Bench::new(from_platform());
    bench.ask(Event::Demand, failure(Class::Http404));
    assert_eq!(bench.refused(), Some(CredentialState::Unconfigured));
    assert!(bench.state().is_healthy());
    assert!((mins(10)..=mins(11)).contains(&bench.sleep()));
    assert_eq!(bench.send(Event::Demand).outcome, RefreshOutcome::BackingOff);
    bench.asks.clear();
    bench.run_for(mins(60 * 24), |_| failure(Class::Http404));
    assert!((130..=144).contains(&bench.asks.len()), "{}", bench.asks.len());
    assert!(bench.send(Event::RefreshRequested { operator: true }).fetch);
}

#[test]
fn a_404_while_a_token_lives_leaves_time_to_get_the_next() {
    let mut bench = Bench::served();
    bench.wait(mins(56));
    bench.ask(Event::Due, failure(Class::Http404));
    assert!(bench.sleep() <= mins(2));
}

#[test]
fn a_refused_bearer_is_tried_again_as_soon_as_its_file_changes() {
    for class in [Class::Http401, Class::Http403] {
        let mut bench = Bench::new(from_platform());
        bench.ask(Event::Demand, failure(class));
        bench.run_for(mins(10), |_| failure(class));
        bench.wait(secs(1));
        let fresh = token(bench.now, "ghs_a", mins(60));
        bench.ask(Event::SourceChanged, fresh);
        assert_eq!(bench.live(), Some("ghs_a"));
    }
}

#[test]
fn a_bearer_that_changes_under_a_fetch_is_tried_right_after_it() {
    let mut bench = Bench::new(from_platform());
    bench.run_for(mins(10), |_| failure(Class::Http401));
    bench.wait(bench.sleep());
    assert!(bench.send(Event::Due).fetch);
    assert_eq!(bench.send(Event::SourceChanged).outcome, RefreshOutcome::Joined);
    bench.wait(secs(1));
    bench.answer(failure(Class::Http401));
    assert_eq!(bench.sleep(), secs(0));
}

#[test]
fn a_bearer_written_without_end_causes_no_hot_loop() {
    let mut bench = Bench::new(from_platform());
    for _ in 0..1_000 {
        if bench.send(Event::SourceChanged).fetch || bench.send(Event::Due).fetch {
            bench.answer(failure(Class::Http401));
        }
        bench.wait(secs(1) / 100);
    }
    assert!(bench.asks.len() <= 25, "{} in 10 s", bench.asks.len());
}

#[test]
fn rule41_nothing_cuts_short_a_wait_that_the_source_requested() {
    for (requested, at_least, at_most) in [(120, 120, 121), (1_000_000_000, 1_500, 1_500), (0, 0, 1)] {
        let mut bench = Bench::served();
        bench.wait(mins(10));
        bench.ask(Event::RefreshRequested { operator: true }, retry_after(Class::Http429, secs(requested)));
        let sleep = bench.sleep();
        assert!(sleep >= secs(at_least) && sleep <= secs(at_most), "{requested}: {sleep:?}");
        assert_eq!((bench.live(), bench.state()), (Some("ghs_first"), CredentialState::Stale));
        if requested == 0 {
            assert!(bench.send(Event::RefreshRequested { operator: true }).fetch, "the source requested no wait");
            continue;
        }
        bench.wait(sleep - secs(1));
        assert_eq!(bench.send(Event::RefreshRequested { operator: true }).outcome, RefreshOutcome::BackingOff);
        assert_eq!(bench.send(Event::SourceChanged).outcome, RefreshOutcome::Idle);
        assert!(!bench.send(Event::Due).fetch);
        assert!(!bench.reject("ghs_first").fetch);
        bench.wait(secs(1));
        assert!(bench.send(Event::Due).fetch);
    }
}

#[test]
fn after_a_recovery_old_waits_and_refusals_have_no_effect() {
    let mut bench = Bench::served();
    bench.wait(mins(10));
    bench.ask(Event::RefreshRequested { operator: true }, retry_after(Class::Http429, secs(120)));
    bench.wait(bench.sleep());
    bench.ask(Event::Due, token(bench.now, "ghs_first", mins(47)));
    bench.ask(Event::RefreshRequested { operator: true }, failure(Class::Http401));
    bench.wait(bench.sleep());
    bench.ask(Event::Due, token(bench.now, "ghs_first", mins(46)));
    assert_eq!(bench.held().consecutive_failures, 0);
    bench.wait(mins(1));
    let changed = bench.send(Event::SourceChanged);
    assert_eq!((changed.fetch, changed.outcome), (false, RefreshOutcome::Idle));
}

#[test]
fn a_rejection_asks_no_platform_that_said_it_has_no_app() {
    let mut bench = Bench::served();
    bench.wait(mins(10));
    bench.ask(Event::RefreshRequested { operator: true }, failure(Class::Http404));
    assert!(!bench.reject("ghs_first").fetch);
}

#[test]
fn a_new_bearer_is_tried_at_once_after_the_shortest_retry_delay() {
    let mut bench = Bench::new(from_platform());
    bench.ask(Event::Demand, failure(Class::Http401));
    bench.wait(RefreshPolicy::default().retry_base);
    assert!(bench.send(Event::SourceChanged).fetch);
}

#[test]
fn a_recovery_clears_the_count_and_keeps_the_last_error() {
    let mut bench = Bench::served();
    bench.ask(Event::RefreshRequested { operator: true }, failure(Class::Connect));
    bench.run_for(secs(1), |now| token(now, "ghs_first", mins(59)));
    assert_eq!((bench.state(), bench.held().consecutive_failures), (CredentialState::Ok, 0));
    assert!(bench.held().last_error.is_some());
}

#[test]
fn a_new_bearer_is_tried_despite_the_old_ones_retry_after() {
    let mut bench = Bench::new(from_platform());
    bench.ask(Event::Demand, retry_after(Class::Http401, mins(5)));
    bench.wait(secs(2));
    assert!(bench.send(Event::SourceChanged).fetch);
}

#[test]
fn rule35_an_agents_refresh_keeps_to_the_gap_and_the_back_off() {
    let mut bench = Bench::served();
    bench.wait(secs(29));
    let action = bench.send(Event::RefreshRequested { operator: false });
    assert_eq!((action.fetch, action.outcome), (false, RefreshOutcome::Idle));
    bench.wait(secs(1));
    assert!(bench.send(Event::RefreshRequested { operator: false }).fetch);
    assert_eq!(bench.send(Event::RefreshRequested { operator: false }).outcome, RefreshOutcome::Joined);
    bench.answer(failure(Class::Connect));
    let action = bench.send(Event::RefreshRequested { operator: false });
    assert_eq!((action.fetch, action.outcome), (false, RefreshOutcome::BackingOff));
    assert!(bench.send(Event::RefreshRequested { operator: true }).fetch, "an operator's refresh reaches the source");
    bench.answer(failure(Class::Connect));
    bench.wait(bench.sleep());
    assert!(bench.send(Event::RefreshRequested { operator: false }).fetch);
}
