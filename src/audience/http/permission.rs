//! Where a source may go, and with which headers: those of a Secret go to the hosts that the Secret itself names.

use std::net::IpAddr;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{dns, header};
use secrecy::ExposeSecret;

use crate::api::remote_source::ALLOWED_HOSTS;
use crate::audience::materials::{MaterialKind, Materials};
use crate::audience::secret_text::secret_text;
use crate::audience::source_fault::{FaultKind, SourceFault};

/// The most keys of a Secret of headers: as many headers as a channel may have.
const MAX_HEADERS: usize = 32;
/// Headers that belong to the connection or to how the answer is read.
const OWN_HEADERS: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::RANGE,
    header::ACCEPT_ENCODING,
];

const LINK_LOCAL: &str = "a link-local address";
const THIS_MACHINE: &str = "the machine that asks";

/// What the requests of one source may do.
#[derive(Debug)]
pub enum Permission {
    /// Without headers: the URL that the broadcast names leads to the one server that is asked.
    Origin(Url),
    /// Of a file at a link, without headers: the same, and its host by TLS, where a link without TLS leads to that.
    File(Url, Reach),
    /// With the headers of a Secret: only the hosts that it names are asked.
    Hosts { secret: String, allowed: Vec<AllowedHost>, headers: HeaderMap },
}

/// How far a link of a file may lead. Whoever writes a broadcast may not read what the pod of a sender alone can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To other machines.
    Others,
    /// To this one as well.
    ThisMachine,
}

/// A host of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    /// `http://` stands before it: it is asked without TLS.
    plain: bool,
    host: String,
    /// `None` is the port of the scheme.
    port: Option<u16>,
}

impl Permission {
    /// Reads the headers and the list from their Secret, where the source names one.
    pub fn of(
        url: &Url,
        headers_secret: Option<&str>,
        materials: &dyn Materials,
        place: &str,
    ) -> Result<Permission, SourceFault> {
        let Some(secret) = headers_secret else { return Ok(Permission::Origin(url.clone())) };
        let allowed = secret_text(materials, secret, ALLOWED_HOSTS, place)?;
        let allowed = allowed_hosts(allowed.expose_secret()).map_err(|problem| {
            let problem = format!("key \"{ALLOWED_HOSTS}\" of the Secret \"{secret}\" {problem}");
            let remedy = "list hosts such as crm.example or crm.example:8443, with spaces between";
            SourceFault::new(FaultKind::SecretKeyUnusable, place, problem, remedy)
        })?;
        let keys =
            materials.keys(MaterialKind::Secret, secret).map_err(|error| SourceFault::of_secret(place, error))?;
        let mut headers = HeaderMap::new();
        for key in keys.iter().filter(|key| *key != ALLOWED_HOSTS) {
            let value = secret_text(materials, secret, key, place)?;
            let (name, value) = header(key, value.expose_secret()).map_err(|(problem, remedy)| {
                let problem = format!("key \"{key}\" of the Secret \"{secret}\" {problem}");
                SourceFault::new(FaultKind::SecretKeyUnusable, place, problem, remedy)
            })?;
            headers.insert(name, value);
        }
        if headers.len() > MAX_HEADERS {
            let problem = format!("the Secret \"{secret}\" has {} headers", headers.len());
            let remedy = format!("at most {MAX_HEADERS} are sent; remove some keys");
            return Err(SourceFault::new(FaultKind::SecretKeyUnusable, place, problem, remedy));
        }
        Ok(Permission::Hosts { secret: secret.to_owned(), allowed, headers })
    }

    /// What is read of a list are people and their variables; a file is sent to them as it is.
    pub fn reach(&self) -> Reach {
        match self {
            Permission::File(_, reach) => *reach,
            Permission::Origin(_) | Permission::Hosts { .. } => Reach::ThisMachine,
        }
    }

    /// The headers for this URL, or why it may not be asked. `leading` says what led there.
    pub fn headers_for(&self, url: &Url, place: &str, leading: &str) -> Result<HeaderMap, SourceFault> {
        let to = shown_origin(url);
        let refuse =
            |problem: String, remedy: String| Err(SourceFault::new(FaultKind::NotAllowed, place, problem, remedy));
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            let problem = format!("{leading} leads to {to}, by another scheme than http or with a user in it");
            return refuse(problem, "name an http(s) URL without a user".to_owned());
        }
        if let Err(of_the_machine) = self.reach().allows(url) {
            let problem = format!("{leading} leads to {to}, {of_the_machine}");
            return refuse(problem, "such addresses belong to the machine, not to a source".to_owned());
        }
        match self {
            Permission::Origin(origin) if url.origin() == origin.origin() => Ok(HeaderMap::new()),
            Permission::Origin(origin) => {
                let problem = format!("{leading} leads to {to}, away from {}", shown_origin(origin));
                let remedy = "name the final URL, or give headersSecretRef with both hosts in allowedHosts";
                refuse(problem, remedy.to_owned())
            }
            Permission::File(link, _) if url.origin() == link.origin() || is_upgrade(link, url) => Ok(HeaderMap::new()),
            Permission::File(link, _) => refuse(
                format!("{leading} leads to {to}, away from {}", shown_origin(link)),
                "name the final URL".to_owned(),
            ),
            Permission::Hosts { allowed, headers, .. } if allowed.iter().any(|host| host.allows(url)) => {
                Ok(headers.clone())
            }
            Permission::Hosts { secret, .. } => {
                let problem = format!("{leading} leads to {to}, which the Secret \"{secret}\" does not allow");
                let remedy = format!("if its headers may be sent there, add it to the key {ALLOWED_HOSTS}");
                let plain = "; a host without TLS is written with http:// before it";
                let is_plain = url.scheme() == "http" && !is_loopback(url);
                refuse(problem, format!("{remedy}{}", if is_plain { plain } else { "" }))
            }
        }
    }
}

impl Reach {
    /// What is wrong with a URL that is too near, as far as the URL itself says it.
    pub fn allows(self, url: &Url) -> Result<(), &'static str> {
        match literal_address(url) {
            Some(address) => self.allows_address(address),
            None if self == Reach::Others && url.host_str() == Some("localhost") => Err(THIS_MACHINE),
            None => Ok(()),
        }
    }

    fn allows_address(self, address: IpAddr) -> Result<(), &'static str> {
        match address {
            address if is_link_local(address) => Err(LINK_LOCAL),
            address if self == Reach::Others && is_of_this_machine(address) => Err(THIS_MACHINE),
            _ => Ok(()),
        }
    }
}

impl AllowedHost {
    fn allows(&self, url: &Url) -> bool {
        let host = url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(&self.host));
        let way = match url.scheme() {
            "https" => !self.plain,
            // What goes to this machine is seen by nobody else.
            _ => self.plain || is_loopback(url),
        };
        let port = self.port.unwrap_or(if url.scheme() == "https" { 443 } else { 80 });
        host && way && url.port_or_known_default() == Some(port)
    }
}

/// Whether one URL leads to the host of another, and by TLS, as that one did not.
fn is_upgrade(from: &Url, to: &Url) -> bool {
    from.scheme() == "http" && to.scheme() == "https" && from.host() == to.host()
}

fn allowed_hosts(list: &str) -> Result<Vec<AllowedHost>, &'static str> {
    let entries = list.split([' ', ',', '\t', '\r', '\n']).filter(|entry| !entry.is_empty());
    let hosts = entries.map(allowed_host).collect::<Option<Vec<AllowedHost>>>();
    hosts.ok_or("holds something that is no host")
}

fn allowed_host(entry: &str) -> Option<AllowedHost> {
    let (plain, host) = match entry.split_once("://") {
        None => (false, entry),
        Some(("https", host)) => (false, host),
        Some(("http", host)) => (true, host),
        Some(_) => return None,
    };
    // Written as a URL, so that both sides of the comparison are in the same form.
    let url = Url::parse(&format!("http://{host}/")).ok()?;
    let alone = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    // A URL drops the port that its scheme has anyhow.
    let port = url.port().or(host.ends_with(":80").then_some(80));
    Some(AllowedHost { plain, host: url.host_str()?.to_owned(), port }).filter(|_| alone && !host.contains('/'))
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), (&'static str, &'static str)> {
    let bytes = name.as_bytes();
    let name = HeaderName::from_bytes(bytes).map_err(|_| ("is no name of a header", "rename or remove the key"))?;
    if OWN_HEADERS.contains(&name) {
        return Err(("is a header that Herald sets itself", "remove the key"));
    }
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        ("holds a line break or control character", "let it hold the header's value alone, as one line")
    })?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Whether a URL leads to this machine.
pub fn is_loopback(url: &Url) -> bool {
    url.host_str() == Some("localhost") || literal_address(url).is_some_and(|address| address.is_loopback())
}

fn literal_address(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Addresses behind which clouds keep the credentials of the machine: no source is there.
fn is_link_local(address: IpAddr) -> bool {
    /// The service of machines in EC2, by IPv6.
    const EC2: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address == EC2,
    }
}

/// Who connects to no address at all connects to this machine.
fn is_of_this_machine(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address.is_unspecified()
}

/// Scheme, host and port of a URL, for messages: a path or query may hold a secret of whoever answered with it.
pub fn shown_origin(url: &Url) -> String {
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// Looks names up as the machine does, and gives no address back that is nearer than it may be.
pub struct Names(pub Reach);

impl dns::Resolve for Names {
    fn resolve(&self, name: dns::Name) -> dns::Resolving {
        let (host, reach) = (name.as_str().to_owned(), self.0);
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
            let too_near = found.iter().find_map(|found| reach.allows_address(found.ip()).err());
            let allowed: Vec<_> = found.into_iter().filter(|found| reach.allows_address(found.ip()).is_ok()).collect();
            if let Some(too_near) = too_near.filter(|_| allowed.is_empty()) {
                return Err(format!("the name leads to {too_near}").into());
            }
            Ok(Box::new(allowed.into_iter()) as dns::Addrs)
        })
    }
}

#[cfg(test)]
#[path = "permission_tests.rs"]
mod tests;
