//! Parses the content of a file or the output of a command: one line with the credential, or a JSON
//! object like the platform's, `{"token", "expires_at"}`.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::expiry;
use crate::credential::lease::{Class, Failure, Fresh, SourceKind};
use crate::credential::secret::Secret;
use crate::system::time::{Deadline, Moment};

/// The longest text that is accepted, in bytes.
pub(super) const MAX_TOKEN_TEXT: usize = 64 * 1024;

#[derive(Deserialize)]
struct JsonToken<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    expires_at: Option<String>,
}

/// Parses a credential. A text that begins with `{` must be JSON: a partly written JSON text must
/// not be served as a password. `place` names the source in messages.
pub(super) fn parse(content: &[u8], place: &str, now: Moment, source: SourceKind) -> Result<Fresh, Failure> {
    let body = |what: String| Failure::new(Class::Body, format!("{place} {what}"));
    let text = std::str::from_utf8(content).map_err(|_| body("isn't UTF-8 text".to_owned()))?.trim();
    let (value, expires_at) = if text.starts_with('{') {
        let json: JsonToken<'_> = serde_json::from_str(text).map_err(|e| {
            body(format!(
                "begins with '{{' but isn't a JSON object with a \"token\" \
                 (line {}, column {})",
                e.line(),
                e.column()
            ))
        })?;
        (json.token, json.expires_at)
    } else {
        (Cow::Borrowed(text), None)
    };
    let secret = Secret::password(&value).map_err(|unfit| body(format!("holds no usable credential: {unfit}")))?;
    let deadline = match expires_at.as_deref().map(expiry::parse_rfc3339) {
        None => None,
        Some(None) => {
            return Err(body("has an \"expires_at\" that isn't an RFC 3339 time".into()));
        }
        Some(Some(end)) if end <= now.wall => {
            return Err(Failure::new(
                Class::Expired,
                format!("{place} holds a credential that has expired: have it renewed"),
            ));
        }
        Some(Some(end)) => Some(deadline_at(end, now)),
    };
    Ok(Fresh { username: None, secret, deadline, source })
}

fn deadline_at(end: Duration, now: Moment) -> Deadline {
    Deadline { boot: now.boot + (end - now.wall), wall: end }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment { boot: Duration::from_secs(100), wall: Duration::from_secs(1_776_466_200 - 600) };

    fn read(text: &str) -> Result<Fresh, Failure> {
        parse(text.as_bytes(), "test", NOW, SourceKind::File)
    }

    #[test]
    fn a_line_is_the_credential_without_its_surrounding_blanks() {
        let fresh = read("  pass word\n").unwrap();
        assert_eq!((fresh.secret.expose(), fresh.deadline), ("pass word", None));
    }

    #[test]
    fn json_brings_its_expiry_along() {
        let fresh = read(r#"{"token":"t","expires_at":"2026-04-17T22:50:00Z","x":1}"#).unwrap();
        assert_eq!(fresh.secret.expose(), "t");
        assert_eq!(fresh.deadline, Some(Deadline::after(NOW, Duration::from_secs(600))));
    }

    #[test]
    fn a_torn_empty_or_expired_text_is_refused_and_not_quoted() {
        for (text, class) in [
            ("", Class::Body),
            ("canary\ncanary", Class::Body),
            (r#"{"token":"canary"#, Class::Body),
            (r#"{"token":["canary"]}"#, Class::Body),
            (r#"{"token":"canary","expires_at":"canary"}"#, Class::Body),
            (r#"{"token":"canary","expires_at":"2026-04-17T22:40:00Z"}"#, Class::Expired),
        ] {
            let failure = read(text).unwrap_err();
            assert_eq!(failure.class, class, "{text}");
            assert!(!failure.message.contains("canary"), "{failure}");
        }
    }
}
