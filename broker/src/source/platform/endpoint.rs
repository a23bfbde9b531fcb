//! URL of the platform's token endpoint.

use std::fmt::Write;

use http::Uri;
use http::uri::Scheme;

use crate::credential::lease::{Class, Failure};
use crate::system::text::untrusted;

pub(super) struct Endpoint {
    uri: Uri,
    place: String,
}

impl Endpoint {
    pub(super) fn new(url: &str, workspace_id: &str) -> Result<Self, Failure> {
        let bad = |what: String| Failure::new(Class::Config, format!("PLATFORM_URL {what}"));
        let base: Uri = url
            .trim()
            .parse()
            .map_err(|_| bad("isn't a valid URL: write it like https://platform.example".to_owned()))?;
        let scheme = match base.scheme() {
            Some(s) if *s == Scheme::HTTP || *s == Scheme::HTTPS => s.clone(),
            _ => return Err(bad("must begin with http:// or https://".to_owned())),
        };
        let authority =
            base.authority().filter(|a| !a.host().is_empty()).ok_or_else(|| bad("has no host".to_owned()))?;
        if authority.as_str().contains('@') {
            return Err(bad("must not contain a user or password: the platform gets the bearer instead".to_owned()));
        }
        if authority
            .as_str()
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.ends_with(']') && port.parse::<u16>().is_err())
        {
            return Err(bad("has a port that isn't a number up to 65535".to_owned()));
        }
        if base.query().is_some() || url.contains('#') {
            return Err(bad("must have neither `?` nor `#`".to_owned()));
        }
        let path = format!("{}{}", base.path().trim_end_matches('/'), endpoint_path(workspace_id)?);
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|_| bad("and WORKSPACE_ID don't form a valid URL".to_owned()))?;
        Ok(Self { place: untrusted(&uri.to_string()), uri })
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Returns the URL, escaped for messages.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// Returns the host, without the brackets of an IPv6 address.
    pub(super) fn host(&self) -> &str {
        strip_brackets(self.uri.host().unwrap_or_default())
    }

    pub(super) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Returns the authority as configured, for the `Host` header.
    pub(super) fn host_header(&self) -> &str {
        self.uri.authority().map_or("", |a| a.as_str())
    }
}

pub(super) fn strip_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
}

/// Returns the path below the configured URL. A workspace that could leave its path segment is
/// refused instead of encoded, because servers decode before they route.
fn endpoint_path(workspace_id: &str) -> Result<String, Failure> {
    let id = workspace_id.trim();
    if id.is_empty() {
        return Ok("/admin/github-installation-token".to_owned());
    }
    if id.contains('/') || id == "." || id == ".." {
        return Err(Failure::new(Class::Config, "WORKSPACE_ID must be a plain identifier, without `/`"));
    }
    let mut path = "/workspaces/".to_owned();
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path.push_str("/github-installation-token");
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_built_from_base_and_workspace() {
        for (base, id, wanted) in [
            ("http://p", "w-1", "http://p/workspaces/w-1/github-installation-token"),
            ("https://p:8/a/b//", "", "https://p:8/a/b/admin/github-installation-token"),
            ("http://[::1]:8/", "ö ?%", "http://[::1]:8/workspaces/%C3%B6%20%3F%25/github-installation-token"),
        ] {
            assert_eq!(Endpoint::new(base, id).unwrap().place(), wanted);
        }
    }

    #[test]
    fn an_unclear_url_is_refused_and_not_quoted() {
        for (base, id) in [
            ("", "w"),
            ("p", "w"),
            ("ftp://p", "w"),
            ("http://", "w"),
            ("http://u:canary@p", "w"),
            ("http://p?canary", "w"),
            ("http://p:99999", "w"),
            ("http://p", "../admin"),
            ("http://p", ".."),
        ] {
            let failure = Endpoint::new(base, id).err().expect(base);
            assert_eq!(failure.class, Class::Config);
            assert!(!failure.message.contains("canary"));
        }
    }

    #[test]
    fn host_and_port_are_what_the_connection_needs() {
        let endpoint = Endpoint::new("https://[::1]", "").unwrap();
        assert_eq!((endpoint.host(), endpoint.port()), ("::1", 443));
        assert_eq!(endpoint.host_header(), "[::1]");
    }
}
