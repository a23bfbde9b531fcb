//! The platform, asked once as the daemon asks it: the bearer, the way there,
//! its answer, and whether its clock agrees with ours. An environment that
//! names no platform says nothing of a daemon that has one.

use std::io::ErrorKind;
use std::time::Duration;

use molecule_protocol::namespace::OverflowMeaning;

use super::Scene;
use super::finding::Finding;
use crate::client;
use crate::config::{Config, GITHUB, SourceConfig};
use crate::credential::lease::{Class, Failure, Fresh};
use crate::daemon::status::CredentialStatus;
use crate::source::{Platform, platform};
use crate::system::text::shell_path;
use crate::system::time::Deadline;
use crate::system::{bounded_file, clock};

const CHECK: &str = "platform";

/// Clocks further apart than this are set wrong.
const SKEW: i128 = 30;

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    let Ok(config) = &scene.config else { return Vec::new() };
    let settings = config.credentials.iter().filter_map(|c| match &c.source {
        SourceConfig::Platform(settings) => Some(settings),
        _ => None,
    });
    let mut findings: Vec<Finding> = settings.flat_map(|settings| ask(settings, scene)).collect();
    findings.extend(daemons(scene, config, !findings.is_empty()));
    findings
}

/// Finds out whether the daemon has a platform, which may not be named in this environment.
/// Without a daemon, judges by the configuration here.
fn daemons(scene: &Scene, config: &Config, named_here: bool) -> Option<Finding> {
    let (has, what) = if scene.status.is_some() {
        let github = scene.credentials().iter().find(|c| c.name == GITHUB)?;
        (asks_platform(github)?, answered(github))
    } else {
        let source = &config.credential(GITHUB)?.source;
        (!matches!(source, SourceConfig::Missing(_) | SourceConfig::Env(_)), String::new())
    };
    match (has, named_here) {
        (true, true) => None,
        (true, false) => scene.status.is_some().then(|| Finding::ok(CHECK, what)),
        (false, true) => Some(Finding::warn(
            CHECK,
            "this environment names a platform and the daemon has none, so no token is ever renewed",
            "set PLATFORM_URL (and WORKSPACE_ID) where the broker is started",
        )),
        (false, false) => Some(Finding::warn(
            CHECK,
            "no platform is configured, so no token is ever renewed",
            "set PLATFORM_URL (and WORKSPACE_ID) where the broker is started, or ENABLE_GITHUB_MIRROR_CREDENTIALS=false if none is wanted",
        )),
    }
}

/// `None` for a credential that a file or a command gives.
fn asks_platform(github: &CredentialStatus) -> Option<bool> {
    let of_platform = !["file", "command"].contains(&github.source.as_str());
    of_platform.then_some(github.refreshable || github.next_refresh_in_s.is_some())
}

/// A failure is told by the credential's own line.
fn answered(github: &CredentialStatus) -> String {
    let last = github.last_success_ago_s.map_or_else(
        || "it hasn't answered yet".to_owned(),
        |ago| format!("its last answer came {} ago", humantime::format_duration(Duration::from_secs(ago))),
    );
    format!("the daemon asks it, this environment doesn't name it; {last}")
}

fn ask(settings: &platform::PlatformSettings, scene: &Scene) -> Vec<Finding> {
    let path = settings.bearer_path.display();
    let bearer = match bounded_file::text(&settings.bearer_path) {
        Ok(text) if text.trim().is_empty() => Some(format!("{path} is empty")),
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("{path} isn't there")),
        // Kept from this user, as it may well be. The daemon's own line tells
        // whether it works.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let what = format!("{path} isn't this user's to read");
            return vec![match scene.status {
                Some(_) => Finding::ok("bearer", format!("{what}, only the daemon's")),
                None => Finding::warn("bearer", what, "no daemon says whether it works: run doctor as root"),
            }];
        }
        Err(error) => Some(format!("{path} can't be read: {error}")),
    };
    if let Some(what) = bearer {
        let remedy = format!(
            "it is written when the workspace registers: wait for that, or look at CONFIGS_DIR and `ls -l {}`",
            shell_path(&settings.bearer_path)
        );
        return vec![Finding::fail("bearer", what, remedy)];
    }
    let bearer = Finding::ok("bearer", format!("{path} holds one"));
    match fetch(settings) {
        Ok(fresh) => {
            let mut findings = vec![bearer, Finding::ok(CHECK, "it gives a token")];
            findings.extend(fresh.deadline.map(skew));
            findings
        }
        Err(failure) => vec![bearer, unreachable(scene, &failure)],
    }
}

/// A sandbox may have no network, while the daemon outside of it has one.
fn unreachable(scene: &Scene, failure: &Failure) -> Finding {
    let no_way = matches!(failure.class, Class::Connect | Class::Timeout);
    let daemon_has_one =
        scene.credentials().iter().any(|c| c.name == GITHUB && c.source == "platform" && c.state == "ok");
    if no_way && daemon_has_one && client::trust::overflow() != OverflowMeaning::User {
        let what = format!("not to be reached from inside this sandbox, only by the daemon ({})", failure.message);
        return Finding::ok(CHECK, what);
    }
    Finding::fail(CHECK, failure.message.clone(), remedy(failure.class))
}

fn fetch(settings: &platform::PlatformSettings) -> Result<Fresh, Failure> {
    let platform = Platform::new(settings.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Class::Config, error.to_string()))?;
    runtime.block_on(platform.fetch())
}

pub(super) fn remedy(class: Class) -> &'static str {
    match class {
        Class::Http401 | Class::Http403 => "the bearer is wrong or revoked: have the workspace register again",
        Class::Http404 => {
            "no GitHub App is configured for this workspace: install one on the platform, or set ENABLE_GITHUB_MIRROR_CREDENTIALS=false"
        }
        Class::Http429 => "the platform limits this workspace: wait, and look for what else asks it",
        Class::Http5xx | Class::HttpOther | Class::Body => "look at the platform's own log; the broker goes on trying",
        Class::Expired => "look at this machine's clock (date -u) and at the platform's",
        Class::Tls => "look at SSL_CERT_FILE and SSL_CERT_DIR: the platform's certificate isn't trusted",
        Class::Connect | Class::Timeout => {
            "look at PLATFORM_URL, at the proxy variables, and at the network from here to there"
        }
        Class::Config => "correct what the message names",
    }
}

/// The one deadline was counted from the platform's `Date`, the other is the
/// expiry as written: what they differ by, our wall clock is wrong by.
fn skew(deadline: Deadline) -> Finding {
    let now = clock::now();
    let left = |end: Duration, now: Duration| end.as_secs() as i128 - now.as_secs() as i128;
    let ahead = left(deadline.wall, now.wall) - left(deadline.boot, now.boot);
    if ahead.abs() <= SKEW {
        return Finding::ok("clock", "this machine's clock agrees with the platform's");
    }
    let (by, word) = (ahead.abs(), if ahead > 0 { "behind" } else { "ahead of" });
    let what = format!("this machine's clock is {by} s {word} the platform's");
    Finding::fail("clock", what, "set the host's clock by NTP; meanwhile the broker goes by the sooner of both")
}
