//! A table as text: Markdown whose columns also stand below each other on a terminal. Pure.

/// Rows below their head, the first column to the left and the others to the right. A row that is too short
/// is filled up.
pub(crate) fn render(head: &[&str], rows: &[Vec<String>]) -> String {
    let cell = |row: &Vec<String>, column: usize| {
        row.get(column)
            .map_or_else(String::new, |text| text.replace('|', "\\|"))
    };
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(column, title)| {
            let cells = rows.iter().map(|row| cell(row, column).chars().count());
            cells.max().unwrap_or_default().max(title.chars().count())
        })
        .collect();
    let line = |cell: &dyn Fn(usize) -> String| {
        let mut line = String::from("|");
        for (column, width) in widths.iter().enumerate() {
            let text = cell(column);
            let gap = " ".repeat(width.saturating_sub(text.chars().count()));
            line += &if column == 0 {
                format!(" {text}{gap} |")
            } else {
                format!(" {gap}{text} |")
            };
        }
        line + "\n"
    };
    let mut text = line(&|column| head.get(column).copied().unwrap_or_default().to_owned());
    text += "|";
    for (column, width) in widths.iter().enumerate() {
        text += &"-".repeat(width + 1);
        text += if column == 0 { "-|" } else { ":|" };
    }
    text += "\n";
    for row in rows {
        text += &line(&|column| cell(row, column));
    }
    text
}

/// A figure with three digits that mean something, thousands apart.
pub(crate) fn figure(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "–".to_owned();
    }
    if size >= 1000.0 {
        let digits = format!("{:.0}", size);
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                text.push(',');
            }
            text.push(digit);
        }
        return if value < 0.0 {
            format!("-{text}")
        } else {
            text
        };
    }
    let decimals = match size {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}
