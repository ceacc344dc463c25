//! Results as lines of text: CSV that is an audience file as well, and NDJSON with the same names.

use std::borrow::Cow;

use jiff::Timestamp as Instant;

use super::results::ResultRow;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultFormat {
    /// RFC 4180 with a header, lines ended by LF.
    Csv,
    /// One JSON object a line; what there is not is null.
    Ndjson,
}

const HEADER: &str = "id,outcome,reason,code,parts_done,provider_id,delivered_time,read_time\n";

impl ResultFormat {
    /// What stands before the first row.
    pub fn header(self) -> &'static str {
        match self {
            ResultFormat::Csv => HEADER,
            ResultFormat::Ndjson => "",
        }
    }

    /// One row with its line end.
    pub fn line(self, row: &ResultRow) -> String {
        let mut line = match self {
            ResultFormat::Csv => cells(row).map(|cell| quoted(&cell)).join(","),
            // Texts alone: there is nothing in it that JSON could not hold.
            ResultFormat::Ndjson => serde_json::to_string(row).unwrap_or_default(),
        };
        line.push('\n');
        line
    }
}

fn cells(row: &ResultRow) -> [Cow<'_, str>; 8] {
    let text = |text: &Option<String>| Cow::Owned(text.clone().unwrap_or_default());
    let time = |time: Option<Instant>| Cow::Owned(time.map(|time| time.to_string()).unwrap_or_default());
    [
        row.id.as_str().into(),
        row.outcome.as_str().into(),
        text(&row.reason),
        text(&row.code),
        row.parts_done.to_string().into(),
        text(&row.provider_id),
        time(row.delivered_time),
        time(row.read_time),
    ]
}

/// A cell of a CSV: in quotes where it needs them.
pub fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::results::ResultOutcome;

    fn row(id: &str, reason: Option<&str>) -> ResultRow {
        let reason = reason.map(str::to_owned);
        let read_time = Instant::from_second(1_780_000_000).ok();
        ResultRow {
            id: id.to_owned(),
            outcome: ResultOutcome::Failed,
            reason,
            code: None,
            parts_done: 1,
            provider_id: None,
            delivered_time: None,
            read_time,
        }
    }

    #[test]
    fn what_csv_says_is_read_back_as_it_was() {
        let rows = [row("1", None), row("a,b", Some("NoSuchUser")), row("say \"hi\"\r\nthere", Some(""))];
        let mut text = ResultFormat::Csv.header().to_owned();
        rows.iter().for_each(|row| text.push_str(&ResultFormat::Csv.line(row)));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let ids: Vec<String> = reader.records().map(|record| record.unwrap()[0].to_owned()).collect();
        assert_eq!(ids, ["1", "a,b", "say \"hi\"\r\nthere"]);
        let header = ["id", "outcome", "reason", "code", "parts_done", "provider_id", "delivered_time", "read_time"];
        assert_eq!(reader.headers().unwrap(), header.to_vec());
    }

    #[test]
    fn every_row_of_ndjson_is_one_line() {
        let line = ResultFormat::Ndjson.line(&row("a\nb", Some("NoSuchUser")));
        assert_eq!(line.matches('\n').count(), 1);
        let back: ResultRow = serde_json::from_str(&line).unwrap();
        assert_eq!(back, row("a\nb", Some("NoSuchUser")));
    }
}
