//! Places for what anybody may take. Whoever comes gets one: where all are taken, whoever has had theirs longest loses it. A
//! provider is done within moments, so those who lose theirs are those who take their time, however many there are of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// So many places.
pub struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// The oldest first.
    by_age: BTreeMap<u64, Seat>,
}

struct Seat {
    is_held: bool,
    lost: Arc<Notify>,
}

/// One place, given back when it is dropped.
pub struct Place {
    places: Arc<Places>,
    number: AtomicU64,
    lost: Arc<Notify>,
}

/// While this is there its place is not lost.
pub struct Held<'a>(&'a Place);

impl Places {
    pub fn new(most: usize) -> Arc<Places> {
        Arc::new(Places { most, taken: Mutex::default() })
    }

    /// A place, if need be that of who has had it longest; `None` where all are [held](Place::hold).
    pub fn take(self: &Arc<Places>) -> Option<Place> {
        let mut taken = self.lock();
        if taken.by_age.len() >= self.most {
            let (oldest, _) = taken.by_age.iter().find(|(_, seat)| !seat.is_held)?;
            let oldest = *oldest;
            if let Some(seat) = taken.by_age.remove(&oldest) {
                seat.lost.notify_one();
            }
        }
        let lost = Arc::new(Notify::new());
        let number = taken.sit(Seat { is_held: false, lost: lost.clone() });
        Some(Place { places: self.clone(), number: AtomicU64::new(number), lost })
    }

    /// Each change is complete before the lock is let go, so a poisoned lock guards nothing broken.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn sit(&mut self, seat: Seat) -> u64 {
        let number = self.next;
        self.next += 1;
        self.by_age.insert(number, seat);
        number
    }
}

impl Place {
    /// Returns once somebody else has it.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }

    /// As if it had been taken just now.
    pub fn renew(&self) {
        let mut taken = self.places.lock();
        if let Some(seat) = taken.by_age.remove(&self.number()) {
            let number = taken.sit(seat);
            self.number.store(number, Ordering::SeqCst);
        }
    }

    /// For who is known to be the provider.
    pub fn hold(&self) -> Held<'_> {
        self.set_held(true);
        Held(self)
    }

    fn set_held(&self, is_held: bool) {
        if let Some(seat) = self.places.lock().by_age.get_mut(&self.number()) {
            seat.is_held = is_held;
        }
    }

    fn number(&self) -> u64 {
        self.number.load(Ordering::SeqCst)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().by_age.remove(&self.number());
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.set_held(false);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn is_lost(place: &Place) -> bool {
        place.lost().now_or_never().is_some()
    }

    #[test]
    fn whoever_comes_takes_the_place_of_who_has_had_theirs_longest() {
        let places = Places::new(2);
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        let third = places.take().unwrap();
        assert!(is_lost(&first) && !is_lost(&second) && !is_lost(&third));
        drop(first);
        second.renew();
        let fourth = places.take().unwrap();
        assert!(is_lost(&third) && !is_lost(&second) && !is_lost(&fourth));
    }

    #[test]
    fn a_place_that_is_held_is_nobody_elses() {
        let places = Places::new(2);
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        let held = first.hold();
        let third = places.take().unwrap();
        assert!(!is_lost(&first) && is_lost(&second));
        let third_held = third.hold();
        assert!(places.take().is_none(), "all are held");
        drop((held, third_held));
        assert!(places.take().is_some() && is_lost(&first));
    }

    #[test]
    fn a_place_that_is_given_back_is_free() {
        let places = Places::new(1);
        drop(places.take().unwrap());
        let place = places.take().unwrap();
        drop(places.take().unwrap());
        assert!(is_lost(&place));
        // Of one that was lost before it was given back, nothing is left.
        let next = places.take().unwrap();
        drop(place);
        assert!(!is_lost(&next) && places.lock().by_age.len() == 1);
    }
}
