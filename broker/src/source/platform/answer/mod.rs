//! What the platform's answer means. No IO and no clock here: the same bytes
//! give the same result.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use crate::credential::lease::{Class, Failure, Fresh, GITHUB_TOKEN_LIFE, SourceKind};
use crate::credential::secret::Secret;
use crate::source::expiry::{http_date, rfc3339};
use crate::system::text::{untrusted, untrusted_without};
use crate::system::time::{Deadline, Moment, Wall};

/// The most that is read of a body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Beyond this, a `Retry-After` is a mistake and not a wish.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// The parts of an answer that count.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlatformAnswer<'a> {
    pub status: u16,
    pub date: Option<&'a str>,
    pub retry_after: Option<&'a str>,
    pub location: Option<&'a str>,
    pub body: &'a [u8],
}

/// What was asked, and when.
#[derive(Clone, Copy)]
pub struct RequestContext<'a> {
    pub place: &'a str,
    pub bearer_path: &'a str,
    /// What no message may quote, should the answer repeat it.
    pub secrets: &'a [&'a str],
    pub sent: Moment,
    pub received: Moment,
    pub allow_missing_expiry: bool,
}

/// Only this much of a good body is looked at; whatever else is there may change.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    expires_at: Option<String>,
}

/// # Errors
/// Whatever is not a live token is a [`Failure`] that says so.
pub fn parse(answer: &PlatformAnswer<'_>, asked: &RequestContext<'_>) -> Result<Fresh, Failure> {
    if answer.status != 200 {
        return Err(refusal(answer, asked));
    }
    let fail = |class, what: String| Failure::new(class, format!("GET {} {what}", asked.place));
    if answer.body.len() > MAX_BODY {
        return Err(fail(Class::Body, format!("answered with more than {MAX_BODY} bytes")));
    }
    // serde reads a list of two as well: that is nothing a platform says.
    if answer.body.trim_ascii_start().starts_with(b"[") {
        return Err(fail(Class::Body, "answered 200 with a JSON list: is PLATFORM_URL the platform's?".into()));
    }
    // serde's own words are not passed on: they quote what they stumbled over.
    let body: Body<'_> = serde_json::from_slice(answer.body).map_err(|e| {
        fail(
            Class::Body,
            format!(
                "answered 200 with something else than {{\"token\", \"expires_at\"}} \
                 ({}; line {}, column {} of {} bytes): is PLATFORM_URL the platform's?",
                match e.classify() {
                    serde_json::error::Category::Eof => "it is cut short",
                    serde_json::error::Category::Data => "a key is missing or of a wrong type",
                    _ => "it is no JSON",
                },
                e.line(),
                e.column(),
                answer.body.len(),
            ),
        )
    })?;
    let secret = Secret::token(&body.token)
        .map_err(|unfit| fail(Class::Body, format!("answered a token of no use: {unfit}")))?;
    let deadline = match body.expires_at.as_deref() {
        Some(text) => {
            let end = rfc3339(text)
                .ok_or_else(|| fail(Class::Body, "answered an \"expires_at\" that is no RFC 3339 time".into()))?;
            deadline(end, answer.date.and_then(http_date), asked)
        }
        None if asked.allow_missing_expiry => Deadline::after(asked.sent, GITHUB_TOKEN_LIFE),
        None => return Err(fail(Class::Body, "answered no \"expires_at\"".into())),
    };
    if deadline.left(asked.received).is_zero() {
        return Err(fail(
            Class::Expired,
            match deadline.boot > asked.received.boot {
                true => "answered a token that is dead by this machine's clock and alive by \
                         the platform's: set this machine's clock"
                    .into(),
                false => "answered a token that is already dead: check the platform's cache \
                          and clock"
                    .into(),
            },
        ));
    }
    Ok(Fresh { username: None, secret, deadline: Some(deadline), source: SourceKind::Platform })
}

/// When a token that expires at `end` dies.
///
/// Its life is counted from before the request was sent, though the server's
/// `date` was written later: a life that is too short by one round trip costs
/// nothing, one that is too long serves a dead token. For the same reason a
/// `date`, which is cut to the second, counts as the second's end; only where
/// this machine's clock is seen to agree with it does that clock say more.
///
/// The boot side is capped at GitHub's own maximum. A longer life means that
/// some clock is wrong, and then the cap is the only true bound left; the wall
/// side is left as written, since that is what git and people are shown.
fn deadline(end: Wall, date: Option<Wall>, asked: &RequestContext<'_>) -> Deadline {
    const SECOND: Duration = Duration::from_secs(1);
    let (sent, received) = (asked.sent.wall, asked.received.wall);
    let then = match date {
        Some(date) if received < date || date + SECOND < sent => date + SECOND,
        _ => sent,
    };
    Deadline { boot: asked.sent.boot + end.saturating_sub(then).min(GITHUB_TOKEN_LIFE), wall: end }
}

fn refusal(answer: &PlatformAnswer<'_>, asked: &RequestContext<'_>) -> Failure {
    let (class, remedy) = match answer.status {
        401 => (Class::Http401, "the bearer is wrong or revoked; see"),
        403 => (Class::Http403, "the bearer may not do this; see"),
        404 => (Class::Http404, "no GitHub App is configured there, or the workspace is unknown"),
        429 => (Class::Http429, "too many requests; waiting"),
        500..=599 => (Class::Http5xx, "a fault of the platform's; waiting"),
        300..=399 => (Class::HttpOther, "redirects are not followed; correct PLATFORM_URL"),
        407 => (Class::HttpOther, "the proxy wants credentials; put them in its URL"),
        _ => (Class::HttpOther, "not what the platform answers; check PLATFORM_URL"),
    };
    let mut message = format!("GET {} answered {}", asked.place, answer.status);
    if let Some(location) = answer.location {
        let target = location.split(['?', '#']).next().unwrap_or_default();
        let target = untrusted_without(target, asked.secrets);
        message.push_str(&format!(" to {target}"));
    }
    if let Some(said) = said(answer.body) {
        message.push_str(&format!(" ({})", untrusted_without(&said, asked.secrets)));
    }
    message.push_str(&format!(": {remedy}"));
    if matches!(class, Class::Http401 | Class::Http403) {
        message.push_str(&format!(" {}", untrusted(asked.bearer_path)));
    }
    Failure {
        class,
        message,
        retry_after: answer.retry_after.and_then(|text| {
            let now = answer.date.and_then(http_date).unwrap_or(asked.received.wall);
            retry_after(text.trim(), now)
        }),
    }
}

/// What an error's body has to say for itself: the words under `error` or
/// `message`, nothing of any other JSON, the text if it is plain.
fn said(body: &[u8]) -> Option<String> {
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

/// Seconds or a date. Both are bounded, as is what a wrong clock makes of the
/// second; a date that has passed asks for nothing.
fn retry_after(text: &str, now: Wall) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // Only a number beyond u64 fails to parse.
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
    }
    let until = http_date(text)?.checked_sub(now)?;
    Some(until.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests;
