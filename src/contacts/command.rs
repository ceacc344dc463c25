//! Carries a command out: a chunk or a page in memory at a time.

use std::io::{self, Write};

use clap::Args;

use super::book::{ContactBook, each_page};
use super::error::ContactsError;
use super::input::{self, Input};
use super::lines::{self, Columns};
use super::options::{ContactsCommand, CountsOutput, ExportOptions, FileFormat, ImportOptions, Tag};
use super::seen::Seen;
use super::tally::Tally;
use crate::api::audience::ContactsSource;
use crate::api::tag::MAX_TAGS;
use crate::ledger::contacts::{ContactRow, ContactsFilter, Imported, MAX_TAGS_OF_CONTACT, check_reason};

/// What a command leaves to be said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// For standard output.
    pub counts: Option<String>,
    /// For standard error.
    pub warning: Option<String>,
}

/// Carries it out; an export goes to `out`, of which a reader that has seen enough ends it.
///
/// # Errors
/// What kept it from doing what it was told, and how far it got.
pub async fn run<B: ContactBook, A: Args>(
    command: &ContactsCommand<A>,
    book: &mut B,
    out: impl Write,
) -> Result<Done, ContactsError> {
    let (tally, output) = match command {
        ContactsCommand::Export(options) => return export(options, book, out).await,
        ContactsCommand::Import(options) => (import(options, book).await?, options.output),
        ContactsCommand::Tag(options) => {
            let tags = names(&options.tags, MAX_TAGS_OF_CONTACT)?;
            let ids = input::ids(&options.recipients)?;
            (counted(ids, "tagsAdded", async |ids| book.tag(ids, &tags).await).await?, options.output)
        }
        ContactsCommand::Untag(options) => {
            let tags = names(&options.tags, MAX_TAGS_OF_CONTACT)?;
            let ids = input::ids(&options.recipients)?;
            (counted(ids, "tagsRemoved", async |ids| book.untag(ids, &tags).await).await?, options.output)
        }
        ContactsCommand::OptOut(options) => {
            check_reason(&options.reason).map_err(|error| ContactsError::Arguments(format!("--reason: {error}")))?;
            let ids = input::ids(&options.recipients)?;
            let (mut new, mut skipped) = (0, 0);
            let write = async |ids: &[String]| {
                let done = book.opt_out(ids, &options.reason).await?;
                (new, skipped) = (new + done.new, skipped + done.skipped);
                Ok::<(), B::Error>(())
            };
            let read = ids.each_chunk(write).await?;
            let counts = [("recipients", read), ("optedOut", new), ("skippedDeliveries", skipped)];
            (Tally::of(&counts), options.output)
        }
        ContactsCommand::OptIn(options) => {
            let ids = input::ids(&options.recipients)?;
            (counted(ids, "optedIn", async |ids| book.opt_in(ids).await).await?, options.output)
        }
    };
    let counts = match output {
        CountsOutput::Text => tally.text(),
        CountsOutput::Json => tally.json(),
    };
    Ok(Done { counts: Some(counts), warning: None })
}

async fn import<B: ContactBook, A: Args>(options: &ImportOptions<A>, book: &mut B) -> Result<Tally, ContactsError> {
    let (mut sum, mut duplicates, mut seen) = (Imported::default(), 0, Seen::default());
    let rows = input::contacts(&options.file, options.format)?;
    let read = rows
        .each_chunk(async |rows| {
            let (again, first): (Vec<&ContactRow>, Vec<&ContactRow>) =
                rows.iter().partition(|row| seen.contains(&row.recipient));
            first.iter().for_each(|row| seen.add(&row.recipient));
            let known = match (again.is_empty(), first.is_empty()) {
                (true, _) => book.import(rows).await?,
                (false, true) => Imported::default(),
                (false, false) => book.import(&first.into_iter().cloned().collect::<Vec<_>>()).await?,
            };
            // Of what is said of somebody once more, only what comes of it counts.
            let once_more = match again.is_empty() {
                true => Imported::default(),
                false => book.import(&again.into_iter().cloned().collect::<Vec<_>>()).await?,
            };
            duplicates += rows.len() as u64 - known.new - known.changed - known.same;
            (sum.new, sum.changed, sum.same) =
                (sum.new + known.new, sum.changed + known.changed, sum.same + known.same);
            for done in [known, once_more] {
                sum.opted_out += done.opted_out;
                sum.tagged += done.tagged;
                sum.skipped += done.skipped;
            }
            Ok::<(), B::Error>(())
        })
        .await?;
    let counts = [
        ("rows", read),
        ("new", sum.new),
        ("changed", sum.changed),
        ("unchanged", sum.same),
        ("duplicates", duplicates),
        ("optedOut", sum.opted_out),
        ("tagged", sum.tagged),
        ("skippedDeliveries", sum.skipped),
    ];
    Ok(Tally::of(&counts))
}

/// What one count tells all about.
async fn counted<E: std::fmt::Display>(
    ids: Input<String>,
    name: &'static str,
    mut write: impl AsyncFnMut(&[String]) -> Result<u64, E>,
) -> Result<Tally, ContactsError> {
    let mut count = 0;
    let read = ids
        .each_chunk(async |ids| {
            count += write(ids).await?;
            Ok::<(), E>(())
        })
        .await?;
    Ok(Tally::of(&[("recipients", read), (name, count)]))
}

fn names(tags: &[Tag], most: usize) -> Result<Vec<String>, ContactsError> {
    if tags.len() > most {
        return Err(ContactsError::Arguments(format!("at most {most} tags are taken at a time; give fewer")));
    }
    Ok(tags.iter().map(|Tag(tag)| tag.clone()).collect())
}

async fn export<B: ContactBook, A: Args>(
    options: &ExportOptions<A>,
    book: &mut B,
    mut out: impl Write,
) -> Result<Done, ContactsError> {
    let tags = names(&options.tags, MAX_TAGS)?;
    let without_tags = names(&options.without_tags, MAX_TAGS)?;
    let source = ContactsSource { tags, without_tags, active_within_seconds: None };
    let filter = ContactsFilter { source, opted_out: true };
    let mut columns = Columns::default();
    if options.output == FileFormat::Csv {
        each_page(book, &filter, of_book, |page| {
            let fit = page.iter().all(|contact| columns.add(contact));
            fit.then_some(()).ok_or(ContactsError::TooManyColumns { limit: crate::audience::MAX_VARIABLES })
        })
        .await?;
    }
    let mut left_out = 0_u64;
    let mut text = match options.output {
        FileFormat::Csv => columns.header(),
        FileFormat::Ndjson => String::new(),
    };
    let written = each_page(book, &filter, of_book, |page| {
        for contact in &page {
            left_out += contact.vars.keys().filter(|name| lines::is_taken(name)).count() as u64;
            text.push_str(&match options.output {
                FileFormat::Csv => columns.line(contact).map_err(|name| ContactsError::NewColumn { name })?,
                FileFormat::Ndjson => lines::ndjson(contact),
            });
        }
        let written = out.write_all(text.as_bytes());
        text.clear();
        written.map_err(ContactsError::Writing)
    })
    .await;
    // Nobody is known: the header is a file all the same.
    let written = written.and_then(|()| out.write_all(text.as_bytes()).map_err(ContactsError::Writing));
    let written = written.and_then(|()| out.flush().map_err(ContactsError::Writing));
    match written {
        Err(ContactsError::Writing(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Done::default()),
        Err(error) => Err(error),
        Ok(()) if left_out == 0 => Ok(Done::default()),
        Ok(()) => {
            let why = "are left out: such a column says something else in a file of contacts";
            let warning = format!("{left_out} variables with the names tags, opted_out or opted_out_reason {why}");
            Ok(Done { counts: None, warning: Some(warning) })
        }
    }
}

fn of_book(error: impl std::error::Error) -> ContactsError {
    ContactsError::Book(error.to_string())
}
