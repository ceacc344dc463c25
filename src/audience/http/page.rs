//! The rows of one page, by how it is written, and what follows it.

use std::io::Read;

use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::body::{Body, Unpacked};
use super::json::{JsonRows, Outcome, Pointers};
use super::link::next_link;
use crate::api::{HttpFormat, NextPage};
use crate::audience::csv::CsvRows;
use crate::audience::lines::Lines;
use crate::audience::ndjson::NdjsonRows;
use crate::audience::place::RowError;
use crate::audience::recipient::Recipient;
use crate::audience::source_fault::{FaultKind, SourceFault};

/// How the pages of a source are written, as far as the broadcast says.
pub struct PageForm {
    pub format: Option<HttpFormat>,
    pub pointers: Pointers,
}

/// How the pages of a source follow each other.
pub struct Follow {
    pub by_member: Option<NextPage>,
}

/// A page that is read.
pub struct Page {
    rows: PageRows,
    from: Url,
    headers: HeaderMap,
}

enum PageRows {
    Csv(CsvRows),
    Ndjson(NdjsonRows),
    Json(JsonRows),
}

/// What a page says of the next one.
pub struct Ended {
    /// Where the page came from.
    from: Url,
    link: Option<String>,
    member: Option<String>,
    /// There are rows, and nothing that could hold the member.
    pub lost_member: bool,
}

impl Page {
    /// `first` is the URL of the source: the ending of its path tells the format where nothing else does.
    pub fn new(
        form: &PageForm,
        from: Url,
        headers: HeaderMap,
        first: &Url,
        place: &str,
        body: Body,
    ) -> Result<Page, SourceFault> {
        let format = form.format.or_else(|| of_content_type(&headers)).or_else(|| of_path(first));
        let Some(format) = format else {
            let problem = match headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) {
                Some(kind) => format!("its content type {kind:?} tells no format"),
                None => "it has no content type, and its path no ending that tells the format".to_owned(),
            };
            return Err(SourceFault::new(FaultKind::Invalid, place, problem, "set format to CSV, NDJSON or JSON"));
        };
        if format != HttpFormat::Json && form.pointers.next.is_some() {
            let problem = "the answer is no JSON, which nextPage points into";
            let remedy = "set format: JSON if it is, or remove nextPage: other formats are paged by the header Link";
            return Err(SourceFault::new(FaultKind::Invalid, place, problem, remedy));
        }
        // JSON says itself where it ends.
        if format != HttpFormat::Json && !body.end_is_marked {
            let problem = "the answer ends only where its connection does, so one that is cut short would look whole";
            let remedy = "let the server send Content-Length or Transfer-Encoding: chunked, or use https or JSON";
            return Err(SourceFault::new(FaultKind::Invalid, place, problem, remedy));
        }
        let input: Box<dyn Read + Send> = if body.is_gzip { Box::new(Unpacked::new(body)) } else { Box::new(body) };
        let rows = match format {
            HttpFormat::Csv => PageRows::Csv(CsvRows::new(Lines::new(place, input))),
            HttpFormat::Ndjson => PageRows::Ndjson(NdjsonRows::new(Lines::new(place, input))),
            HttpFormat::Json => {
                let list = form.pointers.list.join("/");
                let shown = if list.is_empty() { format!("{place} ") } else { format!("{place} /{list}") };
                PageRows::Json(JsonRows::new(&shown, input, form.pointers.clone()))
            }
        };
        Ok(Page { rows, from, headers })
    }

    /// What the page says of the next one, once its rows are taken. The text says why it was no page as it should be.
    pub fn end(self) -> Result<Ended, String> {
        let Outcome { next: member, lost_next: lost_member } = match self.rows {
            PageRows::Json(mut rows) => rows.finish()?,
            PageRows::Csv(_) | PageRows::Ndjson(_) => Outcome::default(),
        };
        Ok(Ended { from: self.from, link: next_link(&self.headers), member, lost_member })
    }
}

impl Iterator for Page {
    type Item = Result<Recipient, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.rows {
            PageRows::Csv(rows) => rows.next(),
            PageRows::Ndjson(rows) => rows.next(),
            PageRows::Json(rows) => rows.next(),
        }
    }
}

impl Follow {
    /// The page after one that has ended; `None` after the last one. `first` is the URL of the source.
    pub fn next(&self, first: &Url, ended: &Ended, place: &str) -> Result<Option<Url>, SourceFault> {
        let (base, target) = match &self.by_member {
            None => (&ended.from, ended.link.as_deref()),
            Some(NextPage { parameter: None, .. }) => (&ended.from, ended.member.as_deref()),
            Some(NextPage { parameter: Some(parameter), .. }) => {
                let next = |value: &str| with_parameter(first, parameter, value);
                return Ok(ended.member.as_deref().map(next));
            }
        };
        let Some(target) = target else { return Ok(None) };
        let next = base.join(target).map(|mut url| {
            url.set_fragment(None);
            url
        });
        next.map(Some).map_err(|_| {
            let problem = "what it names as the next page is no URL";
            let remedy = "if it is a cursor, give the query parameter that takes it as nextPage.parameter";
            SourceFault::new(FaultKind::Invalid, place, problem, remedy)
        })
    }
}

fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let others: Vec<(String, String)> =
        url.query_pairs().filter(|(other, _)| other != name).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    url
}

fn of_content_type(headers: &HeaderMap) -> Option<HttpFormat> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
    match kind.as_str() {
        "text/csv" | "application/csv" => Some(HttpFormat::Csv),
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonl"
        | "application/jsonlines"
        | "application/x-jsonlines"
        | "text/x-ndjson" => Some(HttpFormat::Ndjson),
        "application/json" => Some(HttpFormat::Json),
        other if other.starts_with("application/") && other.ends_with("+json") => Some(HttpFormat::Json),
        _ => None,
    }
}

fn of_path(url: &Url) -> Option<HttpFormat> {
    match url.path().rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "csv" => Some(HttpFormat::Csv),
        "ndjson" | "jsonl" => Some(HttpFormat::Ndjson),
        "json" => Some(HttpFormat::Json),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_cursor_takes_the_place_of_its_parameter_and_leaves_the_others() {
        let first = Url::parse("https://crm.example/people?limit=100&cursor=0&tag=a%20b").unwrap();
        let second = with_parameter(&first, "cursor", "x/y=&z");
        assert_eq!(second.as_str(), "https://crm.example/people?limit=100&tag=a+b&cursor=x%2Fy%3D%26z");
    }

    #[test]
    fn the_content_type_tells_the_format_and_else_the_path() {
        let cases = [
            ("text/csv; charset=utf-8", "/people", Some(HttpFormat::Csv)),
            ("application/x-ndjson", "/people.json", Some(HttpFormat::Ndjson)),
            ("Application/Vnd.Api+JSON", "/people.csv", Some(HttpFormat::Json)),
            ("application/octet-stream", "/people.JSONL", Some(HttpFormat::Ndjson)),
            ("text/plain", "/people.json", Some(HttpFormat::Json)),
            ("text/html", "/people", None),
        ];
        for (kind, path, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            let url = Url::parse("https://crm.example").unwrap().join(path).unwrap();
            assert_eq!(of_content_type(&headers).or_else(|| of_path(&url)), expected, "{kind} {path}");
        }
    }
}
