//! Why a text was refused, or could not be rendered, in words for its author.

use minijinja::ErrorKind;

use super::engine::{FUEL, MAX_OUTPUT_BYTES, MAX_TEMPLATE_BYTES};
use super::filters::ARGUMENT;
use super::template::MAX_VARIABLES_NAMED;

/// The longest explanation kept of an error of the engine, in characters: it may quote the text.
const MAX_DETAIL: usize = 200;

/// What to do about a filter that there is not.
pub(super) const FILTERS: &str = "use a filter there is, such as default, upper, title, date or number";

/// Why a text cannot be a template.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    #[error("the text has {bytes} bytes, at most {MAX_TEMPLATE_BYTES} are taken; shorten it")]
    TooLong { bytes: usize },
    #[error("the text names {count} variables, at most {MAX_VARIABLES_NAMED} are taken; use fewer")]
    TooManyVariables { count: usize },
    /// Names that mean nothing in a template of a request; sorted.
    #[error(
        "names {}, which a request does not know: there are id, text, attachments, message_id, vars.NAME for a variable of the recipient, \
         and secret.KEY, or secret['KEY'] where the key has other signs than letters, digits and _",
        .0.join(", ")
    )]
    UnknownNames(Vec<String>),
    /// Lines and columns count from 1, columns in characters.
    #[error("line {line}, column {column}: {problem}; {remedy}")]
    Refused { line: usize, column: usize, problem: String, remedy: &'static str },
}

/// Why a text cannot be rendered for one recipient. Never shows the value of a variable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RenderError {
    /// The recipient lacks variables for which the text has no default; sorted, at most [`MAX_VARIABLES_NAMED`].
    #[error("the recipient lacks {}; add it to the audience or give a default, as in {{{{ name | default('there') }}}}", .0.join(", "))]
    MissingVariables(Vec<String>),
    #[error("the rendered text is longer than {MAX_OUTPUT_BYTES} bytes")]
    OutputTooLong,
    #[error("rendering took more than {FUEL} steps; remove loops from the text")]
    OutOfFuel,
    #[error("failed to render the text: {0}")]
    Failed(String),
}

/// What to do about an error that is in the text itself, whoever it is rendered for; None for the others.
pub(super) fn remedy(error: &minijinja::Error) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::SyntaxError | ErrorKind::BadEscape => {
            Some("check that every {{ has its }}, every {% its %}, and every {% if %} its {% endif %}")
        }
        ErrorKind::UnknownFilter => Some(FILTERS),
        ErrorKind::UnknownTest => Some("use a test there is, such as defined"),
        ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => {
            Some("use a filter instead, such as {{ name | upper }}")
        }
        ErrorKind::TooManyArguments | ErrorKind::MissingArgument => Some("check the values between the brackets"),
        ErrorKind::TemplateNotFound | ErrorKind::BadInclude | ErrorKind::UnknownBlock => {
            Some("write the whole text in one place; there are no other files to include, import or extend")
        }
        ErrorKind::InvalidOperation if error.detail().is_some_and(|detail| detail.starts_with(ARGUMENT)) => {
            Some("check the values between the brackets")
        }
        // A function there is not, while a variable of its name is given: variables are text.
        ErrorKind::InvalidOperation if error.detail().is_some_and(|detail| detail.ends_with("is not callable")) => {
            Some("use a filter instead, such as {{ name | upper }}")
        }
        ErrorKind::OutOfFuel => Some("remove loops over large ranges"),
        _ => None,
    }
}

pub(super) fn refused(text: &str, error: &minijinja::Error) -> TemplateError {
    let (line, column) = place(text, error);
    let remedy = remedy(error).unwrap_or("check the text there");
    let words = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    let problem =
        words.chars().take(MAX_DETAIL).map(|character| if character.is_control() { ' ' } else { character }).collect();
    TemplateError::Refused { line, column, problem, remedy }
}

/// Line and column of an error in the text, counted from 1.
pub(super) fn place(text: &str, error: &minijinja::Error) -> (usize, usize) {
    let of_range = error.range().and_then(|range| position(text, range.start));
    of_range.unwrap_or((error.line().unwrap_or(1), 1))
}

/// Line and column of a byte of the text, counted from 1.
pub(super) fn position(text: &str, offset: usize) -> Option<(usize, usize)> {
    let before = text.get(..offset)?;
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
}
