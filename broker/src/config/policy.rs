//! The numbers of the refresh. The variables of the old refresher stand above
//! `[refresh]`; for the credential `github`, which it was about, also above
//! that credential's own table.

use std::collections::BTreeMap;
use std::time::Duration;

use super::location::ConfigLocation;
use super::raw::{RawNumber, RawRefresh};
use super::reader::Placed;
use super::resolver::Resolver;
use super::valid::GITHUB;
use crate::refresh::RefreshPolicy;

/// The old refresher's variables, in seconds.
const VARIABLES: [(&str, &str); 3] = [
    ("TOKEN_REFRESH_INTERVAL_SEC", "interval"),
    ("TOKEN_REFRESH_JITTER_SEC", "jitter"),
    ("TOKEN_REFRESH_INITIAL_DELAY_SEC", "initial_delay"),
];

/// The numbers that hold for every credential, and where they were written.
#[derive(Clone, Debug)]
pub(super) struct PolicyDefaults {
    pub(super) policy: RefreshPolicy,
    variables: Vec<(&'static str, ConfigLocation)>,
}

pub(super) fn base(resolver: &mut Resolver<'_>, file: &RawRefresh) -> PolicyDefaults {
    let mut variables = RawRefresh::default();
    for (name, key) in VARIABLES {
        let Some(at) = resolver.env(name) else { continue };
        match at.value.trim().parse() {
            Ok(seconds) => {
                let value = RawNumber::Span(Duration::from_secs(seconds));
                variables.0.push((key, Placed { value, place: at.place }));
            }
            Err(_) => resolver.wrong(at.place, "", "not a whole number, expected seconds such as 2700"),
        }
    }
    let mut policy = RefreshPolicy::default();
    let mut places = BTreeMap::new();
    for layer in [file, &variables] {
        layer.apply(&mut policy, |key, place| {
            places.insert(key, place.clone());
        });
    }
    fit_jitter(&mut policy, &places);
    check(resolver, "refresh", &policy, &places, None);
    place(resolver, "refresh", &places);
    let variables = variables.0.into_iter().map(|(key, at)| (key, at.place)).collect();
    PolicyDefaults { policy, variables }
}

/// The numbers of one credential.
pub(super) fn of_credential(
    resolver: &mut Resolver<'_>,
    name: &str,
    base: &PolicyDefaults,
    own: &RawRefresh,
) -> RefreshPolicy {
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
    check(resolver, &prefix, &policy, &places, Some(&base.policy));
    place(resolver, &prefix, &places);
    policy
}

/// A jitter that was written for another interval, or for none, is what this
/// one leaves of it.
fn fit_jitter(policy: &mut RefreshPolicy, places: &BTreeMap<&'static str, ConfigLocation>) {
    if !places.contains_key("jitter") {
        policy.jitter = policy.usable_jitter();
    }
}

/// Notes what is impossible, unless that is so without these numbers too.
fn check(
    resolver: &mut Resolver<'_>,
    prefix: &str,
    policy: &RefreshPolicy,
    places: &BTreeMap<&'static str, ConfigLocation>,
    noted: Option<&RefreshPolicy>,
) {
    let Some(any) = places.values().next() else { return };
    let noted = noted.map(RefreshPolicy::check).unwrap_or_default();
    for wrong in policy.check().into_iter().filter(|wrong| !noted.contains(wrong)) {
        // A pair is impossible by either of its ends; the one that was written
        // is the one to be named.
        let other = wrong.field.replace("_min", "_max").replace("_base", "_max");
        let place = places.get(wrong.field).or_else(|| places.get(&*other)).unwrap_or(any);
        let what = format!("impossible value, expected {}", wrong.expected);
        resolver.wrong(place.clone(), &format!("{prefix}.{}", wrong.field), what);
    }
    if let Some(place) = places.get("jitter").filter(|_| policy.jitter > policy.interval) {
        let what = "longer than the interval that it is about, expected at most half of it";
        resolver.wrong(place.clone(), &format!("{prefix}.jitter"), what);
    }
}

fn place(resolver: &mut Resolver<'_>, prefix: &str, places: &BTreeMap<&'static str, ConfigLocation>) {
    let keyed = places.iter().map(|(key, place)| (format!("{prefix}.{key}"), place.clone()));
    resolver.places.extend(keyed);
}
