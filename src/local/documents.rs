//! The documents of a run, read from where its flags say.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{Manifest, Purpose};
use super::manifest_document::{MAX_MANIFEST_BYTES, ManifestInput};
use super::options::DocumentOptions;
use super::order::{Order, orders};
use super::refusal::{Refusal, refuse_all};

/// Reads everything the flags name and makes every broadcast ready. Blocks for as long as standard input or a pipe does.
pub fn read(options: &DocumentOptions, purpose: &Purpose) -> Result<Vec<Order>, Refusal> {
    let inputs = inputs(&options.files)?;
    let manifest = Manifest::load(&inputs, &options.config_maps, &options.secrets, purpose)
        .map_err(|faults| refuse_all(&faults.0))?;
    orders(Arc::new(manifest)).map_err(|errors| refuse_all(&errors))
}

/// The files as they are given; standard input is read.
pub fn inputs(files: &[PathBuf]) -> Result<Vec<ManifestInput>, Refusal> {
    let mut inputs = Vec::new();
    let mut stdin_taken = false;
    for file in files {
        if file != Path::new("-") {
            inputs.push(ManifestInput::File(file.clone()));
        } else if !stdin_taken {
            stdin_taken = true;
            let mut text = String::new();
            let limit = MAX_MANIFEST_BYTES + 1;
            std::io::stdin()
                .lock()
                .take(limit)
                .read_to_string(&mut text)
                .map_err(|error| Refusal(format!("failed to read standard input: {error}")))?;
            inputs.push(ManifestInput::Stdin(text));
        }
    }
    Ok(inputs)
}
