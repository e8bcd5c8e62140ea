//! How many requests a caller may send: the generic cell rate algorithm (ITU-T I.371, annex A), one number a caller. It knows
//! nothing of HTTP.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Callers are spread over this many locks.
const SHARDS: usize = 64;

/// Callers remembered behind one lock; those beyond it share one allowance.
const SHARD_CALLERS: usize = 2_048;

/// Who is limited.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// The holder of a key, by its name.
    Key(Arc<str>),
    /// Whoever asks from an address. A network of IPv6 is one caller: who has an address has all of them.
    Address(IpAddr),
    /// Everybody who is not remembered.
    Others,
}

impl Caller {
    /// The caller without a key.
    pub(crate) fn at(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V6(address)) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Self::Address(Ipv6Addr::from_bits(network).into())
            }
            Some(address) => Self::Address(address),
            None => Self::Others,
        }
    }
}

/// What a caller may still send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Requests that may follow at once.
    pub(crate) remaining: u64,
    /// Seconds until all of them may, rounded up.
    pub(crate) reset_seconds: u64,
    /// Seconds after which this one may be sent again, if it was refused; at least 1.
    pub(crate) retry_seconds: Option<u64>,
}

/// The limit and what each caller has used of it.
pub(crate) struct Limiter {
    /// Nanoseconds that one request costs.
    cost: u64,
    /// Nanoseconds that a caller may be ahead.
    tolerance: u64,
    begin: Instant,
    hasher: RandomState,
    /// When each caller will have all of it again ("theoretical arrival time"), in nanoseconds since `begin`.
    shards: Vec<Mutex<HashMap<Caller, u64>>>,
}

impl Limiter {
    /// `rate` requests a second in the long run, `burst` of them at once; both at least 1.
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        let cost = 1_000_000_000 / u64::from(rate.max(1));
        Self {
            cost,
            tolerance: cost * u64::from(burst.max(1)),
            begin: Instant::now(),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Requests at once.
    pub(crate) fn burst(&self) -> u64 {
        self.tolerance / self.cost
    }

    /// Seconds in which the whole burst comes back, rounded up.
    pub(crate) fn window_seconds(&self) -> u64 {
        seconds(self.tolerance)
    }

    /// Counts a request of `caller` now.
    pub(crate) fn count(&self, caller: Caller) -> Quota {
        self.count_at(caller, self.begin.elapsed().as_nanos() as u64)
    }

    fn count_at(&self, caller: Caller, now: u64) -> Quota {
        let shard = self.hasher.hash_one(&caller) as usize % SHARDS;
        let mut callers = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let caller = if callers.len() < SHARD_CALLERS || callers.contains_key(&caller) {
            caller
        } else {
            // Who has all of it again is as good as forgotten.
            callers.retain(|_, full| *full > now);
            if callers.len() < SHARD_CALLERS { caller } else { Caller::Others }
        };
        let full = callers.entry(caller).or_default();
        let after = (*full).max(now) + self.cost;
        let ahead = after - now;
        if ahead > self.tolerance {
            let reset_seconds = seconds(ahead - self.cost);
            let retry_seconds = Some(seconds(ahead - self.tolerance).max(1));
            return Quota { remaining: 0, reset_seconds, retry_seconds };
        }
        *full = after;
        Quota {
            remaining: (self.tolerance - ahead) / self.cost,
            reset_seconds: seconds(ahead),
            retry_seconds: None,
        }
    }
}

fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn key(name: &str) -> Caller {
        Caller::Key(name.into())
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let limiter = Limiter::new(10, 3);
        assert_eq!((limiter.burst(), limiter.window_seconds()), (3, 1));
        let check = |now: u64, remaining: u64, refused: bool| {
            let quota = limiter.count_at(key("app"), now);
            assert_eq!((quota.remaining, quota.retry_seconds.is_some()), (remaining, refused), "{now}");
        };
        check(0, 2, false);
        check(0, 1, false);
        check(0, 0, false);
        check(0, 0, true);
        check(99 * MS, 0, true);
        check(100 * MS, 0, false);
        check(100 * MS, 0, true);
        check(5_000 * MS, 2, false);
        assert_eq!(limiter.count_at(key("other"), 5_000 * MS).remaining, 2, "each has its own");
    }

    #[test]
    fn in_the_long_run_the_rate_is_kept_exactly() {
        let limiter = Limiter::new(1_000, 50);
        let passed = (0..100_000_u64)
            .filter(|step| limiter.count_at(key("app"), step * MS / 10).retry_seconds.is_none())
            .count();
        // Ten seconds at a thousand a second, and the burst.
        assert!((10_040..=10_050).contains(&passed), "{passed}");
    }

    #[test]
    fn a_refused_caller_hears_when_to_come_back() {
        let limiter = Limiter::new(1, 2);
        limiter.count_at(key("app"), 0);
        limiter.count_at(key("app"), 0);
        let refused = limiter.count_at(key("app"), 0);
        assert_eq!((refused.retry_seconds, refused.reset_seconds), (Some(1), 2));
        assert_eq!(limiter.count_at(key("app"), 1_000 * MS).retry_seconds, None);
    }

    #[test]
    fn a_flood_of_callers_takes_bounded_memory_and_no_allowance() {
        let limiter = Limiter::new(1, 1);
        let callers = (SHARDS * SHARD_CALLERS * 2) as u32;
        let mut passed = 0;
        for address in 0..callers {
            let caller = Caller::at(Some(IpAddr::V4(address.into())));
            passed += u32::from(limiter.count_at(caller, 1).retry_seconds.is_none());
        }
        let kept: usize = limiter.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * (SHARD_CALLERS + 1), "{kept}");
        assert!(passed as usize <= kept, "{passed} of {kept}");
        // Once they are forgotten there is room again.
        let late = limiter.count_at(Caller::at(Some(IpAddr::V4(callers.into()))), 10_000 * MS);
        assert_eq!(late.retry_seconds, None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller() {
        let at = |text: &str| Caller::at(Some(text.parse().unwrap()));
        assert_eq!(at("2001:db8::1"), at("2001:db8::2:3"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }
}
