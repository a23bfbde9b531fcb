//! The configuration as it was read here, and the credentials as the daemon
//! reports them.

use super::finding::{Finding, Remedy};
use super::{Scene, platform};
use crate::credential::lease::Class;
use crate::daemon::status;

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    let mut findings = configuration(scene);
    findings.extend(scene.credentials().iter().map(credential));
    findings
}

fn configuration(scene: &Scene) -> Vec<Finding> {
    let config = match &scene.config {
        Ok(config) => config,
        Err(problems) => {
            let remedy = match scene.status {
                Some(_) => "correct it, then run: molecule-broker reload",
                // A daemon that isn't there can't be asked to read it again.
                None => {
                    "correct it: supervise then starts the daemon by itself within 30 s; under systemd: systemctl restart molecule-broker"
                }
            };
            return problems.0.iter().map(|p| Finding::fail("config", format!("{p}"), remedy)).collect();
        }
    };
    let scope = scene.unscoped().map_or_else(
        || Finding::ok("scope", "every credential has origins of its own"),
        |name| {
            let what = format!(
                "the credential {name} goes to any https host that asks for one and that no other credential claims"
            );
            Finding::warn("scope", what, scope_remedy(&name))
        },
    );
    let file = config.file.as_ref().map_or("environment alone".into(), |f| f.display().to_string());
    vec![Finding::ok("config", format!("good ({file})")), scope]
}

/// Returns the remedy that limits a credential for any origin to origins of its own.
#[must_use]
pub fn scope_remedy(credential: &str) -> String {
    let variable = if credential == "persona" { "MOLECULE_BROKER_PERSONA_HOSTS where it is started, or " } else { "" };
    format!("name its hosts in {variable}`origins` of the credential {credential} in the configuration file")
}

fn credential(c: &status::CredentialStatus) -> Finding {
    // The last error stays in the status after it is over.
    let lasting = c.last_error.as_ref().filter(|_| c.state != "ok" || c.consecutive_failures > 0);
    let error = lasting.map_or(String::new(), |e| format!(", {}: {}", e.class, e.message));
    let what = format!("{} is {}{error}", c.name, c.state);
    match c.state.as_str() {
        "ok" => Finding::ok("credential", what),
        "starting" => Finding::warn("credential", what, Remedy::command("molecule-broker status --wait 30s")),
        "stale" => {
            // A daemon of another version may have a class of its own.
            let class = lasting.and_then(|error| Class::named(&error.class));
            let of_platform = !["file", "command"].contains(&c.source.as_str());
            let class = class.filter(|_| of_platform).unwrap_or(Class::Config);
            Finding::warn("credential", what, platform::remedy(class))
        }
        "unconfigured" => Finding::warn("credential", what, "configure its source, or leave it if nothing needs it"),
        _ => Finding::fail(
            "credential",
            what,
            format!("mend what the error names, then: molecule-broker refresh {}", c.name),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::status::{CredentialStatus, LastError};
    use crate::doctor::Level;

    fn of(state: &str, failures: u32) -> Finding {
        let last_error =
            Some(LastError { class: "http_5xx".into(), message: "GET … answered 503".into(), ago_s: 540 });
        credential(&CredentialStatus {
            name: "github".into(),
            state: state.into(),
            source: "platform".into(),
            origins: vec!["github.com".into()],
            scoped: true,
            refreshable: true,
            serving: true,
            generation: 7,
            expires_in_s: Some(3000),
            next_refresh_in_s: Some(2000),
            last_success_ago_s: Some(500),
            last_error,
            consecutive_failures: failures,
            upstream_cached: false,
            suspect: false,
            token_sha256: None,
            requests: 1,
        })
    }

    #[test]
    fn an_error_that_is_over_is_not_shown() {
        assert_eq!(of("ok", 0), Finding::ok("credential", "github is ok"));
        let stale = of("stale", 2);
        assert!(stale.level == Level::Warn && stale.what.contains("http_5xx") && stale.what.contains("503"));
    }
}
