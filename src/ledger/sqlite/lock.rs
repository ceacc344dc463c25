//! The lock that makes a ledger's process the only one.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::ledger::error::LedgerError;

/// `PATH.lock`, locked until dropped; it names the process that holds it.
pub struct LockFile {
    _file: File,
}

impl LockFile {
    pub fn acquire(ledger: &Path) -> Result<LockFile, LedgerError> {
        let path = lock_path(ledger);
        let unreadable = |error: std::io::Error| LedgerError::Open {
            place: ledger.display().to_string(),
            message: error.to_string(),
        };
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(unreadable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(unreadable)?;
                return Err(LedgerError::Locked { place: ledger.display().to_string(), pid: pid.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(unreadable(error)),
        }
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        match written {
            Ok(()) => Ok(LockFile { _file: file }),
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                Err(LedgerError::DiskFull { place: ledger.display().to_string() })
            }
            Err(error) => Err(unreadable(error)),
        }
    }
}

fn lock_path(ledger: &Path) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
