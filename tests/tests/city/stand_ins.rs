//! The stand-ins alone, used by curl and git. If the test city gave wrong
//! answers, every other test would be worthless.

use std::sync::Arc;
use std::time::Duration;

use molecule_tests::certs::CertAuthority;
use molecule_tests::git_host::{CredentialState, GitHost, HostBehaviour};
use molecule_tests::ledger::Ledger;
use molecule_tests::platform::{DateHeader, MintPolicy, Platform, PlatformMode, RetryAfter};
use molecule_tests::programs::gits;
use molecule_tests::world::{RunResult, run};
use molecule_tests::{Ability, can, program};
use serde_json::Value;

const HOUR: Duration = Duration::from_secs(3600);

fn platform() -> Platform {
    Platform::start(&Arc::default(), HOUR, MintPolicy::MintPerCall, None)
}

fn curl(arguments: &[&str]) -> RunResult {
    let mut command = program("curl");
    command.args(["--silent", "--show-error"]).args(arguments);
    run(&mut command, Duration::from_secs(10))
}

fn ask(platform: &Platform, extra: &[&str]) -> RunResult {
    let bearer = format!("Authorization: Bearer {}", platform.bearer());
    let url = format!("{}/workspaces/ws-1/github-installation-token", platform.url());
    curl(&[&["--header", &bearer, &url], extra].concat())
}

fn status(platform: &Platform) -> String {
    ask(platform, &["--output", "/dev/null", "--write-out", "%{http_code}"]).stdout
}

fn token(platform: &Platform) -> String {
    let answer: Value = serde_json::from_str(&ask(platform, &[]).ok().stdout).unwrap();
    String::from(answer["token"].as_str().unwrap())
}

#[test]
fn both_endpoints_mint_and_only_for_the_platforms_bearer() {
    if !can(&[Ability::Curl]) {
        return;
    }
    let platform = platform();
    assert!(token(&platform).starts_with("ghs_"));
    let admin = format!("{}/admin/github-installation-token", platform.url());
    let code = ["--output", "/dev/null", "--write-out", "%{http_code}", &admin];
    assert_eq!(curl(&code).stdout, "401");
    let bearer = format!("Authorization: Bearer {}", platform.bearer());
    assert_eq!(curl(&[&["--header", &bearer], &code[..]].concat()).stdout, "200");
    platform.set_bearer("another");
    assert_eq!(curl(&[&["--header", &bearer], &code[..]].concat()).stdout, "401");
    let asked = platform.requests();
    let seen: Vec<_> = asked.iter().map(|one| (one.status, one.bearer_ok)).collect();
    assert_eq!(seen, [(200, true), (401, false), (200, true), (401, false)]);
}

#[test]
fn each_refusal_has_its_status() {
    if !can(&[Ability::Curl]) {
        return;
    }
    let platform = platform();
    platform.script_next([
        PlatformMode::Unauthorized,
        PlatformMode::Forbidden,
        PlatformMode::NotConfigured,
        PlatformMode::RateLimited(RetryAfter::None),
        PlatformMode::Fails,
    ]);
    let statuses: Vec<_> = (0..6).map(|_| status(&platform)).collect();
    assert_eq!(statuses, ["401", "403", "404", "429", "500", "200"]);
}

#[test]
fn retry_after_comes_in_every_form() {
    if !can(&[Ability::Curl]) {
        return;
    }
    let platform = platform();
    let forms = [RetryAfter::Seconds(120), RetryAfter::Date(HOUR), RetryAfter::Text(String::from("soon"))];
    for form in forms {
        platform.set_mode(PlatformMode::RateLimited(form.clone()));
        let heads = ask(&platform, &["--include"]).stdout.to_lowercase();
        let value = heads.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
        match form {
            RetryAfter::Date(_) => assert!(value.ends_with(" gmt"), "{value}"),
            RetryAfter::Seconds(_) => assert_eq!(value, "120"),
            _ => assert_eq!(value, "soon"),
        }
    }
}

#[test]
fn each_mode_breaks_its_answer_as_named() {
    if !can(&[Ability::Curl]) {
        return;
    }
    let platform = platform();
    platform.set_mode(PlatformMode::Cut);
    assert_eq!(ask(&platform, &[]).code(), Some(18), "curl didn't get a partial file");
    platform.set_mode(PlatformMode::Html);
    assert!(ask(&platform, &[]).stdout.starts_with("<!doctype"));
    platform.set_mode(PlatformMode::Huge);
    let size = ask(&platform, &["--output", "/dev/null", "--write-out", "%{size_download}"]);
    assert_eq!(size.stdout, "67108864");
    for (mode, limit) in [(PlatformMode::Hangs, "1"), (PlatformMode::Drips, "2")] {
        platform.set_mode(mode);
        assert_eq!(ask(&platform, &["--max-time", limit]).code(), Some(28), "curl didn't time out");
    }
    platform.set_mode(PlatformMode::Redirects(String::from("http://localhost:1/x")));
    assert_eq!(status(&platform), "302");
}

#[test]
fn a_closed_platform_refuses_and_opens_again_on_the_same_port() {
    if !can(&[Ability::Curl]) {
        return;
    }
    let platform = platform();
    let before = platform.url();
    platform.refuse_connections();
    assert_eq!(ask(&platform, &[]).code(), Some(7), "the connection wasn't refused");
    platform.accept_connections();
    assert_eq!(platform.url(), before);
    assert_eq!(status(&platform), "200");
}

#[test]
fn the_date_header_can_be_left_out() {
    if !can(&[Ability::Curl]) {
        return;
    }
    let platform = platform();
    let has_date = || ask(&platform, &["--include"]).stdout.to_lowercase().contains("\ndate: ");
    assert!(has_date());
    platform.set_date(DateHeader::Absent);
    assert!(!has_date());
}

#[test]
fn a_caching_platform_gives_all_the_same_token() {
    if !can(&[Ability::Curl]) {
        return;
    }
    let platform = platform();
    assert_ne!(token(&platform), token(&platform));
    platform.set_policy(MintPolicy::cached_like_the_real_one(HOUR));
    assert_eq!(token(&platform), token(&platform));
    let nearly_dead = platform.put_in_cache(Duration::from_secs(60));
    assert_ne!(token(&platform), nearly_dead.token, "the token wasn't renewed inside its window");
}

/// A git host, and a git that shows it this password in the URL.
struct Pair {
    host: GitHost,
    ledger: Arc<Ledger>,
    dir: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        let ledger = Arc::new(Ledger::default());
        let ca = CertAuthority::new();
        let host = GitHost::start(&ledger, Some(&ca));
        host.create_repository("acme/app.git");
        let dir = tempfile::tempdir().unwrap();
        ca.write(&dir.path().join("ca.pem")).unwrap();
        Self { host, ledger, dir }
    }

    fn git(&self, git: &std::path::Path, arguments: &[&str]) -> RunResult {
        let mut command = program(git);
        command
            .args(["-c", "user.name=A", "-c", "user.email=a@city.test"])
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.dir.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_SSL_CAINFO", self.dir.path().join("ca.pem"));
        run(&mut command, Duration::from_secs(20))
    }

    fn url(&self, password: &str) -> String {
        let url = self.host.url("acme/app.git");
        url.replace("https://", &format!("https://x-access-token:{password}@"))
    }
}

#[test]
fn real_git_clones_and_pushes_with_a_live_token() {
    for git in gits() {
        let pair = Pair::new();
        let url = pair.url(&pair.ledger.mint(HOUR).token);
        let git = |arguments: &[&str]| pair.git(&git.path, arguments).ok();
        git(&["clone", "--quiet", &url, "app"]);
        // Larger than http.postBuffer, so that git sends the pack in chunks.
        let noise: String = molecule_tests::ledger::random_alphanumerics(3 << 20);
        std::fs::write(pair.dir.path().join("app/noise"), noise).unwrap();
        git(&["-C", "app", "add", "noise"]);
        git(&["-C", "app", "commit", "--quiet", "-m", "More"]);
        git(&["-C", "app", "push", "--quiet", "origin", "main"]);
        git(&["-C", "app", "fetch", "--quiet"]);
        assert!(pair.host.shown_count(CredentialState::Live) >= 4);
        assert_eq!(pair.host.dead_shown(), 0);
    }
}

#[test]
fn dead_and_invented_passwords_are_refused_and_counted() {
    let pair = Pair::new();
    let git = &gits()[0].path;
    let dead = pair.ledger.mint(Duration::ZERO).token;
    let revoked = pair.ledger.mint(HOUR).token;
    pair.ledger.revoke(&revoked);
    for password in [&dead, &revoked, "ghs_invented"] {
        assert!(!pair.git(git, &["ls-remote", &pair.url(password)]).success());
    }
    let states: Vec<_> = pair.host.shown().iter().map(|shown| shown.state).collect();
    assert_eq!(states, [CredentialState::Expired, CredentialState::Revoked, CredentialState::Unknown]);
    assert!(!pair.git(git, &["ls-remote", &pair.host.url("acme/app.git")]).success());
    assert!(pair.host.anonymous_count() > 0);
}

#[test]
fn a_persona_is_let_in_by_its_password() {
    let pair = Pair::new();
    pair.host.let_in_persona("x-access-token", "long-lived");
    let git = &gits()[0].path;
    pair.git(git, &["ls-remote", &pair.url("long-lived")]).ok();
    assert!(pair.host.shown_count(CredentialState::Persona) > 0);
}

#[test]
fn an_evil_host_records_the_credentials_that_it_is_shown() {
    let pair = Pair::new();
    pair.host.set_behaviour(HostBehaviour::Refuses);
    let token = pair.ledger.mint(HOUR).token;
    assert!(!pair.git(&gits()[0].path, &["ls-remote", &pair.url(&token)]).success());
    let shown = pair.host.shown();
    let digest = molecule_protocol::digest::sha256(token.as_bytes());
    assert!(shown.iter().any(|one| one.password_sha256 == digest));
    assert_eq!(shown[0].host, pair.host.origin());
}

/// The host's LFS API, called as git-lfs calls it.
struct Lfs<'a> {
    pair: &'a Pair,
    token: String,
}

impl Lfs<'_> {
    fn ask(&self, arguments: &[&str]) -> RunResult {
        let ca = self.pair.dir.path().join("ca.pem").display().to_string();
        curl(&[&["--cacert", &ca, "--user", &format!("x-access-token:{}", self.token)], arguments].concat())
    }

    fn status(&self, arguments: &[&str]) -> String {
        self.ask(&[&["--output", "/dev/null", "--write-out", "%{http_code}"], arguments].concat()).stdout
    }

    fn batch(&self, operation: &str, oid: &str) -> Value {
        let url = self.pair.host.url("acme/app.git/info/lfs/objects/batch");
        let body =
            format!(r#"{{"operation":"{operation}","transfers":["basic"],"objects":[{{"oid":"{oid}","size":5}}]}}"#);
        let answer: Value = serde_json::from_str(&self.ask(&["--data", &body, &url]).ok().stdout).unwrap();
        assert_eq!(answer["transfer"], "basic");
        answer["objects"][0].clone()
    }
}

#[test]
fn a_large_file_is_stored_and_returned() {
    if !can(&[Ability::Curl]) {
        return;
    }
    let pair = Pair::new();
    let lfs = Lfs { pair: &pair, token: pair.ledger.mint(HOUR).token };
    let oid = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(lfs.batch("download", oid)["error"]["code"], 404);
    let plan = lfs.batch("upload", oid)["actions"].clone();
    let (upload, verify) = (plan["upload"]["href"].as_str().unwrap(), plan["verify"]["href"].as_str().unwrap());
    assert!(plan["upload"]["header"].is_null(), "the client needs no credential of its own");
    assert!(upload.starts_with(&pair.host.url("")) && verify.starts_with(&pair.host.url("")), "{plan}");

    let asks_to_verify = format!(r#"{{"oid":"{oid}","size":5}}"#);
    assert_eq!(lfs.status(&["--data", &asks_to_verify, verify]), "404");
    assert_eq!(lfs.status(&["--request", "PUT", "--data-binary", "other", upload]), "422");
    assert_eq!(lfs.status(&["--request", "PUT", "--data-binary", "hello", upload]), "200");
    assert_eq!(lfs.status(&["--data", &asks_to_verify, verify]), "200");
    assert_eq!(pair.host.lfs_object("acme/app.git", oid).unwrap(), b"hello");
    assert!(lfs.batch("upload", oid)["actions"].is_null(), "the object should be there already");
    let plan = lfs.batch("download", oid)["actions"].clone();
    assert_eq!(lfs.ask(&[plan["download"]["href"].as_str().unwrap()]).stdout, "hello");
}

#[test]
fn each_lfs_request_needs_a_live_token() {
    if !can(&[Ability::Curl]) {
        return;
    }
    let pair = Pair::new();
    let dead = Lfs { pair: &pair, token: pair.ledger.mint(Duration::ZERO).token };
    let paths = ["objects/batch", "objects/0", "verify", "locks/verify"];
    for path in paths {
        assert_eq!(dead.status(&["--data", "{}", &pair.host.url(&format!("acme/app.git/info/lfs/{path}"))]), "401");
    }
    assert_eq!(pair.host.shown_count(CredentialState::Expired), paths.len());
}

/// The API is behind the same access check as the repositories.
#[test]
fn the_api_lets_in_live_tokens_and_names_their_user() {
    if !can(&[Ability::Curl]) {
        return;
    }
    let pair = Pair::new();
    pair.host.let_in_persona("alice", "ghp_alice");
    let ca = pair.dir.path().join("ca.pem").display().to_string();
    let ask = |token: Option<&str>, path: &str, extra: &[&str]| {
        let header = token.map(|token| format!("Authorization: token {token}"));
        let url = pair.host.url(path);
        let login: Vec<_> = header.iter().flat_map(|header| ["--header", header]).collect();
        curl(&[&["--cacert", &ca, "--include"], &login[..], extra, &[&url]].concat()).ok().stdout
    };
    let (live, dead) = (pair.ledger.mint(HOUR).token, pair.ledger.mint(Duration::ZERO).token);
    assert!(ask(Some(&live), "api/v3/user", &[]).contains(r#"{"login":"app[bot]"}"#));
    assert!(ask(Some("ghp_alice"), "api/v3/user", &[]).contains(r#"{"login":"alice"}"#));
    assert!(ask(Some(&live), "api/v3/rate_limit", &[]).contains(r#""remaining":5000"#));
    let question = ["--data", r#"{"query":"query UserCurrent{viewer{login}}"}"#];
    assert!(ask(Some(&live), "api/graphql", &question).contains(r#"{"data":{"viewer":{"login":"app[bot]"}}}"#));
    assert!(ask(Some(&live), "api/graphql", &["--data", "{}"]).contains(r#"{"errors":"#));
    assert!(ask(Some(&live), "api/v3/elsewhere", &[]).starts_with("HTTP/1.1 404"));

    // By this header gh tells a user's own token from an installation's.
    let has_scopes = |token: &str| ask(Some(token), "api/v3/", &[]).to_lowercase().contains("\nx-oauth-scopes: ");
    assert!(has_scopes("ghp_alice") && !has_scopes(&live));

    for (token, why) in
        [(Some(&*dead), "Bad credentials"), (Some("ghs_invented"), "Bad credentials"), (None, "Requires")]
    {
        let refusal = ask(token, "api/v3/user", &[]);
        assert!(refusal.starts_with("HTTP/1.1 401") && refusal.contains(why), "{refusal}");
    }
    let states: Vec<_> = pair.host.shown().iter().map(|shown| shown.state).collect();
    assert_eq!(states[..2], [CredentialState::Live, CredentialState::Persona]);
    assert_eq!(states[states.len() - 2..], [CredentialState::Expired, CredentialState::Unknown]);
    assert_eq!((pair.host.dead_shown(), pair.host.anonymous_count()), (2, 1));
}
