//! Tables: for a terminal, and for a page.

use std::fmt;

/// Rows under a heading. The first column holds names, the others figures.
#[derive(Clone, Debug)]
pub struct Table {
    /// What the rows are about.
    pub title: String,
    /// The heading of each column.
    pub columns: Vec<String>,
    /// As many cells each.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// One without rows.
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Table {
        Table {
            title: title.into(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Without the columns that nobody has anything in.
    pub fn tidy(mut self) -> Table {
        let used: Vec<bool> = (0..self.columns.len())
            .map(|at| at == 0 || self.rows.iter().any(|row| row[at] != NOTHING))
            .collect();
        for cells in std::iter::once(&mut self.columns).chain(&mut self.rows) {
            let mut used = used.iter();
            cells.retain(|_| used.next() == Some(&true));
        }
        self
    }

    /// As a page has it, without the title.
    pub fn to_markdown(&self) -> String {
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<String> = (0..self.columns.len())
            .map(|at| if at == 0 { "---" } else { "---:" }.to_owned())
            .collect();
        let rows: String = self.rows.iter().map(|cells| row(cells)).collect();
        format!("{}{}{rows}", row(&self.columns), row(&rule))
    }
}

/// What a cell holds that nothing was measured for.
pub const NOTHING: &str = "–";

/// The cell for something that may not have been measured.
pub fn cell<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NOTHING.to_owned(), show)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = || std::iter::once(&self.columns).chain(&self.rows);
        let width = |at: usize| rows().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        writeln!(f, "{}", self.title)?;
        for row in rows() {
            write!(f, "  {:<1$}", row[0], widths[0])?;
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{NOTHING, Table};

    fn table() -> Table {
        let mut table = Table::new("Echo", &["", "calls", "time"]);
        table
            .rows
            .push(["Tokio", NOTHING, "12"].map(String::from).to_vec());
        table
            .rows
            .push(["us", NOTHING, "5"].map(String::from).to_vec());
        table.tidy()
    }

    #[test]
    fn figures_stand_at_the_right_and_an_empty_column_nowhere() {
        assert_eq!(
            table().to_string(),
            "Echo\n         time\n  Tokio    12\n  us        5\n"
        );
        let markdown = "|  | time |\n| --- | ---: |\n| Tokio | 12 |\n| us | 5 |\n";
        assert_eq!(table().to_markdown(), markdown);
    }
}
