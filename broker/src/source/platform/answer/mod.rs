//! Parses the platform's answer. No IO and no clock: the same bytes give the same result.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use crate::credential::lease::{Class, Failure, Fresh, GITHUB_TOKEN_LIFE, SourceKind};
use crate::credential::secret::Secret;
use crate::source::expiry::{parse_http_date, parse_rfc3339};
use crate::system::text::{untrusted, untrusted_without};
use crate::system::time::{Deadline, Moment, Wall};

/// The longest accepted body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Limit for `Retry-After`. A longer wait is taken for a mistake and shortened.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// The parts of an answer that are used.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlatformAnswer<'a> {
    pub status: u16,
    pub date: Option<&'a str>,
    pub retry_after: Option<&'a str>,
    pub location: Option<&'a str>,
    pub body: &'a [u8],
}

/// The request that an answer belongs to.
#[derive(Clone, Copy)]
pub struct RequestContext<'a> {
    pub place: &'a str,
    pub bearer_path: &'a str,
    /// Secrets that no message may quote if the answer echoes them.
    pub secrets: &'a [&'a str],
    pub sent: Moment,
    pub received: Moment,
    pub allow_missing_expiry: bool,
}

/// The keys of a good body that are read. All other keys are ignored.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    expires_at: Option<String>,
}

/// Parses an answer into a live token.
///
/// # Errors
/// Returns a [`Failure`] for any other answer.
pub fn parse(answer: &PlatformAnswer<'_>, asked: &RequestContext<'_>) -> Result<Fresh, Failure> {
    if answer.status != 200 {
        return Err(status_failure(answer, asked));
    }
    let fail = |class, what: String| Failure::new(class, format!("GET {} {what}", asked.place));
    if answer.body.len() > MAX_BODY {
        return Err(fail(Class::Body, format!("answered with more than {MAX_BODY} bytes")));
    }
    // serde would also accept a list of two values, which isn't a platform's answer.
    if answer.body.trim_ascii_start().starts_with(b"[") {
        return Err(fail(Class::Body, "answered 200 with a JSON list: is PLATFORM_URL the platform's?".into()));
    }
    // serde's own message isn't shown, since it quotes the input.
    let body: Body<'_> = serde_json::from_slice(answer.body).map_err(|e| {
        fail(
            Class::Body,
            format!(
                "answered 200 with something other than {{\"token\", \"expires_at\"}} \
                 ({}; line {}, column {} of {} bytes): is PLATFORM_URL the platform's?",
                match e.classify() {
                    serde_json::error::Category::Eof => "it is cut short",
                    serde_json::error::Category::Data => "a key is missing or of a wrong type",
                    _ => "it isn't JSON",
                },
                e.line(),
                e.column(),
                answer.body.len(),
            ),
        )
    })?;
    let secret = Secret::token(&body.token)
        .map_err(|unfit| fail(Class::Body, format!("answered with an unusable token: {unfit}")))?;
    let deadline = match body.expires_at.as_deref() {
        Some(text) => {
            let end = parse_rfc3339(text).ok_or_else(|| {
                fail(Class::Body, "answered with an \"expires_at\" that isn't an RFC 3339 time".into())
            })?;
            deadline(end, answer.date.and_then(parse_http_date), asked)
        }
        None if asked.allow_missing_expiry => Deadline::after(asked.sent, GITHUB_TOKEN_LIFE),
        None => return Err(fail(Class::Body, "answered without an \"expires_at\"".into())),
    };
    if deadline.left(asked.received).is_zero() {
        return Err(fail(
            Class::Expired,
            match deadline.boot > asked.received.boot {
                true => "answered with a token that has expired by this machine's clock but not by \
                         the platform's: set this machine's clock"
                    .into(),
                false => "answered with a token that has already expired: check the platform's cache \
                          and clock"
                    .into(),
            },
        ));
    }
    Ok(Fresh { username: None, secret, deadline: Some(deadline), source: SourceKind::Platform })
}

/// Returns the deadline of a token that expires at `end`.
///
/// The token's life is counted from before the request was sent, although the server's `date` was
/// written later. A life that is too short by one round trip costs nothing, but a life that is too
/// long would serve an expired token. For the same reason a `date`, which is truncated to the
/// second, counts as the end of that second. If this machine's clock agrees with the `date`, the
/// clock is used instead, because it is more precise.
///
/// The boot side is capped at GitHub's own maximum. A longer life means that some clock is wrong,
/// and then the cap is the only reliable bound. The wall side is left as written, since git and
/// people are shown that value.
fn deadline(end: Wall, date: Option<Wall>, asked: &RequestContext<'_>) -> Deadline {
    const SECOND: Duration = Duration::from_secs(1);
    let (sent, received) = (asked.sent.wall, asked.received.wall);
    let then = match date {
        Some(date) if received < date || date + SECOND < sent => date + SECOND,
        _ => sent,
    };
    Deadline { boot: asked.sent.boot + end.saturating_sub(then).min(GITHUB_TOKEN_LIFE), wall: end }
}

fn status_failure(answer: &PlatformAnswer<'_>, asked: &RequestContext<'_>) -> Failure {
    let (class, remedy) = match answer.status {
        401 => (Class::Http401, "the bearer is wrong or revoked; see"),
        403 => (Class::Http403, "the bearer may not do this; see"),
        404 => (Class::Http404, "no GitHub App is configured there, or the workspace is unknown"),
        429 => (Class::Http429, "too many requests; waiting"),
        500..=599 => (Class::Http5xx, "a fault of the platform; waiting"),
        300..=399 => (Class::HttpOther, "redirects are not followed; correct PLATFORM_URL"),
        407 => (Class::HttpOther, "the proxy requires credentials; put them in its URL"),
        _ => (Class::HttpOther, "not what the platform answers; check PLATFORM_URL"),
    };
    let mut message = format!("GET {} answered {}", asked.place, answer.status);
    if let Some(location) = answer.location {
        let target = location.split(['?', '#']).next().unwrap_or_default();
        let target = untrusted_without(target, asked.secrets);
        message.push_str(&format!(" to {target}"));
    }
    if let Some(text) = error_text(answer.body) {
        message.push_str(&format!(" ({})", untrusted_without(&text, asked.secrets)));
    }
    message.push_str(&format!(": {remedy}"));
    if matches!(class, Class::Http401 | Class::Http403) {
        message.push_str(&format!(" {}", untrusted(asked.bearer_path)));
    }
    Failure {
        class,
        message,
        retry_after: answer.retry_after.and_then(|text| {
            let now = answer.date.and_then(parse_http_date).unwrap_or(asked.received.wall);
            parse_retry_after(text.trim(), now)
        }),
    }
}

/// Returns the text of an error's body: the value of `error`, `message` or `detail` in a JSON
/// object, or the whole body if it is plain text. Other JSON has no text.
fn error_text(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct ErrorBody {
        #[serde(alias = "message", alias = "detail")]
        error: String,
    }
    if let Ok(ErrorBody { error }) = serde_json::from_slice(body) {
        return Some(error);
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    (!text.is_empty() && !text.starts_with(['{', '['])).then(|| text.to_owned())
}

/// Parses `Retry-After`: seconds or a date. The result is capped at [`MAX_RETRY_AFTER`], so a wrong
/// clock can't make a date ask for more. A date in the past gives no wait.
fn parse_retry_after(text: &str, now: Wall) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // Only a number beyond u64 fails to parse.
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let until = parse_http_date(text)?.checked_sub(now)?;
    Some(until.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests;
