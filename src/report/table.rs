//! Columns for a terminal.

/// Rows under a header, in columns as wide as their widest cell, two spaces apart, indented by two.
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String; N]| {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("  {}\n", padded.join("  ").trim_end())
    };
    let header = header.map(str::to_owned);
    std::iter::once(&header).chain(rows).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["søren".to_owned(), "1".to_owned()], ["a".to_owned(), String::new()]];
        assert_eq!(table(["ID", "NUMBER"], &rows), "  ID     NUMBER\n  søren  1\n  a\n");
    }
}
