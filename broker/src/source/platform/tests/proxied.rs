//! Tests that proxies are used as curl uses them.

use super::*;

fn through(proxy: &str, no: &str) -> Proxies {
    Proxies { http: format!("http://user:p%40canary@{proxy}"), no: no.to_owned(), ..Proxies::default() }
}

fn proxied(url: &str, proxies: Proxies, configs: &Configs) -> Result<Platform, Failure> {
    Platform::new(PlatformSettings { proxies, ..settings(url, &configs.path()) })
}

#[tokio::test]
async fn plain_http_hands_the_proxy_the_whole_url_and_its_credentials() {
    let (proxy, log) = server(vec![Act::Say(good(TOKEN))]).await;
    let configs = Configs::new();
    let platform = proxied("http://platform.invalid:81", through(&proxy, ""), &configs).unwrap();
    platform.fetch().await.unwrap();
    let head = &log.heads()[0];
    let url = "http://platform.invalid:81/workspaces/w1/github-installation-token";
    assert!(head.starts_with(&format!("GET {url} HTTP/1.1\r\n")), "{head}");
    assert_eq!(header(head, "host").unwrap(), "platform.invalid:81");
    assert_eq!(header(head, "proxy-authorization").unwrap(), "Basic dXNlcjpwQGNhbmFyeQ==");
}

#[tokio::test]
async fn hosts_in_no_proxy_are_reached_directly() {
    let (proxy, proxy_log) = server(vec![Act::Say(reply("502 No", "", ""))]).await;
    let (address, log) = server(vec![Act::Say(good(TOKEN))]).await;
    let configs = Configs::new();
    for no in ["127.0.0.1", "x 127.0.0.0/8", "*"] {
        let platform = proxied(&format!("http://{address}"), through(&proxy, no), &configs).unwrap();
        platform.fetch().await.unwrap();
    }
    assert_eq!((log.heads().len(), proxy_log.heads().len()), (3, 0));
    let head = &log.heads()[0];
    assert!(header(head, "proxy-authorization").is_none());
}

#[tokio::test]
async fn names_in_no_proxy_cover_subdomains_and_no_lookalikes() {
    let endpoint = Endpoint::new("http://a.example.com", "").unwrap();
    for (no, direct) in [("example.com", true), (".example.com", true), ("ample.com", false), ("", false)] {
        let route = Route::new(&endpoint, &through("127.0.0.1:1", no)).unwrap();
        assert_eq!(route.via().is_empty(), direct, "{no}");
    }
}

#[tokio::test]
async fn https_asks_the_proxy_for_a_tunnel_and_shows_it_no_bearer() {
    for (said, class) in [
        (reply("403 Forbidden", "", ""), Class::Connect),
        (reply("407 Who", "", ""), Class::Connect),
        ("HTTP/1.1 200 Connection established\r\n\r\n".to_owned(), Class::Tls),
        ("nonsense canary\r\n\r\n".to_owned(), Class::Connect),
        (String::new(), Class::Connect),
    ] {
        let (proxy, log) = server(vec![Act::Say(said)]).await;
        let proxies = Proxies { https: through(&proxy, "").http, ..Proxies::default() };
        let platform = proxied("https://platform.invalid", proxies, &Configs::new()).unwrap();
        // The bearer file is gone with its folder. It is read before the proxy
        // is asked.
        assert_eq!(platform.fetch().await.unwrap_err().class, Class::Config);
        let configs = Configs::new();
        let proxies = Proxies { https: through(&proxy, "").http, ..Proxies::default() };
        let platform = proxied("https://platform.invalid", proxies, &configs).unwrap();
        let failure = platform.fetch().await.unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
        assert!(!failure.message.contains(BEARER) && !failure.message.contains("p@"), "{failure}");
        let head = &log.heads()[0];
        assert!(head.starts_with("CONNECT platform.invalid:443 HTTP/1.1\r\n"), "{head}");
        assert_eq!(header(head, "proxy-authorization").unwrap(), "Basic dXNlcjpwQGNhbmFyeQ==");
        assert!(header(head, "authorization").is_none());
    }
}

#[tokio::test]
async fn a_proxy_that_repeats_its_credentials_is_not_quoted() {
    let echo = reply("502 No", "", "bad dXNlcjpwQGNhbmFyeQ==");
    let (proxy, _) = server(vec![Act::Say(echo)]).await;
    let configs = Configs::new();
    let platform = proxied("http://platform.invalid", through(&proxy, ""), &configs).unwrap();
    let failure = platform.fetch().await.unwrap_err();
    assert!(failure.message.contains("(bad [redacted])"), "{failure}");
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named_without_its_credentials() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let configs = Configs::new();
    let platform = proxied("http://platform.invalid", through(&address, ""), &configs).unwrap();
    let failure = platform.fetch().await.unwrap_err();
    assert_eq!(failure.class, Class::Connect);
    assert!(failure.message.contains(&address), "{failure}");
    assert_clean(&failure);
}

#[test]
fn a_proxy_that_cannot_be_used_is_an_error_and_not_a_way_around() {
    let configs = Configs::new();
    for url in ["socks5://u:canary@p:1", "ftp://canary", "http://", "a b"] {
        let proxies = |no: &str| Proxies { all: url.to_owned(), no: no.to_owned(), ..Proxies::default() };
        let failure = proxied("http://p.example", proxies(""), &configs).err().expect(url);
        assert_eq!(failure.class, Class::Config);
        assert_clean(&failure);
        assert!(proxied("http://p.example", proxies("example"), &configs).is_ok(), "{url}");
    }
}

#[test]
fn variables_are_looked_up_as_curl_does() {
    let proxies = Proxies::from_vars(|name| match name {
        "HTTP_PROXY" => Some("upper".to_owned()),
        "https_proxy" => Some(String::new()),
        "HTTPS_PROXY" | "NO_PROXY" => Some("upper".to_owned()),
        "no_proxy" => Some("lower".to_owned()),
        _ => None,
    });
    assert_eq!((&*proxies.http, &*proxies.https, &*proxies.no), ("", "upper", "lower"));
}
