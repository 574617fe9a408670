//! Where webhooks may be sent: addresses of the public internet, and the networks that the operator allows.
//!
//! The name is resolved anew for each delivery, every address it resolves to is judged, and the connection goes to one of the very
//! addresses judged: a name that changes its mind between check and use (DNS rebinding) gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// The networks inside that webhooks may reach, as `10.1.0.0/16,fd00::/8`; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<(IpAddr, u8)>);

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not https with a host, or with user, password or fragment.
    Form,
    /// The name does not resolve.
    Unknown,
    /// It resolves to an address inside, or it is http to the public internet.
    Inside,
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Networks, String> {
        let network = |word: &str| {
            let (address, bits) = word.split_once('/')?;
            let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?);
            let most = if address.is_ipv4() { 32 } else { 128 };
            (bits <= most).then_some((address, bits))
        };
        text.split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(|word| {
                network(word).ok_or_else(|| format!("{word:?} is no network like 10.1.0.0/16"))
            })
            .collect::<Result<_, _>>()
            .map(Networks)
    }
}

impl Networks {
    /// Does the operator allow this address?
    fn allow(&self, address: IpAddr) -> bool {
        self.0
            .iter()
            .any(|(network, bits)| match (network, address) {
                (IpAddr::V4(network), IpAddr::V4(address)) => {
                    let mask = u32::MAX.checked_shl(32 - u32::from(*bits)).unwrap_or(0);
                    network.to_bits() & mask == address.to_bits() & mask
                }
                (IpAddr::V6(network), IpAddr::V6(address)) => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(*bits)).unwrap_or(0);
                    network.to_bits() & mask == address.to_bits() & mask
                }
                _ => false,
            })
    }

    /// May this address be connected to, with or without TLS? Without only where the operator allows it.
    fn admit(&self, address: IpAddr, is_https: bool) -> bool {
        let address = address.to_canonical();
        self.allow(address) || (is_https && is_public(address))
    }

    /// Is the URL one that webhooks may be sent to, as its name resolves now? Blocks while it is resolved.
    pub fn judge(&self, url: &str) -> Result<(), Refusal> {
        let uri: Uri = url.parse().map_err(|_| Refusal::Form)?;
        let authority = uri.authority().ok_or(Refusal::Form)?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(Refusal::Form),
        };
        if authority.as_str().contains('@') || url.contains('#') || authority.host().is_empty() {
            return Err(Refusal::Form);
        }
        let port = authority
            .port_u16()
            .unwrap_or(if is_https { 443 } else { 80 });
        let found: Vec<SocketAddr> = format!("{}:{port}", authority.host())
            .to_socket_addrs()
            .map_err(|_| Refusal::Unknown)?
            .collect();
        self.judge_all(&found, is_https)
    }

    fn judge_all(&self, found: &[SocketAddr], is_https: bool) -> Result<(), Refusal> {
        if found.is_empty() {
            return Err(Refusal::Unknown);
        }
        // one inside among several is as good as all: which is taken is chance
        if found
            .iter()
            .all(|address| self.admit(address.ip(), is_https))
        {
            Ok(())
        } else {
            Err(Refusal::Inside)
        }
    }
}

/// Is the address one of the public internet? What is not known to be is not.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => {
            let parts = address.segments();
            let within = |network: Ipv6Addr, bits: u32| {
                let mask = u128::MAX << (128 - bits);
                address.to_bits() & mask == network.to_bits() & mask
            };
            // translated and tunnelled addresses are judged by the address within
            if within(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96) {
                return is_public_v4(Ipv4Addr::from_bits(
                    u32::from(parts[6]) << 16 | u32::from(parts[7]),
                ));
            }
            within(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)
                // Teredo and others for protocols, documentation, 6to4
                && !within(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23)
                && !within(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32)
                && !within(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20)
                && !within(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16)
        }
    }
}

/// By IANA's registry of special-purpose addresses.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, _, _)
    );
    !is_special
}

/// The resolver of the client that delivers: what it answers is what is connected to.
#[derive(Debug)]
pub struct Judging(pub Networks);

impl Resolver for Judging {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        self.0
            .judge_all(&found, uri.scheme_str() == Some("https"))
            .map(|()| found)
            .map_err(|_| {
                ureq::Error::Io(std::io::Error::from(std::io::ErrorKind::PermissionDenied))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_and_special_ones_are_refused_and_public_ones_are_not() {
        let inside = [
            "0.0.0.0",
            "10.0.0.1",
            "127.0.0.1",
            "127.255.255.255",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "100::1",
            "4000::1",
        ];
        for address in inside {
            let address = address.parse().unwrap();
            assert!(!Networks::default().admit(address, true), "{address}");
        }
        for address in [
            "1.1.1.1",
            "100.63.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2600::1",
            "2a00:1450::1",
            "64:ff9b::101:101",
        ] {
            let address = address.parse().unwrap();
            assert!(Networks::default().admit(address, true), "{address}");
            assert!(
                !Networks::default().admit(address, false),
                "{address} without TLS"
            );
        }
    }

    #[test]
    fn what_the_operator_allows_is_allowed_and_nothing_beside_it() {
        let networks: Networks = "10.1.0.0/16, 127.0.0.1/32,fd00::/8".parse().unwrap();
        for (address, allowed) in [
            ("10.1.255.1", true),
            ("10.2.0.1", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("::ffff:127.0.0.1", true),
            ("fd12::1", true),
            ("fc00::1", false),
        ] {
            assert_eq!(
                networks.admit(address.parse().unwrap(), false),
                allowed,
                "{address}"
            );
        }
        for wrong in ["10.1.0.0", "10.1.0.0/33", "x/8", "fd00::/129"] {
            assert!(wrong.parse::<Networks>().is_err(), "{wrong}");
        }
        assert!(
            "0.0.0.0/0"
                .parse::<Networks>()
                .unwrap()
                .allow("9.9.9.9".parse().unwrap())
        );
    }

    #[test]
    fn a_url_is_judged_by_its_form_and_by_what_it_resolves_to() {
        let none = Networks::default();
        for wrong in [
            "",
            "x",
            "ftp://1.1.1.1/",
            "/path",
            "https://user:secret@1.1.1.1/",
            "https://1.1.1.1/#x",
        ] {
            assert_eq!(none.judge(wrong), Err(Refusal::Form), "{wrong}");
        }
        for inside in [
            "https://127.0.0.1/",
            "https://localhost/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]:8443/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "http://1.1.1.1/",
        ] {
            let verdict = none.judge(inside);
            assert!(
                matches!(verdict, Err(Refusal::Inside | Refusal::Unknown)),
                "{inside}: {verdict:?}"
            );
        }
        assert_eq!(none.judge("https://name.invalid/"), Err(Refusal::Unknown));
        assert_eq!(none.judge("https://1.1.1.1/hook?a=b"), Ok(()));
        let here: Networks = "127.0.0.0/8".parse().unwrap();
        assert_eq!(here.judge("http://127.0.0.1:9/hook"), Ok(()));
    }
}
