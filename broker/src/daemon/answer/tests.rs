use std::sync::Arc;

use molecule_protocol::limits::{MAX_ANSWER, MAX_SECRET};
use molecule_protocol::origin::Pattern;
use molecule_protocol::request::Verb;
use proptest::prelude::*;

use super::*;
use crate::config::TOKEN_USER;
use crate::credential::lease::SourceKind;
use crate::credential::scope::Scopes;
use crate::credential::secret::Secret;
use crate::daemon::store;
use crate::refresh::Held;
use crate::system::peer::Admission;
use crate::system::time::Deadline;

const NOW: Moment = Moment { boot: Duration::from_secs(1_000), wall: Duration::from_secs(1_776_000_000) };
const AGENT: Uid = Uid::from_raw(1000);

fn lease(secret: &str, life: Option<u64>, source: SourceKind) -> Lease {
    let secret = Secret::token(secret).unwrap();
    Lease {
        username: None,
        sha256: secret.sha256(),
        secret: Arc::new(secret),
        deadline: life.map(|s| Deadline::after(NOW, Duration::from_secs(s))),
        generation: 1,
        received: NOW,
        source,
    }
}

fn credential(name: &str, username: &str, origins: &[&str], current: Option<Lease>) -> ServedCredential {
    let held = Held { refreshable: true, current: current.map(Arc::new), ..Held::default() };
    // The reader keeps the last value when its writer is gone.
    let (_writer, reader) = store::lease_channel(held);
    ServedCredential {
        name: name.into(),
        username: username.into(),
        is_token: username == TOKEN_USER,
        origins: origins.iter().map(ToString::to_string).collect(),
        scoped: !origins.is_empty(),
        allow: None,
        source: "platform",
        missing: None,
        fingerprint: [0; 32],
        forced_min_gap: Duration::from_secs(30),
        refreshable: true,
        reader,
        requests: Arc::default(),
    }
}

/// Returns a token for github.com and a persona for all other hosts.
fn registry() -> CredentialRegistry {
    let pattern = |text| Pattern::parse(text).unwrap().map_host(Box::from);
    let mut scopes = Scopes::default();
    scopes.claim(0, pattern("github.com"));
    scopes.take_the_rest(1);
    CredentialRegistry {
        admission: Admission::default(),
        scopes,
        credentials: vec![
            credential("github", TOKEN_USER, &["github.com"], Some(lease("ghs_token", Some(60), SourceKind::Platform))),
            credential("persona", "bot", &[], Some(lease("password", None, SourceKind::Persona))),
        ],
        config_file: None,
        sinks: Vec::new(),
    }
}

fn ask(registry: &CredentialRegistry, text: &str) -> String {
    let text = format!("molecule/1 get\n{text}\n\n");
    let request = Request::parse(text.as_bytes()).unwrap();
    match choose(registry, &request, AGENT) {
        Choice::Silent => "silent".into(),
        Choice::Forbidden(_) => "forbidden".into(),
        Choice::Found(target) => match ready(&target, &target.credential.reader.held(), NOW) {
            Readiness::Give(lease) => String::from_utf8(give(&request, &target, lease, NOW).to_vec()).unwrap(),
            Readiness::Wait => "wait".into(),
            Readiness::Refused(reason) => format!("refused: {reason}"),
        },
    }
}

#[test]
fn rule01_a_host_in_scope_gets_user_name_password_and_expiry() {
    assert_eq!(
        ask(&registry(), "protocol=https\nhost=github.com"),
        "molecule/1 ok\nusername=x-access-token\npassword=ghs_token\npassword_expiry_utc=1776000060\n\n"
    );
}

#[test]
fn rule01_the_expiry_is_rounded_up_as_long_as_the_lease_lives() {
    let registry = registry();
    let request = Request::parse(b"molecule/1 get\nprotocol=https\nhost=github.com\n").unwrap();
    let Choice::Found(target) = choose(&registry, &request, AGENT) else { panic!("in scope") };
    let late = NOW.plus(Duration::from_millis(59_999));
    let bytes = give(&request, &target, target.credential.reader.held().live(late).unwrap(), late);
    assert!(String::from_utf8_lossy(&bytes).contains("password_expiry_utc=1776000060\n"));
}

#[test]
fn an_expiry_is_rounded_up_to_a_whole_second() {
    let registry = registry();
    let request = Request::parse(b"molecule/1 get\nprotocol=https\nhost=github.com\n").unwrap();
    let Choice::Found(target) = choose(&registry, &request, AGENT) else { panic!("in scope") };
    let end = Deadline::after(NOW, Duration::from_millis(60_001));
    let lease = Lease { deadline: Some(end), ..lease("ghs_token", None, SourceKind::Platform) };
    let bytes = give(&request, &target, &lease, NOW);
    assert!(String::from_utf8_lossy(&bytes).contains("password_expiry_utc=1776000061\n"));
}

#[test]
fn rule53_the_longest_answer_is_whole_within_its_limit() {
    let mut registry = registry();
    for length in [40, 512, 513, 4_000, MAX_SECRET] {
        let secret = "x".repeat(length);
        let lease = lease(&secret, Some(60), SourceKind::Platform);
        registry.credentials[0] = credential("github", &"u".repeat(256), &["github.com"], Some(lease));
        for client in ["helper", "gh", "token", "askpass"] {
            let answer = ask(&registry, &format!("client={client}\nprotocol=https\nhost=github.com"));
            assert!(answer.contains(&format!("={secret}\n")), "{client}");
            assert!(answer.len() <= MAX_ANSWER, "{client}: {}", answer.len());
        }
    }
}

#[test]
fn answers_without_a_credential_say_their_word_and_why() {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text(plain(AnswerWord::Silent, None)), "molecule/1 silent\n\n");
    let refused = plain(AnswerWord::Refused, Some("one\ntwo\rhost=evil"));
    assert_eq!(text(refused), "molecule/1 refused\nreason=one\nreason=two?host=evil\n\n");
    assert_eq!(text(document("{}")), "molecule/1 ok\n{}\n\n");
}

#[test]
fn every_state_is_refused_in_its_own_words() {
    let refused = |missing: Option<&str>, held: Held| {
        let mut registry = registry();
        registry.credentials[0].missing = missing.map(Box::from);
        registry.credentials[0].reader = store::lease_channel(held).1;
        ask(&registry, "protocol=https\nhost=github.com")
    };
    let none = Held::default;
    let rejected = lease("ghs_env", Some(60), SourceKind::Env);
    let rejected = Held { rejected: Arc::new([rejected.sha256]), fallback: Some(Arc::new(rejected)), ..none() };
    for (missing, held, words) in [
        (Some("set PLATFORM_URL"), none(), "'github' has no source (set PLATFORM_URL)"),
        (None, none(), "the source of 'github' isn't configured"),
        (None, rejected, "https://github.com rejected the provision-time token of 'github'"),
    ] {
        let expected = format!("refused: no credential for https://github.com: {words}; see: molecule-broker status");
        assert_eq!(refused(missing, held), expected);
    }
}

#[test]
fn rule52_a_git_with_authtype_gets_user_name_and_password() {
    let plain = ask(&registry(), "protocol=https\nhost=github.com");
    assert_eq!(plain, "molecule/1 ok\nusername=x-access-token\npassword=ghs_token\npassword_expiry_utc=1776000060\n\n");
    assert_eq!(ask(&registry(), "capability[]=authtype\nprotocol=https\nhost=github.com"), plain);
}

#[test]
fn rule02_lookalikes_of_a_claimed_host_never_get_its_token() {
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
    ] {
        let answer = ask(&registry(), &format!("protocol=https\nhost={host}"));
        assert!(!answer.contains("ghs_token"), "{host}: {answer}");
    }
}

#[test]
fn rule04_rule05_without_https_or_a_host_there_is_silence() {
    for text in [
        "protocol=http\nhost=github.com",
        "protocol=ssh\nhost=github.com",
        "host=github.com",
        "protocol=https",
        "protocol=\nhost=github.com",
        "protocol=https\nhost=",
        "url=https://github.com",
        "name=github",
        "path=x",
    ] {
        assert_eq!(ask(&registry(), text), "silent", "{text:?}");
    }
}

#[test]
fn rule08_a_url_is_never_believed_over_protocol_and_host() {
    assert!(ask(&registry(), "protocol=https\nhost=github.com\nurl=https://evil.example").contains("ghs_token"));
    assert!(!ask(&registry(), "protocol=https\nhost=evil.example\nurl=https://github.com").contains("ghs_token"));
}

#[test]
fn rule48_a_foreign_user_name_is_overridden_or_silences() {
    assert!(
        ask(&registry(), "protocol=https\nhost=github.com\nusername=octocat").contains("username=x-access-token\n")
    );
    assert_eq!(ask(&registry(), "protocol=https\nhost=git.example.com\nusername=octocat"), "silent");
    assert!(ask(&registry(), "protocol=https\nhost=git.example.com\nusername=bot").contains("password=password\n"));
    assert!(ask(&registry(), "protocol=https\nhost=git.example.com\nusername=").contains("password=password\n"));
}

#[test]
fn rule51_a_claimed_origin_without_a_token_is_refused() {
    let mut registry = registry();
    registry.credentials[0] = credential("github", TOKEN_USER, &["github.com"], None);
    assert_eq!(ask(&registry, "protocol=https\nhost=github.com"), "wait");
    let dead = lease("ghs_dead", Some(0), SourceKind::Platform);
    let mut held = Held { current: Some(Arc::new(dead)), ..Held::default() };
    held.consecutive_failures = 1;
    registry.credentials[0].reader = store::lease_channel(held).1;
    let answer = ask(&registry, "protocol=https\nhost=github.com");
    assert!(
        answer.starts_with("refused: no credential for https://github.com: the last token of 'github' has expired"),
        "{answer}"
    );
}

#[test]
fn a_credential_with_its_own_users_is_refused_to_others() {
    let mut registry = registry();
    registry.credentials[0].allow = Some(vec![Uid::from_raw(7)]);
    assert_eq!(ask(&registry, "protocol=https\nhost=github.com"), "forbidden");
    registry.credentials[0].allow = Some(vec![AGENT]);
    assert!(ask(&registry, "protocol=https\nhost=github.com").contains("ghs_token"));
}

#[test]
fn askpass_gets_the_one_field_that_it_asked_for() {
    let of = |field| ask(&registry(), &format!("client=askpass\nprotocol=https\nhost=github.com\nfield={field}"));
    assert_eq!(of("username"), "molecule/1 ok\nanswer=x-access-token\n\n");
    assert_eq!(of("password"), "molecule/1 ok\nanswer=ghs_token\n\n");
}

#[test]
fn a_name_selects_its_credentials_first_origin() {
    for client in ["token", "exec", "script"] {
        let answer = ask(&registry(), &format!("client={client}\nname=github"));
        assert!(answer.contains("password=ghs_token\n") && answer.ends_with("host=github.com\n\n"), "{answer}");
    }
    let mut wild = registry();
    wild.credentials[0].origins = vec!["*.ghe.com".into(), "https://*.ghe.corp".into(), "http://ghe.corp:81".into()];
    assert!(ask(&wild, "client=exec\nname=github").ends_with("host=ghe.corp:81\n\n"), "a pattern isn't a host");
    wild.credentials[0].origins.pop();
    assert_eq!(ask(&wild, "client=exec\nname=github"), "silent");
    assert_eq!(ask(&registry(), "client=token\nname=persona"), "silent", "it has no origin of its own");
    assert_eq!(ask(&registry(), "client=token\nname=unknown"), "silent");
    for client in ["helper", "askpass", "gh"] {
        assert_eq!(ask(&registry(), &format!("client={client}\nname=github")), "silent", "{client}");
    }
}

proptest! {
    #[test]
    fn rule11_every_client_decides_alike(
        protocol in "(https|http|HTTPS|ssh|)",
        host in "((github|GitHub|gitlab)\\.com|[a-z]{1,3}\\.example|github\\.com[./@:#a-z0-9]{0,5})",
        username in proptest::option::of("(bot|octocat|x-access-token|)"),
    ) {
        let registry = registry();
        let username = username.map(|u| format!("\nusername={u}")).unwrap_or_default();
        let decide = |client: &str| {
            let text = format!("molecule/1 get\nclient={client}\nprotocol={protocol}\nhost={host}{username}\n");
            let request = Request::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(request.verb, Verb::Get);
            Ok(match choose(&registry, &request, AGENT) {
                Choice::Silent => None,
                Choice::Forbidden(_) => Some("forbidden".to_owned()),
                Choice::Found(target) => Some(format!("{} {}", target.credential.name, target.origin)),
            })
        };
        let helper = decide("helper")?;
        for client in ["askpass", "gh", "token", "exec", "script"] {
            prop_assert_eq!(&decide(client)?, &helper, "{}", client);
        }
    }
}
