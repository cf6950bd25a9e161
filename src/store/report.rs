//! Tables for people: names to the left, numbers to the right.

/// Lines up names and values.
pub(super) fn table(rows: &[(&str, String)]) -> String {
    let name_width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let value_width = rows.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
    let lines = rows.iter().map(|(name, value)| format!("{name:name_width$}  {value:>value_width$}\n"));
    lines.collect::<Vec<_>>().concat()
}
