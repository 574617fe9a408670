//! How often one may ask: each credential, and each network address whose credentials are refused. More is 429 with `Retry-After`.
//!
//! Each instance counts in memory, before any database thread is taken. A good credential is counted by its own name and a refused one
//! at its address, so nobody is locked out by a neighbour's guesses. What an instance remembers is bounded: credentials are as many
//! as have been good lately, and addresses share a fixed number of places.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::HeaderMap;
use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Code, Error};
use crate::identity::Actor;

/// Requests of one credential in a minute, if nothing else is said: a first synchronisation of a few thousand people passes at once.
const REQUESTS_PER_MINUTE: u32 = 6000;
/// Refused credentials from one address in a minute, if nothing else is said.
const FAILED_LOGINS_PER_MINUTE: u32 = 60;
/// How many places addresses share. Who shares one with a guesser is told 429 where it would be 401, no more.
const PLACES: u64 = 16_384;

/// How many in a minute, all at once or spread; 0: as many as they like. One that is not given spares this machine itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// Requests of one credential.
    pub requests_per_minute: Option<u32>,
    /// Refused credentials from one address.
    pub failed_logins_per_minute: Option<u32>,
    /// How many proxies in front of the service add to `X-Forwarded-For`.
    pub proxies: usize,
}

/// What has been asked lately. The default has no limits.
#[derive(Default)]
pub struct Limits {
    proxies: usize,
    credentials: Limit,
    refusals: Limit,
    hash: RandomState,
    warned: AtomicBool,
}

impl Limits {
    pub fn new(settings: Settings) -> Limits {
        Limits {
            proxies: settings.proxies,
            credentials: Limit::new(settings.requests_per_minute, REQUESTS_PER_MINUTE),
            refusals: Limit::new(settings.failed_logins_per_minute, FAILED_LOGINS_PER_MINUTE),
            ..Limits::default()
        }
    }

    /// The address that a request is counted at. Of `X-Forwarded-For` only what our own proxies add is believed: anyone can write the rest.
    pub fn address(&self, request: &ServiceRequest) -> IpAddr {
        // what comes without an address comes from this machine
        let peer = request
            .peer_addr()
            .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
        let headers = request.headers();
        if self.proxies == 0
            && headers.contains_key(FORWARDED)
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            log::warn!(
                "a request came with X-Forwarded-For, which is not believed while KOMPETENS_PROXIES is 0: if a proxy adds it, say so there, or its clients are counted as one"
            );
        }
        let client = (self.proxies > 0)
            .then(|| nth_from_last(headers, self.proxies - 1))
            .flatten();
        of_one_household(client.unwrap_or(peer))
    }

    /// What became of the credential, unless it came too often, or such that are refused did from this address.
    pub fn judge(
        &self,
        address: IpAddr,
        credential_given: bool,
        outcome: Result<Actor, Error>,
    ) -> Result<Actor, Error> {
        match &outcome {
            Ok(actor) => self.credentials.spend(address, self.key(actor.name()))?,
            Err(error) if credential_given && error.code() == Code::Unauthenticated => {
                self.refused(address)?;
            }
            Err(_) => {}
        }
        outcome
    }

    /// Counts a credential that is no good, of whatever kind.
    pub fn refused(&self, address: IpAddr) -> Result<(), Error> {
        self.refusals.spend(address, self.key(address) % PLACES)
    }

    /// Forgets, each minute, who has not asked lately.
    pub async fn forget_regularly(self: Arc<Limits>) {
        loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            self.credentials.forget();
            self.refusals.forget();
        }
    }

    /// A key that nobody outside can foretell, so nobody can choose with whom to share one.
    fn key(&self, of: impl Hash) -> u64 {
        self.hash.hash_one(of)
    }
}

#[derive(Default)]
struct Limit {
    limiter: Option<DefaultKeyedRateLimiter<u64>>,
    spares_this_machine: bool,
}

impl Limit {
    fn new(given: Option<u32>, default: u32) -> Limit {
        Limit {
            limiter: NonZeroU32::new(given.unwrap_or(default))
                .map(|most| RateLimiter::keyed(Quota::per_minute(most))),
            spares_this_machine: given.is_none(),
        }
    }

    fn spend(&self, address: IpAddr, key: u64) -> Result<(), Error> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        if self.spares_this_machine && address.is_loopback() {
            return Ok(());
        }
        limiter.check_key(&key).map_err(|until| {
            let wait = until.wait_time_from(limiter.clock().now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            Error::new(Code::TooManyRequests).header("Retry-After", seconds.max(1).to_string())
        })
    }

    fn forget(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
        }
    }
}

const FORWARDED: &str = "x-forwarded-for";

/// The address that stands so far from the end of `X-Forwarded-For`, whose lines are one list. What is no address there is none:
/// what stands before it anyone may have written.
fn nth_from_last(headers: &HeaderMap, place: usize) -> Option<IpAddr> {
    let lines: Vec<_> = headers.get_all(FORWARDED).collect();
    let mut entries = lines
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let entry = std::str::from_utf8(entries.nth(place)?).ok()?.trim();
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let with_port = || entry.parse().map(|address: SocketAddr| address.ip());
    bare.parse().or_else(|_| with_port()).ok()
}

/// One household or office has 2^64 IPv6 addresses. An IPv4 address may be written as one of IPv6.
fn of_one_household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            Ipv6Addr::from_bits(v6.to_bits() & (!0 << 64)).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn address(proxies: usize, peer: &str, lines: &[&[u8]]) -> String {
        let limits = Limits::new(Settings {
            proxies,
            ..Settings::default()
        });
        let mut request =
            TestRequest::default().peer_addr(SocketAddr::new(peer.parse().expect("a peer"), 1));
        for line in lines {
            let value = actix_web::http::header::HeaderValue::from_bytes(line).expect("a value");
            request = request.append_header((FORWARDED, value));
        }
        limits.address(&request.to_srv_request()).to_string()
    }

    #[test]
    fn only_what_our_own_proxies_add_says_whose_a_request_is() {
        let proxy = "10.0.0.1";
        for (proxies, lines, expected) in [
            // nobody is in front: the header is a stranger's
            (0, &[b"192.0.2.1".as_slice()][..], proxy),
            (1, &[], proxy),
            (1, &[b"192.0.2.1"], "192.0.2.1"),
            (1, &[b"198.51.100.7, 192.0.2.1"], "192.0.2.1"),
            (1, &[b"198.51.100.7", b"192.0.2.1"], "192.0.2.1"),
            (1, &[b"192.0.2.1:4711"], "192.0.2.1"),
            (1, &[b"[2001:db8::1]:4711"], "2001:db8::"),
            (1, &[b"2001:db8::1"], "2001:db8::"),
            (1, &[b"::ffff:192.0.2.1"], "192.0.2.1"),
            // what the proxy could not name is the proxy's, and never what a stranger wrote before it
            (1, &[b"198.51.100.7, unknown"], proxy),
            (1, &[b"198.51.100.7", b"\xff"], proxy),
            (1, &[b"198.51.100.7,"], proxy),
            (2, &[b"198.51.100.7, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            (2, &[b"192.0.2.1"], proxy),
        ] {
            assert_eq!(
                address(proxies, proxy, lines),
                expected,
                "{proxies} {lines:?}"
            );
        }
        assert_eq!(address(0, "::1", &[]), "::1");
        assert_eq!(address(0, "::ffff:127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn a_flood_of_addresses_fills_no_memory_and_a_limit_holds_for_this_machine_when_it_is_given() {
        let limits = Limits::new(Settings {
            failed_logins_per_minute: Some(1),
            ..Settings::default()
        });
        for number in 0..200_000 {
            let _ = limits.refused(Ipv4Addr::from_bits(number).into());
        }
        let kept = limits
            .refusals
            .limiter
            .as_ref()
            .map(|limiter| limiter.len());
        assert!(kept.is_some_and(|kept| kept as u64 <= PLACES), "{kept:?}");

        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let refusals =
            |limits: &Limits| (0..1000).filter(|_| limits.refused(here).is_err()).count();
        assert!(refusals(&limits) >= 999);
        assert_eq!(refusals(&Limits::new(Settings::default())), 0);
        assert_eq!(refusals(&Limits::default()), 0);
    }
}
