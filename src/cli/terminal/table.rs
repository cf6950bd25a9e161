//! Tables for people: a header, a row of dashes, rows; one space between columns, cut to the terminal's width.
//!
//! Widths are those on a screen, where letters of Chinese, Japanese and Korean take two places and combining marks none.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A column's place on its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Align {
    Left,
    Right,
}

/// What stands for the rest of a cell that was cut.
const CUT: &str = "...";

/// The least width that shows a character before [`CUT`].
const WIDTH_MIN: usize = 4;

/// The table's lines, and whether a cell was cut. `width` is the terminal's, `None` for as wide as need be.
pub(in crate::cli) fn table(
    columns: &[(&str, Align)],
    mut rows: Vec<Vec<String>>,
    width: Option<usize>,
) -> (String, bool) {
    let mut widths: Vec<usize> = columns.iter().map(|(name, _)| name.width()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    if let Some(width) = width {
        let least: Vec<_> = columns.iter().map(|(name, _)| name.width().max(WIDTH_MIN)).collect();
        shrink(&mut widths, &least, width.saturating_sub(columns.len().saturating_sub(1)));
    }
    let mut cut = false;
    for (cell, width) in rows.iter_mut().flat_map(|row| row.iter_mut().zip(&widths)) {
        if cell.width() > *width {
            *cell = start(cell, width.saturating_sub(CUT.len())) + CUT;
            cut = true;
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(columns).zip(&widths).map(|((cell, (_, align)), &width)| {
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            match align {
                Align::Left => format!("{cell}{padding}"),
                Align::Right => format!("{padding}{cell}"),
            }
        });
        cells.collect::<Vec<_>>().join(" ") + "\n"
    };
    let dashes: Vec<_> = widths.iter().map(|&width| "-".repeat(width)).collect();
    let mut text = line(&mut columns.iter().map(|(name, _)| *name));
    text.push_str(&line(&mut dashes.iter().map(String::as_str)));
    for row in &rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    (text, cut)
}

/// The start of a text that is at most this wide.
fn start(text: &str, width: usize) -> String {
    let mut left = width;
    let fits =
        |c: &char| c.width().and_then(|width| left.checked_sub(width)).map(|rest| left = rest).is_some();
    text.chars().take_while(fits).collect()
}

/// Takes from the widest column (the first of several) until all fit, or none can give any more.
fn shrink(widths: &mut [usize], least: &[usize], budget: usize) {
    while widths.iter().sum::<usize>() > budget {
        let can_give = (0..widths.len()).filter(|&at| widths[at] > least[at]);
        let Some(widest) = can_give.max_by_key(|&at| (widths[at], std::cmp::Reverse(at))) else { return };
        widths[widest] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [(&str, Align); 2] = [("ID", Align::Left), ("SIZE", Align::Right)];

    fn rows() -> Vec<Vec<String>> {
        vec![vec!["user/a-long-name".into(), "7".into()], vec!["u/b".into(), "12345".into()]]
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let (text, cut) = table(&COLUMNS, rows(), Some(80));
        assert!(!cut);
        assert_eq!(
            text,
            "ID                SIZE\n\
             ---------------- -----\n\
             user/a-long-name     7\n\
             u/b              12345\n"
        );
    }

    #[test]
    fn wide_letters_take_two_places_and_combining_marks_none() {
        let rows = vec![vec!["数据/a".into(), "7".into()], vec!["e\u{301}".into(), "1".into()]];
        let (text, _) = table(&COLUMNS, rows.clone(), None);
        assert_eq!(text, "ID     SIZE\n------ ----\n数据/a    7\ne\u{301}         1\n");
        let (text, cut) = table(&COLUMNS, rows, Some(10));
        assert!(cut);
        assert_eq!(text, "ID    SIZE\n----- ----\n数...    7\ne\u{301}        1\n");
    }

    #[test]
    fn the_widest_column_gives_way() {
        let (text, cut) = table(&COLUMNS, rows(), Some(14));
        assert!(cut);
        assert_eq!(text, "ID        SIZE\n-------- -----\nuser/...     7\nu/b      12345\n");
        let (text, cut) = table(&COLUMNS, rows(), Some(1));
        assert!(cut);
        assert_eq!(text, "ID   SIZE\n---- ----\nu...    7\nu/b  1...\n");
        assert!(!table(&COLUMNS, rows(), None).1);
    }
}
