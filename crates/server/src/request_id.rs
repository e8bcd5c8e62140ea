//! The name of a request, accepted from the caller or made, under which the log and the answer know it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest id that is accepted.
const MAX_BYTES: usize = 128;

/// Makes ids: unique in a process, and very likely between processes.
pub(crate) struct RequestIds {
    /// Random for each process.
    keys: RandomState,
    count: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self { keys: RandomState::new(), count: AtomicU64::new(0) }
    }

    /// The caller's id if it is 1 to 128 visible ASCII characters that need no quoting anywhere, else one of our own.
    pub(crate) fn accept_or_make(&self, given: Option<&[u8]>) -> String {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte);
        match given.map(std::str::from_utf8) {
            Some(Ok(id)) if (1..=MAX_BYTES).contains(&id.len()) && id.as_bytes().iter().all(plain) => {
                id.to_owned()
            }
            _ => {
                let mut hasher = self.keys.build_hasher();
                hasher.write_u64(self.count.fetch_add(1, Ordering::Relaxed));
                format!("{:016x}", hasher.finish())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_id_is_accepted_and_others_replaced() {
        let ids = RequestIds::new();
        assert_eq!(ids.accept_or_make(Some(b"a-1_b.2:3")), "a-1_b.2:3");
        for given in [&b""[..], b"a b", b"a\"b", b"\xff", &[b'a'; 129]] {
            assert_eq!(ids.accept_or_make(Some(given)).len(), 16, "{given:?}");
        }
        assert_ne!(ids.accept_or_make(None), ids.accept_or_make(None));
    }
}
