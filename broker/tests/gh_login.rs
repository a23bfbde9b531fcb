//! The sink `gh` with the real gh, against a host that speaks GitHub's API
//! over HTTPS.

#![allow(clippy::disallowed_methods, reason = "a test has clocks and an environment of its own")]
#![allow(clippy::unwrap_used, reason = "this is all test")]

mod kit;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use kit::{World, text, wait_for};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Answers whatever gh asks at a login; notes each `Authorization`.
fn host(ca_file: &Path) -> (u16, Arc<Mutex<Vec<String>>>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(ca_file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            answer(&mut tls, &notes);
        }
    });
    (port, seen)
}

/// One request a connection.
fn answer(tls: &mut StreamOwned<ServerConnection, TcpStream>, notes: &Mutex<Vec<String>>) {
    let (mut request, mut some) = (String::new(), [0; 4096]);
    while !request.contains("\r\n\r\n") {
        match tls.read(&mut some) {
            Ok(read) if read > 0 => request.push_str(&text(&some[..read])),
            _ => return,
        }
    }
    let login =
        request.lines().filter_map(|l| l.to_ascii_lowercase().strip_prefix("authorization: ").map(str::to_owned));
    notes.lock().unwrap().extend(login);
    let body = if request.contains("graphql") {
        r#"{"data":{"viewer":{"login":"app[bot]"}}}"#
    } else {
        r#"{"login":"app[bot]"}"#
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    let _ = write!(tls, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    tls.conn.send_close_notify();
    let _ = tls.flush();
}

#[test]
fn the_real_gh_is_logged_in_with_each_new_token() {
    if !Path::new("/usr/bin/gh").exists() {
        eprintln!("SKIP: gh isn't installed");
        return;
    }
    let mut world = World::new();
    let (port, seen) = host(&world.path("ca.pem"));
    let hosts = world.path("gh/hosts.yml");
    world.set("SSL_CERT_FILE", world.path("ca.pem").display().to_string());
    world.set("GH_CONFIG_DIR", world.path("gh").display().to_string());
    world.set("MOLECULE_BROKER_HOSTS", format!("localhost:{port}"));
    world.set("MOLECULE_BROKER_SINKS", "gh");
    world.set("GH_TOKEN", "ghs_frozen");
    world.start();
    for _ in 0..2 {
        assert!(world.broker(&["refresh"]).status.success());
        let token = text(&world.broker(&["token"]).stdout).trim().to_owned();
        wait_for("gh's login", || {
            assert!(!world.log().contains("gh failed"), "{}", world.log());
            fs::read_to_string(&hosts).ok().filter(|yml| yml.contains(&token)).map(|_| ())
        });
        assert!(seen.lock().unwrap().iter().any(|login| login.ends_with(&token)), "{:?}", seen.lock().unwrap());
    }
    assert!(!seen.lock().unwrap().iter().any(|login| login.contains("frozen")));
}
