//! The credential that an origin belongs to.

use std::net::Ipv6Addr;

use molecule_broker::credential::scope::Scopes;
use molecule_protocol::origin::{Origin, Pattern};

/// Three lines: patterns separated by blanks (`!` before a pattern reserves it,
/// `any` takes all remaining origins), git's `protocol`, and git's `host` up to
/// the end.
pub fn origin(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |b| *b == b'\n');
    let patterns = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (protocol, host) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());

    let mut scopes = Scopes::default();
    let mut naive_claims = Vec::new();
    let mut any = None;
    for (at, word) in patterns.split(' ').enumerate() {
        if word == "any" {
            scopes.take_the_rest(at);
            any = Some(at);
            continue;
        }
        let (reserved, text) = word.strip_prefix('!').map_or((false, word), |text| (true, text));
        let parsed = Pattern::parse(text);
        let naive = naive_pattern(text);
        assert_eq!(parsed.is_ok(), naive.is_some(), "the two readers disagree about the pattern {text:?}");
        let (Ok(pattern), Some(naive)) = (parsed, naive) else { continue };
        assert_eq!(Pattern::parse(&pattern.to_string()).as_ref(), Ok(&pattern), "the round trip changes the pattern");
        let owned = pattern.map_host(Box::from);
        match reserved {
            true => scopes.reserve(owned),
            false => scopes.claim(at, owned),
        }
        naive_claims.push((naive, (!reserved).then_some(at)));
    }

    let parsed = Origin::parse(protocol, host);
    let naive = naive_origin(protocol, host);
    assert_eq!(
        parsed.is_some(),
        naive.is_some(),
        "the two readers disagree about the origin {:?}",
        String::from_utf8_lossy(host)
    );
    let (Some(parsed), Some(naive)) = (parsed, naive) else { return };
    let printed = parsed.to_string();
    let (scheme, rest) = printed.split_once("://").expect("an origin is printed with its scheme");
    assert_eq!(Origin::parse(scheme.as_bytes(), rest.as_bytes()), Some(parsed), "the round trip changes the origin");
    assert_eq!(scopes.resolve(&parsed), naive_owner(&naive, &naive_claims, any));
}

/// Returns an origin as one text, which is the same for all spellings of it.
fn naive_origin(protocol: &[u8], host: &[u8]) -> Option<String> {
    let protocol = std::str::from_utf8(protocol).ok()?.to_ascii_lowercase();
    let default_port = match protocol.as_str() {
        "https" => "443",
        "http" => "80",
        _ => return None,
    };
    let host = std::str::from_utf8(host).ok()?.to_ascii_lowercase();
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            let port = if rest.is_empty() { default_port } else { rest.strip_prefix(':')? };
            (&host[..address.len() + 2], port)
        }
        None => {
            let (name, port) = host.split_once(':').unwrap_or((&host, default_port));
            let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
            let labels_fit = name.split('.').all(|label| (1..=63).contains(&label.len()));
            (Some(name).filter(|name| name.chars().all(known) && labels_fit && name.len() <= 253)?, port)
        }
    };
    let number: u32 = port.parse().ok()?;
    let is_plain = port == number.to_string() && (1..=65_535).contains(&number);
    is_plain.then(|| format!("{protocol}://{name}:{port}"))
}

fn naive_pattern(text: &str) -> Option<String> {
    let (protocol, rest) = text.split_once("://").unwrap_or(("https", text));
    match rest.strip_prefix("*.") {
        None => naive_origin(protocol.as_bytes(), rest.as_bytes()),
        Some(rest) if rest.starts_with('[') => None,
        Some(rest) => {
            let origin = naive_origin(protocol.as_bytes(), rest.as_bytes())?;
            Some(origin.replacen("://", "://*.", 1))
        }
    }
}

fn naive_owner(origin: &str, claims: &[(String, Option<usize>)], any: Option<usize>) -> Option<usize> {
    let (scheme, rest) = origin.split_once("://")?;
    let in_place_of_its_first_label = rest.split_once('.').map(|(_, rest)| format!("{scheme}://*.{rest}"));
    for wanted in [Some(String::from(origin)), in_place_of_its_first_label].into_iter().flatten() {
        let owners: Vec<_> = claims.iter().filter(|(text, _)| *text == wanted).map(|(_, owner)| *owner).collect();
        if !owners.is_empty() {
            return owners.into_iter().flatten().max();
        }
    }
    any.filter(|_| scheme == "https")
}
