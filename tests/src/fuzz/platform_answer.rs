//! The answers of the platform.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use molecule_broker::credential::lease::{Class, Failure, Fresh};
use molecule_broker::credential::secret::MAX_SECRET;
use molecule_broker::source::platform::answer::{MAX_BODY, PlatformAnswer, RequestContext, parse};
use molecule_broker::system::time::Moment;
use serde_json::Value;

use super::Draw;

const BEARER: &str = "bearer-canary-0123456789";
const SENT: Moment = Moment { boot: Duration::from_secs(5_000), wall: Duration::from_secs(1_776_466_200) };
const HOUR: Duration = Duration::from_secs(3600);

/// A status line (`200`, or `200 MILLISECONDS` for an answer that took this
/// long), header lines, an empty line and the body. The bytes are also the
/// random source for a valid answer. The request is sent at
/// 2026-04-17T22:50:00Z.
pub fn platform_answer(bytes: &[u8]) {
    let (head, body) = match bytes.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, &[][..]),
    };
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let status = first.next().and_then(|word| word.parse().ok()).unwrap_or(200);
    let took: u16 = first.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let answer = PlatformAnswer {
        status,
        date: header("Date"),
        retry_after: header("Retry-After"),
        location: header("Location"),
        body,
    };
    let asked = asked(Duration::from_millis(took.into()), header("Missing").is_some());
    match parse(&answer, &asked) {
        Ok(fresh) => is_what_the_body_says(&answer, &asked, &fresh),
        Err(failure) => says_no_more_than_it_may(&answer, &failure),
    }
    a_good_one_is_taken(&mut Draw(bytes));
}

fn asked(took: Duration, allow_missing_expiry: bool) -> RequestContext<'static> {
    RequestContext {
        place: "http://platform.test/",
        bearer_path: "/configs/.auth_token",
        secrets: &[BEARER],
        sent: SENT,
        received: SENT.plus(took),
        allow_missing_expiry,
    }
}

fn is_what_the_body_says(answer: &PlatformAnswer<'_>, asked: &RequestContext<'_>, fresh: &Fresh) {
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() <= MAX_BODY);
    let token = fresh.secret.expose();
    assert!((1..=MAX_SECRET).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic()));

    let deadline = fresh.deadline.expect("a token of the platform has an expiry");
    assert!(!deadline.left(asked.received).is_zero(), "the token is dead on arrival");
    assert!(deadline.boot <= SENT.boot + HOUR, "the token lives longer than any of GitHub's");
    // The parser checks only the shape of unknown keys. So this reader may
    // refuse something that the parser ignored: bytes that aren't text, or a
    // huge number.
    let Ok(body) = serde_json::from_str::<Value>(&String::from_utf8_lossy(answer.body)) else { return };
    assert_eq!(body["token"], token);
    match &body["expires_at"] {
        Value::String(text) => assert_eq!(Some(deadline.wall), naive_rfc3339(text), "{text}"),
        other => assert!(asked.allow_missing_expiry && other.is_null(), "{other}"),
    }
    if answer.date.is_none() {
        let by_the_wall = deadline.wall.saturating_sub(SENT.wall);
        assert!(
            deadline.boot.saturating_sub(SENT.boot) <= by_the_wall,
            "the token lives longer by one clock than by the other"
        );
    }
}

/// Reads a date by counting days one month at a time: slow, and hard to get
/// wrong.
fn naive_rfc3339(text: &str) -> Option<Duration> {
    let upper = text.to_ascii_uppercase();
    let (date, rest) = upper.split_once('T')?;
    let number = |text: &str| text.parse::<i64>().ok();
    let mut date = date.split('-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, zone) = rest.split_at(rest.find(['Z', '+', '-'])?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.split(':').map(number);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let offset = match zone.split_at(1) {
        ("Z", "") => 0,
        (sign, zone) => {
            let (hours, minutes) = zone.split_once(':')?;
            let seconds = number(hours)? * 3600 + number(minutes)? * 60;
            if sign == "-" { -seconds } else { seconds }
        }
    };
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = |year, month| match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let years: i64 = if year >= 1970 {
        (1970..year).map(|year| 365 + i64::from(is_leap(year))).sum()
    } else {
        -(year..1970).map(|year| 365 + i64::from(is_leap(year))).sum::<i64>()
    };
    let days = years + (1..month).map(|month| length(year, month)).sum::<i64>() + day - 1;
    // A leap second is read as the second before it.
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second.min(59) - offset;
    let nanos = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(u64::try_from(seconds).map_or(Duration::ZERO, |seconds| Duration::new(seconds, nanos)))
}

fn says_no_more_than_it_may(answer: &PlatformAnswer<'_>, failure: &Failure) {
    let expected: &[Class] = match answer.status {
        200 => &[Class::Body, Class::Expired],
        401 => &[Class::Http401],
        403 => &[Class::Http403],
        404 => &[Class::Http404],
        429 => &[Class::Http429],
        500..=599 => &[Class::Http5xx],
        _ => &[Class::HttpOther],
    };
    assert!(expected.contains(&failure.class), "{failure}");
    assert!(failure.retry_after.is_none_or(|wait| wait <= HOUR));
    assert!(answer.retry_after.is_some() || failure.retry_after.is_none());
    let said = &failure.message;
    assert!(said.len() < 800, "{} bytes: {said}", said.len());
    assert!(said.bytes().all(|b| (b' '..0x7f).contains(&b)), "{said:?}");
    assert!(!said.contains(BEARER), "{said}");
    if answer.status == 200
        && let Ok(Value::Object(body)) = serde_json::from_slice(answer.body)
        && let Some(Value::String(token)) = body.get("token")
    {
        let is_telling = token.starts_with("ghs_") && token.len() > 8;
        assert!(!is_telling || !said.contains(token.as_str()), "{said}");
    }
}

fn a_good_one_is_taken(draw: &mut Draw<'_>) {
    let life = Duration::from_millis(10_000 + draw.number() % 3_590_000);
    let took = Duration::from_millis(draw.number() % 7_000);
    let skew = if draw.byte() & 1 == 0 { 0 } else { draw.number() % 100_000 };
    let end = SENT.wall + life;
    let stamp = jiff::Timestamp::new(end.as_secs() as i64, end.subsec_nanos() as i32).expect("a time of this century");
    let token = format!("ghs_{}", Ipv4Addr::from(draw.number() as u32));
    let body = format!(r#"{{"token":"{token}","expires_at":"{stamp}","new":[{}]}}"#, draw.byte());
    // The platform's clock may be behind. Then its token lives longer than an
    // hour by that clock, and only the cap limits its life.
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + SENT.wall - Duration::from_secs(skew));
    let answer = PlatformAnswer {
        status: 200,
        date: (draw.byte() & 1 == 0).then_some(date.as_str()),
        body: body.as_bytes(),
        ..PlatformAnswer::default()
    };
    let asked = asked(took, false);
    let fresh = parse(&answer, &asked).unwrap_or_else(|failure| panic!("a valid answer is refused: {failure}"));
    assert_eq!(fresh.secret.expose(), token);
    is_what_the_body_says(&answer, &asked, &fresh);
}
