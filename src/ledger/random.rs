//! Random names and numbers of the ledger and its senders.

use ring::rand::{SecureRandom, SystemRandom};

fn random_bytes<const COUNT: usize>() -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    // The system's source fails only where none exists; an all-zero id would not be unique.
    SystemRandom::new().fill(&mut bytes).expect("the system has a source of randomness");
    bytes
}

/// 128 random bits in hexadecimal.
pub fn random_id() -> String {
    random_bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 52 random bits, which a double and so every JSON reader holds.
pub fn broadcast_id() -> i64 {
    i64::from_be_bytes(random_bytes::<8>()) & 0xf_ffff_ffff_ffff
}
