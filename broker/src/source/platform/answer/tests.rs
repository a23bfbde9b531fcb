use proptest::prelude::*;

use super::*;

const DATE: &str = "Fri, 17 Apr 2026 22:00:00 GMT";
const EXPIRES: &str = "2026-04-17T22:50:00Z";
const T0: u64 = 1_776_463_200; // DATE

const fn at(boot: u64, wall: u64) -> Moment {
    Moment { boot: Duration::from_secs(boot), wall: Duration::from_secs(wall) }
}

const ASKED: RequestContext<'_> = RequestContext {
    place: "http://p/x",
    bearer_path: "/configs/.auth_token",
    secrets: &["plain-bearer"],
    sent: at(1000, T0),
    received: at(1000, T0),
    allow_missing_expiry: false,
};

fn asked_at(wall: u64) -> RequestContext<'static> {
    RequestContext { sent: at(1000, wall), received: at(1000, wall), ..ASKED }
}

fn answer(body: &str) -> PlatformAnswer<'_> {
    PlatformAnswer { status: 200, date: Some(DATE), body: body.as_bytes(), ..PlatformAnswer::default() }
}

fn token(expires_at: &str) -> String {
    format!(r#"{{"token":"ghs_canary","expires_at":"{expires_at}"}}"#)
}

fn deadline_of(body: &str, asked: &RequestContext<'_>) -> Deadline {
    parse(&answer(body), asked).unwrap().deadline.unwrap()
}

#[test]
fn a_good_answer_is_a_token_and_the_sooner_of_two_deadlines() {
    let body = r#"{"x":[1],"token":"ghs_canary","expires_at":"2026-04-17T22:50:00.5Z"}"#;
    let fresh = parse(&answer(body), &ASKED).unwrap();
    assert_eq!(fresh.secret.expose(), "ghs_canary");
    assert_eq!(fresh.source, SourceKind::Platform);
    let deadline = fresh.deadline.unwrap();
    assert_eq!(deadline.boot, Duration::from_millis(1_000_000 + 3_000_500));
    assert_eq!(deadline.wall, Duration::from_millis(T0 * 1000 + 3_000_500));
}

#[test]
fn rule22_unusable_tokens_are_refused_and_not_quoted() {
    for token in ["", "canary canary", "canary\\n", "canary\\r", "canary\\u0000", "canary\\u001b", "canaryö", "\\ud800"]
    {
        let body = format!(r#"{{"token":"{token}","expires_at":"{EXPIRES}"}}"#);
        let failure = parse(&answer(&body), &ASKED).unwrap_err();
        assert_eq!(failure.class, Class::Body, "{token}");
        assert!(!failure.message.contains("canary"), "{failure}");
    }
}

#[test]
fn rule22_a_token_over_the_limit_is_refused_with_both_lengths() {
    let body = |length: usize| format!(r#"{{"token":"{}","expires_at":"{EXPIRES}"}}"#, "x".repeat(length));
    assert_eq!(parse(&answer(&body(8192)), &ASKED).unwrap().secret.expose().len(), 8192);
    let failure = parse(&answer(&body(8193)), &ASKED).unwrap_err();
    assert_eq!(failure.class, Class::Body);
    assert!(failure.message.contains("it has 8193 bytes, and 8192 is the limit"), "{failure}");
}

#[test]
fn rule22_a_past_absent_or_malformed_expiry_is_refused() {
    for (body, class) in [
        (token("2026-04-17T22:00:00Z"), Class::Expired),
        (token("2020-01-01T00:00:00Z"), Class::Expired),
        (token("1960-01-01T00:00:00Z"), Class::Expired),
        (token("2026-04-17 22:50:00"), Class::Body),
        (token(""), Class::Body),
        (r#"{"token":"ghs_canary"}"#.to_owned(), Class::Body),
        (r#"{"token":"ghs_canary","expires_at":null}"#.to_owned(), Class::Body),
        (r#"{"token":"ghs_canary","expires_at":1776466200}"#.to_owned(), Class::Body),
    ] {
        let failure = parse(&answer(&body), &ASKED).unwrap_err();
        assert_eq!(failure.class, class, "{body}");
        assert!(!failure.message.contains("canary"), "{failure}");
    }
}

#[test]
fn rule22_an_absent_expiry_is_an_hour_if_so_configured() {
    let asked = RequestContext { allow_missing_expiry: true, ..ASKED };
    let deadline = deadline_of(r#"{"token":"ghs_canary"}"#, &asked);
    assert_eq!(deadline, Deadline::after(ASKED.sent, Duration::from_secs(3600)));
    assert!(parse(&answer(&token("soon")), &asked).is_err());
}

#[test]
fn rule42_an_answer_without_a_token_is_refused_and_not_quoted() {
    let cut = &token(EXPIRES)[..30];
    let huge = format!("{}{}", token(EXPIRES), " ".repeat(MAX_BODY));
    for body in [
        "",
        cut,
        "<html>canary</html>",
        "\"canary\"",
        "null",
        "[]",
        "{}",
        "{\"canary\":1}",
        r#"{"token":7,"expires_at":"canary"}"#,
        r#"{"token":"canary","token":"canary"}"#,
        &huge,
        &"[".repeat(5000),
    ] {
        let failure = parse(&answer(body), &ASKED).unwrap_err();
        assert_eq!(failure.class, Class::Body, "{body:.60}");
        assert!(!failure.message.contains("canary"), "{failure}");
    }
}

#[test]
fn rule44_a_wrong_wall_clock_extends_no_life_and_is_named() {
    // Two hours back: the answer's own date counts, less the second that it is
    // rounded to.
    let deadline = deadline_of(&token(EXPIRES), &asked_at(T0 - 7200));
    assert_eq!(deadline.boot, Duration::from_secs(1000 + 2999));
    // Two hours ahead: expired by this clock, and the message names the clock.
    let failure = parse(&answer(&token(EXPIRES)), &asked_at(T0 + 7200)).unwrap_err();
    assert_eq!(failure.class, Class::Expired);
    assert!(failure.message.contains("set this machine's clock"), "{failure}");
}

#[test]
fn a_wrong_date_header_gives_no_life_beyond_githubs_maximum() {
    let answer = PlatformAnswer { date: Some("Fri, 17 Apr 2026 12:00:00 GMT"), ..answer("") };
    let body = token(EXPIRES);
    let answer = PlatformAnswer { body: body.as_bytes(), ..answer };
    let deadline = parse(&answer, &ASKED).unwrap().deadline.unwrap();
    assert_eq!(deadline.boot, Duration::from_secs(1000 + 3600));
    assert_eq!(deadline.wall, Duration::from_secs(T0 + 3000));
}

#[test]
fn without_a_date_header_the_wall_clock_counts() {
    let body = token(EXPIRES);
    for date in [None, Some("yesterday")] {
        let answer = PlatformAnswer { date, ..answer(&body) };
        let deadline = parse(&answer, &ASKED).unwrap().deadline.unwrap();
        assert_eq!(deadline.boot, Duration::from_secs(1000 + 3000));
    }
}

#[test]
fn a_slow_answer_counts_from_when_it_was_asked_for() {
    let asked = RequestContext { received: at(1006, T0 + 6), ..ASKED };
    let deadline = deadline_of(&token(EXPIRES), &asked);
    assert_eq!(deadline.boot, Duration::from_secs(1000 + 3000));
}

#[test]
fn each_status_has_its_class_and_a_remedy() {
    for (status, class) in [
        (401, Class::Http401),
        (403, Class::Http403),
        (404, Class::Http404),
        (429, Class::Http429),
        (500, Class::Http5xx),
        (503, Class::Http5xx),
        (599, Class::Http5xx),
        (204, Class::HttpOther),
        (302, Class::HttpOther),
        (407, Class::HttpOther),
        (418, Class::HttpOther),
    ] {
        let body = token(EXPIRES);
        let failure = parse(&PlatformAnswer { status, ..answer(&body) }, &ASKED).unwrap_err();
        assert_eq!(failure.class, class);
        assert!(failure.message.contains(&format!("http://p/x answered {status}")), "{failure}");
        assert!(!failure.message.contains("canary"), "{failure}");
    }
}

#[test]
fn rule23_the_words_of_an_error_are_quoted_without_its_secrets() {
    for (body, quoted) in [
        (r#"{"error":"token refresh failed"}"#, "answered 500 (token refresh failed): "),
        (r#"{"error":"not plain-bearer\u001b[2J"}"#, "(not [redacted]\\u{1b}[2J)"),
        ("no ghs_canary", "(no ghs_[redacted])"),
        (r#"{"token":"canary"}"#, "answered 500: "),
        ("", "answered 500: "),
    ] {
        let failure = parse(&PlatformAnswer { status: 500, ..answer(body) }, &ASKED).unwrap_err();
        assert!(failure.message.contains(quoted), "{failure}");
        assert!(!failure.message.contains("canary"), "{failure}");
    }
}

#[test]
fn rule13_a_redirect_is_shown_without_login_and_query() {
    let answer = PlatformAnswer { status: 302, location: Some("http://u:canary@q/x?canary"), ..answer("") };
    let failure = parse(&answer, &ASKED).unwrap_err();
    assert!(failure.message.contains("302 to http://[redacted]@q/x"), "{failure}");
    assert!(!failure.message.contains("canary"), "{failure}");
}

#[test]
fn rule41_retry_after_is_seconds_or_a_future_date() {
    let hour = Some(3600);
    for (text, seconds) in [
        ("120", Some(120)),
        (" 0 ", Some(0)),
        ("Fri, 17 Apr 2026 22:02:00 GMT", Some(120)),
        ("Fri, 17 Apr 2026 21:00:00 GMT", None),
        ("1000000000", hour),
        ("99999999999999999999999999", hour),
        ("Fri, 17 Apr 2099 22:02:00 GMT", hour),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
    ] {
        for status in [429, 503] {
            let answer = PlatformAnswer { status, retry_after: Some(text), ..answer("") };
            // The date is compared with the answer's own clock.
            let failure = parse(&answer, &asked_at(T0 - 7200)).unwrap_err();
            assert_eq!(failure.retry_after, seconds.map(Duration::from_secs), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_a_panic_and_never_quoted_raw(
        status in 100_u16..=999,
        date in proptest::option::of("\\PC{0,40}"),
        retry_after in proptest::option::of("\\PC{0,40}"),
        location in proptest::option::of("\\PC{0,40}"),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let answer = PlatformAnswer {
            status,
            date: date.as_deref(),
            retry_after: retry_after.as_deref(),
            location: location.as_deref(),
            body: &body,
        };
        let failure = parse(&answer, &ASKED).unwrap_err();
        prop_assert!(failure.message.len() < 800);
        prop_assert!(failure.message.bytes().all(|b| (0x20..0x7f).contains(&b)));
    }

    #[test]
    fn no_skew_of_either_clock_makes_a_life_longer_than_it_is(
        // In milliseconds: the true time of the request, its way there and
        // back, and the error of the local clock. In seconds: the token's
        // true life.
        start in 0_u64..1000,
        there in 0_u64..3000,
        back in 0_u64..3000,
        skew in -7_200_000_i64..7_200_000,
        life in 1_u64..3_600,
    ) {
        let ms = Duration::from_millis;
        let wall = |true_ms: u64| {
            ms(u64::try_from(i64::try_from(T0 * 1000 + true_ms).unwrap() + skew).unwrap())
        };
        let end = T0 + life;
        let date = ms(T0 * 1000 + start + there).as_secs();
        let asked = RequestContext {
            sent: Moment { boot: ms(start), wall: wall(start) },
            received: Moment { boot: ms(start + there + back), wall: wall(start + there + back) },
            ..ASKED
        };
        let deadline = deadline(Duration::from_secs(end), Some(Duration::from_secs(date)), &asked);
        // The boot clock of this machine began at T0. Where the wall clock
        // seems to agree with the date, it is wrong by at most a round trip
        // and the second that the date is rounded to.
        let slack = if skew == 0 { Duration::ZERO } else { ms(there + back) + ms(1000) };
        prop_assert!(deadline.boot <= Duration::from_secs(life) + slack);
        prop_assert_eq!(deadline.wall, Duration::from_secs(end));
    }
}
