//! How what SQLite says becomes a [`StoreError`]: which file, what failed, what to do.

use std::path::Path;

use rusqlite::{ErrorCode, ffi, types::Type};
use serde::{Serialize, de::DeserializeOwned};

use super::super::StoreError;

/// Why a piece of work on a connection was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// A rule of the port says no. Others' work in the same transaction is not touched by it.
    Refused(StoreError),
    /// SQLite says no.
    Sql(rusqlite::Error),
}

impl Failure {
    /// A refusal in words, still without the file's name.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::Refused(StoreError::Backend(message.into()))
    }

    /// Whether the transaction can't be trusted to go on.
    pub(super) fn ends_transaction(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        !matches!(
            error.sqlite_error_code(),
            None | Some(
                ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig
            )
        )
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

pub(super) type Outcome<T> = Result<T, Failure>;

/// What was being done, with which file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    verb: &'static str,
    path: &'a Path,
}

impl<'a> Context<'a> {
    /// `verb` completes «failed to …».
    pub(super) fn new(verb: &'static str, path: &'a Path) -> Self {
        Self { verb, path }
    }

    pub(super) fn store_error(self, failure: Failure) -> StoreError {
        let path = self.path.display();
        let verb = self.verb;
        let error = match failure {
            Failure::Refused(StoreError::Backend(cause)) => {
                return StoreError::Backend(format!("failed to {verb} {path}: {cause}"));
            }
            Failure::Refused(error) => return error,
            Failure::Sql(error) => error,
        };
        let (kind, todo) = verdict(&error);
        kind(format!("failed to {verb} {path}: {error}; {todo}"))
    }
}

/// What SQLite's error means for whoever tries again, and what to do about it.
fn verdict(error: &rusqlite::Error) -> (fn(String) -> StoreError, &'static str) {
    use StoreError::{Backend, Failed, Full, Trouble};
    let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (Full, "free some space and try again"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Trouble,
            "another process holds it; end that one and try again",
        ),
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => (
            Trouble,
            "check that the file and its directory are yours and can be written",
        ),
        Some(ErrorCode::OutOfMemory) => (Trouble, "free some memory and try again"),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            Failed,
            "it is damaged; stop the server and put back a copy (hero_logic restore)",
        ),
        // After a failed fsync nobody knows what the disk has; what can't be read is lost.
        Some(ErrorCode::SystemIoFailure)
            if matches!(
                extended,
                ffi::SQLITE_IOERR_FSYNC
                    | ffi::SQLITE_IOERR_DIR_FSYNC
                    | ffi::SQLITE_IOERR_READ
                    | ffi::SQLITE_IOERR_SHORT_READ
                    | ffi::SQLITE_IOERR_CORRUPTFS
                    | ffi::SQLITE_IOERR_DATA
            ) =>
        {
            (
                Failed,
                "the disk fails; check it and the system's log, then start again or put back a copy",
            )
        }
        // A quota, a limit of file sizes, a file system that became read-only.
        Some(ErrorCode::SystemIoFailure) => (
            Trouble,
            "check the disk's free space, quotas and the system's log, then try again",
        ),
        _ => (Backend, "this is a fault of hero_logic, please report it"),
    }
}

/// A value as JSON text, for a column.
pub(super) fn to_json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

/// The same where there may be none.
pub(super) fn to_json_option<T: Serialize>(value: Option<&T>) -> rusqlite::Result<Option<String>> {
    value.map(to_json).transpose()
}

/// A value from a column's JSON text.
pub(super) fn from_json<T: DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}
