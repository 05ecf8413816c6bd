//! SET and RESET: the settings that files written for Postgres begin with. Those that change no result are read past;
//! another value than the one that always holds here is refused.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::StatementParser;
use crate::error::{Error, Result, nearest};
use crate::sql::statement::Statement;

/// Settings by name, each with the values that it may be given; without values it may have any.
const SETTINGS: [(&str, &[&str]); 34] = [
    ("application_name", &[]),
    ("bytea_output", &["hex"]),
    ("check_function_bodies", &[]),
    ("client_encoding", &["utf8", "utf-8", "unicode"]),
    ("client_min_messages", &[]),
    ("datestyle", &["iso", "iso, mdy", "iso, dmy", "iso, ymd"]),
    ("default_table_access_method", &[]),
    ("default_tablespace", &[]),
    ("default_with_oids", &["false", "off"]),
    ("effective_cache_size", &[]),
    ("enable_hashagg", &[]),
    ("enable_hashjoin", &[]),
    ("enable_indexscan", &[]),
    ("enable_mergejoin", &[]),
    ("enable_nestloop", &[]),
    ("enable_seqscan", &[]),
    ("enable_sort", &[]),
    ("escape_string_warning", &[]),
    ("extra_float_digits", &[]),
    ("idle_in_transaction_session_timeout", &["0"]),
    ("intervalstyle", &["postgres"]),
    ("jit", &[]),
    ("lock_timeout", &["0"]),
    ("maintenance_work_mem", &[]),
    ("max_parallel_workers_per_gather", &[]),
    ("random_page_cost", &[]),
    ("row_security", &[]),
    ("search_path", &["", "public", "$user, public", "public, pg_catalog", "pg_catalog, public"]),
    ("standard_conforming_strings", &["on", "true", "1"]),
    ("statement_timeout", &["0"]),
    ("timezone", &["utc", "gmt", "z", "zulu", "etc/utc", "0", "+0", "+00:00", "0.0"]),
    ("transaction_timeout", &["0"]),
    ("work_mem", &[]),
    ("xmloption", &[]),
];

impl StatementParser<'_> {
    /// `SET [SESSION | LOCAL] name = value` and `SET TIME ZONE value`.
    pub(super) fn set(&mut self) -> Result<Statement> {
        self.words(1);
        if ["SESSION", "LOCAL"].contains(&self.peek_word(0).as_str()) {
            self.words(1);
        }
        let place = self.place();
        let name = match (self.peek_word(0).as_str(), self.peek_word(1).as_str()) {
            ("TIME", "ZONE") => {
                self.words(2);
                "timezone".to_string()
            }
            _ => {
                let name = self.parser.parser.parse_object_name(false)?.to_string().to_lowercase();
                if self.peek_word(0) == "TO" {
                    self.words(1);
                } else {
                    self.parser.parser.expect_token(&Token::Eq)?;
                }
                name
            }
        };
        let known = SETTINGS.iter().find(|(known, _)| *known == name);
        let Some((_, values)) = known else { return Err(unknown(&name).with_place(Some(place))) };
        let place = self.place();
        let value = self.value();
        if values.is_empty() || value == "default" || values.contains(&value.as_str()) {
            return Ok(Statement::Set("SET"));
        }
        let error = Error::unsupported(format!("setting `{name}` is always '{}' here, not '{value}'", values[0]));
        Err(error.with_place(Some(place)))
    }

    /// `RESET name` and `RESET ALL`.
    pub(super) fn reset(&mut self) -> Result<Statement> {
        self.words(1);
        let place = self.place();
        let name = self.parser.parser.parse_object_name(false)?.to_string().to_lowercase();
        match name == "all" || SETTINGS.iter().any(|(known, _)| *known == name) {
            true => Ok(Statement::Set("RESET")),
            false => Err(unknown(&name).with_place(Some(place))),
        }
    }

    /// What is left of the statement: texts and words in lower case, with `, ` between several.
    fn value(&mut self) -> String {
        let mut value = String::new();
        loop {
            let part = match &self.parser.parser.peek_token_ref().token {
                Token::EOF | Token::SemiColon => return value,
                Token::SingleQuotedString(text) => text.clone(),
                Token::Word(word) => word.value.clone(),
                Token::Comma => ", ".to_string(),
                other => other.to_string(),
            };
            value.push_str(&part.to_lowercase());
            self.words(1);
        }
    }
}

fn unknown(name: &str) -> Error {
    let error = Error::unsupported(format!("no setting `{name}`"));
    match nearest(name, SETTINGS.iter().map(|(known, _)| *known)) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint("SET takes settings of Postgres that change no result; SHOW ALL lists those there are"),
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::parse::parse;
    use crate::sql::statement::Statement;

    #[test]
    fn settings_are_what_they_always_are() {
        for text in [
            "SET client_encoding = 'UTF8'",
            "SET statement_timeout TO 0;",
            "SET SESSION search_path = public, pg_catalog",
            "SET search_path = \"$user\", public",
            "SET LOCAL TIME ZONE 'UTC'",
            "SET timezone = DEFAULT",
            "SET DateStyle TO 'ISO, MDY'",
            "SET work_mem = '64MB'",
            "RESET ALL",
            "RESET timezone",
        ] {
            assert!(matches!(parse(text), Ok(Statement::Set(_))), "{text}: {:?}", parse(text));
        }
        for (text, says) in [
            ("SET TIME ZONE 'Europe/Berlin'", "setting `timezone` is always 'utc' here, not 'europe/berlin'"),
            ("SET client_encoding = latin1", "setting `client_encoding` is always 'utf8' here, not 'latin1'"),
            ("SET client_encodng = 'UTF8'", "did you mean `client_encoding`?"),
            ("SET wal_level = 'x'", "no setting `wal_level`"),
            ("RESET foo", "no setting `foo`"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
