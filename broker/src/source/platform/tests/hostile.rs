//! One attempt ends in time and without a secret in its error, whatever the other
//! side does.

use super::*;

#[tokio::test]
async fn one_get_asks_as_the_platform_expects_it() {
    let (address, log) = server(vec![Act::Say(good(TOKEN))]).await;
    let configs = Configs::new();
    let fresh = platform(&address, &configs).fetch().await.unwrap();
    assert_eq!(fresh.secret.expose(), TOKEN);
    let heads = log.heads();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("GET /base/workspaces/w1/github-installation-token HTTP/1.1\r\n"));
    assert_eq!(header(&heads[0], "authorization").unwrap(), format!("Bearer {BEARER}"));
    assert_eq!(header(&heads[0], "accept").unwrap(), "application/json");
    assert_eq!(header(&heads[0], "host").unwrap(), address);
    assert_eq!(header(&heads[0], "user-agent").unwrap(), concat!("molecule-broker/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn an_answer_that_holds_the_connection_open_is_taken_when_whole() {
    let (address, _) = server(vec![Act::Hold(good(TOKEN))]).await;
    assert!(platform(&address, &Configs::new()).fetch().await.is_ok());
}

#[tokio::test]
async fn rule13_a_redirect_is_not_followed_and_gets_no_bearer() {
    let (elsewhere, other_log) = server(vec![Act::Say(good(TOKEN))]).await;
    for status in ["301 M", "302 F", "303 S", "307 T", "308 P"] {
        let to = format!("Location: http://{elsewhere}/?canary\r\n");
        let (address, log) = server(vec![Act::Say(reply(status, &to, ""))]).await;
        let failure = platform(&address, &Configs::new()).fetch().await.unwrap_err();
        assert_eq!(failure.class, Class::HttpOther);
        assert_clean(&failure);
        assert_eq!(log.heads().len(), 1);
    }
    assert!(other_log.heads().is_empty());
}

#[tokio::test]
async fn rule42_hangs_and_drips_end_with_the_attempt() {
    let endless = "HTTP/1.1 200 OK\r\n\r\n{\"token\":\"canary".to_owned();
    for act in [
        Act::Hold(String::new()),
        Act::Hold("HTTP/1.1 200 OK\r\n".to_owned()),
        Act::Hold("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"token\":\"canary".to_owned()),
        Act::Drip("HTTP/1.1 200 OK\r\nX:".to_owned()),
        Act::Drip(endless),
    ] {
        let (address, _) = server(vec![act]).await;
        let configs = Configs::new();
        let settings = PlatformSettings {
            timeout: Duration::from_millis(300),
            ..settings(&format!("http://{address}"), &configs.path())
        };
        let fetch = Platform::new(settings).unwrap();
        let failure = timeout(LONG, fetch.fetch()).await.expect("it ends").unwrap_err();
        assert_eq!(failure.class, Class::Timeout);
        assert!(failure.message.contains("didn't end within 300ms"), "{failure}");
        assert_clean(&failure);
    }
}

#[tokio::test]
async fn rule42_an_error_keeps_its_class_though_its_words_never_end() {
    let (address, _) = server(vec![Act::Drip("HTTP/1.1 401 No\r\n\r\nrevoked".to_owned())]).await;
    let failure = platform(&address, &Configs::new()).fetch().await.unwrap_err();
    assert_eq!(failure.class, Class::Http401);
    assert!(failure.message.contains("answered 401 (revoked"), "{failure}");
}

#[tokio::test]
async fn rule42_a_64_mib_body_is_read_only_to_the_limit() {
    const MANY: u64 = 64 << 20;
    for head in ["", "Content-Length: 67108864\r\n"] {
        let (address, log) = server(vec![Act::Flood(format!("HTTP/1.1 200 OK\r\n{head}\r\n{{"), MANY)]).await;
        let failure = platform(&address, &Configs::new()).fetch().await.unwrap_err();
        assert_eq!(failure.class, Class::Body);
        assert!(failure.message.contains("more than 65536 bytes"), "{failure}");
        // The rest of what the server wrote is in the kernel's buffers.
        assert!(*log.flooded.lock().unwrap() < MANY);
    }
}

#[tokio::test]
async fn rule42_at_most_64_kib_of_a_body_leave_the_wire() {
    // The wire's buffer has a known size, so the bytes that the server wrote
    // tell how many were read.
    let (near, far) = tokio::io::duplex(4096);
    let log = Log::default();
    let flood = play(far, Act::Flood("HTTP/1.1 200 OK\r\n\r\n".to_owned(), 64 << 20), log.clone());
    let flood = tokio::spawn(flood);
    let endpoint = Endpoint::new("http://p", "").unwrap();
    let route = Route::new(&endpoint, &Proxies::default()).unwrap();
    let bearer = Secret::token(BEARER).unwrap();
    exchange::get(Box::new(near), &endpoint, &route, &bearer).await.unwrap();
    flood.await.unwrap();
    let read = *log.flooded.lock().unwrap();
    assert!(read <= (64 + 16 + 3 * 4) * 1024, "{read} bytes");
}

#[tokio::test]
async fn rule42_a_cut_or_foreign_answer_is_a_fault_of_the_body() {
    for said in [
        "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"token\":\"canary".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"canary".to_owned(),
        reply("200 OK", "Content-Type: text/html\r\n", "<html>canary</html>"),
        reply("200 OK", "", r#"{"token":42,"expires_at":"canary"}"#),
        "SSH-2.0-canary\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "canary".repeat(10_000)),
    ] {
        let (address, _) = server(vec![Act::Say(said.clone())]).await;
        let failure = platform(&address, &Configs::new()).fetch().await.unwrap_err();
        assert_eq!(failure.class, Class::Body, "{said:.80} {failure}");
        assert_clean(&failure);
    }
}

#[tokio::test]
async fn a_missing_or_closing_server_is_a_fault_of_the_connection() {
    let (address, _) = server(vec![Act::Say(String::new())]).await;
    let failure = platform(&address, &Configs::new()).fetch().await.unwrap_err();
    assert_eq!(failure.class, Class::Connect, "{failure}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let failure = platform(&address, &Configs::new()).fetch().await.unwrap_err();
    assert_eq!(failure.class, Class::Connect);
    assert!(failure.message.contains(&address) && failure.message.contains("refused"), "{failure}");
}

#[tokio::test]
async fn rule41_a_requested_wait_is_passed_on() {
    for status in ["429 Slow", "503 Busy"] {
        let (address, _) = server(vec![Act::Say(reply(status, "Retry-After: 120\r\n", ""))]).await;
        let failure = platform(&address, &Configs::new()).fetch().await.unwrap_err();
        assert_eq!(failure.retry_after, Some(Duration::from_secs(120)));
    }
}

#[tokio::test]
async fn rule23_a_platform_that_echoes_secrets_is_not_quoted() {
    let echo = |bearer: &str| {
        let words = format!("{{\"error\":\"who is {bearer}? have {TOKEN} instead\"}}");
        reply("500 Oops", &format!("Location: /{bearer}\r\n"), &words)
    };
    let (address, _) = server(vec![Act::ByBearer(echo)]).await;
    let failure = platform(&address, &Configs::new()).fetch().await.unwrap_err();
    assert!(failure.message.contains("who is [redacted]? have ghs_[redacted] instead"), "{failure}");
    assert_clean(&failure);
}

#[tokio::test]
async fn nothing_runs_on_after_a_fetch() {
    let (address, _) = server(vec![Act::Hold(good(TOKEN)), Act::Hold(String::new())]).await;
    let configs = Configs::new();
    let platform = platform(&address, &configs);
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    // The server's own tasks: one that accepts, one for each open connection.
    platform.fetch().await.unwrap();
    let dropped = timeout(Duration::from_millis(50), platform.fetch()).await;
    assert!(dropped.is_err());
    let only_the_server = async {
        while tasks() > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, only_the_server).await.expect("both connections are closed");
}
