//! One process at a time in a local workspace: the fence of `crmferry run`.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::WorkspaceError;

/// Holds the lock until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct LockGuard {
    _file: File,
}

/// Takes the lock of a local workspace, made if it is not there.
///
/// # Errors
/// [`WorkspaceError::Locked`] when another process has it; [`WorkspaceError::NotWritable`] when there can be none.
pub fn exclusive(root: &Path) -> Result<LockGuard, WorkspaceError> {
    let path = root.join(".lock");
    let failed = |error| WorkspaceError::not_writable(&path.display(), error);
    std::fs::create_dir_all(root).map_err(failed)?;
    let options = File::options().create(true).append(true).open(&path);
    let file = options.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(LockGuard { _file: file }),
        Err(TryLockError::WouldBlock) => Err(WorkspaceError::Locked {
            path: path.display().to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
