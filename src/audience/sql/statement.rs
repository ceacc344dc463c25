//! What is sent to a database: one statement that begins like one that reads.
//!
//! This is no wall: that nothing is written is seen to by a transaction that may only read. It is the better message, and it
//! keeps out what a database does beside its tables, such as writing files.

/// With these a statement begins that gives rows and does nothing else.
const READING: [&str; 4] = ["SELECT", "WITH", "VALUES", "TABLE"];
/// The longest piece of a refused word that is shown.
const MAX_SHOWN: usize = 20;

/// Why a query is not sent; the text goes on from "the query".
pub fn check(query: &str) -> Result<(), String> {
    let tokens = tokens(query);
    let Some(first) = tokens.iter().find(|token| **token != Token::Open) else {
        return Err("is empty".to_owned());
    };
    let is_reading = |word: &str| READING.iter().any(|reading| word.eq_ignore_ascii_case(reading));
    match first {
        Token::Word(word) if is_reading(word) => {}
        Token::Word(word) => {
            let shown: String = word.chars().take(MAX_SHOWN).collect();
            return Err(format!("begins with {shown}, and only statements that read are sent"));
        }
        _ => return Err("does not begin with a word".to_owned()),
    }
    if tokens.iter().skip_while(|token| **token != Token::End).any(|token| *token != Token::End) {
        return Err("holds more than one statement".to_owned());
    }
    let word = |token: &Token, wanted: &str| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(wanted));
    let writes_file =
        |pair: &[Token]| word(&pair[0], "INTO") && (word(&pair[1], "OUTFILE") || word(&pair[1], "DUMPFILE"));
    if tokens.windows(2).any(writes_file) {
        return Err("writes a file".to_owned());
    }
    Ok(())
}

/// Why a query is not sent to MySQL or MariaDB, besides; the text goes on from "the query". Both execute comments that begin
/// with an exclamation mark, and a backslash hides the end of a quote, so all of the text is looked at, quoted or not.
pub fn check_for_mysql(query: &str) -> Result<(), String> {
    let upper = query.to_ascii_uppercase();
    if upper.contains("/*!") || upper.contains("/*M!") {
        return Err("holds a comment that the database executes".to_owned());
    }
    let mut words = upper.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    match words.find(|word| ["OUTFILE", "DUMPFILE"].contains(word)) {
        Some(word) => Err(format!("holds the word {word}, with which it could write a file")),
        None => Ok(()),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// An opening bracket.
    Open,
    /// A semicolon.
    End,
    /// Quoted text, a number, a sign.
    Other,
}

/// The tokens of a statement, without comments. A quote ends at the next one of its kind, as in standard SQL; what is left open
/// goes on to the end.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").map_or(rest.len(), |end| end + 4)
        } else if let Some(close) = closing(first) {
            tokens.push(Token::Other);
            rest[1..].find(close).map_or(rest.len(), |end| end + 1 + close.len_utf8())
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|character: char| !(character.is_alphanumeric() || "_$".contains(character)));
            let word = &rest[..end.unwrap_or(rest.len())];
            tokens.push(Token::Word(word));
            word.len()
        } else {
            tokens.push(match first {
                '(' => Token::Open,
                ';' => Token::End,
                _ => Token::Other,
            });
            first.len_utf8()
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

fn closing(open: char) -> Option<char> {
    match open {
        '\'' | '"' | '`' => Some(open),
        '[' => Some(']'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_statement_that_reads_is_sent() {
        for query in [
            "select psid as id from people",
            "  (SELECT 1 AS id) UNION SELECT 2;  ",
            "-- who bought; drop table\nWITH a AS (SELECT 1) SELECT * FROM a /* ; delete */ ;;",
            "values (1), (2)",
            "TABLE people",
            "select ';', \"a;b\", `c;`, [d;] from x",
            "select 'it''s; fine' as id",
        ] {
            assert_eq!(check(query), Ok(()), "{query}");
        }
    }

    #[test]
    fn everything_else_is_refused_in_words() {
        let cases = [
            ("", "is empty"),
            ("  -- nothing", "is empty"),
            ("delete from people", "begins with delete, and only statements that read are sent"),
            ("/* x */ Insert into people values (1)", "begins with Insert, and only statements that read are sent"),
            ("pragma query_only = off", "begins with pragma, and only statements that read are sent"),
            ("call people()", "begins with call, and only statements that read are sent"),
            ("'x'", "does not begin with a word"),
            ("select 1; select 2", "holds more than one statement"),
            ("select 1 as id; -- x\n delete from people", "holds more than one statement"),
            ("select 1 as id into outfile '/tmp/x'", "writes a file"),
            ("select 1 INTO/**/DumpFile '/tmp/x'", "writes a file"),
        ];
        for (query, expected) in cases {
            assert_eq!(check(query), Err(expected.to_owned()), "{query}");
        }
    }

    #[test]
    fn mysql_gets_no_comment_that_it_executes_and_no_word_that_writes_a_file() {
        let cases = [
            ("SELECT 1 AS id /*! INTO OUTFILE '/x' */", Err("holds a comment that the database executes")),
            ("SELECT 1 AS id /*!50000 , 2 */", Err("holds a comment that the database executes")),
            ("SELECT 1 AS id /*m!100100 , 2 */", Err("holds a comment that the database executes")),
            ("SELECT '\\'' AS id INTO OUTFILE '/x'", Err("holds the word OUTFILE, with which it could write a file")),
            (
                "SELECT '\\'' AS id INTO/**/dumpfile'/x'",
                Err("holds the word DUMPFILE, with which it could write a file"),
            ),
            ("SELECT psid AS id, outfile_count, `outfiles` FROM people /* ! */", Ok(())),
        ];
        for (query, expected) in cases {
            assert_eq!(check_for_mysql(query), expected.map_err(str::to_owned), "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_run_on(query in "[a-zé'\"`\\[\\]();/*\\- \n]{0,80}") {
            let _ = check(&query);
        }
    }
}
