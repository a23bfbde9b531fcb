//! Which way leads to the platform, as the images' curl understood it.

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use super::endpoint::{Endpoint, bare};
use crate::credential::lease::{Class, Failure};

/// curl's default where a proxy's URL names no port.
const DEFAULT_PORT: u16 = 1080;

/// The proxies' URLs, which may carry passwords, and the hosts to be reached
/// without. Empty means none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    pub http: String,
    pub https: String,
    pub all: String,
    pub no: String,
}

impl Proxies {
    /// Looks the variables up as curl does: lower case first, an empty one is
    /// unset, and `HTTP_PROXY` in upper case is not read at all. (A web server
    /// sets it for CGI programs from a request's header; and curl never sent
    /// an image's plain-http requests through it.)
    #[must_use]
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| var(name));
            values.find(|value| !value.is_empty()).unwrap_or_default()
        };
        Self {
            http: first(&["http_proxy"]),
            https: first(&["https_proxy", "HTTPS_PROXY"]),
            all: first(&["all_proxy", "ALL_PROXY"]),
            no: first(&["no_proxy", "NO_PROXY"]),
        }
    }
}

/// Whether `NO_PROXY` names the host. Beside commas curl takes blanks between
/// entries, and a `*` for any host, also for one that is an address.
fn is_excepted(uri: &Uri, no: &str) -> bool {
    let entries: Vec<&str> = no.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()).collect();
    let matcher = Matcher::builder().all("http://any").no(entries.join(",")).build();
    entries.contains(&"*") || matcher.intercept(uri).is_none()
}

/// An http or https proxy, with its credentials as it wants to see them.
pub(super) struct Proxy {
    uri: Uri,
    pub(super) auth: Option<HeaderValue>,
}

impl Proxy {
    /// The proxy that stands before `endpoint`, if any.
    pub(super) fn before(endpoint: &Endpoint, proxies: &Proxies) -> Result<Option<Self>, Failure> {
        let bad = |name: &str| {
            Failure::new(
                Class::Config,
                format!(
                    "{name} is no proxy that can be used: write it like \
                     http://proxy.example:3128, or name the platform's host in NO_PROXY"
                ),
            )
        };
        let (name, url) = match endpoint.is_https() {
            true if !proxies.https.is_empty() => ("HTTPS_PROXY", &proxies.https),
            false if !proxies.http.is_empty() => ("http_proxy", &proxies.http),
            _ if !proxies.all.is_empty() => ("ALL_PROXY", &proxies.all),
            _ => return Ok(None),
        };
        if is_excepted(endpoint.uri(), &proxies.no) {
            return Ok(None);
        }
        // The library takes a URL that it can't read for no proxy; going
        // around a proxy that someone wants is not for us to decide.
        let matcher = Matcher::builder().all(url.trim()).build();
        let found = matcher.intercept(endpoint.uri()).ok_or_else(|| bad(name))?;
        if !matches!(found.uri().scheme_str(), Some("http" | "https")) {
            return Err(bad(name));
        }
        let mut auth = found.basic_auth().cloned();
        if let Some(auth) = &mut auth {
            auth.set_sensitive(true);
        }
        Ok(Some(Self { uri: found.uri().clone(), auth }))
    }

    pub(super) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    pub(super) fn host(&self) -> &str {
        bare(self.uri.host().unwrap_or_default())
    }

    pub(super) fn port(&self) -> u16 {
        let default = if self.is_https() { 443 } else { DEFAULT_PORT };
        self.uri.port_u16().unwrap_or(default)
    }
}
