//! Reading a token from wherever it is kept.

use std::io::{self, Read};

use secrecy::SecretString;

/// The longest token taken from a Secret's key; the longest seen are some 2 KiB (JWT).
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// Why a key does not hold a token. Never holds its value.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("cannot be read: {source}")]
    Unreadable { source: io::Error },
    #[error("is empty")]
    Empty,
    #[error("is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    #[error("is not text in UTF-8")]
    NotText,
    #[error("holds a line break or another control character")]
    Control,
}

/// All of it as one line of text, without white space at the ends: files, and Secrets made from them, usually end in a
/// line break.
///
/// # Errors
/// It is none: empty, too long, not UTF-8, with control characters, or unreadable.
pub fn read(reader: impl Read) -> Result<SecretString, TokenError> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_TOKEN_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| TokenError::Unreadable { source })?;
    if bytes.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLong);
    }
    let text = String::from_utf8(bytes).map_err(|_| TokenError::NotText)?;
    let token = text.trim();
    if token.is_empty() {
        return Err(TokenError::Empty);
    }
    if token.chars().any(char::is_control) {
        return Err(TokenError::Control);
    }
    Ok(SecretString::from(token))
}
