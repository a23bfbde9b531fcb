//! TLS connections and their trusted root certificates.
//!
//! The trust store is built for each connection and streamed from its file, one certificate at a
//! time. If it were kept, it would be the largest object in the daemon's memory, for one connection
//! in 45 min. Building it anew also picks up changes of the file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::credential::lease::{Class, Failure};
use crate::system::text::untrusted;

/// Files in which distributions keep their trusted certificates.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Configured root certificates, with curl's meaning: the file replaces the machine's own bundle,
/// and the folders (one or more, separated by `:`) are searched in addition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// `SSL_CERT_FILE`.
    pub file: Option<PathBuf>,
    /// `SSL_CERT_DIR`.
    pub dirs: Option<PathBuf>,
}

pub(super) async fn connect<W>(wire: W, host: &str, roots: &Roots) -> Result<TlsStream<W>, Failure>
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        Failure::new(Class::Config, format!("{} isn't a name that a certificate can have", untrusted(host)))
    })?;
    let connector = TlsConnector::from(Arc::new(client_config(roots)?));
    connector.connect(name, wire).await.map_err(|e| {
        Failure::new(
            Class::Tls,
            format!(
                "no TLS connection to {}: {}; if its certificate comes from your own \
                 authority, name that in SSL_CERT_FILE",
                untrusted(host),
                untrusted(&e.to_string())
            ),
        )
    })
}

fn client_config(roots: &Roots) -> Result<ClientConfig, Failure> {
    let tls = |what: String| Failure::new(Class::Tls, what);
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| tls(format!("no TLS version can be offered: {e}")))?;
    let mut config = builder.with_root_certificates(load_roots(roots)?).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn load_roots(roots: &Roots) -> Result<RootCertStore, Failure> {
    let mut store = RootCertStore::empty();
    let mut problem = None;
    let file = roots.file.as_deref().or_else(|| {
        let mut bundles = BUNDLES.iter().map(Path::new);
        bundles.find(|bundle| bundle.is_file())
    });
    if let Some(file) = file {
        add_certificates(&mut store, file).unwrap_or_else(|e| problem = Some((file.to_owned(), e)));
    }
    for dir in roots.dirs.iter().flat_map(std::env::split_paths) {
        match dir.read_dir() {
            Ok(entries) => {
                for entry in entries.flatten().filter(|e| e.path().is_file()) {
                    // Files that aren't certificates are ignored.
                    let _ = add_certificates(&mut store, &entry.path());
                }
            }
            Err(e) => problem = Some((dir, e)),
        }
    }
    if store.is_empty() {
        return Err(Failure::new(
            Class::Tls,
            match problem {
                Some((path, e)) => format!("no trusted root certificate: {}: {e}", path.display()),
                None => "no trusted root certificate: install ca-certificates or set SSL_CERT_FILE".into(),
            },
        ));
    }
    Ok(store)
}

fn add_certificates(store: &mut RootCertStore, file: &Path) -> io::Result<()> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(io::Error::other)?;
    // Bundles contain a few certificates that current libraries don't accept. They are skipped.
    for certificate in certificates.flatten() {
        let _ = store.add(certificate);
    }
    Ok(())
}
