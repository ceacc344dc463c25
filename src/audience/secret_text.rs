//! Values of Secrets that a source needs: short texts that never appear in an error.

use std::io::Read;

use secrecy::SecretString;

use super::materials::{MaterialKind, Materials};
use super::source_fault::{FaultKind, SourceFault};

/// The longest value: what servers take as one header, and far more than a database's URL needs.
pub const MAX_SECRET_TEXT: usize = 8 * 1024;

/// The value of a key of a Secret, without white space at its ends. `place` is the source that needs it.
pub fn secret_text(materials: &dyn Materials, name: &str, key: &str, place: &str) -> Result<SecretString, SourceFault> {
    let input =
        materials.open(MaterialKind::Secret, name, key).map_err(|error| SourceFault::of_secret(place, error))?;
    let unusable = |problem: String| {
        let problem = format!("key \"{key}\" of the Secret \"{name}\" {problem}");
        SourceFault::new(FaultKind::SecretKeyUnusable, place, problem, "let it hold the value alone, as text")
    };
    let mut bytes = Vec::new();
    input
        .take(MAX_SECRET_TEXT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unusable(format!("cannot be read: {error}")))?;
    if bytes.len() > MAX_SECRET_TEXT {
        return Err(unusable(format!("is longer than {MAX_SECRET_TEXT} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| unusable("is not text".to_owned()))?;
    match text.trim() {
        "" => Err(unusable("is empty".to_owned())),
        trimmed => Ok(SecretString::from(trimmed)),
    }
}
