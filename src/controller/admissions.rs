//! Who was admitted or refused lately, by the hash of its token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::sender_token::TokenHash;
use crate::ledger::wire::gatekeeper::Denied;

/// How long a yes is believed: an outage of the API server stops nobody meanwhile. From half of it on it is looked up
/// again beside the work, so that a sender at work stands an outage of at least half of it whenever that comes.
pub const YES_FOR: Duration = Duration::from_secs(600);
/// Between two tries to renew a yes while nobody can tell.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);
/// How long a no is believed: long enough that a sender that repeats itself costs little, short enough to be mended.
const NO_FOR: Duration = Duration::from_secs(5);
/// Answers kept: several tokens for each of far more senders than one operator serves.
pub const MAX_ADMISSIONS: usize = 4_096;

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known<A> {
    Answer(Result<A, Denied>),
    /// A yes that is to be renewed: told to one who asks, and to the others as an answer.
    Renew(A),
    /// It was a yes once, so it is no stranger's.
    Outdated,
    Nothing,
}

#[derive(Clone)]
struct Admission<A> {
    admitted: Result<A, Denied>,
    until: Instant,
    renew_at: Instant,
}

/// By the hash of the token.
pub struct Admissions<A>(Mutex<HashMap<TokenHash, Admission<A>>>);

impl<A> Default for Admissions<A> {
    fn default() -> Admissions<A> {
        Admissions(Mutex::default())
    }
}

impl<A: Clone> Admissions<A> {
    pub fn of(&self, hash: &TokenHash) -> Known<A> {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(hash) {
            Some(known) if now < known.until => match &known.admitted {
                Ok(admitted) if now >= known.renew_at => {
                    known.renew_at = now + RENEWAL_INTERVAL;
                    Known::Renew(admitted.clone())
                }
                answer => Known::Answer(answer.clone()),
            },
            Some(known) if known.admitted.is_ok() => Known::Outdated,
            _ => Known::Nothing,
        }
    }

    /// Keeps an answer. That nobody can tell is none.
    pub fn keep(&self, hash: TokenHash, life_left: Duration, admitted: &Result<A, Denied>) {
        let keep_for = match admitted {
            Ok(_) => YES_FOR.min(life_left),
            Err(Denied::Unavailable(_)) => return,
            Err(_) => NO_FOR,
        };
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_ADMISSIONS {
            all.retain(|_, known| now < known.until);
        }
        // Nos make room first: anybody can bring more of them.
        if all.len() >= MAX_ADMISSIONS {
            all.retain(|_, known| known.admitted.is_ok());
        }
        if all.len() < MAX_ADMISSIONS || all.contains_key(&hash) {
            let (until, renew_at) = (now + keep_for, now + keep_for / 2);
            all.insert(hash, Admission { admitted: admitted.clone(), until, renew_at });
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}
