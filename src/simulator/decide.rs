//! Pure: what becomes of one request. The same seed, settings, recipient and count give the same decision, in
//! whatever order requests come in.

use std::time::Duration;

use serde_json::json;

use super::request::{Call, Played, Refusal};
use super::settings::{DropMoment, Mishap, Settings};

/// What is known of a request beside itself.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The number of this request among all, from 1; makes message ids.
    pub number: u64,
    /// How many requests of this recipient came before.
    pub earlier: u32,
    /// Requests within the last second, this one included.
    pub in_last_second: usize,
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

/// A complete answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Response {
    fn json(status: u16, body: &serde_json::Value) -> Response {
        Response { status, headers: vec![("content-type", "application/json".into())], body: body.to_string() }
    }

    fn text(status: u16, body: &str) -> Response {
        Response { status, headers: vec![("content-type", "text/plain".into())], body: body.to_owned() }
    }
}

/// The Graph code of Messenger's throttle answer.
const THROTTLED: Mishap = Mishap::Graph { code: 613, subcode: None };

/// Decides. First what any provider does (token, parameters, rate), then a lost connection, then failures.
pub fn decide(settings: &Settings, call: &Call, circumstances: &Circumstances) -> Decision {
    let draw = |what: Draw| draw(settings.seed, &call.recipient, circumstances.earlier, what);
    let latency = settings.latency.at(draw(Draw::Latency));
    let refused = |code: String, response: Response| Decision {
        latency,
        accepted: false,
        throttled: false,
        code: Some(code),
        reply: Reply::Answer(response),
    };

    if let Some(refusal) = &call.refusal {
        let (code, response) = refuse(call.played, refusal);
        return refused(code, response);
    }
    if settings.rate_limit > 0 && circumstances.in_last_second > settings.rate_limit as usize {
        let (code, response) = match call.played {
            Played::Messenger => (THROTTLED, graph_error(613, None, &call.recipient)),
            Played::Http => {
                let mut response = Response::text(429, "Too Many Requests");
                response.headers.push(("retry-after", settings.retry_after.header(circumstances.now)));
                (Mishap::Status(429), response)
            }
        };
        return Decision { throttled: true, ..refused(code.to_string(), response) };
    }
    if draw(Draw::Drop) < settings.drop.fraction {
        let (accepted, code) = match settings.drop.moment {
            DropMoment::Before => (false, "drop:before"),
            DropMoment::After => (true, "drop:after"),
        };
        return Decision { latency, accepted, throttled: false, code: Some(code.into()), reply: Reply::Close };
    }
    let success = success(call, settings.seed, circumstances.number);
    let Some(mishap) = befalls(settings, call.played, draw(Draw::Failure)) else {
        return Decision { latency, accepted: true, throttled: false, code: None, reply: Reply::Answer(success) };
    };
    let (accepted, reply) = suffer(mishap, success, &call.recipient);
    Decision { latency, accepted, throttled: false, code: Some(mishap.to_string()), reply }
}

/// The failure whose share of 0 to 1 the draw falls into; Graph codes mean nothing to a plain endpoint.
fn befalls(settings: &Settings, played: Played, drawn: f64) -> Option<Mishap> {
    let mut end = 0.0;
    settings
        .fail
        .iter()
        .filter(|failure| played == Played::Messenger || !matches!(failure.mishap, Mishap::Graph { .. }))
        .find(|failure| {
            end += failure.fraction;
            drawn < end
        })
        .map(|failure| failure.mishap)
}

/// A message counts as accepted exactly when a client that reads to the end would see success, and for `never`.
fn suffer(mishap: Mishap, success: Response, recipient: &str) -> (bool, Reply) {
    match mishap {
        Mishap::Graph { code, subcode } => (false, Reply::Answer(graph_error(code, subcode, recipient))),
        Mishap::Status(status @ 200..=299) => (true, Reply::Answer(Response { status, ..success })),
        Mishap::Status(status) => (false, Reply::Answer(Response::text(status, "simulated failure"))),
        Mishap::Garbage => (true, Reply::Answer(Response::text(200, "<html><!\u{1}{\"message_id\": maybe]"))),
        Mishap::HalfBody => (true, Reply::HalfOf(success)),
        Mishap::HugeBody => (true, Reply::Padded(success)),
        Mishap::Redirect => {
            let mut response = Response::text(307, "");
            response.headers.push(("location", "/redirected".into()));
            (false, Reply::Answer(response))
        }
        Mishap::Never => (true, Reply::Silence),
        Mishap::Slow => (true, Reply::Dribbled(success)),
    }
}

fn success(call: &Call, seed: u64, number: u64) -> Response {
    match call.played {
        Played::Messenger => {
            let body = json!({"recipient_id": call.recipient, "message_id": format!("m_simulated_{seed}_{number}")});
            Response::json(200, &body)
        }
        Played::Http => Response::json(200, &json!({"accepted": true})),
    }
}

fn refuse(played: Played, refusal: &Refusal) -> (String, Response) {
    match (played, refusal) {
        (Played::Messenger, Refusal::NoToken) => ("190".into(), graph_error(190, None, "")),
        (Played::Messenger, Refusal::BadParameter(what)) => {
            ("100".into(), graph_error_saying(100, None, &format!("(#100) {what}")))
        }
        (Played::Http, Refusal::NoToken) => ("http:401".into(), Response::text(401, "no token")),
        (Played::Http, Refusal::BadParameter(what)) => {
            ("http:400".into(), Response::json(400, &json!({"error": what})))
        }
    }
}

/// Where nothing else is known of a code, the text names the person, as several of the Graph API do.
fn graph_error(code: i64, subcode: Option<i64>, recipient: &str) -> Response {
    let message = match code {
        1 => "An unknown error occurred.".to_owned(),
        2 => "An unexpected error has occurred. Please retry your request later.".to_owned(),
        4 => "(#4) Application request limit reached".to_owned(),
        10 => "(#10) This message is sent outside of allowed window.".to_owned(),
        190 => "Invalid OAuth access token.".to_owned(),
        551 => "(#551) This person isn't available right now.".to_owned(),
        613 => "(#613) Calls to this api have exceeded the rate limit.".to_owned(),
        _ => format!("(#{code}) Object with ID '{recipient}' does not exist (simulated)"),
    };
    graph_error_saying(code, subcode, &message)
}

fn graph_error_saying(code: i64, subcode: Option<i64>, message: &str) -> Response {
    let mut error = json!({"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "Simulated00"});
    if let Some(subcode) = subcode {
        error["error_subcode"] = subcode.into();
    }
    if matches!(code, 1 | 2 | 4) {
        error["is_transient"] = true.into();
    }
    // As recorded: throttles of the app with 403, temporary errors with 500, everything else with 400.
    let status = match code {
        4 => 403,
        1 | 2 => 500,
        _ => 400,
    };
    Response::json(status, &json!({ "error": error }))
}

/// What a number is drawn for, so that latency, drops and failures do not depend on each other.
#[derive(Clone, Copy)]
enum Draw {
    Latency = 1,
    Drop = 2,
    Failure = 3,
}

/// A number from 0 to 1 (excluded), the same for the same arguments on every machine.
fn draw(seed: u64, recipient: &str, earlier: u32, what: Draw) -> f64 {
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
