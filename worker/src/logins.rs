//! Made-up logins, the same for the same seed.
//!
//! Owns what they look like, for whoever fills a topic or measures. It never reads a clock.

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

/// Makes logins up.
pub struct Logins {
    random: StdRng,
    users: u64,
    malformed: f64,
    late: f64,
    skewed: f64,
}

/// A made-up record.
pub struct Made {
    /// The key: the user, so that a user's logins keep their order.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
}

impl Logins {
    /// Logins of `users` different users; the shares of records that are malformed, up to two days late, and of one user.
    pub fn new(seed: u64, users: u64, malformed: f64, late: f64, skewed: f64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), users: users.max(1), malformed, late, skewed }
    }

    /// The next record, as of `now_ms`.
    pub fn next(&mut self, now_ms: i64) -> Made {
        let hot = self.skewed > 0.0 && self.random.random_bool(self.skewed);
        let user = if hot { 0 } else { self.random.random_range(0..self.users) };
        let key = id(user);
        if self.malformed > 0.0 && self.random.random_bool(self.malformed) {
            return Made { value: self.broken(&key, now_ms), key };
        }
        let age_s = if self.late > 0.0 && self.random.random_bool(self.late) {
            self.random.random_range(0..172_800)
        } else {
            0
        };
        let value = self.login(&key, user, now_ms / 1000 - age_s);
        Made { key, value: value.into_bytes() }
    }

    /// A user keeps his device, version and locale, mostly.
    fn login(&mut self, key: &str, user: u64, timestamp_s: i64) -> String {
        let mut own = StdRng::seed_from_u64(user);
        let android = own.random_bool(0.5);
        let version = *pick(&mut own, &VERSIONS);
        let locale = *pick(&mut own, &LOCALES);
        let device = own.next_u64();
        let ip: u32 = self.random.random_range(0..200_000);
        format!(
            "{{\"user_id\": \"{key}\", \"app_version\": \"{version}\", \"ip\": \"10.{}.{}.{}\", \"locale\": \"{locale}\", \
             \"device_id\": \"{device:016x}-{:016x}\", \"timestamp\": \"{timestamp_s}\", \"device_type\": \"{}\"}}",
            ip >> 16,
            (ip >> 8) & 255,
            ip & 255,
            device.rotate_left(17),
            if android { "android" } else { "iOS" },
        )
    }

    fn broken(&mut self, key: &str, now_ms: i64) -> Vec<u8> {
        let timestamp_s = now_ms / 1000;
        match self.random.random_range(0..6) {
            0 => b"{\"user_id\": ".to_vec(),
            1 => format!("{{\"user_id\": \"{key}\", \"timestamp\": {timestamp_s}}}").into_bytes(),
            2 => b"\xff\xfe\xfd".to_vec(),
            3 => b"[1, 2, 3]".to_vec(),
            4 => format!(
                "{{\"user_id\": \"\", \"app_version\": \"3.1\", \"device_type\": \"iOS\", \"timestamp\": {timestamp_s}}}"
            )
            .into_bytes(),
            _ => format!(
                "{{\"user_id\": \"{key}\", \"app_version\": \"3.1\", \"device_type\": \"iOS\", \"timestamp\": \"soon\"}}"
            )
            .into_bytes(),
        }
    }
}

/// A user's id, in the form of a UUID.
fn id(user: u64) -> String {
    let mut own = StdRng::seed_from_u64(!user);
    let (high, low) = (own.next_u64(), own.next_u64());
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

fn pick<'a, T>(random: &mut StdRng, from: &'a [T]) -> &'a T {
    let index = random.random_range(0..from.len());
    from.get(index).expect("the index is drawn within the list")
}

/// Half of them above 3.0, so that the default filter lets one login in four through.
const VERSIONS: [&str; 12] = [
    "2.3.0",
    "2.3.1",
    "2.9",
    "2.10.7",
    "3.0",
    "3.0.0",
    "3.0.1",
    "3.1.0-beta",
    "3.1.0",
    "3.2",
    "3.10.4",
    "4.0",
];
const LOCALES: [&str; 8] = ["US", "us", "DE", "IN", "BR", "fr", "JP", "RU"];
