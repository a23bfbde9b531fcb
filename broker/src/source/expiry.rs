//! Parses the two formats of instants: RFC 3339 in bodies, HTTP dates in headers. Fractions are
//! truncated to the nanosecond, so that no life is rounded up.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::system::time::Wall;

/// Parses an RFC 3339 instant. Checks the format first, since the `jiff` parser also accepts other
/// forms of ISO 8601. Instants before 1970 are returned as 1970.
pub(super) fn parse_rfc3339(text: &str) -> Option<Wall> {
    let (moment, rest) = text.split_at_checked(19)?;
    let shaped = moment.bytes().enumerate().all(|(at, b)| match at {
        4 | 7 => b == b'-',
        10 => b == b'T' || b == b't',
        13 | 16 => b == b':',
        _ => b.is_ascii_digit(),
    });
    let (fraction, offset) = match rest.strip_prefix('.') {
        Some(rest) => {
            let offset = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let digits = rest.strip_suffix(offset).filter(|digits| !digits.is_empty())?;
            (digits, offset)
        }
        None => ("", rest),
    };
    if !shaped || !is_offset(offset) {
        return None;
    }
    let whole = format!("{moment}{offset}").to_ascii_uppercase();
    let seconds = whole.parse::<Timestamp>().ok()?.as_second();
    let nanos = (0..9).fold(0, |nanos, at| {
        let digit = fraction.as_bytes().get(at).map_or(0, |digit| digit - b'0');
        nanos * 10 + u32::from(digit)
    });
    Some(u64::try_from(seconds).map_or(Duration::ZERO, |seconds| Duration::new(seconds, nanos)))
}

fn is_offset(text: &str) -> bool {
    let digits =
        |two: &[u8], most: u8| two.iter().all(u8::is_ascii_digit) && (two[0] - b'0') * 10 + (two[1] - b'0') <= most;
    match text.as_bytes() {
        b"Z" | b"z" => true,
        [b'+' | b'-', hours @ .., b':', m1, m2] if hours.len() == 2 => digits(hours, 23) && digits(&[*m1, *m2], 59),
        _ => false,
    }
}

/// Parses an HTTP date in any of the three forms of RFC 9110.
pub(super) fn parse_http_date(text: &str) -> Option<Wall> {
    let date = httpdate::parse_http_date(text).ok()?;
    date.duration_since(SystemTime::UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rule22_only_rfc_3339_is_an_expiry() {
        for (text, seconds, nanos) in [
            ("2026-04-17T22:50:00Z", 1_776_466_200, 0),
            ("2026-04-17t22:50:00z", 1_776_466_200, 0),
            ("2026-04-17T22:50:00.25Z", 1_776_466_200, 250_000_000),
            ("2026-04-17T22:50:00.999999999999Z", 1_776_466_200, 999_999_999),
            ("2026-04-18T00:50:00+02:00", 1_776_466_200, 0),
            ("2026-04-17T22:50:00-00:00", 1_776_466_200, 0),
            ("1960-01-01T00:00:00.5Z", 0, 0),
        ] {
            assert_eq!(parse_rfc3339(text), Some(Duration::new(seconds, nanos)), "{text}");
        }
        for text in [
            "",
            "2026-04-17",
            "2026-04-17T22:50:00",
            "2026-04-17 22:50:00Z",
            "2026-04-17T22:50Z",
            "20260417T225000Z",
            "2026-04-17T22:50:00.Z",
            "2026-04-17T22:50:00,5Z",
            "2026-04-17T22:50:00+0200",
            "2026-04-17T22:50:00+02",
            "2026-04-17T22:50:00+24:00",
            "2026-04-17T22:50:00Z[UTC]",
            "2026-04-17T22:50:00Z ",
            "2026-02-30T22:50:00Z",
            "2026-04-17T25:50:00Z",
            "1776466200",
            "Fri, 17 Apr 2026 22:50:00 GMT",
            "2026-04-17T22:50:0éZ",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn http_dates_come_in_three_forms() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse_http_date(text), Some(Duration::from_secs(784_111_777)), "{text}");
        }
        assert_eq!(parse_http_date("soon"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,40}|[0-9TZ:.+-]{15,40}") {
            let _ = (parse_rfc3339(&text), parse_http_date(&text));
        }
    }
}
