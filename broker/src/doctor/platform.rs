//! The platform, asked once as the daemon asks it: the bearer, the way there,
//! its answer, and whether its clock agrees with ours.

use std::io::ErrorKind;
use std::time::Duration;

use super::{Finding, Scene};
use crate::clock;
use crate::config::{GITHUB, SourceConfig};
use crate::lease::{Class, Failure, Fresh};
use crate::moment::Deadline;
use crate::small;
use crate::source::{Platform, platform};
use crate::status::Status;
use crate::text::shell_path;

/// Clocks further apart than this are set wrong.
const SKEW: i128 = 30;

pub(super) fn check(scene: &Scene, status: Option<&Status>) -> Vec<Finding> {
    let Ok(config) = &scene.config else { return Vec::new() };
    let platforms: Vec<&platform::Settings> = config
        .credentials
        .iter()
        .filter_map(|c| match &c.source {
            SourceConfig::Platform(settings) => Some(settings),
            _ => None,
        })
        .collect();
    if platforms.is_empty() {
        let github = config.credential(GITHUB);
        return match github.map(|c| &c.source) {
            Some(SourceConfig::Missing(_) | SourceConfig::Env(_)) => {
                let what = "no platform is configured, so no token is ever renewed";
                vec![Finding::warn(
                    "platform",
                    what,
                    "set PLATFORM_URL (and WORKSPACE_ID), or ENABLE_GITHUB_MIRROR_CREDENTIALS=false if none is wanted",
                )]
            }
            _ => Vec::new(),
        };
    }
    platforms.into_iter().flat_map(|settings| ask(settings, status)).collect()
}

fn ask(settings: &platform::Settings, status: Option<&Status>) -> Vec<Finding> {
    let path = settings.bearer_path.display();
    let bearer = match small::text(&settings.bearer_path) {
        Ok(text) if text.trim().is_empty() => Some(format!("{path} is empty")),
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("{path} isn't there")),
        // Kept from this user, as it may well be. The daemon's own line tells
        // whether it works.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let what = format!("{path} isn't this user's to read");
            return vec![match status {
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
            let mut findings = vec![bearer, Finding::ok("platform", "it gives a token")];
            findings.extend(fresh.deadline.map(skew));
            findings
        }
        Err(failure) => vec![bearer, Finding::fail("platform", failure.message.clone(), remedy(failure.class))],
    }
}

fn fetch(settings: &platform::Settings) -> Result<Fresh, Failure> {
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
