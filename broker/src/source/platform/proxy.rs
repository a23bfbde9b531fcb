//! Selects the proxy for the platform by the same variables and rules as the images' curl.

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use super::endpoint::{Endpoint, strip_brackets};
use crate::credential::lease::{Class, Failure};

/// curl's default for a proxy URL without a port.
const DEFAULT_PORT: u16 = 1080;

/// The proxies' URLs, which may contain passwords, and the hosts to reach without a proxy. An empty
/// string means none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    pub http: String,
    pub https: String,
    pub all: String,
    pub no: String,
}

impl Proxies {
    /// Looks the variables up as curl does. Lower case comes first, an empty variable counts as
    /// unset, and `HTTP_PROXY` in upper case isn't read at all: a web server sets it for CGI
    /// programs from a request's header, and curl never sent an image's plain-http requests through
    /// it.
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

/// Tells whether `NO_PROXY` names the host. Like curl, accepts blanks besides commas between
/// entries, and `*` for any host, including IP addresses.
fn is_excepted(uri: &Uri, no: &str) -> bool {
    let entries: Vec<&str> = no.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()).collect();
    let matcher = Matcher::builder().all("http://any").no(entries.join(",")).build();
    entries.contains(&"*") || matcher.intercept(uri).is_none()
}

/// An http or https proxy, with its credentials as the value of `Proxy-Authorization`.
pub(super) struct Proxy {
    uri: Uri,
    pub(super) auth: Option<HeaderValue>,
}

impl Proxy {
    /// Returns the proxy to use for `endpoint`, if any.
    pub(super) fn for_endpoint(endpoint: &Endpoint, proxies: &Proxies) -> Result<Option<Self>, Failure> {
        let bad = |name: &str| {
            Failure::new(
                Class::Config,
                format!(
                    "{name} isn't a usable proxy: write it like \
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
        // The library ignores a proxy URL that it can't parse. That must be an error here: a
        // configured proxy must not be bypassed.
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
        strip_brackets(self.uri.host().unwrap_or_default())
    }

    pub(super) fn port(&self) -> u16 {
        let default = if self.is_https() { 443 } else { DEFAULT_PORT };
        self.uri.port_u16().unwrap_or(default)
    }
}
