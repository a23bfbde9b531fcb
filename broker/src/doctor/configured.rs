//! Checks of the configuration as it was read here, and of the credentials as the daemon reports
//! them.

use super::finding::{Finding, Remedy};
use super::{Scene, platform};
use crate::credential::lease::Class;
use crate::daemon::status;

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    let mut findings = check_configuration(scene);
    findings.extend(scene.credentials().iter().map(check_credential));
    findings
}

fn check_configuration(scene: &Scene) -> Vec<Finding> {
    let config = match &scene.config {
        Ok(config) => config,
        Err(problems) => {
            let remedy = match scene.status {
                Some(_) => "correct it, then run: molecule-broker reload",
                // Without a daemon, `reload` has no process to ask.
                None => {
                    "correct it: supervise then starts the daemon automatically within 30 s; under systemd: systemctl restart molecule-broker"
                }
            };
            return problems.0.iter().map(|p| Finding::fail("config", format!("{p}"), remedy)).collect();
        }
    };
    let scope = scene.unscoped().map_or_else(
        || Finding::ok("scope", "every credential has origins of its own"),
        |name| {
            let what = format!(
                "the credential {name} is given to any https host that asks for a login and that no other credential claims"
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
    let variable =
        if credential == "persona" { "MOLECULE_BROKER_PERSONA_HOSTS where the broker is started, or in " } else { "" };
    format!("name its hosts in {variable}`origins` of the credential {credential} in the configuration file")
}

fn check_credential(c: &status::CredentialStatus) -> Finding {
    // The status shows the last error even after a later success.
    let lasting = c.last_error.as_ref().filter(|_| c.state != "ok" || c.consecutive_failures > 0);
    let error = lasting.map_or(String::new(), |e| format!(", {}: {}", e.class, e.message));
    let what = format!("{} is {}{error}", c.name, c.state);
    match c.state.as_str() {
        "ok" => Finding::ok("credential", what),
        "starting" => Finding::warn("credential", what, Remedy::command("molecule-broker status --wait 30s")),
        "stale" => {
            // A daemon of another version may report an unknown class.
            let class = lasting.and_then(|error| Class::named(&error.class));
            let of_platform = !["file", "command"].contains(&c.source.as_str());
            let class = class.filter(|_| of_platform).unwrap_or(Class::Config);
            Finding::warn("credential", what, platform::remedy(class))
        }
        "unconfigured" => Finding::warn("credential", what, "configure its source, or do nothing if no host needs it"),
        _ => Finding::fail(
            "credential",
            what,
            format!("correct what the error names, then: molecule-broker refresh {}", c.name),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::status::{CredentialStatus, LastError};
    use crate::doctor::Level;

    fn finding_for(state: &str, failures: u32) -> Finding {
        let last_error =
            Some(LastError { class: "http_5xx".into(), message: "GET … answered 503".into(), ago_s: 540 });
        check_credential(&CredentialStatus {
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
    fn an_error_before_the_last_success_is_not_shown() {
        assert_eq!(finding_for("ok", 0), Finding::ok("credential", "github is ok"));
        let stale = finding_for("stale", 2);
        assert!(stale.level == Level::Warn && stale.what.contains("http_5xx") && stale.what.contains("503"));
    }
}
