//! `/metrics`: the server's figures in Prometheus' text format.

use std::fmt::Write;

use actors::figures::{Family, Kind, Value};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn text(families: &[Family]) -> String {
    let mut out = String::with_capacity(16 << 10);
    for family in families {
        if write_family(&mut out, family).is_err() {
            // Writing to a String can't fail.
            break;
        }
    }
    out
}

fn write_family(out: &mut String, family: &Family) -> std::fmt::Result {
    let prefix = if family.name.starts_with("process_") {
        ""
    } else {
        "hero_logic_"
    };
    let name = format!("{prefix}{}", family.name);
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    writeln!(out, "# HELP {name} {}", escaped(family.help, false))?;
    writeln!(out, "# TYPE {name} {kind}")?;
    for sample in &family.samples {
        let labels = |more: Option<(&str, String)>| {
            let own = sample
                .labels
                .iter()
                .map(|(name, value)| (*name, value.clone()));
            let all: Vec<_> = own
                .chain(more)
                .map(|(name, value)| format!("{name}=\"{}\"", escaped(&value, true)))
                .collect();
            if all.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", all.join(","))
            }
        };
        match &sample.value {
            Value::Number(number) => writeln!(out, "{name}{} {number}", labels(None))?,
            Value::Distribution(read) => {
                for (bound, count) in &read.up_to {
                    let labels = labels(Some(("le", bound.to_string())));
                    writeln!(out, "{name}_bucket{labels} {count}")?;
                }
                let infinite = labels(Some(("le", "+Inf".to_owned())));
                writeln!(out, "{name}_bucket{infinite} {}", read.count)?;
                writeln!(out, "{name}_sum{} {}", labels(None), read.sum)?;
                writeln!(out, "{name}_count{} {}", labels(None), read.count)?;
            }
        }
    }
    Ok(())
}

/// Escaped as the format wants it: quotes only in a label's value.
fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes {
        text.replace('"', "\\\"")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use actors::figures::Histogram;

    use super::*;

    #[test]
    fn it_is_written_as_the_format_has_it() {
        let histogram = Histogram::new(&[0.5, 1.0]);
        histogram.observe(0.5);
        histogram.observe(3.0);
        let families = [
            Family::counter("x_total", "A \\ and\na line.")
                .and(&[("a", "q\"\\\n"), ("b", "")], 2_u64),
            Family::gauge("process_open_fds", "Open.").of(0.25),
            Family::histogram("h_seconds", "How long.", &histogram),
        ];
        assert_eq!(
            text(&families),
            r#"# HELP hero_logic_x_total A \\ and\na line.
# TYPE hero_logic_x_total counter
hero_logic_x_total{a="q\"\\\n",b=""} 2
# HELP process_open_fds Open.
# TYPE process_open_fds gauge
process_open_fds 0.25
# HELP hero_logic_h_seconds How long.
# TYPE hero_logic_h_seconds histogram
hero_logic_h_seconds_bucket{le="0.5"} 1
hero_logic_h_seconds_bucket{le="1"} 1
hero_logic_h_seconds_bucket{le="+Inf"} 2
hero_logic_h_seconds_sum 3.5
hero_logic_h_seconds_count 2
"#
        );
    }
}
