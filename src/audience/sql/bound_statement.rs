//! A statement that is run for each recipient, with its parameters: found by their names, and always bound. No value is ever
//! put into a text.
//!
//! What is taken reads the same in every database: so comments, backslashes and signs that some of them read as parameters or
//! quotes are refused instead of being guessed at.

use std::fmt;

/// With these a statement begins that changes rows.
const WRITING: [&str; 6] = ["INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "WITH"];
/// The longest piece of a refused word that is shown.
const MAX_SHOWN: usize = 20;

/// What is known of somebody the message was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Parameter {
    /// The recipient's id.
    Id,
    /// The name of the BroadcastMessage.
    Broadcast,
    /// When the message was sent.
    SentTime,
    /// The provider's id of the message.
    MessageId,
}

impl Parameter {
    const ALL: [Parameter; 4] = [Parameter::Id, Parameter::Broadcast, Parameter::SentTime, Parameter::MessageId];

    pub fn name(self) -> &'static str {
        match self {
            Parameter::Id => "id",
            Parameter::Broadcast => "broadcast",
            Parameter::SentTime => "sent_time",
            Parameter::MessageId => "message_id",
        }
    }
}

/// How a database writes its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    MySql,
    Sqlite,
}

/// Why a statement is not taken, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct StatementError {
    /// Line and column in characters, from 1 on; `None` where it is all of it.
    pub at: Option<(usize, usize)>,
    pub problem: String,
}

impl fmt::Display for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter(Parameter),
}

/// One statement, cut at its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundStatement(Vec<Piece>);

impl BoundStatement {
    /// Reads a statement.
    ///
    /// # Errors
    /// It is none that changes rows, or more than one; it names a parameter that there is not, or none for the recipient; it
    /// holds what databases read differently.
    pub fn parse(text: &str) -> Result<BoundStatement, StatementError> {
        let mut reading = Reading { text, at: 0, pieces: Vec::new(), plain: String::new() };
        reading.whole()?;
        let statement = BoundStatement(reading.pieces);
        let names_somebody = statement.0.contains(&Piece::Parameter(Parameter::Id));
        if !names_somebody {
            let problem = "it does not say which recipient is meant; use the parameter :id, e.g. WHERE psid = :id";
            return Err(StatementError { at: None, problem: problem.to_owned() });
        }
        Ok(statement)
    }

    /// The text as a database takes it, and the parameters in the order in which they are bound.
    pub fn written_for(&self, dialect: Dialect) -> (String, Vec<Parameter>) {
        let (mut text, mut bound) = (String::new(), Vec::new());
        for piece in &self.0 {
            let parameter = match piece {
                Piece::Text(plain) => {
                    text.push_str(plain);
                    continue;
                }
                Piece::Parameter(parameter) => *parameter,
            };
            let known = bound.iter().position(|earlier| *earlier == parameter).filter(|_| dialect != Dialect::MySql);
            let place = known.unwrap_or_else(|| {
                bound.push(parameter);
                bound.len() - 1
            }) + 1;
            match (dialect, parameter) {
                // All are bound as text, which is no instant there by itself.
                (Dialect::Postgres, Parameter::SentTime) => text.push_str(&format!("CAST(${place} AS timestamptz)")),
                (Dialect::Postgres, _) => text.push_str(&format!("${place}")),
                (Dialect::MySql, _) => text.push('?'),
                (Dialect::Sqlite, _) => text.push_str(&format!("?{place}")),
            }
        }
        (text, bound)
    }
}

struct Reading<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    pieces: Vec<Piece>,
    /// What has been read since the last parameter.
    plain: String,
}

impl<'a> Reading<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn refuse(&self, problem: impl Into<String>) -> StatementError {
        let before = &self.text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        StatementError { at: Some((line, column)), problem: problem.into() }
    }

    fn take(&mut self, bytes: usize) {
        self.plain.push_str(&self.rest()[..bytes]);
        self.at += bytes;
    }

    fn whole(&mut self) -> Result<(), StatementError> {
        self.begins_like_one_that_writes()?;
        while let Some(first) = self.rest().chars().next() {
            match first {
                '\'' | '"' | '`' => self.quoted(first)?,
                ':' => self.colon()?,
                ';' => return self.end(),
                '?' | '$' => return Err(self.refuse(format!("{first} names no parameter here; write e.g. :id"))),
                '\\' | '#' => return Err(self.refuse(format!("databases read {first} differently; do without it"))),
                '\0' => return Err(self.refuse("a zero byte ends a statement; take it out")),
                _ if self.rest().starts_with("--") || self.rest().starts_with("/*") => {
                    return Err(self.refuse("databases read comments differently; take this one out"));
                }
                _ if is_of_word(first) => {
                    let end = self.rest().find(|character| !is_of_word(character)).unwrap_or(self.rest().len());
                    self.take(end);
                }
                _ => self.take(first.len_utf8()),
            }
        }
        self.close();
        Ok(())
    }

    fn begins_like_one_that_writes(&mut self) -> Result<(), StatementError> {
        let space = self.rest().len() - self.rest().trim_start().len();
        self.take(space);
        let end = self.rest().find(|character| !is_of_word(character)).unwrap_or(self.rest().len());
        let word = &self.rest()[..end];
        if WRITING.iter().any(|writing| word.eq_ignore_ascii_case(writing)) {
            return Ok(());
        }
        let shown: String = word.chars().take(MAX_SHOWN).collect();
        let problem =
            if self.rest().is_empty() { "it is empty".to_owned() } else { format!("it begins with {shown:?}") };
        Err(self.refuse(format!("{problem}; write one INSERT, UPDATE, DELETE, MERGE, REPLACE or WITH")))
    }

    /// A quote ends at the next one of its kind; two of them in a row begin it anew, which comes to the same.
    fn quoted(&mut self, quote: char) -> Result<(), StatementError> {
        let Some(length) = self.rest()[1..].find(quote) else { return Err(self.refuse("this quote is not closed")) };
        if let Some(inside) = self.rest()[1..=length].find(['\\', '\0']) {
            self.at += inside + 1;
            return Err(self.refuse("databases read a backslash in quotes differently; do without it"));
        }
        self.take(length + 2);
        Ok(())
    }

    fn colon(&mut self) -> Result<(), StatementError> {
        if self.rest().starts_with("::") {
            self.take(2);
            return Ok(());
        }
        let name = &self.rest()[1..];
        let name = &name[..name.find(|character| !is_of_word(character)).unwrap_or(name.len())];
        if !name.starts_with(|first: char| first.is_alphabetic() || first == '_') {
            self.take(1);
            return Ok(());
        }
        let Some(parameter) = Parameter::ALL.into_iter().find(|parameter| parameter.name() == name) else {
            let shown: String = name.chars().take(MAX_SHOWN).collect();
            let known = Parameter::ALL.map(|parameter| format!(":{}", parameter.name())).join(", ");
            return Err(self.refuse(format!("there is no parameter :{shown}; there are {known}")));
        };
        self.close();
        self.pieces.push(Piece::Parameter(parameter));
        self.at += 1 + name.len();
        Ok(())
    }

    /// At a semicolon: nothing but further ones may follow.
    fn end(&mut self) -> Result<(), StatementError> {
        let after = self.rest().trim_start_matches(|character: char| character == ';' || character.is_whitespace());
        if after.is_empty() {
            self.close();
            return Ok(());
        }
        self.at = self.text.len() - after.len();
        Err(self.refuse("a second statement begins here; write one"))
    }

    fn close(&mut self) {
        if !self.plain.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.plain)));
        }
    }
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATEMENT: &str = "update people set last = :broadcast, at = :sent_time::timestamptz, message = :message_id, \
                             note = ':id; -- it''s' where \"psid\" = :id and other <> :id;";

    #[test]
    fn each_database_gets_its_own_places_and_what_belongs_into_them() {
        use Parameter::*;
        let statement = BoundStatement::parse(STATEMENT).unwrap();
        let (text, bound) = statement.written_for(Dialect::Postgres);
        assert_eq!(
            text,
            "update people set last = $1, at = CAST($2 AS timestamptz)::timestamptz, message = $3, \
             note = ':id; -- it''s' where \"psid\" = $4 and other <> $4"
        );
        assert_eq!(bound, [Broadcast, SentTime, MessageId, Id]);
        let (text, bound) = statement.written_for(Dialect::MySql);
        assert!(text.ends_with("\"psid\" = ? and other <> ?") && !text.contains(":broadcast"), "{text}");
        assert_eq!(bound, [Broadcast, SentTime, MessageId, Id, Id]);
        let (text, bound) = statement.written_for(Dialect::Sqlite);
        assert!(text.contains("last = ?1") && text.ends_with("\"psid\" = ?4 and other <> ?4"), "{text}");
        assert_eq!(bound.len(), 4);
    }

    #[test]
    fn one_statement_that_writes_somebody_down_is_taken() {
        for text in [
            "  INSERT INTO sent VALUES (:id)",
            "with a as (select 1) delete from people where psid = :id;; ",
            "merge into people using (select :id as id) as new on people.id = new.id when matched then update set n = 1",
            "replace into sent values (:id, 'a:b', tags[1:2], @n := 1)",
            "update people set \"a;b\" = `c?` where id = :id::bigint",
        ] {
            assert!(BoundStatement::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_place() {
        let cases = [
            ("", "line 1, column 1: it is empty; write one INSERT"),
            ("select :id", "line 1, column 1: it begins with \"select\"; write one INSERT"),
            ("drop table people -- :id", "line 1, column 1: it begins with \"drop\""),
            ("'x' :id", "line 1, column 1: it begins with \"\""),
            ("update people set n = 1", "it does not say which recipient is meant; use the parameter :id"),
            ("update people set n = ':id'", "it does not say which recipient is meant"),
            (
                "update p\n set n = :name where id = :id",
                "line 2, column 10: there is no parameter :name; there are :id, :broadcast, :sent_time, :message_id",
            ),
            ("delete from p where é = :ids", "line 1, column 25: there is no parameter :ids"),
            ("delete from p where id = :id; drop table p", "line 1, column 31: a second statement begins here"),
            ("delete from p where id = ?", "line 1, column 26: ? names no parameter here; write e.g. :id"),
            ("delete from p where id = $1", "line 1, column 26: $ names no parameter here"),
            ("delete from p where id = $$:id$$", "line 1, column 26: $ names no parameter here"),
            ("delete from p where id = :id -- all", "line 1, column 30: databases read comments differently"),
            ("delete /*! :id */ from p", "line 1, column 8: databases read comments differently"),
            ("delete from p # :id", "line 1, column 15: databases read # differently"),
            ("delete from p where n = '\\' and id = :id", "line 1, column 26: databases read a backslash in quotes"),
            ("delete from p where n = 'x and id = :id", "line 1, column 25: this quote is not closed"),
        ];
        for (text, expected) in cases {
            let error = BoundStatement::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_taken_is_written_back(text in "[a-zé:'\"`;?$#\\\\()/*\\- \n]{0,60}") {
            let text = format!("insert into p values (:id) {text}");
            if let Ok(statement) = BoundStatement::parse(&text) {
                let (written, bound) = statement.written_for(Dialect::MySql);
                prop_assert!(bound.contains(&Parameter::Id));
                prop_assert!(written.len() <= text.len());
            }
        }
    }
}
