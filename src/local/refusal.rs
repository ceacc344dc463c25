//! What a run cannot begin or go on for.

/// What a run cannot begin or go on for; printed, and the exit code is 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

pub fn refuse(error: impl std::fmt::Display) -> Refusal {
    Refusal(error.to_string())
}

/// All of several errors, each on a line of its own.
pub fn refuse_all<E: std::fmt::Display>(errors: &[E]) -> Refusal {
    Refusal(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nerror: "))
}
