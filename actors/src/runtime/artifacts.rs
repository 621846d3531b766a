//! The operations on what plays left in their working directories.

use std::{fs::File, io, path::PathBuf};

use protocol::{
    Error, PlaySid, Result,
    reading::{Artifact, MAX_ARTIFACTS},
    rpc::PlayRef,
};

use super::Runtime;
use crate::process::artifacts;

impl Runtime {
    /// The files in a play's working directory; while it runs, those that are there now.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn artifact_list(&self, wanted: PlayRef) -> Result<Vec<Artifact>> {
        let dir = self.work_dir(&wanted.play_sid).await?;
        on_disk(&wanted.play_sid, move || {
            artifacts::list(&dir, MAX_ARTIFACTS)
        })
        .await
    }

    /// One of them, to be read, with its size; it may grow or shrink meanwhile.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn artifact(&self, play: &PlaySid, path: &str) -> Result<(File, u64)> {
        let dir = self.work_dir(play).await?;
        let path = path.to_owned();
        on_disk(play, move || artifacts::open(&dir, &path)).await
    }

    /// The play is there, so its sid is none that leads anywhere else.
    async fn work_dir(&self, play: &PlaySid) -> Result<PathBuf> {
        let known = self.store().spans(play, None, 0).await?;
        known.ok_or_else(|| Error::not_found("play", play))?;
        let plays = self.inner.data_dir.join("plays");
        Ok(plays.join(play.as_str()).join("work"))
    }
}

async fn on_disk<T: Send + 'static>(
    play: &PlaySid,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| Error::internal(format!("reading artifacts: {error}")))?;
    done.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::new(
            protocol::ErrorKind::NotFound,
            format!(
                "play {play} has no artifact of this path; artifact_list tells which there are"
            ),
        ),
        _ => Error::unavailable(format!(
            "the artifacts of play {play} can't be read: {error}"
        )),
    })
}
