//! Random events, and the properties that must hold after each of them.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::bench::{Answer, Bench, env_token, failure, from_platform, mins, retry_after, secs, sha, start, token};
use crate::credential::lease::Class;
use crate::refresh::{Event, InitialState, Serving};
use crate::system::time::{Deadline, Moment};

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    ToWake,
    WallBy(i64),
    Suspend(u64),
    Demand,
    Force,
    Changed,
    RejectCurrent,
    RejectEnv,
    RejectOther,
    Mint(u64),
    Repeat,
    Fail(usize, Option<u64>),
}

const CLASSES: [Class; 5] = [Class::Connect, Class::Http401, Class::Http404, Class::Http429, Class::Body];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_000_u64).prop_map(Step::Pass),
        8 => Just(Step::ToWake),
        1 => (-7_200..7_200_i64).prop_map(Step::WallBy),
        1 => (0..90_000_u64).prop_map(Step::Suspend),
        2 => Just(Step::Demand),
        1 => Just(Step::Force),
        1 => Just(Step::Changed),
        2 => Just(Step::RejectCurrent),
        1 => Just(Step::RejectEnv),
        1 => Just(Step::RejectOther),
        5 => (0..4_000_u64).prop_map(Step::Mint),
        3 => Just(Step::Repeat),
        4 => (0..CLASSES.len(), prop::option::of(0..10_000_u64)).prop_map(|(class, wait)| Step::Fail(class, wait)),
    ]
}

fn cases() -> u32 {
    if molecule_test_kit::is_full_run() { 400 } else { 100 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// The wall clock may be stepped and the machine suspended at any instant.
    /// A served token is live by both clocks and by every deadline that its
    /// source ever named for it. A live token is never lost to an error. There
    /// is always a next wake-up, which `Bench::send` checks.
    #[test]
    fn no_dead_token_is_served_and_no_live_one_lost(steps in prop::collection::vec(step(), 1..120)) {
        let mut bench = Bench::new(InitialState { fallback: Some(env_token(start(), mins(60))), ..from_platform() });
        let mut named: HashMap<String, Deadline> = HashMap::new();
        let mut env_rejected = false;
        let mut minted = 0;
        for step in steps {
            let before = live_token(&bench);
            let mut replaced = false;
            match step {
                Step::Pass(length) => bench.wait(secs(length)),
                Step::Suspend(length) => bench.wait(secs(length)),
                Step::ToWake => {
                    if let Some(wake) = bench.wake {
                        bench.wait(wake.saturating_sub(bench.now.boot));
                        prop_assert!(bench.send(Event::Due).fetch, "a due refresh causes a fetch");
                    }
                }
                Step::WallBy(by) => {
                    let wall = bench.now.wall.as_secs().saturating_add_signed(by);
                    bench.now.wall = secs(wall);
                    bench.send(Event::Due);
                }
                Step::Demand => {
                    let live = bench.held().live(bench.now).is_some();
                    let asked = bench.send(Event::Demand).fetch;
                    prop_assert!(!(asked && live), "no caller causes a fetch while a token is live");
                }
                Step::Force => { bench.send(Event::RefreshRequested { operator: true }); }
                Step::Changed => { bench.send(Event::SourceChanged); }
                Step::RejectCurrent => {
                    if let Some(name) = &before { bench.reject(name); }
                }
                Step::RejectEnv => {
                    bench.reject("ghs_env");
                    env_rejected |= bench.held().rejected.contains(&sha("ghs_env"));
                }
                Step::RejectOther => { bench.reject("ghs_other"); }
                Step::Mint(_) | Step::Repeat | Step::Fail(..) if !bench.held().in_flight => {}
                Step::Mint(life) => {
                    minted += 1;
                    let name = format!("ghs_{minted}");
                    named.insert(name.clone(), Deadline::after(bench.now, secs(life)));
                    bench.answer(token(bench.now, &name, secs(life)));
                    replaced = true;
                }
                Step::Repeat => {
                    let answer = repeat(&bench);
                    bench.answer(answer);
                }
                Step::Fail(class, wait) => {
                    let class = CLASSES[class];
                    bench.answer(wait.map_or_else(|| failure(class), |wait| retry_after(class, secs(wait))));
                }
            }
            check(&bench, &named, env_rejected)?;
            if !replaced && let Some(name) = before {
                let lease = bench.held().current.clone().unwrap();
                prop_assert_eq!(lease.secret.expose(), name, "only another token replaces one");
            }
        }
    }

    /// For any mix of failures and callers, the attempts in any window are few.
    #[test]
    fn attempts_are_bounded_in_any_window(seed in 0..1_000_000_u32, classes in prop::collection::vec(0..CLASSES.len(), 1..6), life in 1..3_600_u64) {
        let mut bench = Bench::with(Default::default(), from_platform(), start(), f64::from(seed) / 1e6);
        bench.ask(Event::Demand, token(bench.now, "ghs_a", secs(life)));
        bench.asks.clear();
        let mut at = 0;
        for _ in 0..3 * 3_600 {
            bench.run_for(secs(1), |_| { at += 1; failure(CLASSES[classes[at % classes.len()]]) });
            if bench.send(Event::Demand).fetch {
                bench.answer(failure(Class::Connect));
            }
        }
        for (window, most) in [(secs(1), 8), (secs(60), 24), (mins(60), 190)] {
            let worst = worst(&bench.asks, window);
            prop_assert!(worst <= most, "{} in {:?}", worst, window);
        }
        prop_assert!(!bench.asks.is_empty());
    }
}

/// Returns the current lease's token if it is live.
fn live_token(bench: &Bench) -> Option<String> {
    let lease = bench.held().current.as_deref()?;
    lease.is_live(bench.now).then(|| lease.secret.expose().to_owned())
}

fn repeat(bench: &Bench) -> Answer {
    match bench.held().current.as_deref() {
        Some(lease) => token(bench.now, lease.secret.expose(), lease.left(bench.now).unwrap_or_default()),
        None => failure(Class::Http5xx),
    }
}

fn check(bench: &Bench, named: &HashMap<String, Deadline>, env_rejected: bool) -> Result<(), TestCaseError> {
    let held = bench.held();
    let now: Moment = bench.now;
    if let Serving::Live(lease) = held.serving(now) {
        let name = lease.secret.expose();
        prop_assert!(lease.is_live(now));
        if name == "ghs_env" {
            prop_assert!(!env_rejected && held.consecutive_failures > 0);
        } else {
            let deadline = named[name];
            prop_assert!(now.boot < deadline.boot && now.wall < deadline.wall);
        }
    } else if !(held.in_flight && held.awaited) {
        prop_assert!(held.current.as_deref().is_none_or(|lease| !lease.is_live(now)));
    }
    prop_assert!(held.rejected.len() <= 4);
    Ok(())
}

fn worst(asks: &[Duration], window: Duration) -> usize {
    let in_window = |from: usize| asks[from..].iter().take_while(|at| **at < asks[from] + window).count();
    (0..asks.len()).map(in_window).max().unwrap_or(0)
}
