use super::bench::{Bench, failure, mins, minting, secs, token};
use crate::credential::lease::Class;
use crate::refresh::{CredentialState, Event};

#[test]
fn rule44_a_wall_step_back_of_two_hours_extends_no_life() {
    let mut bench = Bench::served();
    bench.wait(mins(30));
    bench.now.wall -= mins(120);
    assert_eq!(bench.live(), Some("ghs_first"));
    let left = bench.held().facts(bench.now).expires_in;
    assert_eq!(left, Some(mins(30)));
    bench.wait(mins(30) - secs(1));
    assert_eq!(bench.live(), Some("ghs_first"));
    bench.wait(secs(1));
    assert_eq!(bench.live(), None);
}

#[test]
fn rule44_a_forward_step_past_the_expiry_ends_the_token() {
    let mut bench = Bench::served();
    bench.wait(mins(10));
    bench.now.wall += mins(120);
    assert_eq!(bench.live(), None);
    assert!(bench.waits());
    assert!(bench.send(Event::Due).fetch);
}

#[test]
fn rule44_a_forward_step_makes_the_refresh_due_sooner() {
    let mut bench = Bench::served();
    bench.wait(secs(1));
    bench.now.wall += mins(59);
    assert_eq!(bench.live(), Some("ghs_first"));
    assert!(bench.send(Event::Due).fetch);
}

#[test]
fn rule44_a_step_forward_and_back_leaves_the_token_as_it_was() {
    let mut bench = Bench::served();
    bench.wait(mins(10));
    bench.now.wall += mins(120);
    assert_eq!(bench.live(), None);
    assert!(bench.send(Event::Due).fetch);
    bench.answer(failure(Class::Expired));
    assert_eq!(bench.live(), None);
    bench.now.wall -= mins(120);
    assert_eq!((bench.live(), bench.state()), (Some("ghs_first"), CredentialState::Stale));
}

#[test]
fn rule44_after_a_suspend_the_first_request_causes_a_fetch() {
    for asleep in [mins(60), mins(60 * 24 * 30)] {
        let mut bench = Bench::served();
        bench.wait(secs(1));
        bench.now.boot += asleep;
        bench.now.wall += asleep;
        assert_eq!(bench.live(), None);
        assert!(bench.waits());
        assert!(bench.send(Event::Demand).fetch);
    }
}

#[test]
fn rule44_after_fifty_minutes_suspended_a_token_is_overdue() {
    let mut bench = Bench::served();
    // Past the first interval, so that the ceiling is the usual one.
    bench.run_for(mins(47), minting());
    let mut bench = bench;
    bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_last", mins(60)));
    bench.now = bench.now.plus(mins(50));
    assert_eq!(bench.live(), Some("ghs_last"));
    assert!(bench.send(Event::Due).fetch);
    assert_eq!(bench.live(), Some("ghs_last"));
}

#[test]
fn a_suspend_over_a_back_off_ends_it() {
    let mut bench = Bench::served();
    bench.wait(mins(56));
    bench.ask(Event::Due, failure(Class::Connect));
    bench.wait(mins(10));
    assert!(bench.waits());
    assert!(bench.send(Event::Demand).fetch);
}

#[test]
fn a_timer_that_fires_early_starts_nothing() {
    let mut bench = Bench::served();
    // The first interval may be very short; the second has its full length.
    bench.ask(Event::RefreshRequested { operator: true }, token(bench.now, "ghs_next", mins(60)));
    let wake = bench.wake;
    assert!(bench.sleep() > secs(1));
    let action = bench.send(Event::Due);
    assert_eq!((action.fetch, action.wake_at), (false, wake));
}
