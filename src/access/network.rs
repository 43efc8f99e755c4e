//! The networks that an endpoint is open to.
//!
//! An IPv4 caller on a dual-stack listener shows up as `::ffff:a.b.c.d`: both sides are brought to IPv4 first, so that
//! the same address never matches by one form and escapes by the other.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::Deserialize;

/// At least one network, each written as `203.0.113.0/24`, or as a lone address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether one of the networks holds this address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl TryFrom<Vec<String>> for Networks {
    type Error = String;

    fn try_from(written: Vec<String>) -> Result<Self, String> {
        if written.is_empty() {
            return Err("from: names no network, so nobody could call: name one, or leave `from` out".to_owned());
        }
        written.iter().map(|text| network(text)).collect::<Result<_, _>>().map(Self)
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            format!("from: {text:?} is not a network: write an address and a prefix length, such as \"203.0.113.0/24\"")
        })?,
    };
    if network.addr() != network.network() {
        return Err(format!(
            "from: {text:?} has bits set beyond its prefix: did you mean \"{}\" or \"{}\"?",
            network.trunc(),
            network.addr()
        ));
    }
    canonical(network).ok_or_else(|| {
        format!("from: {text:?} holds IPv4-mapped addresses and others: write the IPv4 and the IPv6 networks apart")
    })
}

/// The IPv4 form of a network of IPv4-mapped addresses (RFC 4291 section 2.5.5.2); any other network as it is.
fn canonical(network: IpNet) -> Option<IpNet> {
    const MAPPED_PREFIX: u8 = 96;
    let IpNet::V6(six) = network else { return Some(network) };
    match six.addr().to_ipv4_mapped() {
        Some(four) => Ipv4Net::new(four, six.prefix_len().checked_sub(MAPPED_PREFIX)?).ok().map(IpNet::V4),
        None => Some(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(written: &[&str]) -> Result<Networks, String> {
        Networks::try_from(written.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_mapped_address_matches_the_ipv4_network_and_the_other_way_round() {
        let four = networks(&["203.0.113.0/24"]).unwrap();
        assert!(four.contains("::ffff:203.0.113.9".parse().unwrap()));
        assert!(!four.contains("::ffff:203.0.114.9".parse().unwrap()));
        let mapped = networks(&["::ffff:203.0.113.0/120"]).unwrap();
        assert!(mapped.contains("203.0.113.9".parse().unwrap()));
        assert!(mapped.contains("::ffff:203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn all_of_ipv6_does_not_hold_ipv4() {
        let six = networks(&["::/0"]).unwrap();
        assert!(six.contains("2001:db8::1".parse().unwrap()));
        assert!(!six.contains("::ffff:203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn a_lone_address_is_a_network_of_one() {
        let one = networks(&["203.0.113.7"]).unwrap();
        assert!(one.contains("203.0.113.7".parse().unwrap()));
        assert!(!one.contains("203.0.113.8".parse().unwrap()));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(networks(&[]).unwrap_err().contains("names no network"));
        assert!(networks(&["203.0.113.0/33"]).unwrap_err().contains("is not a network"));
        assert!(networks(&["203.0.113.5/24"]).unwrap_err().contains("\"203.0.113.0/24\""));
        assert!(networks(&["::ffff:0:0/90"]).is_err());
    }
}
