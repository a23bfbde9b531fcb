use std::time::Duration;

use super::super::schedule::LeaseLeft;
use super::bench::{mins, secs};
use crate::refresh::{RefreshPolicy, schedule};

fn jitters(n: u32) -> impl Iterator<Item = f64> {
    (0..n).map(|i| schedule::nth_jitter(f64::from(i), 1))
}

#[test]
fn rule38_the_ceiling_is_uniform_over_43_to_47_minutes() {
    let policy = RefreshPolicy::default();
    let draws: Vec<_> = jitters(10_000).map(|u| schedule::ceiling(&policy, u)).collect();
    assert!(draws.iter().all(|d| (mins(43)..=mins(47)).contains(d)));
    let mean = draws.iter().sum::<Duration>().as_secs_f64() / 60.0 / 10_000.0;
    assert!((mean - 45.0).abs() <= 0.1, "mean {mean}");
    let in_first_quarter = draws.iter().filter(|d| **d < mins(44)).count();
    assert!((2_300..2_700).contains(&in_first_quarter), "{in_first_quarter}");
}

#[test]
fn a_jitter_that_is_too_long_is_cut_to_half_the_interval() {
    let policy = RefreshPolicy { interval: mins(1), ..RefreshPolicy::default() };
    assert_eq!([0.0, 0.5, 1.0].map(|u| schedule::ceiling(&policy, u)), [secs(30), secs(60), secs(90)]);
}

#[test]
fn the_lead_lies_between_its_bounds_and_reaches_both() {
    let policy = RefreshPolicy::default();
    let leads: Vec<_> = jitters(10_000).map(|u| schedule::lead(&policy, mins(60), u)).collect();
    let (min, max) = (*leads.iter().min().unwrap(), *leads.iter().max().unwrap());
    assert!(min >= mins(2) && min < secs(121), "{min:?}");
    assert!(max <= secs(285) && max > secs(284), "{max:?}");
}

#[test]
fn a_short_life_is_never_cut_by_more_than_its_quarter() {
    let policy = RefreshPolicy::default();
    for life in [secs(1), secs(10), mins(1), mins(5), mins(19)] {
        for u in jitters(100) {
            let lead = schedule::lead(&policy, life, u);
            assert!(lead <= life / 4, "{life:?} {lead:?}");
            assert!(lead >= life.mul_f64(0.25 * 119.0 / 285.0), "{life:?} {lead:?}");
        }
    }
    assert_eq!(schedule::longest_lead(&policy, mins(19)), secs(285));
}

#[test]
fn a_repeated_token_is_polled_every_20_to_40_s_or_faster() {
    let policy = RefreshPolicy::default();
    for u in jitters(1_000) {
        for life in [None, Some(mins(60))] {
            let wait = schedule::same_token_wait(&policy, life, u);
            assert!((secs(20)..=secs(40)).contains(&wait), "{wait:?}");
        }
        let wait = schedule::same_token_wait(&policy, Some(mins(1)), u);
        assert!(wait >= secs(1) && wait <= Duration::from_millis(2_200), "{wait:?}");
        assert!(schedule::same_token_wait(&policy, Some(Duration::ZERO), u) >= policy.retry_base / 10);
    }
}

#[test]
fn the_back_off_doubles_to_its_cap_with_full_jitter() {
    let policy = RefreshPolicy::default();
    for (before, span) in [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (7, 60), (u32::MAX, 60)] {
        let draws: Vec<_> = jitters(2_000).map(|u| schedule::backoff(&policy, before, u)).collect();
        assert!(draws.iter().all(|d| *d >= policy.retry_base / 10 && *d <= secs(span)));
        let mean = draws.iter().sum::<Duration>().as_secs_f64() / 2_000.0;
        assert!((mean / span as f64 - 0.5).abs() < 0.05, "after {before}: {mean}");
    }
}

#[test]
fn rule41_a_requested_wait_is_kept_up_to_half_of_the_life_left() {
    let policy = RefreshPolicy::default();
    let left = mins(40);
    for u in [0.0, 0.5, 0.999] {
        let asked = |wait, left| schedule::requested_wait(&policy, wait, left, 0, u);
        let two_minutes = asked(secs(120), LeaseLeft::For(left));
        assert!(two_minutes >= secs(120) && two_minutes <= secs(121), "{two_minutes:?}");
        assert_eq!(asked(secs(1_000_000_000), LeaseLeft::For(left)), left / 2);
        assert_eq!(asked(Duration::MAX, LeaseLeft::For(left)), left / 2);
        let without_lease = asked(secs(1_000_000_000), LeaseLeft::None);
        assert!(without_lease >= mins(10) && without_lease <= secs(601));
    }
}

/// The bound is ten years, so that no sum of instants overflows.
#[test]
fn rule41_a_requested_wait_is_bounded_for_an_endless_lease() {
    let asked = |wait| schedule::requested_wait(&RefreshPolicy::default(), wait, LeaseLeft::Endless, 0, 0.5);
    assert_eq!(asked(Duration::MAX), secs(316_224_000));
    assert!(asked(secs(120)) < secs(122));
}

#[test]
fn a_dying_lease_makes_no_hot_loop_of_a_requested_wait() {
    let policy = RefreshPolicy::default();
    for u in [0.0, 0.5, 0.999] {
        let wait = schedule::requested_wait(&policy, secs(120), LeaseLeft::For(Duration::from_millis(1)), 9, u);
        assert_eq!(wait, schedule::backoff(&policy, 9, u));
    }
}

#[test]
fn a_first_interval_may_be_anything_up_to_the_usual_one() {
    assert_eq!(schedule::first_interval(mins(45), 0.0), Duration::ZERO);
    assert_eq!(schedule::first_interval(mins(45), 0.5), mins(45) / 2);
}

/// The first two values are the upper halves of SplitMix64's first outputs for the
/// seed 0.
#[test]
fn numbers_derived_from_one_jitter_follow_splitmix64() {
    for (u, n, upper_half) in [(0.0, 1, 3793791033_u32), (0.0, 2, 1853398634_u32), (0.3, 7, 1461327465_u32)] {
        assert_eq!(schedule::nth_jitter(u, n), f64::from(upper_half) / 4_294_967_296.0);
    }
    assert_eq!(schedule::nth_jitter(0.25, 0), 0.25);
}

#[test]
fn numbers_derived_from_one_jitter_are_uncorrelated() {
    let n = 4_000;
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let jitters = (0..n).map(|i| f64::from(i) / f64::from(n));
        let pairs: Vec<_> = jitters.map(|u| (schedule::nth_jitter(u, a), schedule::nth_jitter(u, b))).collect();
        assert!(pairs.iter().all(|(x, y)| (0.0..1.0).contains(x) && (0.0..1.0).contains(y)));
        let covariance: f64 = pairs.iter().map(|(x, y)| (x - 0.5) * (y - 0.5)).sum::<f64>() / f64::from(n);
        assert!(covariance.abs() < 0.01, "{a} and {b}: {covariance}");
    }
}
