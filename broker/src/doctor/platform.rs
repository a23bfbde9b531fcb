//! Checks of the platform, with one request like the daemon's: the bearer, the connection, the
//! answer, and the difference between its clock and ours. If the environment names no platform, a
//! daemon may still have one.

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

/// Largest difference between the two clocks that is accepted, in seconds.
const MAX_SKEW: i128 = 30;

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    let Ok(config) = &scene.config else { return Vec::new() };
    let settings = config.credentials.iter().filter_map(|c| match &c.source {
        SourceConfig::Platform(settings) => Some(settings),
        _ => None,
    });
    let mut findings: Vec<Finding> = settings.flat_map(|settings| check_platform(settings, scene)).collect();
    findings.extend(check_daemon(scene, config, !findings.is_empty()));
    findings
}

/// Finds out whether the daemon has a platform, which may not be named in this environment.
/// Without a daemon, judges by the configuration here.
fn check_daemon(scene: &Scene, config: &Config, named_here: bool) -> Option<Finding> {
    let (has, what) = if scene.status.is_some() {
        let github = scene.credentials().iter().find(|c| c.name == GITHUB)?;
        (asks_platform(github)?, describe_last_answer(github))
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

/// Tells whether the daemon asks a platform. `None` if the token comes from a file or a command.
fn asks_platform(github: &CredentialStatus) -> Option<bool> {
    let of_platform = !["file", "command"].contains(&github.source.as_str());
    of_platform.then_some(github.refreshable || github.next_refresh_in_s.is_some())
}

/// Describes the platform's last answer to the daemon. A failure is reported by the credential's
/// own finding.
fn describe_last_answer(github: &CredentialStatus) -> String {
    let last = github.last_success_ago_s.map_or_else(
        || "it hasn't answered yet".to_owned(),
        |ago| format!("its last answer came {} ago", humantime::format_duration(Duration::from_secs(ago))),
    );
    format!("the daemon asks it, and this environment doesn't name it; {last}")
}

fn check_platform(settings: &platform::PlatformSettings, scene: &Scene) -> Vec<Finding> {
    let path = settings.bearer_path.display();
    let bearer = match bounded_file::text(&settings.bearer_path) {
        Ok(text) if text.trim().is_empty() => Some(format!("{path} is empty")),
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("{path} isn't there")),
        // The daemon may keep its bearer from this user, which is good. The
        // credential's finding says whether the bearer works.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let what = format!("{path} isn't readable for this user");
            return vec![match scene.status {
                Some(_) => Finding::ok("bearer", format!("{what}, only for the daemon")),
                None => Finding::warn("bearer", what, "no daemon is running that could check it: run doctor as root"),
            }];
        }
        Err(error) => Some(format!("{path} can't be read: {error}")),
    };
    if let Some(what) = bearer {
        let remedy = format!(
            "it is written when the workspace registers: wait for that, or check CONFIGS_DIR and `ls -l {}`",
            shell_path(&settings.bearer_path)
        );
        return vec![Finding::fail("bearer", what, remedy)];
    }
    let bearer = Finding::ok("bearer", format!("{path} holds a bearer"));
    match fetch(settings) {
        Ok(fresh) => {
            let mut findings = vec![bearer, Finding::ok(CHECK, "it answers with a token")];
            findings.extend(fresh.deadline.map(check_clock));
            findings
        }
        Err(failure) => vec![bearer, unreachable(scene, &failure)],
    }
}

/// Returns the finding for a failed request. A sandbox may have no network, while the daemon
/// outside has one.
fn unreachable(scene: &Scene, failure: &Failure) -> Finding {
    let is_cut_off = matches!(failure.class, Class::Connect | Class::Timeout);
    let daemon_has_one =
        scene.credentials().iter().any(|c| c.name == GITHUB && c.source == "platform" && c.state == "ok");
    if is_cut_off && daemon_has_one && client::trust::overflow() != OverflowMeaning::User {
        let what = format!("can't be reached from inside this sandbox, only by the daemon ({})", failure.message);
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

/// Returns what to do about a failure of this class.
pub(super) fn remedy(class: Class) -> &'static str {
    match class {
        Class::Http401 | Class::Http403 => "the bearer is wrong or revoked: have the workspace register again",
        Class::Http404 => {
            "no GitHub App is configured for this workspace: install one on the platform, or set ENABLE_GITHUB_MIRROR_CREDENTIALS=false"
        }
        Class::Http429 => "the platform limits this workspace: wait, and find out which other programs ask it",
        Class::Http5xx | Class::HttpOther | Class::Body => "check the platform's own log; the broker keeps trying",
        Class::Expired => "check this machine's clock (date -u) and the platform's",
        Class::Tls => "check SSL_CERT_FILE and SSL_CERT_DIR: the platform's certificate isn't trusted",
        Class::Connect | Class::Timeout => {
            "check PLATFORM_URL, the proxy variables, and the network between this machine and the platform"
        }
        Class::Config => "correct what the message names",
    }
}

/// Compares our wall clock with the platform's. The boot-time deadline was counted from the
/// platform's `Date`, and the wall-time deadline is the expiry as written: they differ by the error
/// of our wall clock.
fn check_clock(deadline: Deadline) -> Finding {
    let now = clock::now();
    let left = |end: Duration, now: Duration| end.as_secs() as i128 - now.as_secs() as i128;
    let ahead = left(deadline.wall, now.wall) - left(deadline.boot, now.boot);
    if ahead.abs() <= MAX_SKEW {
        return Finding::ok("clock", "this machine's clock agrees with the platform's");
    }
    let (by, direction) = (ahead.abs(), if ahead > 0 { "behind" } else { "ahead of" });
    let what = format!("this machine's clock is {by} s {direction} the platform's");
    Finding::fail(
        "clock",
        what,
        "set the host's clock by NTP; until then the broker uses the earlier of both expiry times",
    )
}
