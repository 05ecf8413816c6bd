//! How SQL is read: the general dialect of the parser with the precedence of Postgres.
//!
//! ```text
//! 'a' || i % 10        'a' || (i % 10)          j ->> 'a' = 'x'      (j ->> 'a') = 'x'
//! j -> 'a' || 'b'      (j -> 'a') || 'b'        NOT a = b            NOT (a = b)
//! ```

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

/// The dialect of Millstream.
#[derive(Debug)]
pub struct MillstreamDialect {
    /// Whether a table in FROM may be followed by the time as of which it is read. Some words are then no names of tables.
    as_of: bool,
}

impl MillstreamDialect {
    /// The dialect for these tokens.
    pub fn of(tokens: &[TokenWithSpan]) -> &'static MillstreamDialect {
        const AS_OF: MillstreamDialect = MillstreamDialect { as_of: true };
        match tokens.iter().any(|token| keyword(token) == Some(Keyword::SYSTEM_TIME)) {
            true => &AS_OF,
            false => &PLAIN,
        }
    }
}

/// The dialect of most statements.
pub const PLAIN: MillstreamDialect = MillstreamDialect { as_of: false };

/// What the general dialect says yes to.
macro_rules! as_general {
    ($($question:ident)*) => {
        $(fn $question(&self) -> bool {
            GenericDialect.$question()
        })*
    };
}

impl Dialect for MillstreamDialect {
    /// The parser asks some questions by the type.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn supports_table_versioning(&self) -> bool {
        self.as_of
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        GenericDialect.is_delimited_identifier_start(character)
    }

    fn is_identifier_start(&self, character: char) -> bool {
        GenericDialect.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        GenericDialect.is_identifier_part(character)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        PostgreSqlDialect {}.prec_value(precedence)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        match parser.peek_token_ref().token {
            // It divides keys from values.
            Token::Colon => None,
            _ => PostgreSqlDialect {}.get_next_precedence(parser),
        }
    }

    fn parse_infix(&self, parser: &mut Parser, expr: &Expr, _: u8) -> Option<Result<Expr, ParserError>> {
        if let Some(compared) = with_values(parser, expr) {
            return Some(compared);
        }
        if parser.consume_token(&Token::Sharp) {
            return Some(exclusive_or(parser, expr));
        }
        if parser.parse_keywords(&[Keyword::BETWEEN, Keyword::SYMMETRIC]) {
            return Some(between(parser, expr, false));
        }
        if parser.parse_keywords(&[Keyword::NOT, Keyword::BETWEEN, Keyword::SYMMETRIC]) {
            return Some(between(parser, expr, true));
        }
        if parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]) {
            return Some(other_side(parser).map(|other| Expr::IsDistinctFrom(Box::new(expr.clone()), other)));
        }
        if parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]) {
            return Some(other_side(parser).map(|other| Expr::IsNotDistinctFrom(Box::new(expr.clone()), other)));
        }
        None
    }

    /// `SELECT 1 ON CONFLICT ...` has no column `on`, and `SELECT 1 top` one called `top`.
    fn is_column_alias(&self, keyword: &Keyword, parser: &mut Parser) -> bool {
        *keyword == Keyword::TOP || *keyword != Keyword::ON && GenericDialect.is_column_alias(keyword, parser)
    }

    /// `'a'` and `'b'` on the next line are one text, where the general dialect takes the second for a name.
    fn supports_string_literal_concatenation_with_newline(&self) -> bool {
        true
    }

    as_general! {
        supports_unicode_string_literal supports_partition_by_after_order_by supports_array_join_syntax
        supports_group_by_expr supports_left_associative_joins_without_parens
        supports_connect_by supports_match_recognize supports_pipe_operator supports_start_transaction_modifier
        supports_window_function_null_treatment_arg supports_dictionary_syntax
        supports_window_clause_named_window_reference supports_parenthesized_set_variables
        supports_select_wildcard_except support_map_literal_syntax allow_extract_custom allow_extract_single_quotes
        supports_extract_comma_syntax supports_create_view_comment_syntax supports_parens_around_table_factor
        supports_values_as_table_factor supports_create_index_with_clause supports_explain_with_utility_options
        supports_limit_comma supports_update_order_by supports_from_first_select
        supports_asc_desc_in_column_definition supports_try_convert supports_bitwise_shift_operators
        supports_comment_on supports_load_extension supports_named_fn_args_with_assignment_operator
        supports_struct_literal supports_empty_projections supports_nested_comments supports_multiline_comment_hints
        supports_user_host_grantee supports_string_escape_constant supports_array_typedef_with_brackets
        supports_match_against supports_set_names supports_comma_separated_set_assignments
        supports_filter_during_aggregation supports_select_wildcard_exclude supports_data_type_signed_suffix
        supports_interval_options supports_quote_delimited_string supports_select_wildcard_replace
        supports_select_wildcard_ilike supports_select_wildcard_rename supports_optimize_table supports_install
        supports_detach supports_prewhere supports_with_fill supports_limit_by supports_interpolate supports_settings
        supports_select_format supports_comment_optimizer_hint supports_constraint_keyword_without_name
        supports_key_column_option supports_comma_separated_trim supports_cte_without_as
        supports_select_item_multi_column_alias supports_xml_expressions
    }
}

/// `a # b`.
fn exclusive_or(parser: &mut Parser, left: &Expr) -> Result<Expr, ParserError> {
    let right = parser.parse_subexpr(PLAIN.prec_value(Precedence::PgOther))?;
    Ok(binary(left.clone(), BinaryOperator::PGBitwiseXor, right))
}

/// `a = ANY (VALUES ...)`, of which the parser reads only SELECT; nothing for anything else.
fn with_values(parser: &mut Parser, left: &Expr) -> Option<Result<Expr, ParserError>> {
    let compare_op = match parser.peek_nth_token_ref(0).token {
        Token::Eq => BinaryOperator::Eq,
        Token::Neq => BinaryOperator::NotEq,
        Token::Lt => BinaryOperator::Lt,
        Token::LtEq => BinaryOperator::LtEq,
        Token::Gt => BinaryOperator::Gt,
        Token::GtEq => BinaryOperator::GtEq,
        _ => return None,
    };
    let quantifier = keyword(parser.peek_nth_token_ref(1))?;
    let is_values = parser.peek_nth_token_ref(2).token == Token::LParen
        && keyword(parser.peek_nth_token_ref(3)) == Some(Keyword::VALUES);
    if !is_values || !matches!(quantifier, Keyword::ANY | Keyword::SOME | Keyword::ALL) {
        return None;
    }
    for _ in 0..3 {
        parser.next_token();
    }
    let query = parser.parse_query().and_then(|query| parser.expect_token(&Token::RParen).map(|_| query));
    Some(query.map(|query| {
        let (left, right) = (Box::new(left.clone()), Box::new(Expr::Subquery(query)));
        match quantifier {
            Keyword::ALL => Expr::AllOp { left, compare_op, right },
            other => Expr::AnyOp { left, compare_op, right, is_some: other == Keyword::SOME },
        }
    }))
}

/// What stands behind DISTINCT FROM, up to the next AND, OR or IS.
fn other_side(parser: &mut Parser) -> Result<Box<Expr>, ParserError> {
    parser.parse_subexpr(PLAIN.prec_value(Precedence::Is)).map(Box::new)
}

/// `a BETWEEN SYMMETRIC b AND c` is BETWEEN in one order or the other.
fn between(parser: &mut Parser, expr: &Expr, negated: bool) -> Result<Expr, ParserError> {
    let precedence = PLAIN.prec_value(Precedence::Between);
    let low = parser.parse_subexpr(precedence)?;
    parser.expect_keyword(Keyword::AND)?;
    let high = parser.parse_subexpr(precedence)?;
    let within = |low: &Expr, high: &Expr| Expr::Between {
        expr: Box::new(expr.clone()),
        negated,
        low: Box::new(low.clone()),
        high: Box::new(high.clone()),
    };
    let op = if negated { BinaryOperator::And } else { BinaryOperator::Or };
    Ok(Expr::Nested(Box::new(binary(within(&low, &high), op, within(&high, &low)))))
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

/// The tokens with some of Postgres's put in words that the general dialect knows: operators that begin with a question
/// mark, which it takes for the place of a parameter, `TABLE t`, and `WITH t AS MATERIALIZED (...)`, which says how a query is
/// to be run and not what it means.
pub fn read_as_postgres(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut taken: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut begins = true;
    for mut token in tokens {
        if token.token == Token::Placeholder("?".into()) {
            token.token = Token::Question;
        }
        let joined = match (taken.last().map(|last| &last.token), &token.token) {
            (Some(Token::Question), Token::Pipe) => Some(Token::QuestionPipe),
            (Some(Token::Question), Token::Ampersand) => Some(Token::QuestionAnd),
            _ => None,
        };
        if let (Some(joined), Some(last)) = (joined, taken.last_mut())
            && last.span.end == token.span.start
        {
            last.token = joined;
            continue;
        }
        match keyword(&token) {
            Some(Keyword::TABLE) if begins => {
                let span = token.span;
                let space = Token::Whitespace(Whitespace::Space);
                let words =
                    [Token::make_keyword("SELECT"), space.clone(), Token::Mul, space, Token::make_keyword("FROM")];
                taken.extend(words.map(|token| TokenWithSpan { token, span }));
            }
            Some(Keyword::MATERIALIZED) if is_after_as(&mut taken) => {}
            _ => taken.push(token),
        }
        begins &= taken.last().is_some_and(|last| matches!(last.token, Token::Whitespace(_)));
    }
    taken
}

/// Whether tokens end with AS, or with AS NOT, whose NOT is then taken off.
fn is_after_as(taken: &mut Vec<TokenWithSpan>) -> bool {
    let before = |tokens: &[TokenWithSpan]| tokens.iter().rposition(|t| !matches!(t.token, Token::Whitespace(_)));
    let Some(last) = before(taken) else { return false };
    match keyword(&taken[last]) {
        Some(Keyword::AS) => true,
        Some(Keyword::NOT) => {
            let is_as = before(&taken[..last]).is_some_and(|at| keyword(&taken[at]) == Some(Keyword::AS));
            if is_as {
                taken.truncate(last);
            }
            is_as
        }
        _ => false,
    }
}

fn keyword(token: &TokenWithSpan) -> Option<Keyword> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::parse::parse_expression;

    #[test]
    fn operators_bind_as_in_postgres() {
        for (text, same) in [
            ("a || b % c", "a || (b % c)"),
            ("a + b || c", "(a + b) || c"),
            ("j ->> a = b", "(j ->> a) = b"),
            ("j -> a || b", "(j -> a) || b"),
            ("a | b = c", "(a | b) = c"),
            ("a & b + c", "a & (b + c)"),
            ("NOT a = b AND c", "(NOT (a = b)) AND c"),
            ("a = b IS NULL", "(a = b) IS NULL"),
            ("a # b = c", "(a # b) = c"),
            ("a LIKE b || c", "a LIKE (b || c)"),
            ("a BETWEEN SYMMETRIC b AND c OR d", "(a BETWEEN b AND c OR a BETWEEN c AND b) OR d"),
            ("a NOT BETWEEN SYMMETRIC b AND c", "(a NOT BETWEEN b AND c AND a NOT BETWEEN c AND b)"),
            ("a IS DISTINCT FROM b AND c", "(a IS DISTINCT FROM b) AND c"),
            ("NOT a IS NOT DISTINCT FROM b OR c", "(NOT (a IS NOT DISTINCT FROM b)) OR c"),
            ("a = b IS DISTINCT FROM c = d", "(a = b) IS DISTINCT FROM (c = d)"),
            ("a IS DISTINCT FROM b + c || d", "a IS DISTINCT FROM ((b + c) || d)"),
            ("a | b & c", "(a | b) & c"),
            ("a << b | c + d", "(a << b) | (c + d)"),
            ("j #>> a = b || c", "(j #>> a) = (b || c)"),
            ("j @> a AND j ? b", "(j @> a) AND (j ? b)"),
            ("a ?| b AND c ?& d", "(a ?| b) AND (c ?& d)"),
        ] {
            let bare = |text: &str| {
                let mut expr = parse_expression(text).unwrap();
                let _ = datafusion::sql::sqlparser::ast::visit_expressions_mut(&mut expr, |expr| {
                    while let datafusion::sql::sqlparser::ast::Expr::Nested(inner) = expr {
                        *expr = inner.as_ref().clone();
                    }
                    std::ops::ControlFlow::<()>::Continue(())
                });
                // Places differ where brackets do.
                format!("{expr:?}")
                    .split("span: ")
                    .map(|part| part.split_once("))").map_or(part, |p| p.1))
                    .collect::<String>()
            };
            assert_eq!(bare(text), bare(same), "{text}");
        }
    }
}
