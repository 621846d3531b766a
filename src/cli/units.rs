//! Durations, ages and sizes: as people write them, and as people read them. Pure.

use std::time::Duration;

/// Reads `90` (seconds), `90s`, `5m`, `1h30m`, `500ms`, `1.5h`, `2d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write it like 90s, 5m, 1h30m or 500ms");
    let mut rest = text.trim();
    let mut seconds = 0.0;
    let mut smallest = f64::INFINITY;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "" if smallest.is_infinite() && rest.is_empty() => 1.0,
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        if unit >= smallest {
            return Err(wrong()); // `5s1h`, `1m1m`: more likely a slip than meant
        }
        smallest = unit;
        seconds += number * unit;
        rest = &rest[letters..];
    }
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    if duration < Duration::from_millis(1) {
        return Err(format!("{text:?} is too short; the least is 1ms"));
    }
    Ok(duration)
}

/// Reads `1048576` (bytes), `64K`, `500MB`, `1.5GiB`: all by 1,024.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; write it like 500MiB, 20GiB or 1048576");
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = text[digits..].trim_start().to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return Err(wrong()),
    };
    Ok(whole(number * 1024_f64.powi(power)))
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `0.4 ms`, `12 ms`, `3.2 s`, `1 m 04 s`, `1 h 04 m`, `2 d 03 h`.
pub(crate) fn duration(ms: f64) -> String {
    let ms = if ms.is_finite() { ms.max(0.0) } else { 0.0 };
    if ms < 0.95 {
        return format!("{ms:.1} ms");
    }
    if ms < 999.5 {
        return format!("{ms:.0} ms");
    }
    if ms < 59_950.0 {
        return format!("{:.1} s", ms / 1_000.0);
    }
    let seconds = whole(ms / 1_000.0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if hours == 0 {
        format!("{minutes} m {:02} s", seconds % 60)
    } else if days == 0 {
        format!("{hours} h {:02} m", minutes % 60)
    } else {
        format!("{days} d {:02} h", hours % 24)
    }
}

/// `now`, `12 s ago`, `3 m ago`, `5 h ago`, `2 d ago`.
pub(crate) fn ago(ms: f64) -> String {
    let seconds = whole(ms / 1_000.0);
    match seconds {
        0..=1 => "now".to_owned(),
        2..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} m ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// `512 B`, `1.5 KiB`, `35 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with two or three digits")]
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `1 process`, `3 processes`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        thousands(number),
        if number == 1 { one } else { many }
    )
}

/// `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` keeps it within the type's bounds"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_read_as_people_write_them() {
        let read = |text| super::parse_bytes(text).ok();
        assert_eq!(read("1048576"), Some(1 << 20));
        assert_eq!(read("64K"), Some(64 << 10));
        assert_eq!(read("1.5 GiB"), Some(3 << 29));
        assert_eq!(read("2tb"), Some(2 << 40));
        for bad in ["", "GiB", "-1", "5 apples", "1.2.3"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, ms) in [
            ("90", 90_000),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            ("2d", 172_800_000),
            ("1m500ms", 60_500),
        ] {
            assert_eq!(parse_duration(text).map(millis), Ok(ms), "{text}");
        }
        for wrong in [
            "",
            "s",
            "0",
            "0.0001ms",
            "-1",
            "1y",
            "1h30",
            "5s1h",
            "1e3",
            "1..2s",
            "١s",
            "1 h",
            "NaN",
            "inf",
            "99999999999999999999d",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_written() {
        for (ms, text) in [
            (0.0, "0.0 ms"),
            (0.42, "0.4 ms"),
            (0.96, "1 ms"),
            (12.3, "12 ms"),
            (999.4, "999 ms"),
            (999.6, "1.0 s"),
            (3_240.0, "3.2 s"),
            (59_949.0, "59.9 s"),
            (59_960.0, "1 m 00 s"),
            (64_000.0, "1 m 04 s"),
            (3_599_600.0, "1 h 00 m"),
            (3_840_000.0, "1 h 04 m"),
            (183_600_000.0, "2 d 03 h"),
            (-5.0, "0.0 ms"),
            (f64::NAN, "0.0 ms"),
        ] {
            assert_eq!(duration(ms), text, "{ms}");
        }
    }

    #[test]
    fn ages_sizes_and_counts_are_written() {
        assert_eq!(ago(400.0), "now");
        assert_eq!(ago(-1e9), "now");
        assert_eq!(ago(190_000.0), "3 m ago");
        assert_eq!(ago(1e9), "11 d ago");
        for (count, text) in [
            (512, "512 B"),
            (1536, "1.5 KiB"),
            (36_700_160, "35 MiB"),
            (1_048_570, "1.0 MiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(count(1, "process", "processes"), "1 process");
        assert_eq!(count(12_345, "span", "spans"), "12,345 spans");
    }
}
