//! Bytes to compress, the same in every run.

use std::fmt::Write as _;

/// A small generator, so that every run has the same bytes (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// So many bytes of JSON lines, as a service logs them.
pub fn json(len: usize) -> Vec<u8> {
    const PATHS: [&str; 6] = ["/orders", "/orders/{id}", "/customers", "/health", "/payments", "/carts/{id}/items"];
    const LEVELS: [&str; 4] = ["info", "info", "warn", "debug"];
    let (mut random, mut text) = (Random(7), String::new());
    let mut time = 1_790_000_000_000_u64;
    while text.len() < len {
        time += random.below(40);
        let _ = write!(
            text,
            r#"{{"ts":{time},"level":"{}","service":"checkout","host":"node-{:02}","trace":"{:016x}","method":"GET","path":"{}","status":{},"duration_us":{},"user":{}}}"#,
            LEVELS[random.below(4) as usize],
            random.below(24),
            random.next(),
            PATHS[random.below(6) as usize],
            [200, 200, 200, 201, 404, 500][random.below(6) as usize],
            random.below(250_000),
            random.below(5_000_000),
        );
    }
    text.truncate(len);
    text.into_bytes()
}

/// So many bytes that no codec makes smaller.
pub fn noise(len: usize) -> Vec<u8> {
    let mut random = Random(9);
    (0..len).map(|_| random.next() as u8).collect()
}
