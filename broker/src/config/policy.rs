//! Resolves the refresh policies. The variables of the old refresher override `[refresh]`. For the
//! credential `github`, which that refresher served, they also override the credential's own
//! `refresh` table.

use std::collections::BTreeMap;
use std::time::Duration;

use super::location::ConfigLocation;
use super::raw::{RawNumber, RawRefresh};
use super::reader::Placed;
use super::resolver::Resolver;
use super::valid::GITHUB;
use crate::refresh::RefreshPolicy;

/// The old refresher's variables, in seconds, and their keys.
const VARIABLES: [(&str, &str); 3] = [
    ("TOKEN_REFRESH_INTERVAL_SEC", "interval"),
    ("TOKEN_REFRESH_JITTER_SEC", "jitter"),
    ("TOKEN_REFRESH_INITIAL_DELAY_SEC", "initial_delay"),
];

/// The policy that applies to every credential without its own, and the variables that set it.
#[derive(Clone, Debug)]
pub(super) struct PolicyDefaults {
    pub(super) policy: RefreshPolicy,
    variables: Vec<(&'static str, ConfigLocation)>,
}

pub(super) fn resolve_defaults(resolver: &mut Resolver<'_>, file: &RawRefresh) -> PolicyDefaults {
    let mut variables = RawRefresh::default();
    for (name, key) in VARIABLES {
        let Some(at) = resolver.env(name) else { continue };
        match at.value.trim().parse() {
            Ok(seconds) => {
                let value = RawNumber::Span(Duration::from_secs(seconds));
                variables.0.push((key, Placed { value, place: at.place }));
            }
            Err(_) => resolver.reject(at.place, "", "not a whole number, expected seconds such as 2700"),
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
    check_policy(resolver, "refresh", &policy, &places, None);
    record_places(resolver, "refresh", &places);
    let variables = variables.0.into_iter().map(|(key, at)| (key, at.place)).collect();
    PolicyDefaults { policy, variables }
}

/// Resolves the policy of one credential.
pub(super) fn resolve_policy(
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
    check_policy(resolver, &prefix, &policy, &places, Some(&base.policy));
    record_places(resolver, &prefix, &places);
    policy
}

/// Clamps a jitter that wasn't set together with this interval to half of the interval.
fn fit_jitter(policy: &mut RefreshPolicy, places: &BTreeMap<&'static str, ConfigLocation>) {
    if !places.contains_key("jitter") {
        policy.jitter = policy.usable_jitter();
    }
}

/// Reports impossible values, except those that the inherited policy has too.
fn check_policy(
    resolver: &mut Resolver<'_>,
    prefix: &str,
    policy: &RefreshPolicy,
    places: &BTreeMap<&'static str, ConfigLocation>,
    inherited: Option<&RefreshPolicy>,
) {
    let Some(any) = places.values().next() else { return };
    let known = inherited.map(RefreshPolicy::check).unwrap_or_default();
    for wrong in policy.check().into_iter().filter(|wrong| !known.contains(wrong)) {
        // Either end can make a pair impossible; the end that was configured is reported.
        let other = wrong.field.replace("_min", "_max").replace("_base", "_max");
        let place = places.get(wrong.field).or_else(|| places.get(&*other)).unwrap_or(any);
        let what = format!("impossible value, expected {}", wrong.expected);
        resolver.reject(place.clone(), &format!("{prefix}.{}", wrong.field), what);
    }
    if let Some(place) = places.get("jitter").filter(|_| policy.jitter > policy.interval) {
        let what = "longer than the interval, expected at most half of it";
        resolver.reject(place.clone(), &format!("{prefix}.jitter"), what);
    }
}

fn record_places(resolver: &mut Resolver<'_>, prefix: &str, places: &BTreeMap<&'static str, ConfigLocation>) {
    let keyed = places.iter().map(|(key, place)| (format!("{prefix}.{key}"), place.clone()));
    resolver.places.extend(keyed);
}
