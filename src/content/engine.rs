//! The template engine in its bounds: what one text may cost, and what its errors say to its author.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};

use super::grammar::{self, Given};
use super::markup::Markup;
use super::refusal::{RenderError, TemplateError, place, refused, remedy};

/// The longest template, in bytes. Providers take a few thousand characters; the rest is room for conditions.
pub const MAX_TEMPLATE_BYTES: usize = 64 * 1024;

/// The longest rendered text, in bytes: above every provider's limit, which is checked by the provider's own rule.
pub const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// The work one rendering may take: one unit an instruction and one for each 64 bytes made. The longest output needs
/// about 1,000 units and a template of the longest size without loops some 20,000; 30,000 units end a runaway loop
/// within some milliseconds and bound the memory it can take to about 2 MiB.
pub(super) const FUEL: u64 = 30_000;

/// How deep macros may call each other. Each level takes stack; texts need two or three.
const RECURSION: usize = 50;

/// The name the engine knows the text by.
const NAME: &str = "text";

/// What a variable holds while a template is tried out before the first recipient.
pub(super) const TRIAL_VALUE: &str = "x";

/// One text, compiled.
pub(super) struct Engine {
    environment: Environment<'static>,
    /// What is read in it and set nowhere in it, sorted.
    free: Vec<String>,
}

/// Why a text was not rendered. The engine's words may quote a value, so they are told to nobody.
pub(super) enum Failure {
    Engine(minijinja::Error),
    OutputTooLong,
    Panicked,
}

impl Failure {
    /// Whether something that the text names is not there.
    pub fn is_undefined(&self) -> bool {
        matches!(self, Failure::Engine(error) if error.kind() == ErrorKind::UndefinedError)
    }
}

impl Engine {
    /// `lists`: the names among the values that hold lists.
    pub fn compile(
        text: &str,
        markup: Markup,
        lists: Given,
        filters: fn(&mut Environment<'_>),
    ) -> Result<Engine, TemplateError> {
        if text.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateError::TooLong { bytes: text.len() });
        }
        let free = grammar::check(text, lists)?.into_iter().map(str::to_owned).collect();
        let mut environment = Environment::new();
        markup.set_up(&mut environment);
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        filters(&mut environment);
        // Spans in errors need it; it costs nothing until an error is made.
        environment.set_debug(true);
        environment.add_template_owned(NAME, text.to_owned()).map_err(|error| refused(text, &error))?;
        Ok(Engine { environment, free })
    }

    /// What the text names and does not set itself; `nested` with what it asks of it, as in `vars.first_name`.
    pub fn names(&self, nested: bool) -> BTreeSet<String> {
        let Ok(template) = self.environment.get_template(NAME) else { return BTreeSet::new() };
        let functions: Vec<&str> = self.environment.globals().map(|(name, _)| name).collect();
        // The engine overlooks those in the filter of a block.
        let overlooked = self.free.iter().filter(|_| !nested).cloned();
        let names = template.undeclared_variables(nested).into_iter().chain(overlooked);
        names.filter(|name| !functions.contains(&name.as_str())).collect()
    }

    /// The text with these values, within its bounds.
    pub fn evaluate(&self, values: Value) -> Result<String, Failure> {
        let mut output = Output::default();
        // The engine keeps no state between renderings, and a half-written output is dropped.
        let rendered = catch_unwind(AssertUnwindSafe(|| {
            let template = self.environment.get_template(NAME)?;
            template.render_captured_to(values, &mut output).map(drop)
        }));
        match rendered {
            Err(_) => Err(Failure::Panicked),
            Ok(_) if output.overflowed => Err(Failure::OutputTooLong),
            Ok(Err(error)) => Err(Failure::Engine(error)),
            Ok(Ok(())) => String::from_utf8(output.bytes).map_err(|_| Failure::Panicked),
        }
    }

    /// Refuses the text where the failure is its own, whatever the values are.
    pub fn blame(&self, failure: &Failure) -> Result<(), TemplateError> {
        match failure {
            Failure::Engine(error) if remedy(error).is_some() => Err(refused(&self.source(), error)),
            _ => Ok(()),
        }
    }

    /// The failure as it may be told: its kind and place.
    pub fn explain(&self, failure: &Failure) -> RenderError {
        match failure {
            Failure::Engine(error) if error.kind() == ErrorKind::OutOfFuel => RenderError::OutOfFuel,
            Failure::Engine(error) => {
                let (line, column) = place(&self.source(), error);
                RenderError::Failed(format!("line {line}, column {column}: {}", error.kind()))
            }
            Failure::OutputTooLong => RenderError::OutputTooLong,
            Failure::Panicked => RenderError::Failed("the template engine broke down".to_owned()),
        }
    }

    /// The same where variables are missing.
    pub fn lacking(&self, failure: &Failure, missing: Vec<String>) -> RenderError {
        if missing.is_empty() { self.explain(failure) } else { RenderError::MissingVariables(missing) }
    }

    fn source(&self) -> String {
        self.environment.get_template(NAME).map(|template| template.source().to_owned()).unwrap_or_default()
    }
}

/// Of what is absent, what would have to be given; none if its absence is not why rendering failed. Starting with all of it
/// given, each is taken away again if the text does without it, so that variables with a default, or in a branch that is
/// then not taken, are not blamed.
pub(super) fn needed(absent: Vec<&str>, is_undefined_with: impl Fn(&[&str]) -> bool) -> Vec<String> {
    let mut needed = absent;
    if is_undefined_with(&needed) {
        return Vec::new();
    }
    // Ends after at most as many rounds as there are names: each but the last takes one away.
    loop {
        let before = needed.len();
        let mut index = 0;
        while index < needed.len() {
            let name = needed.remove(index);
            if is_undefined_with(&needed) {
                needed.insert(index, name);
                index += 1;
            }
        }
        if needed.len() == before {
            return needed.into_iter().map(str::to_owned).collect();
        }
    }
}

/// Takes at most [`MAX_OUTPUT_BYTES`].
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl io::Write for Output {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + piece.len() > MAX_OUTPUT_BYTES {
            self.overflowed = true;
            return Err(io::Error::other("the output is too long"));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
