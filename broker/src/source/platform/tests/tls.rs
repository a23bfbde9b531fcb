//! https with a certificate authority that the test creates.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Starts a TLS server, behind a proxy's CONNECT if `tunnelled`.
async fn tls_server(acceptor: TlsAcceptor, tunnelled: bool) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let log = Log::default();
    let shared = log.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if tunnelled {
                let head = read_head(&mut stream).await.unwrap();
                shared.heads.lock().unwrap().push(head);
                stream.write_all(b"HTTP/1.1 200 Here\r\n\r\n").await.unwrap();
            }
            if let Ok(stream) = acceptor.accept(stream).await {
                play(stream, Act::Say(good(TOKEN)), shared.clone()).await;
            }
        }
    });
    (address, log)
}

fn trusting(authority: &Authority, configs: &Configs) -> Roots {
    let file = configs.0.path().join("ca.pem");
    std::fs::write(&file, format!("# ours\n{}", authority.0.pem())).unwrap();
    Roots { file: Some(file), dirs: None }
}

fn https(address: &str, roots: Roots, configs: &Configs) -> PlatformSettings {
    PlatformSettings { roots, ..settings(&format!("https://{address}"), &configs.path()) }
}

async fn fetched(settings: PlatformSettings) -> Result<Fresh, Failure> {
    Platform::new(settings).unwrap().fetch().await
}

#[tokio::test]
async fn an_authority_in_ssl_cert_file_or_dir_is_trusted() {
    let (authority, configs) = (Authority::new(), Configs::new());
    let (address, log) = tls_server(authority.acceptor("127.0.0.1"), false).await;
    let roots = trusting(&authority, &configs);
    fetched(https(&address, roots, &configs)).await.unwrap();
    let dirs = Some(PathBuf::from(format!("/nonexistent:{}", configs.0.path().display())));
    fetched(https(&address, Roots { file: None, dirs }, &configs)).await.unwrap();
    assert_eq!(log.bearers(), [BEARER; 2]);
}

#[tokio::test]
async fn a_server_with_an_untrusted_certificate_gets_no_bearer() {
    let (authority, configs) = (Authority::new(), Configs::new());
    let roots = trusting(&authority, &configs);
    for acceptor in [Authority::new().acceptor("127.0.0.1"), authority.acceptor("canary.example")] {
        let (address, log) = tls_server(acceptor, false).await;
        let failure = fetched(https(&address, roots.clone(), &configs)).await.unwrap_err();
        assert_eq!(failure.class, Class::Tls, "{failure}");
        assert!(failure.message.contains("SSL_CERT_FILE"), "{failure}");
        assert!(log.heads().is_empty());
    }
}

#[tokio::test]
async fn without_root_certificates_the_platform_is_not_asked() {
    let (authority, configs) = (Authority::new(), Configs::new());
    let (address, log) = tls_server(authority.acceptor("127.0.0.1"), false).await;
    let roots = Roots { file: Some(configs.0.path().join("none.pem")), dirs: None };
    let failure = fetched(https(&address, roots, &configs)).await.unwrap_err();
    assert_eq!(failure.class, Class::Tls);
    assert!(failure.message.contains("none.pem"), "{failure}");
    assert!(log.heads().is_empty());
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_a_fault_of_tls() {
    let configs = Configs::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.0 400 canary\r\n\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let roots = trusting(&Authority::new(), &configs);
    let failure = fetched(https(&address, roots, &configs)).await.unwrap_err();
    assert_eq!(failure.class, Class::Tls, "{failure}");
    assert_clean(&failure);
}

#[tokio::test]
async fn a_tunnel_carries_the_whole_exchange() {
    let (authority, configs) = (Authority::new(), Configs::new());
    let (proxy, log) = tls_server(authority.acceptor("platform.invalid"), true).await;
    let roots = trusting(&authority, &configs);
    let settings = PlatformSettings {
        proxies: Proxies { https: proxy, ..Proxies::default() },
        ..https("platform.invalid", roots, &configs)
    };
    fetched(settings).await.unwrap();
    let heads = log.heads();
    assert!(heads[0].starts_with("CONNECT platform.invalid:443 ") && !heads[0].contains(BEARER));
    assert!(heads[1].starts_with("GET /workspaces/w1/"));
}
