//! The numbers of the refresh. The variables of the old refresher stand above
//! `[refresh]`; for the credential `github`, which it was about, also above
//! that credential's own table.

use std::collections::BTreeMap;
use std::time::Duration;

use super::location::Place;
use super::raw::{Number, Refresh};
use super::reader::At;
use super::resolver::Build;
use super::valid::GITHUB;
use crate::refresh::Policy;

/// The old refresher's variables, in seconds.
const VARIABLES: [(&str, &str); 3] = [
    ("TOKEN_REFRESH_INTERVAL_SEC", "interval"),
    ("TOKEN_REFRESH_JITTER_SEC", "jitter"),
    ("TOKEN_REFRESH_INITIAL_DELAY_SEC", "initial_delay"),
];

/// The numbers that hold for every credential, and where they were written.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) policy: Policy,
    variables: Vec<(&'static str, Place)>,
}

pub(super) fn base(build: &mut Build<'_>, file: &Refresh) -> Base {
    let mut variables = Refresh::default();
    for (name, key) in VARIABLES {
        let Some(at) = build.env(name) else { continue };
        match at.value.trim().parse() {
            Ok(seconds) => {
                let value = Number::Span(Duration::from_secs(seconds));
                variables.0.push((key, At { value, place: at.place }));
            }
            Err(_) => build.wrong(at.place, "", "not a whole number, expected seconds such as 2700"),
        }
    }
    let mut policy = Policy::default();
    let mut places = BTreeMap::new();
    for layer in [file, &variables] {
        layer.apply(&mut policy, |key, place| {
            places.insert(key, place.clone());
        });
    }
    fit_jitter(&mut policy, &places);
    check(build, "refresh", &policy, &places, None);
    place(build, "refresh", &places);
    let variables = variables.0.into_iter().map(|(key, at)| (key, at.place)).collect();
    Base { policy, variables }
}

/// The numbers of one credential.
pub(super) fn of_credential(build: &mut Build<'_>, name: &str, base: &Base, own: &Refresh) -> Policy {
    let (mut policy, mut places) = (base.policy.clone(), BTreeMap::new());
    let mut own = own.clone();
    if name == GITHUB {
        own.0.retain(|(key, _)| !base.variables.iter().any(|(variable, _)| variable == key));
    }
    own.apply(&mut policy, |key, place| {
        places.insert(key, place.clone());
    });
    fit_jitter(&mut policy, &places);
    let prefix = format!("credential.{name}.refresh");
    check(build, &prefix, &policy, &places, Some(&base.policy));
    place(build, &prefix, &places);
    policy
}

/// A jitter that was written for another interval, or for none, is what this
/// one leaves of it.
fn fit_jitter(policy: &mut Policy, places: &BTreeMap<&'static str, Place>) {
    if !places.contains_key("jitter") {
        policy.jitter = policy.usable_jitter();
    }
}

/// Notes what is impossible, unless that is so without these numbers too.
fn check(
    build: &mut Build<'_>,
    prefix: &str,
    policy: &Policy,
    places: &BTreeMap<&'static str, Place>,
    noted: Option<&Policy>,
) {
    let Some(any) = places.values().next() else { return };
    let noted = noted.map(Policy::check).unwrap_or_default();
    for wrong in policy.check().into_iter().filter(|wrong| !noted.contains(wrong)) {
        // A pair is impossible by either of its ends; the one that was written
        // is the one to be named.
        let other = wrong.field.replace("_min", "_max").replace("_base", "_max");
        let place = places.get(wrong.field).or_else(|| places.get(&*other)).unwrap_or(any);
        let what = format!("impossible value, expected {}", wrong.expected);
        build.wrong(place.clone(), &format!("{prefix}.{}", wrong.field), what);
    }
    if let Some(place) = places.get("jitter").filter(|_| policy.jitter > policy.interval) {
        let what = "longer than the interval that it is about, expected at most half of it";
        build.wrong(place.clone(), &format!("{prefix}.jitter"), what);
    }
}

fn place(build: &mut Build<'_>, prefix: &str, places: &BTreeMap<&'static str, Place>) {
    let keyed = places.iter().map(|(key, place)| (format!("{prefix}.{key}"), place.clone()));
    build.places.extend(keyed);
}
