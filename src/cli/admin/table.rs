//! Answers for people: a list as a table that begins with what names a row, one thing as its fields.

use serde_json::{Map, Value};

/// The text, with a line break at its end if it is not empty.
pub(super) fn text(answer: &Value) -> String {
    match answer {
        Value::Array(rows) => table(rows),
        Value::Object(fields) => one(fields),
        _ => String::new(),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn one(fields: &Map<String, Value>) -> String {
    let width = fields.keys().map(String::len).max().unwrap_or_default();
    let lines: Vec<_> =
        fields.iter().map(|(name, value)| format!("{name:width$}  {}\n", cell(value))).collect();
    lines.concat()
}

fn table(rows: &[Value]) -> String {
    let Some(Value::Object(first)) = rows.first() else {
        return String::new();
    };
    let mut columns: Vec<_> = first.keys().collect();
    columns.sort_by_key(|name| !matches!(name.as_str(), "name" | "access_key_id"));
    let head = columns.iter().map(|name| name.to_uppercase()).collect();
    let body = rows.iter().map(|row| columns.iter().map(|name| cell(&row[name.as_str()])).collect());
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    let width = |at: usize| lines.iter().filter_map(|line| line.get(at)).map(String::len).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_tables_and_single_things_are_fields() {
        let rows = json!([{"a": "x", "name": ["long", "er"]}, {"a": "longer", "name": []}]);
        assert_eq!(text(&rows), "NAME     A\nlong,er  x\n-        longer\n");
        assert_eq!(text(&json!({"name": "x", "at": null})), "at    -\nname  x\n");
        assert_eq!(text(&json!([])), "");
    }
}
