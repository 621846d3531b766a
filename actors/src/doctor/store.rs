//! The database: whether it is one, of which version, how large, and whole.

use std::time::Duration;

use protocol::server::Check;

use super::{Subject, size};
use crate::store::sqlite::examine::{Integrity, examine};

/// How long looking through the whole of it may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn checks(subject: &Subject) -> Vec<Check> {
    let found = match examine(&subject.data_dir, PATIENCE) {
        Ok(Some(found)) => found,
        Ok(None) => {
            return vec![Check::ok(
                "store",
                "there is none yet; the first start makes it",
            )];
        }
        Err(error) => return vec![Check::broken("store", error.to_string())],
    };
    let summary = format!(
        "version {}, journal mode {}, {}, and {} in its log",
        found.version,
        found.journal_mode,
        size(found.bytes),
        size(found.log_bytes)
    );
    let store = Check::ok("store", summary)
        .fact("version", found.version)
        .fact("journal_mode", found.journal_mode)
        .fact("bytes", found.bytes)
        .fact("log_bytes", found.log_bytes);
    let integrity = match found.integrity {
        Integrity::Sound => Check::ok("store.integrity", "the database is sound (quick_check)"),
        Integrity::Damaged(what) => Check::broken(
            "store.integrity",
            format!("the database is damaged: {what}"),
        )
        .hint("stop the server, keep a copy of the directory, and restore a backup"),
        Integrity::NotDone(why) => Check::warning(
            "store.integrity",
            format!("whether the database is sound is not known: {why}"),
        ),
    };
    vec![store, integrity]
}
