//! Decides from a URL alone whether it may be fetched, and where it leads.

use std::net::IpAddr;

use url::{Host, Url};

use super::config::URL_BYTES_MAX;
use super::error::EgressError;

/// Ports above 1023 that browsers do not speak HTTP to (the list of bad ports of the Fetch standard), because what listens
/// there could take a request for its own protocol.
const BAD_PORTS: &[u16] = &[
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// A place that a checked URL leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) https: bool,
    pub(super) host: TargetHost,
    pub(super) port: u16,
    /// Value of the `Host` header.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
}

/// A host, by name or by address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum TargetHost {
    /// In lower case, in ASCII, without a final dot.
    Name(String),
    Address(IpAddr),
}

impl Target {
    /// Checks `url`: `http` or `https`, no user name or password, an ordinary port (80, 443 or one above 1023 that
    /// browsers speak HTTP to), a bounded length. `Url` has already brought every spelling of an IPv4 address
    /// (`0x7f.1`, `2130706433`, `127.1`) to one form.
    pub(super) fn of(url: &Url) -> Result<Self, EgressError> {
        let refused = |why| Err(EgressError::RefusedUrl(why));
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return refused("neither http nor https"),
        };
        if url.as_str().len() > URL_BYTES_MAX {
            return refused("too long");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("has a user name or password");
        }
        let host = match url.host() {
            Some(Host::Ipv4(address)) => TargetHost::Address(address.into()),
            Some(Host::Ipv6(address)) => TargetHost::Address(address.into()),
            Some(Host::Domain(name)) => match name.strip_suffix('.').unwrap_or(name) {
                name if name.is_empty() || name.len() > 253 => return refused("not a host name"),
                name => TargetHost::Name(name.to_owned()),
            },
            None => return refused("no host"),
        };
        let port = url.port_or_known_default().unwrap_or(0);
        if port != 80 && port != 443 && (port < 1024 || BAD_PORTS.contains(&port)) {
            return refused("port not used by http");
        }
        let mut authority = match &host {
            TargetHost::Name(name) => name.clone(),
            TargetHost::Address(IpAddr::V4(address)) => address.to_string(),
            TargetHost::Address(IpAddr::V6(address)) => format!("[{address}]"),
        };
        if let Some(port) = url.port() {
            authority = format!("{authority}:{port}");
        }
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self { https, host, port, authority, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: &str) {
        let found = match Url::parse(url).map(|url| Target::of(&url)) {
            Err(_) => "not a url".to_owned(),
            Ok(Err(EgressError::RefusedUrl(why))) => why.to_owned(),
            Ok(Err(other)) => panic!("{url}: {other}"),
            Ok(Ok(target)) => format!("{} {} {}{}", target.https, target.port, target.authority, target.path),
        };
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn a_url_is_checked_by_its_text() {
        check("https://Example.COM", "true 443 example.com/");
        check("http://example.com.:8080/a?b=c#d", "false 8080 example.com:8080/a?b=c");
        check("http://example.com:80/", "false 80 example.com/");
        check("http://bücher.example/", "false 80 xn--bcher-kva.example/");
        // Every spelling of an IPv4 address is that address.
        for spelling in
            ["127.0.0.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.1", "127.0.0.1.", "1２7.0.0.1", "%3127.0.0.1"]
        {
            check(&format!("http://{spelling}/"), "false 80 127.0.0.1/");
        }
        check("http://[::ffff:7f00:1]/", "false 80 [::ffff:127.0.0.1]/");
        for scheme in [
            "file:///etc/passwd",
            "gopher://example.com/",
            "ftp://example.com/",
            "data:text/html,x",
            "javascript:0",
            "unix:/a",
        ] {
            check(scheme, "neither http nor https");
        }
        check("http://user@example.com/", "has a user name or password");
        check("http://:secret@example.com/", "has a user name or password");
        check("https://example.com@127.0.0.1/", "has a user name or password");
        for port in [0, 1, 22, 25, 53, 445, 1023, 2049, 6000, 6667, 10080] {
            check(&format!("http://example.com:{port}/"), "port not used by http");
        }
        check("http://example.com:99999/", "not a url");
        check("http:///", "not a url");
        check("http://./", "not a host name");
        check("http://exa mple.com/", "not a url");
        check(&format!("http://{}.example/", "a".repeat(260)), "not a host name");
        check(&format!("http://example.com/{}", "a".repeat(9_000)), "too long");
        check("http://example.com/\r\nX-Evil: 1", "false 80 example.com/X-Evil:%201");
    }
}
