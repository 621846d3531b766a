//! `/metrics`: the server's figures in Prometheus' text format.

use protocol::{EpochMs, rpc::ServerInfo};

use crate::rpc::Rpc;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn text(info: &ServerInfo, rpc: &Rpc, connections: usize, now: EpochMs) -> String {
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, String)]| {
        out.push_str(&format!("# HELP hero_logic_{name} {help}\n"));
        out.push_str(&format!("# TYPE hero_logic_{name} {kind}\n"));
        for (labels, value) in samples {
            out.push_str(&format!("hero_logic_{name}{labels} {value}\n"));
        }
    };
    let one = |value: String| [(String::new(), value)];
    let version = label(&info.version);
    family(
        "build_info",
        "gauge",
        "Always 1; the label tells the version.",
        &[(format!("{{version=\"{version}\"}}"), "1".to_owned())],
    );
    family(
        "uptime_seconds",
        "gauge",
        "Since the server started.",
        &one((now.since(info.started_at) / 1000.0).to_string()),
    );
    family(
        "plays",
        "gauge",
        "Plays with a process, and plays that wait for a slot.",
        &[
            ("{status=\"running\"}".to_owned(), info.running.to_string()),
            ("{status=\"pending\"}".to_owned(), info.pending.to_string()),
        ],
    );
    family(
        "max_plays",
        "gauge",
        "How many plays may have a process at once.",
        &one(info.max_plays.to_string()),
    );
    family(
        "connections",
        "gauge",
        "Open connections, on TCP and on the socket.",
        &one(connections.to_string()),
    );
    let calls: Vec<_> = rpc
        .calls()
        .flat_map(|(method, ok, failed)| {
            [("ok", ok), ("error", failed)].map(|(outcome, count)| {
                let labels = format!("{{method=\"{method}\",outcome=\"{outcome}\"}}");
                (labels, count.to_string())
            })
        })
        .collect();
    family(
        "rpc_calls_total",
        "counter",
        "JSON-RPC calls that were answered.",
        &calls,
    );
    out
}

/// A label's value, escaped as the format wants it.
fn label(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
