//! How much is read of one source, and how long is waited for it.

use std::time::Duration;

/// The bounds of one source. They are values so that tests reach them; the schema gives `silence`, the rest is fixed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a server may say nothing.
    pub silence: Duration,
    /// How long all pages together may take; a plan that waits for longer would never be made.
    pub whole: Duration,
    /// The most bytes of all pages: ten million recipients of more than a kilobyte each.
    pub bytes: u64,
    /// The most pages: ten million recipients, ten on each.
    pub pages: u64,
    /// So much of a page is read before a row of it is taken: it can be asked for again until then.
    pub ahead: usize,
    /// How often a page is asked for.
    pub attempts: u32,
    /// Before the second attempt; doubled before each further one.
    pub first_pause: Duration,
    /// The longest wait that a server may ask for.
    pub longest_pause: Duration,
}

/// The most redirects of one request.
pub const MAX_REDIRECTS: u32 = 5;

/// How long a server of files may say nothing.
const FILE_SILENCE: Duration = Duration::from_secs(20);
/// How long one file may take: the largest that is taken anywhere has 100 MB, and comes at 3 Mbit/s within this time.
const FILE_WHOLE: Duration = Duration::from_secs(5 * 60);
/// How often a file is asked for, where its server says that it may come later or says nothing.
const FILE_ATTEMPTS: u32 = 3;

impl Limits {
    /// Those of one file, which nobody reads ahead of.
    pub fn of_a_file(bytes: u64) -> Limits {
        Limits {
            silence: FILE_SILENCE,
            whole: FILE_WHOLE,
            bytes,
            pages: 1,
            ahead: 0,
            attempts: FILE_ATTEMPTS,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(10),
        }
    }

    pub fn with_silence(silence: Duration) -> Limits {
        Limits {
            silence,
            whole: Duration::from_secs(6 * 3_600),
            bytes: 16 * 1024 * 1024 * 1024,
            pages: 1_000_000,
            ahead: 4 * 1024 * 1024,
            attempts: 5,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
        }
    }
}
