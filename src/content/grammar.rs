//! What a text may be made of, read before the engine compiles it: how long one tag may be, and what may be done with lists.
//!
//! The engine counts the work of a text while it is rendered. What it does not count is found here: how deep an expression
//! goes, which it compiles (and drops) level by level on the stack, and the size of a list, which it makes into text, or
//! compares, before it charges for it. A list may be looped over, searched, looked up in, joined and shown; it is no text.

use minijinja::machinery::{Span, Token, ast, parse, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::lists::Lists;
use super::refusal::{TemplateError, position, refused};

/// The most operators, brackets, commas, filters and conditions in one tag: each may be a level of the expression, and a level
/// takes some kilobytes of stack to compile. A table of a hundred words is 200 of them.
pub(super) const MAX_SIGNS: usize = 250;

/// The most `{% elif %}` of a text: each is a level of the condition it belongs to.
pub(super) const MAX_BRANCHES: usize = 100;

/// How deep the lists are that a template is given by name: one of texts is 1 deep.
pub(super) type Given = &'static [(&'static str, usize)];

/// Refuses what the engine could not bound. Tells the names in the text that stand for values and get none in it, sorted.
pub(super) fn check(text: &str, given: Given) -> Result<Vec<&str>, TemplateError> {
    check_depth(text)?;
    let template = parse(text, "text", SyntaxConfig::default()).map_err(|error| refused(text, &error))?;
    let ast::Stmt::Template(template) = &template else { return Ok(Vec::new()) };
    Lists::new(given)
        .check(&template.children)
        .map_err(|misuse| at(text, misuse.span, misuse.problem.to_owned(), misuse.remedy))
}

fn at(text: &str, span: Span, problem: String, remedy: &'static str) -> TemplateError {
    let (line, column) = position(text, span.start_offset as usize).unwrap_or((span.start_line.into(), 1));
    TemplateError::Refused { line, column, problem, remedy }
}

/// Before anything is parsed: what is parsed must be dropped again, on the stack as well.
fn check_depth(text: &str) -> Result<(), TemplateError> {
    let (mut signs, mut branches, mut begins) = (0, 0, false);
    // What is no token the parser will refuse, with its place.
    for (token, span) in tokenize(text, false, SyntaxConfig::default()).map_while(Result::ok) {
        match token {
            Token::VariableStart | Token::BlockStart => signs = 0,
            Token::Ident("elif") if begins => branches += 1,
            _ if is_sign(&token) => signs += 1,
            _ => {}
        }
        begins = matches!(token, Token::BlockStart);
        if signs > MAX_SIGNS {
            let problem = format!("more than {MAX_SIGNS} operators, brackets and commas in one tag");
            return Err(at(text, span, problem, "split it into several"));
        }
        if branches > MAX_BRANCHES {
            let remedy = "look the text up instead, as in {{ {'de': 'Hallo', 'en': 'Hello'}[language] }}";
            return Err(at(text, span, format!("more than {MAX_BRANCHES} times elif"), remedy));
        }
    }
    Ok(())
}

fn is_sign(token: &Token<'_>) -> bool {
    match token {
        Token::Ident(word) => matches!(*word, "not" | "and" | "or" | "if" | "else" | "is" | "in"),
        Token::TemplateData(_)
        | Token::VariableEnd
        | Token::BlockEnd
        | Token::Str(_)
        | Token::String(_)
        | Token::Int(_)
        | Token::Int128(_)
        | Token::Float(_)
        | Token::BracketClose
        | Token::ParenClose
        | Token::BraceClose => false,
        _ => true,
    }
}

#[cfg(test)]
#[path = "grammar_tests.rs"]
mod tests;
