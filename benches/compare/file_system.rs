//! What kind of file system a directory is on, as the kernel lists them. Pure.

use std::path::Path;

/// Its kind, by the text of `/proc/self/mounts`; None where the text does not say it.
pub(crate) fn kind(mounts: &str, dir: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((Path::new(fields.next()?), fields.next()?))
    });
    // Of several places the nearest; of those at one place the last, which hides the others.
    mounts
        .filter(|(place, _)| dir.starts_with(place))
        .max_by_key(|(place, _)| place.components().count())
        .map(|(_, kind)| kind.to_owned())
}
