//! What a token says of itself. That is no proof, but what says the wrong thing need not be brought before the cluster:
//! anybody who reaches the ledger's port can send tokens, and each review is a call of the Kubernetes API.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::api::mount::TOKEN_AUDIENCE;
use crate::delivery::time::Timestamp;

/// The longest token worth looking at: projected ones have some 1,200 bytes.
const MAX_TOKEN: usize = 16_384;
/// How far this clock and that of the API server may be apart.
const TOLERANCE_SECONDS: i64 = 60;

/// SHA-256 of a token: tokens themselves are not kept.
pub type TokenHash = [u8; 32];

pub fn hash(token: &str) -> TokenHash {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

#[derive(Deserialize)]
struct Claims {
    aud: Audience,
    exp: i64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// How long the token is good for by its own words, or why it cannot be a sender's. The signature is not looked at.
pub fn life_left(token: &str, now: Timestamp) -> Result<Duration, String> {
    if token.is_empty() || token.len() > MAX_TOKEN {
        return Err("the token is empty or longer than any".to_owned());
    }
    let claims = claims(token).ok_or_else(|| "the token is none of a Kubernetes service account".to_owned())?;
    let is_meant = match &claims.aud {
        Audience::One(audience) => audience == TOKEN_AUDIENCE,
        Audience::Several(audiences) => audiences.iter().any(|audience| audience == TOKEN_AUDIENCE),
    };
    if !is_meant {
        return Err(format!("the token is not for the audience `{TOKEN_AUDIENCE}`"));
    }
    let left = claims.exp.saturating_sub(now.0.div_euclid(1_000_000_000));
    if left < -TOLERANCE_SECONDS {
        return Err("the token has expired".to_owned());
    }
    Ok(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}

fn claims(token: &str) -> Option<Claims> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, payload, signature] = parts[..] else { return None };
    let is_signed = !signature.is_empty() && URL_SAFE_NO_PAD.decode(signature).is_ok();
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&URL_SAFE_NO_PAD.decode(head).ok()?).is_ok();
    let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    (is_signed && is_json).then_some(claims)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn token(claims: &Value) -> String {
        let part = |value: &str| URL_SAFE_NO_PAD.encode(value);
        format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(&claims.to_string()), part("signature"))
    }

    #[test]
    fn only_a_token_for_the_ledger_that_is_good_by_its_own_words_passes() {
        let end = 1_800_000_600;
        let good = token(&json!({"aud": ["other", "herald"], "exp": end}));
        assert_eq!(life_left(&good, NOW), Ok(Duration::from_secs(600)));
        let one = token(&json!({"aud": "herald", "exp": 1_800_000_000 - 60}));
        assert_eq!(life_left(&one, NOW), Ok(Duration::ZERO), "clocks differ");
        for (bad, why) in [
            (String::new(), "empty"),
            ("a".repeat(MAX_TOKEN + 1), "longer"),
            ("opaque".to_owned(), "service account"),
            (good.replace('.', ","), "service account"),
            (good.rsplit_once('.').unwrap().0.to_owned(), "service account"),
            (format!("{}.", good.rsplit_once('.').unwrap().0), "service account"),
            (token(&json!({"aud": ["herald"]})), "service account"),
            (token(&json!({"aud": ["https://kubernetes.default.svc"], "exp": end})), "audience"),
            (token(&json!({"aud": [], "exp": end})), "audience"),
            (token(&json!({"aud": ["herald"], "exp": 1_800_000_000 - 61})), "expired"),
            (token(&json!({"aud": ["herald"], "exp": i64::MIN})), "expired"),
        ] {
            let refused = life_left(&bad, NOW).unwrap_err();
            assert!(refused.contains(why), "{refused} where {why}");
        }
    }
}
