//! The city's own certificate authority. Each world creates a new one, and only
//! programs that are pointed at its file trust it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// curl resolves every `*.localhost` name to loopback without a name server, so
/// these are distinct hosts. The real names are for tests that send git or gh
/// through a proxy or `http.curloptResolve`.
const NAMES: [&str; 10] = [
    "localhost",
    "127.0.0.1",
    "git.localhost",
    "evil.localhost",
    "gitea.localhost",
    "platform.localhost",
    "github.com",
    "gist.github.com",
    "api.github.com",
    "evil.example",
];

/// Number of agents with a name of their own for the git host. Each name is an
/// origin of its own, so the audit log tells the agents apart.
pub const AGENTS: usize = 8;

/// Returns the name by which an agent calls the git host.
pub fn agent_name(number: usize) -> String {
    format!("agent-{}.localhost", number % AGENTS)
}

pub struct CertAuthority {
    pem: String,
    acceptor: TlsAcceptor,
}

impl CertAuthority {
    #[expect(clippy::new_without_default, reason = "it generates keys")]
    pub fn new() -> Self {
        const FINE: &str = "constant parameters make a valid certificate";
        let mut params = CertificateParams::new(Vec::new()).expect(FINE);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = name("molecule test city CA");
        let key = KeyPair::generate().expect(FINE);
        let pem = params.self_signed(&key).expect(FINE).pem();
        let issuer = Issuer::new(params, key);

        let names: Vec<_> = NAMES.map(String::from).into_iter().chain((0..AGENTS).map(agent_name)).collect();
        let mut leaf = CertificateParams::new(names).expect(FINE);
        leaf.distinguished_name = name("localhost");
        leaf.use_authority_key_identifier_extension = true;
        let leaf_key = KeyPair::generate().expect(FINE);
        let leaf = leaf.signed_by(&leaf_key, &issuer).expect(FINE);

        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key))
            .expect(FINE);
        Self { pem, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    /// Writes the certificate, for `GIT_SSL_CAINFO`, `SSL_CERT_FILE` and curl's
    /// `--cacert`.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        fs::write(file, &self.pem)
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }
}

fn name(common: &str) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    name.push(rcgen::DnType::CommonName, common);
    name
}
