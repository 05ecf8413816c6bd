//! CREATE TABLE ... AS: a table that begins with the rows of a query.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{StatementParser, normalize};
use crate::error::{Error, Result};
use crate::sql::refuse::refuse_ignored;
use crate::sql::statement::CreateTableAs;

impl StatementParser<'_> {
    /// The names of columns before a query, none of which has a type; nothing where columns are declared.
    pub(super) fn columns_of_query(&mut self) -> Result<Option<Vec<String>>> {
        if ["AS", "ON"].contains(&self.peek_word(0).as_str()) {
            return Ok(Some(Vec::new()));
        }
        let mut ahead = 0;
        let mut separator = Token::LParen;
        while self.parser.parser.peek_nth_token_ref(ahead).token == separator {
            if !matches!(self.parser.parser.peek_nth_token_ref(ahead + 1).token, Token::Word(_)) {
                return Ok(None);
            }
            (ahead, separator) = (ahead + 2, Token::Comma);
        }
        let ends = self.parser.parser.peek_nth_token_ref(ahead).token == Token::RParen;
        if ahead == 0 || !ends || !["AS", "ON"].contains(&self.peek_word(ahead + 1).as_str()) {
            return Ok(None);
        }
        self.words(1);
        let names = self.parser.parser.parse_comma_separated(|p| p.parse_identifier())?;
        self.words(1);
        Ok(Some(names.iter().map(normalize).collect()))
    }

    /// What follows the names of columns.
    pub(super) fn table_as(
        &mut self,
        is_stream: bool,
        (temporary, name, if_not_exists, columns): (bool, String, bool, Vec<String>),
    ) -> Result<CreateTableAs> {
        self.on_commit(temporary)?;
        if is_stream {
            let error = Error::unsupported("CREATE STREAM ... AS").with_place(Some(self.place()));
            return Err(error.with_hint(
                "CREATE STREAM with its columns, then INSERT INTO ... SELECT; CREATE TABLE ... AS keeps a query's rows",
            ));
        }
        self.parser.parser.expect_keyword(Keyword::AS)?;
        let query = self.parser.parser.parse_query()?;
        refuse_ignored(&query)?;
        let sql = &mut self.parser.parser;
        let with_data = !sql.parse_keywords(&[Keyword::WITH, Keyword::NO, Keyword::DATA]);
        let _ = with_data && sql.parse_keywords(&[Keyword::WITH, Keyword::DATA]);
        Ok(CreateTableAs { temporary, name, if_not_exists, columns, query, with_data })
    }
}
