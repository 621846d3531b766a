//! A flow that nests directories deeper than any path is long: nothing that looks after directories
//! may be brought down by it.

use serde_json::json;

use crate::support::{server::Server, until};

/// In its working directory or in its spool.
const DIGS: &str = "
import os
from hero_tracing import flow

@flow
def digs(where: str):
    os.chdir(os.environ['HERO_FLOW_SPOOL'] if where == 'spool' else '.')
    for n in range(2_000):
        os.mkdir('a')
        os.chdir('a')
    return where
";

#[test]
fn a_play_that_digs_deep_brings_no_server_down() {
    let server = Server::start();
    let digs = server.create(&json!({"name": "digs", "python_source": DIGS}));
    let spool = server.start_play(&digs, &json!({"where": "spool"}));
    assert_eq!(server.wait(&spool)["status"], "success");
    let work = server.start_play(&digs, &json!({"where": "work"}));
    assert_eq!(server.wait(&work)["status"], "success");
    let place = |server: &Server, of: &str, sid: &str| server.home().data.join(of).join(sid);
    until("the spool is gone", || {
        (!place(&server, "spool", &spool).exists()).then_some(())
    });
    // As a crash leaves it: a spool that nobody has tidied.
    let dug = place(&server, "plays", &work).join("work");
    std::fs::rename(dug, place(&server, "spool", &work)).unwrap();
    let server = Server::start_in(server.crash(), &[]);
    assert!(!place(&server, "spool", &work).exists());
    assert_eq!(server.get(&work)["status"], "success");
    let artifacts = server.start_play(&digs, &json!({"where": "work"}));
    assert_eq!(server.wait(&artifacts)["status"], "success");
    let report = server.call("prune", &json!({"retain_plays": 0, "retain_bytes": 0}));
    assert_eq!(report["plays"], 3, "{report}");
    let left = std::fs::read_dir(server.home().data.join("plays")).unwrap();
    assert_eq!(left.count(), 0);
    server.stop().assert_clean();
}
