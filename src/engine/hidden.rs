//! `public.t` where a temporary object has the name `t`: queries tell the two apart, what changes an object goes by its
//! bare name. So the one that is not meant is never changed, the statement is refused.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, Tokenizer};

use super::catalog::Catalog;
use crate::error::{Error, Result};
use crate::sql::SCHEMA;
use crate::sql::dialect::PLAIN;
use crate::sql::parse::normalize;
use crate::sql::statement::{Explain, Statement};

/// Refuses a statement that has names and no query, and one of whose names is hidden.
///
/// # Errors
/// When one is.
pub fn refuse_hidden(catalog: &Catalog, statement: &Statement, sql: &str) -> Result<()> {
    if catalog.own().is_none() || !names_alone(statement) {
        return Ok(());
    }
    let mut tokens = Tokenizer::new(&PLAIN, sql).tokenize().map_err(ParserError::from)?;
    tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
    let words = |token: &Token| match token {
        Token::Word(word) => Some(word.clone().into_ident(Span::empty())),
        _ => None,
    };
    for part in tokens.windows(3) {
        if let [schema, Token::Period, name] = part
            && let (Some(schema), Some(name)) = (words(schema), words(name))
            && normalize(&schema) == SCHEMA
        {
            refuse_hidden_target(catalog, &ast::ObjectName::from(vec![schema, name]))?;
        }
    }
    Ok(())
}

/// Refuses the name of what a statement changes, where it is hidden.
///
/// # Errors
/// When it is.
pub fn refuse_hidden_target(catalog: &Catalog, name: &ast::ObjectName) -> Result<()> {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(normalize).collect();
    match parts.as_slice() {
        [_, .., name] if catalog.own().is_some_and(|own| own.contains_key(name)) => {
            Err(Error::unsupported(format!("`{SCHEMA}.{name}` while a temporary object of this session has the name"))
                .with_hint(
                    "queries can read it; to change it, drop or rename the temporary one, or use another session",
                ))
        }
        _ => Ok(()),
    }
}

/// Whether a statement has names of objects, and no query in which they stand.
fn names_alone(statement: &Statement) -> bool {
    match statement {
        Statement::Explain(explain) => matches!(explain, Explain::View(_)),
        Statement::Drop(_)
        | Statement::Alter(_)
        | Statement::CreateIndex(_)
        | Statement::Subscribe(_)
        | Statement::Replay(_)
        | Statement::Verify(_)
        | Statement::Show(_)
        | Statement::Describe(_) => true,
        _ => false,
    }
}
