//! [`Destinations`]: where requests may go that another server sends us to.
//!
//! A Hub names the CAS, the CAS names the addresses of xorbs, and any server may redirect. None of them may make this
//! process speak to a service that only its own network can reach. So requests go to:
//!
//! | host | with private addresses |
//! |---|---|
//! | the endpoint's, which somebody has configured, at any port | yes |
//! | this machine, if the endpoint is on it | yes |
//! | hosts that the configuration names | yes |
//! | subdomains of the endpoint's | no |
//! | those of the Hub of Hugging Face, if the endpoint is one of them | no |
//!
//! What a name of the last two means is looked up, and addresses that are not public are dropped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Domains of the Hub of Hugging Face with its CAS (`cas-server.xethub.hf.co`) and CDN (`transfer.xethub.hf.co`,
/// `us.gcp.cdn.hf.co`). Source: what its answers name.
const HUGGING_FACE: [&str; 2] = ["huggingface.co", "hf.co"];

/// Where requests may go. Clones are the same.
#[derive(Debug, Clone)]
pub struct Destinations(Arc<Hosts>);

#[derive(Debug)]
struct Hosts {
    /// The endpoint's host; `None` if it has none, and then nothing is allowed.
    home: Option<String>,
    /// Hosts that the configuration names.
    named: Vec<String>,
}

/// How far a host is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Wherever its name leads.
    Any,
    /// If its name leads to public addresses.
    Public,
    /// Not at all.
    None,
}

impl Destinations {
    /// Those of a Hub at `endpoint`; `more` are further hosts of it.
    pub fn of(endpoint: &str, more: &[String]) -> Self {
        let home = Url::parse(endpoint).ok().and_then(|url| url.host_str().map(str::to_owned));
        let named = more.iter().map(|host| host.trim().to_ascii_lowercase()).collect();
        Self(Arc::new(Hosts { home, named }))
    }

    /// Whether a request may be sent there.
    pub(super) fn allow(&self, url: &Url) -> bool {
        let is_http = matches!(url.scheme(), "http" | "https");
        is_http && url.host_str().is_some_and(|host| self.trust(host) != Trust::None)
    }

    fn trust(&self, host: &str) -> Trust {
        let Some(home) = self.0.home.as_deref() else { return Trust::None };
        let is_both_here = is_this_machine(home) && is_this_machine(host);
        if host == home || is_both_here || self.0.named.iter().any(|named| named == host) {
            return Trust::Any;
        }
        let is_name = host.trim_matches(['[', ']']).parse::<IpAddr>().is_err();
        let is_of_home = is_below(host, home);
        let is_of = |host: &str| HUGGING_FACE.iter().any(|domain| host == *domain || is_below(host, domain));
        if is_name && (is_of_home || (is_of(home) && is_of(host))) { Trust::Public } else { Trust::None }
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
}

impl Resolve for Destinations {
    fn resolve(&self, name: Name) -> Resolving {
        // Other names are those of proxies, which the environment names: requests to other hosts are not sent.
        let only_public = self.trust(name.as_str()) == Trust::Public;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<_> = found.filter(|address| !only_public || is_public(address.ip())).collect();
            if found.is_empty() {
                return Err(format!("{} has no public address", name.as_str()).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the internet. Source: the IANA registries of special-purpose addresses.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_shared = first == 100 && (64..128).contains(&second);
    let is_benchmark = first == 198 && (second == 18 || second == 19);
    let is_protocol = (first, second, third) == (192, 0, 0);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || is_shared
        || is_benchmark
        || is_protocol
        || first == 0
        || first >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    // 2000::/3 is what is given out; within it, of addresses that stand for ones of version 4, those would have to be
    // looked at, and nobody serves a Hub there.
    let is_global = first & 0xe000 == 0x2000;
    let is_embedded = first == 0x2002 || (first == 0x2001 && address.segments()[1] == 0);
    let is_documentation = first == 0x2001 && address.segments()[1] == 0xdb8;
    is_global && !is_embedded && !is_documentation
}

/// Whether a URL's host (an address of version 6 in brackets) is this machine.
pub fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(endpoint: &str, more: &[&str], url: &str) -> bool {
        let more: Vec<_> = more.iter().map(ToString::to_string).collect();
        Destinations::of(endpoint, &more).allow(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_hub_may_send_us_to_its_own_hosts_only() {
        let (hub, here, inside) =
            ("https://huggingface.co", "http://127.0.0.1:9001", "http://10.0.0.5:9001/hub");
        let table = [
            (hub, "https://huggingface.co/api", true),
            (hub, "https://cas-server.xethub.hf.co/v1", true),
            (hub, "https://cdn-lfs-us-1.hf.co/x", true),
            (hub, "https://hf.co.evil.example/", false),
            (hub, "https://evilhf.co/", false),
            (hub, "https://example.com/", false),
            (hub, "http://169.254.169.254/latest/meta-data", false),
            (hub, "http://127.0.0.1:9001/", false),
            (hub, "http://[::1]/", false),
            (hub, "file:///etc/passwd", false),
            (here, "http://127.0.0.1:8080/cas", true),
            (here, "http://localhost:9001/cas", true),
            (here, "http://169.254.169.254/", false),
            (here, "http://10.0.0.5/", false),
            (inside, "http://10.0.0.5:7000/cas", true),
            (inside, "http://10.0.0.6:9001/", false),
            (inside, "http://127.0.0.1:9001/", false),
            (inside, "http://x.10.0.0.5.example/", false),
            ("https://hub.example.com", "https://cas.hub.example.com/", true),
            ("https://hub.example.com", "https://cas.example.com/", false),
            ("nowhere", "https://huggingface.co/", false),
        ];
        for (endpoint, url, expected) in table {
            assert_eq!(allows(endpoint, &[], url), expected, "{endpoint} sends us to {url}");
        }
        assert!(allows(inside, &["10.0.0.6", " CAS.example.com"], "http://10.0.0.6:9001/"));
        assert!(allows(inside, &["10.0.0.6", " CAS.example.com"], "https://cas.example.com/"));
    }

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for public in ["1.1.1.1", "172.15.0.1", "100.63.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_looked_up_for_a_hub_elsewhere() {
        let hub = Destinations::of("https://localhost.example", &[]);
        assert_eq!(hub.trust("x.localhost.example"), Trust::Public);
        // Every system resolves it, and to no public address.
        let below = Destinations(Arc::new(Hosts { home: Some("host".to_owned()), named: Vec::new() }));
        assert_eq!(below.trust("local.host"), Trust::Public);
        let named = Destinations::of("http://127.0.0.1", &[]);
        let found = named.resolve("localhost".parse().unwrap()).await;
        assert!(found.is_ok(), "this machine may be asked by a Hub on this machine");
    }
}
