//! The rules of delivery, pure: no clock, no randomness, no IO. `now` and seeds come in as parameters.
//!
//! | file | decides |
//! | --- | --- |
//! | [`outcome`] | what became of one attempt |
//! | [`recipient`] | how an outcome changes a recipient: the state machine |
//! | [`backoff`] | when a recipient may be tried again |
//! | [`likeness`] | whether one plan may be the list of another |
//! | [`pacing`] | which slots of the account a sender gets |
//! | [`rate_class`] | which requests have a ceiling of their own within the account's |
//! | [`refusal_streak`] | when so many refusals are the message's own fault |
//! | [`brake`] | how a throttled or failing account slows down and recovers |
//! | [`failure_streak`] | when people are told that nothing gets through |
//! | [`gate`] | whether a broadcast may take recipients now |
//! | [`quiet_hours`] | when a clock on a wall keeps everybody from being messaged |
//! | [`notification`] | what endpoints are told, each change once |
//! | [`write_back`] | how often it is tried to write down elsewhere who was sent to |
//! | [`histogram`] | how long answers took |
//! | [`pace_history`] | how fast it went over time |
//! | [`counts`] | sums that always hold |
//! | [`correlation`] | which request of ours a provider speaks of |
//! | [`provider_event`] | nothing: what providers tell by call-backs |
//! | [`receipt`] | what is known of a message after it was taken |
//! | [`batch`] | how recipients are cut into batches |
//! | [`nearest`] | which known name somebody may have meant |
//! | [`plural`], [`duration`] | nothing: how numbers and times are told to people |

pub mod activity;
pub mod backoff;
pub mod batch;
pub mod brake;
pub mod correlation;
pub mod counts;
pub mod duration;
pub mod failure_streak;
pub mod gate;
pub mod histogram;
pub mod likeness;
pub mod nearest;
pub mod notification;
pub mod outcome;
pub mod pace_history;
pub mod pacing;
pub mod plural;
pub mod provider_event;
pub mod quiet_hours;
pub mod rate;
pub mod rate_class;
pub mod receipt;
pub mod recipient;
pub mod refusal_streak;
pub mod time;
pub mod unanswered;
pub mod usage;
pub mod write_back;
