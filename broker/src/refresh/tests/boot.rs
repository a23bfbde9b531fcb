use super::bench::{Bench, env_token, failure, from_platform, lease, mins, minting, secs, start, token};
use crate::credential::lease::{Class, Lease, SourceKind};
use crate::refresh::{CredentialState, Event, InitialState, Machine, RefreshOutcome, RefreshPolicy, schedule};
use crate::system::time::Deadline;

#[test]
fn with_nothing_held_the_first_fetch_falls_within_five_seconds() {
    for u in [0.0, 0.5, 0.999] {
        let bench = Bench::with(RefreshPolicy::default(), from_platform(), start(), u);
        assert!(bench.sleep() <= secs(5));
        assert_eq!(bench.state(), CredentialState::Starting);
        assert!(bench.waits());
    }
}

#[test]
fn a_waiting_caller_makes_the_first_fetch_immediate() {
    let policy = RefreshPolicy { initial_delay: Some(mins(1)), ..RefreshPolicy::default() };
    let mut bench = Bench::with(policy, from_platform(), start(), 0.9);
    assert_eq!(bench.sleep(), mins(1));
    assert!(bench.send(Event::Demand).fetch);
}

#[test]
fn rule43_a_hundred_callers_without_a_token_share_one_fetch() {
    let mut bench = Bench::new(from_platform());
    assert_eq!(bench.send(Event::Demand).outcome, RefreshOutcome::Asking);
    for _ in 1..100 {
        assert_eq!(bench.send(Event::Demand).outcome, RefreshOutcome::Joined);
        assert!(bench.waits());
    }
    bench.answer(token(bench.now, "ghs_a", mins(60)));
    assert_eq!(bench.live(), Some("ghs_a"));
    assert_eq!(bench.asks.len(), 1);
    assert_eq!(bench.send(Event::Demand).outcome, RefreshOutcome::Idle);
}

#[test]
fn a_daemon_that_restarts_in_a_loop_does_not_ask() {
    let received = start();
    for second in 0..42 * 60 {
        let now = received.plus(secs(second));
        let lease = lease("ghs_a", Some(Deadline::after(received, mins(60))), 7, received);
        let start = InitialState { refreshable: true, leases: vec![lease], ..InitialState::default() };
        let bench = Bench::with(RefreshPolicy::default(), start, now, schedule::nth_jitter(second as f64, 1));
        assert_eq!((bench.live(), bench.state()), (Some("ghs_a"), CredentialState::Ok));
        assert!(bench.sleep() > secs(30), "after {second} s");
    }
}

#[test]
fn a_carried_lease_that_is_overdue_is_renewed_soon() {
    let received = start();
    let lease = lease("ghs_a", Some(Deadline::after(received, mins(60))), 7, received);
    let start = InitialState { refreshable: true, leases: vec![lease], ..InitialState::default() };
    let mut bench = Bench::with(RefreshPolicy::default(), start, received.plus(mins(50)), 0.5);
    assert!(bench.sleep() <= secs(5) && bench.sleep() > secs(0), "containers mustn't all fetch at once");
    bench.run_for(secs(5), minting());
    assert_eq!((bench.held().generation, bench.live()), (8, Some("ghs_minted1")));
}

#[test]
fn the_newest_carried_lease_is_current_and_dead_ones_go() {
    let now = start();
    let make = |name, generation, left| lease(name, Some(Deadline::after(now, left)), generation, now);
    let leases = vec![make("ghs_b", 2, mins(9)), make("ghs_c", 3, secs(0)), make("ghs_a", 1, mins(3))];
    let bench = Bench::with(RefreshPolicy::default(), InitialState { leases, ..from_platform() }, now, 0.5);
    assert_eq!(bench.held().current.as_ref().unwrap().secret.expose(), "ghs_b");
    assert_eq!(bench.held().previous.as_ref().unwrap().secret.expose(), "ghs_a");
}

#[test]
fn a_dead_tokens_generation_is_not_used_again() {
    let now = start();
    let dead = lease("ghs_a", Some(Deadline::after(now, secs(0))), 7, now);
    let start = InitialState { leases: vec![dead], ..from_platform() };
    let mut bench = Bench::with(RefreshPolicy::default(), start, now, 0.5);
    assert_eq!(bench.live(), None);
    bench.run_for(secs(5), minting());
    assert_eq!((bench.held().generation, bench.live()), (8, Some("ghs_minted1")));
}

#[test]
fn a_carried_lease_from_a_file_is_read_again_at_once() {
    let now = start();
    let carried = Lease { source: SourceKind::File, ..lease("ghs_a", None, 7, now) };
    let start = InitialState { leases: vec![carried], ..from_platform() };
    let bench = Bench::with(RefreshPolicy::default(), start, now.plus(secs(1)), 0.5);
    assert_eq!((bench.live(), bench.sleep()), (Some("ghs_a"), secs(0)));
}

#[test]
fn a_carried_lease_is_renewed_before_it_expires() {
    let received = start();
    let lease = lease("ghs_a", Some(Deadline::after(received, mins(20))), 7, received);
    let start = InitialState { refreshable: true, leases: vec![lease], ..InitialState::default() };
    let bench = Bench::with(RefreshPolicy::default(), start, received.plus(mins(1)), 0.5);
    assert!((mins(19) - secs(285)..=mins(19) - mins(2)).contains(&bench.sleep()), "{:?}", bench.sleep());
}

#[test]
fn a_rejection_is_remembered_over_a_restart() {
    let mut bench = Bench::new(InitialState { fallback: Some(env_token(start(), mins(60))), ..from_platform() });
    bench.ask(Event::Demand, failure(Class::Connect));
    assert_eq!(bench.live(), Some("ghs_env"));
    assert_eq!(bench.reject("ghs_env").outcome, RefreshOutcome::FallbackRejected);
    bench.answer(failure(Class::Connect));
    let rejected = bench.held().rejected.to_vec();

    let fallback = Some(env_token(start(), mins(60)));
    let mut next = Bench::new(InitialState { rejected, fallback, ..from_platform() });
    next.ask(Event::Demand, failure(Class::Connect));
    assert_eq!(next.refused(), Some(CredentialState::Rejected));
}

#[test]
fn a_persona_is_served_for_ever_and_never_asked_for() {
    let now = start();
    let persona = lease("hunter2", None, 1, now);
    let (mut machine, action) = Machine::new(
        RefreshPolicy::default(),
        InitialState { leases: vec![persona], ..InitialState::default() },
        now,
        0.5,
    );
    assert_eq!((action.fetch, action.wake_at), (false, None));
    let later = now.plus(mins(60 * 24 * 365));
    for event in [Event::Due, Event::Demand, Event::RefreshRequested { operator: true }, Event::SourceChanged] {
        let action = machine.on(later, 0.5, event);
        assert_eq!((action.fetch, action.wake_at, action.outcome), (false, None, RefreshOutcome::NoSource));
    }
    assert!(machine.held().live(later).is_some());
    assert_eq!(machine.held().state(later), CredentialState::Ok);
}

#[test]
fn the_env_token_is_served_only_after_the_first_fetch_failed() {
    let mut bench = Bench::new(InitialState { fallback: Some(env_token(start(), mins(60))), ..from_platform() });
    assert!(bench.waits());
    assert!(bench.send(Event::Demand).fetch);
    assert!(bench.waits());
    bench.answer(failure(Class::Connect));
    assert_eq!((bench.live(), bench.state()), (Some("ghs_env"), CredentialState::Stale));
    assert_eq!(bench.held().facts(bench.now).source, Some(SourceKind::Env));
    bench.run_for(mins(1), |_| failure(Class::Connect));
    assert_eq!(bench.live(), Some("ghs_env"));
    bench.run_for(mins(2), minting());
    assert_eq!((bench.live(), bench.state()), (Some("ghs_minted1"), CredentialState::Ok));
}

#[test]
fn the_env_token_dies_an_hour_after_the_container_started() {
    let mut bench = Bench::new(InitialState { fallback: Some(env_token(start(), mins(60))), ..from_platform() });
    bench.ask(Event::Demand, failure(Class::Connect));
    bench.run_for(mins(60) - secs(1), |_| failure(Class::Connect));
    assert_eq!(bench.live(), Some("ghs_env"));
    bench.run_for(secs(1), |_| failure(Class::Connect));
    assert_eq!(bench.live(), None);
    assert_eq!(bench.state(), CredentialState::Unavailable);
}

#[test]
fn an_env_token_without_any_platform_is_served_at_once() {
    let fallback = Some(env_token(start(), mins(60)));
    let mut bench = Bench::new(InitialState { fallback, ..InitialState::default() });
    assert_eq!((bench.live(), bench.state()), (Some("ghs_env"), CredentialState::Ok));
    assert_eq!(bench.reject("ghs_env").outcome, RefreshOutcome::FallbackRejected);
    assert_eq!(bench.refused(), Some(CredentialState::Rejected));
}

#[test]
fn without_a_platform_nothing_is_expected_after_the_env_token() {
    let fallback = Some(env_token(start(), mins(60)));
    let mut bench = Bench::new(InitialState { fallback, ..InitialState::default() });
    bench.wait(mins(60));
    assert_eq!(bench.refused(), Some(CredentialState::Expired));
    assert_eq!(Bench::new(InitialState::default()).refused(), Some(CredentialState::Unconfigured));
}

#[test]
fn an_attempt_may_take_as_long_as_the_policy_says() {
    let policy = RefreshPolicy { attempt_timeout: secs(3), ..RefreshPolicy::default() };
    assert_eq!(Bench::with(policy, from_platform(), start(), 0.5).machine.attempt_timeout(), secs(3));
}

#[test]
fn every_state_has_a_name_and_three_are_unhealthy() {
    use CredentialState::{Expired, Ok, Rejected, Stale, Starting, Unavailable, Unconfigured};
    let all = [Ok, Stale, Starting, Unconfigured, Expired, Rejected, Unavailable];
    assert_eq!(
        all.map(CredentialState::name),
        ["ok", "stale", "starting", "unconfigured", "expired", "rejected", "unavailable"]
    );
    assert_eq!(all.map(CredentialState::is_healthy), [true, true, true, true, false, false, false]);
}

#[test]
fn rejections_of_what_is_no_longer_held_are_forgotten() {
    let bench = Bench::new(InitialState { rejected: vec![[7; 32]; 3], ..from_platform() });
    assert_eq!(bench.held().rejected.len(), 0);
}
