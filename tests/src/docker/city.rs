//! The test city as a container sees it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::certs::CertAuthority;
use crate::git_host::{GitHost, HostBehaviour};
use crate::ledger::Ledger;
use crate::platform::{MintPolicy, Platform};
use crate::proxy::Proxy;
use crate::temp_folder;
use crate::world::config::refresh_table;

/// Uid of the agent in every image.
pub const AGENT: u32 = 1000;

pub struct City {
    pub platform: Platform,
    pub host: GitHost,
    /// A host of a stranger. A client that connects to it shows the stranger
    /// its credential.
    pub evil: GitHost,
    pub ledger: Arc<Ledger>,
    /// The token that the provisioner put into the environment. It is dead by
    /// now.
    pub frozen: String,
    proxy: Proxy,
    dir: TempDir,
}

impl City {
    /// Creates a city whose tokens live `life`. Each call of the platform mints
    /// one.
    pub fn new(life: Duration) -> Self {
        let dir = temp_folder::new_folder("molecule-city-").unwrap_or_else(|problem| panic!("{problem}"));
        let ledger = Arc::new(Ledger::default());
        let ca = CertAuthority::new();
        let platform = Platform::start(&ledger, life, MintPolicy::MintPerCall, None);
        let host = GitHost::start(&ledger, Some(&ca));
        host.create_repository("acme/app.git");
        let evil = GitHost::start(&ledger, Some(&ca));
        evil.set_behaviour(HostBehaviour::Refuses);
        let frozen = ledger.mint(life).token;
        ledger.revoke(&frozen);
        let proxy = Proxy::start(host.port(), evil.port());
        let city = Self { platform, host, evil, ledger, frozen, proxy, dir };
        city.furnish(&ca, life);
        city
    }

    fn furnish(&self, ca: &CertAuthority, life: Duration) {
        const OURS: &str = "our own folder is writable";
        for folder in ["configs", "city", "city/gh", "config"] {
            fs::create_dir(self.path(folder)).expect(OURS);
        }
        // mktemp(3) creates a folder that no other user can enter.
        fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o755)).expect(OURS);
        ca.write(&self.path("city/ca.pem")).expect(OURS);
        // A gh alias that prints the token that gh was given, without
        // contacting a host.
        fs::write(self.path("city/gh/config.yml"), "version: \"1\"\naliases:\n  shown: '!echo \"$GH_TOKEN\"'\n")
            .expect(OURS);
        fs::write(self.path("config/config.toml"), refresh_table(life)).expect(OURS);
        fs::write(self.bearer_file(), self.platform.bearer()).expect(OURS);
        // Only the agent can read it, as the runtime leaves it.
        fs::set_permissions(self.bearer_file(), fs::Permissions::from_mode(0o600)).expect(OURS);
        for ours in [self.path("configs"), self.bearer_file()] {
            chown(ours, Some(AGENT), Some(AGENT)).expect("root can give files away");
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn bearer_file(&self) -> PathBuf {
        self.path("configs/.auth_token")
    }

    /// Returns arguments for `docker run`: what the provisioner gives to every
    /// workspace.
    pub fn provision(&self) -> Vec<String> {
        let mut arguments = self.bare();
        for (name, value) in [
            ("GIT_ASKPASS", "/usr/local/bin/molecule-askpass"),
            ("GITHUB_TOKEN", &self.frozen),
            ("GH_TOKEN", &self.frozen),
        ] {
            arguments.push(format!("--env={name}={value}"));
        }
        arguments.push(format!("--volume={}:/configs", self.path("configs").display()));
        arguments
    }

    /// Returns arguments for a machine without a provisioner: the platform's
    /// address, the workspace's name, and access to both.
    pub fn bare(&self) -> Vec<String> {
        let mut arguments = self.network();
        arguments.push(format!("--env=PLATFORM_URL={}", self.platform.url()));
        arguments.push(format!("--env=WORKSPACE_ID={}", self.platform.workspace()));
        arguments
    }

    /// Returns arguments for a machine on which its user does everything else.
    pub fn network(&self) -> Vec<String> {
        vec![String::from("--network=host"), format!("--volume={}:/city:ro", self.path("city").display())]
    }

    /// Returns an argument that adds a configuration whose times are in
    /// proportion to the tokens' life.
    pub fn short_times(&self) -> String {
        format!("--volume={}:/etc/molecule-broker:ro", self.path("config").display())
    }

    /// Returns variables for `docker exec`, by which git finds `github.com` in
    /// this city and trusts its certificate.
    pub fn git_variables(&self) -> Vec<(&'static str, String)> {
        vec![("https_proxy", self.proxy.url()), ("GIT_SSL_CAINFO", String::from("/city/ca.pem"))]
    }

    /// Returns the number of the minted token that this text contains.
    pub fn token_in(&self, text: &str) -> Option<usize> {
        self.ledger.all().iter().position(|minted| text.contains(&minted.token))
    }
}
