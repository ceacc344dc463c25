//! Where the ledger of `herald run` lies, and its flight journal.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::ledger::location::LedgerLocation;

#[derive(Debug, thiserror::Error)]
pub enum LedgerPathError {
    #[error(
        "neither XDG_STATE_HOME nor HOME is set, so there is no place for the ledger; name one with --ledger sqlite:PATH"
    )]
    NoHome,
    #[error(
        "failed to make the folder {folder} for the ledger: {source}; name another place with --ledger sqlite:PATH"
    )]
    Folder { folder: PathBuf, source: std::io::Error },
}

/// Where the ledger is. The default one is the same from whatever folder it is run, so that a second run from another
/// folder cannot message everybody again.
pub fn resolve(location: Option<&LedgerLocation>) -> Result<LedgerLocation, LedgerPathError> {
    match location {
        Some(location) => Ok(location.clone()),
        None => Ok(LedgerLocation::File(own_folder()?.join("ledger.sqlite"))),
    }
}

/// This user's folder for what must outlive a run, made if need be.
fn own_folder() -> Result<PathBuf, LedgerPathError> {
    let folder = state_folder(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))?;
    // For the user alone: the ledger holds people's ids.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|source| LedgerPathError::Folder { folder: folder.clone(), source })?;
    Ok(folder)
}

fn state_folder(
    state_home: Option<std::ffi::OsString>,
    home: Option<std::ffi::OsString>,
) -> Result<PathBuf, LedgerPathError> {
    let absolute = |path: std::ffi::OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let base = state_home.and_then(absolute).or_else(|| home.and_then(absolute).map(|home| home.join(".local/state")));
    base.map(|base| base.join("herald")).ok_or(LedgerPathError::NoHome)
}

/// The flight journal of this user's runs on a ledger that is on a server: one for each ledger, by its id.
pub fn journal_of_server(ledger_id: &str) -> Result<PathBuf, LedgerPathError> {
    Ok(own_folder()?.join(format!("{ledger_id}.journal")))
}

/// The flight journal lies beside the ledger it belongs to.
pub fn journal_path(ledger: &Path) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(".journal");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_below_the_users_state_folder_and_never_relative() {
        let folder =
            |state: Option<&str>, home: Option<&str>| state_folder(state.map(Into::into), home.map(Into::into)).ok();
        assert_eq!(folder(Some("/s"), Some("/h")), Some(PathBuf::from("/s/herald")));
        assert_eq!(folder(None, Some("/h")), Some(PathBuf::from("/h/.local/state/herald")));
        assert_eq!(folder(Some("relative"), Some("/h")), Some(PathBuf::from("/h/.local/state/herald")));
        assert_eq!(folder(None, None), None);
    }
}
