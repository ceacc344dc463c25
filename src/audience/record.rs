//! One row of a table taken apart into its cells.

use super::place::{Refusal, Spot};

/// The cells of one row, unquoted, in buffers that are used again for the next.
#[derive(Default)]
pub(super) struct Record {
    /// The text of all cells, one after the other.
    pub(super) text: String,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
    /// The line of the quote that is open, if one is.
    pub(super) open_quote: Option<u64>,
}

impl Record {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.open_quote = None;
    }

    /// How many cells there are.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &str> {
        self.ends.iter().scan(0, |start, end| {
            let cell = &self.text[*start..*end];
            *start = *end;
            Some(cell)
        })
    }

    /// Takes one line apart and says whether the row is complete; it is not while a quote is open. `end` is the
    /// line's own end, which is part of the value inside quotes.
    pub(super) fn feed(&mut self, body: &str, end: &str, number: u64) -> Result<bool, Refusal> {
        let mut rest = body;
        loop {
            if self.open_quote.is_none()
                && let Some(inside) = rest.strip_prefix('"')
            {
                self.open_quote = Some(number);
                rest = inside;
            }
            let next = if self.open_quote.is_some() {
                let Some(after) = self.take_quoted(rest) else {
                    self.text.push_str(end);
                    return Ok(false);
                };
                self.open_quote = None;
                if !after.is_empty() && !after.starts_with(',') {
                    let character = body[..body.len() - after.len()].chars().count() + 1;
                    let problem = "there is text after the closing quote of a field";
                    let remedy = "double every quote that is part of a value";
                    return Err(Refusal::new(Spot::Character(character), problem, remedy));
                }
                after.strip_prefix(',')
            } else {
                let (cell, next) = rest.split_once(',').map_or((rest, None), |(cell, next)| (cell, Some(next)));
                self.text.push_str(cell);
                next
            };
            self.ends.push(self.text.len());
            match next {
                Some(next) => rest = next,
                None => return Ok(true),
            }
        }
    }

    /// Takes text up to the closing quote and gives what follows it; None if the quote is still open.
    fn take_quoted<'a>(&mut self, mut rest: &'a str) -> Option<&'a str> {
        loop {
            let Some((inside, after)) = rest.split_once('"') else {
                self.text.push_str(rest);
                return None;
            };
            self.text.push_str(inside);
            let Some(next) = after.strip_prefix('"') else { return Some(after) };
            self.text.push('"');
            rest = next;
        }
    }
}
