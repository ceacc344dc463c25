//! Pure: what becomes of one request. The same seed, settings, recipient and count give the same decision, in
//! whatever order requests come in.

use std::time::Duration;

use super::played::{Played, Used};
use super::request::Call;
use super::response::Response;
use super::settings::{DropMoment, Mishap, Settings};
use super::uploads;

/// What is known of a request beside itself.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The number of this request among all, from 1; makes message ids.
    pub number: u64,
    /// How many requests of this recipient came before.
    pub earlier: u32,
    /// Requests within the last second, this one included.
    pub in_last_second: usize,
    /// Requests within the window of the quota, this one included; 0 without one.
    pub in_quota: usize,
    /// When the first of them leaves it.
    pub quota_opens_in: Duration,
    /// When it came.
    pub now: jiff::Timestamp,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// From taking the request to the first byte of the answer.
    pub latency: Duration,
    /// The message counts as sent.
    pub accepted: bool,
    /// Above the rate limit.
    pub throttled: bool,
    /// What was decided where it is not plain success: a code such as `613`, `http:500`, `never`, `drop:after`.
    pub code: Option<String>,
    pub reply: Reply,
}

/// How the request is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Answer(Response),
    /// The head and half of the body, then the connection is closed.
    HalfOf(Response),
    /// The body comes in small pieces with pauses.
    Dribbled(Response),
    /// The body is padded to some 10 MB.
    Padded(Response),
    /// The connection is closed without an answer.
    Close,
    /// No answer, until the caller goes away.
    Silence,
}

impl Reply {
    /// What the caller gets to see, if anything.
    fn response_mut(&mut self) -> Option<&mut Response> {
        match self {
            Reply::Answer(response) | Reply::HalfOf(response) | Reply::Dribbled(response) | Reply::Padded(response) => {
                Some(response)
            }
            Reply::Close | Reply::Silence => None,
        }
    }

    /// The status that the caller gets to see, if any.
    pub fn status(&self) -> Option<u16> {
        match self {
            Reply::Answer(response) | Reply::HalfOf(response) | Reply::Dribbled(response) | Reply::Padded(response) => {
                Some(response.status)
            }
            Reply::Close | Reply::Silence => None,
        }
    }
}

/// Decides, and says how much of the quota is used where that is asked for.
pub fn decide(settings: &Settings, call: &Call, circumstances: &Circumstances) -> Decision {
    let mut decision = outcome(settings, call, circumstances);
    if let Some(quota) = settings.quota.filter(|_| settings.usage) {
        let used = Used { requests: circumstances.in_quota as u64, quota, opens_in: circumstances.quota_opens_in };
        if let (Some((name, value)), Some(response)) =
            (call.played.play().usage(call, &used), decision.reply.response_mut())
        {
            response.headers.push((name, value));
        }
    }
    decision
}

/// First what any provider does (token, parameters, rate), then a lost connection, then failures.
fn outcome(settings: &Settings, call: &Call, circumstances: &Circumstances) -> Decision {
    let draw = |what: Draw| draw(settings.seed, &call.recipient, circumstances.earlier, what);
    let latency = settings.latency.at(draw(Draw::Latency));
    let refused = |code: String, response: Response| Decision {
        latency,
        accepted: false,
        throttled: false,
        code: Some(code),
        reply: Reply::Answer(response),
    };

    let provider = call.played.play();
    if let Some(refusal) = &call.refusal {
        let (code, response) = provider.refuse(refusal);
        return refused(code, response);
    }
    if let Some((code, response)) = uploads::refuse(settings, call) {
        return refused(code, response);
    }
    let too_quick = settings.rate_limit > 0 && circumstances.in_last_second > settings.rate_limit as usize;
    if too_quick || settings.quota.is_some_and(|quota| circumstances.in_quota > quota.requests as usize) {
        let (code, response) = provider.throttle(&settings.retry_after, circumstances.now);
        return Decision { throttled: true, ..refused(code, response) };
    }
    if draw(Draw::Drop) < settings.drop.fraction {
        let (accepted, code) = match settings.drop.moment {
            DropMoment::Before => (false, "drop:before"),
            DropMoment::After => (true, "drop:after"),
        };
        return Decision { latency, accepted, throttled: false, code: Some(code.into()), reply: Reply::Close };
    }
    let success = provider.succeed(call, settings.seed, circumstances.number);
    let Some(mishap) = befalls(settings, call.played, draw(Draw::Failure)) else {
        return Decision { latency, accepted: true, throttled: false, code: None, reply: Reply::Answer(success) };
    };
    let (accepted, reply) = suffer(mishap, success, call);
    Decision { latency, accepted, throttled: false, code: Some(mishap.to_string()), reply }
}

/// The failure whose share of 0 to 1 the draw falls into; codes of other providers mean nothing to this one.
fn befalls(settings: &Settings, played: Played, drawn: f64) -> Option<&Mishap> {
    let mut end = 0.0;
    settings
        .fail
        .iter()
        .filter(|failure| match &failure.mishap {
            Mishap::Code(code) => played.play().knows(code),
            _ => true,
        })
        .find(|failure| {
            end += failure.fraction;
            drawn < end
        })
        .map(|failure| &failure.mishap)
}

/// A message counts as accepted exactly when a client that reads to the end would see success, and for `never`.
fn suffer(mishap: &Mishap, success: Response, call: &Call) -> (bool, Reply) {
    match mishap {
        Mishap::Code(code) => (false, Reply::Answer(call.played.play().fail(code, call))),
        Mishap::Status(status @ 200..=299) => (true, Reply::Answer(Response { status: *status, ..success })),
        Mishap::Status(status) => (false, Reply::Answer(Response::text(*status, "simulated failure"))),
        Mishap::Garbage => (true, Reply::Answer(Response::text(200, "<html><!\u{1}{\"message_id\": maybe]"))),
        Mishap::HalfBody => (true, Reply::HalfOf(success)),
        Mishap::HugeBody => (true, Reply::Padded(success)),
        Mishap::Redirect => {
            let response = Response::text(307, "").with("location", "/redirected".into());
            (false, Reply::Answer(response))
        }
        Mishap::Never => (true, Reply::Silence),
        Mishap::Slow => (true, Reply::Dribbled(success)),
    }
}

/// What a number is drawn for, so that latency, drops and failures do not depend on each other.
#[derive(Clone, Copy)]
pub(super) enum Draw {
    Latency = 1,
    Drop = 2,
    Failure = 3,
}

/// A number from 0 to 1 (excluded), the same for the same arguments on every machine.
pub(super) fn draw(seed: u64, recipient: &str, earlier: u32, what: Draw) -> f64 {
    let mixed = hash(seed, &[recipient.as_bytes(), &earlier.to_le_bytes(), &[what as u8]]);
    // The upper 53 bits fill a float exactly.
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// FNV-1a over the parts, each closed by its length, finished by splitmix64's mixer: quick, spread over all bits,
/// and the same for ever. Not for adversaries.
pub(super) fn hash(seed: u64, parts: &[&[u8]]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325 ^ mix(seed);
    for part in parts {
        let length = (part.len() as u64).to_le_bytes();
        for byte in part.iter().chain(&length) {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    mix(state)
}

fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests;
