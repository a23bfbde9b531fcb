use std::format;
use std::string::ToString;

use proptest::prelude::*;

use super::*;

fn closeness(pattern: &str, protocol: &str, host: &[u8]) -> Option<Closeness> {
    let pattern = Pattern::parse(pattern).unwrap();
    Origin::parse(protocol.as_bytes(), host).and_then(|o| pattern.closeness_to(&o))
}

#[test]
fn rule02_lookalike_hosts_are_other_hosts() {
    for host in [
        "github.com.evil.example",
        "evilgithub.com",
        "github.com@evil",
        "github.com/.evil.example",
        "github.com#?/",
        "github.com.",
        "github.com:8443",
        "api.github.com",
        "",
        "github.com:",
        "github.com:0443",
        "github.com:+443",
        "github.com ",
        " github.com",
        "github.com%00",
        "github.com:443:443",
        "[github.com]",
        ".github.com",
        "github..com",
    ] {
        assert_eq!(closeness("github.com", "https", host.as_bytes()), None, "{host:?}");
    }
    assert_eq!(closeness("github.com", "https", b"github.com"), Some(Closeness::Exact));
}

#[test]
fn rule03_case_and_the_default_port_make_no_difference() {
    assert_eq!(closeness("GitHub.com", "HTTPS", b"gITHUB.COM"), Some(Closeness::Exact));
    assert_eq!(closeness("github.com", "https", b"github.com:443"), Some(Closeness::Exact));
    assert_eq!(closeness("github.com:443", "https", b"github.com"), Some(Closeness::Exact));
    assert_eq!(closeness("http://github.com", "http", b"github.com:80"), Some(Closeness::Exact));
    assert_eq!(closeness("http://github.com", "http", b"github.com:443"), None);
    for host in ["githuḃ.com".as_bytes(), b"github.com\xff", "ｇithub.com".as_bytes(), b"github.com."] {
        assert_eq!(closeness("github.com", "https", host), None, "{host:?}");
    }
    // The Kelvin sign folds to k outside ASCII.
    assert_eq!(closeness("kernel.org", "https", "\u{212a}ernel.org".as_bytes()), None);
}

#[test]
fn rule04_only_the_scheme_that_was_written_matches() {
    for scheme in ["http", "ssh", "git", "ftp", "cert", "", "https ", "httpss"] {
        assert_eq!(closeness("github.com", scheme, b"github.com"), None, "{scheme:?}");
    }
    assert_eq!(closeness("http://localhost:8080", "http", b"localhost:8080"), Some(Closeness::Exact));
    assert_eq!(closeness("http://localhost:8080", "https", b"localhost:8080"), None);
}

#[test]
fn a_wildcard_matches_exactly_one_label() {
    assert_eq!(closeness("*.example.com", "https", b"git.example.com"), Some(Closeness::Wildcard));
    assert_eq!(closeness("*.example.com:8443", "https", b"git.example.com:8443"), Some(Closeness::Wildcard));
    for host in
        ["example.com", "a.b.example.com", ".example.com", "xexample.com", "git.example.com.evil", "a/b.example.com"]
    {
        assert_eq!(closeness("*.example.com", "https", host.as_bytes()), None, "{host:?}");
    }
}

#[test]
fn an_ipv6_host_keeps_its_brackets() {
    assert_eq!(closeness("[::1]:8443", "https", b"[::1]:8443"), Some(Closeness::Exact));
    assert_eq!(closeness("[::1]", "https", b"[::1]"), Some(Closeness::Exact));
    assert_eq!(Origin::parse(b"https", b"::1"), None);
    assert_eq!(Origin::parse(b"https", b"[::1"), None);
}

#[test]
fn a_pattern_that_no_origin_can_match_is_an_error() {
    for (text, fault) in [
        ("ssh://github.com", PatternError::Scheme),
        ("", PatternError::Host),
        ("https://", PatternError::Host),
        ("github.com/", PatternError::Host),
        ("github.com.", PatternError::Host),
        ("user@github.com", PatternError::Host),
        ("github.com:0", PatternError::Port),
        ("github.com:65536", PatternError::Port),
        ("github.com:https", PatternError::Port),
        ("*", PatternError::Wildcard),
        ("*.*.com", PatternError::Wildcard),
        ("git*.example.com", PatternError::Wildcard),
        ("*.[::1]", PatternError::Host),
        ("githüb.com", PatternError::Host),
        ("a b", PatternError::Host),
    ] {
        assert_eq!(Pattern::parse(text), Err(fault), "{text:?}");
    }
}

proptest! {
    #[test]
    fn patterns_print_as_they_parse(
        scheme in "(https?://)?", wildcard in "(\\*\\.)?", host in "[a-z][a-z0-9-]{0,8}(\\.[a-z]{1,5}){0,3}", port in proptest::option::of(1u16..),
    ) {
        let text = format!("{scheme}{wildcard}{host}{}", port.map(|p| format!(":{p}")).unwrap_or_default());
        let pattern = Pattern::parse(&text).unwrap();
        let printed = pattern.to_string();
        prop_assert_eq!(Pattern::parse(&printed).unwrap(), pattern);
    }

    #[test]
    fn a_host_with_bytes_around_it_never_matches(before in proptest::collection::vec(any::<u8>(), 0..4), after in proptest::collection::vec(any::<u8>(), 0..6)) {
        let host = [&before[..], b"github.com", &after[..]].concat();
        let same = before.is_empty() && (after.is_empty() || after == b":443");
        prop_assert_eq!(closeness("github.com", "https", &host).is_some(), same);
    }
}

#[test]
fn the_port_of_an_ipv6_address_comes_after_its_bracket() {
    let origin = |host: &'static str| Origin::parse(b"https", host.as_bytes()).map(|o| (o.host, o.port));
    assert_eq!(origin("[::]"), Some(("[::]", None)));
    assert_eq!(origin("[fe80::]:8443"), Some(("[fe80::]", Some(8443))));
}

#[test]
fn origins_and_pattern_errors_are_readable() {
    assert_eq!(Origin::parse(b"http", b"git:3000").unwrap().to_string(), "http://git:3000");
    assert_eq!(Origin::parse(b"https", b"git:443").unwrap().to_string(), "https://git");
    let wrong = ["ftp://h", "h.", "h:0", "a.*.h"].map(|pattern| Pattern::parse(pattern).unwrap_err().to_string());
    for (wrong, about) in wrong.iter().zip(["scheme", "host", "port", "first label"]) {
        assert!(wrong.contains(about), "{wrong}");
    }
}
