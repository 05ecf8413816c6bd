//! What the batch engine says, in our words: the object in backquotes, types as SQL names them, and what to do.

use super::{Error, nearest};

/// What they put before the text itself.
const PREFIXES: [&str; 12] = [
    "Error during planning: ",
    "Schema error: ",
    "Execution error: ",
    "This feature is not implemented: ",
    "Arrow error: ",
    "Cast error: ",
    "Compute error: ",
    "Parser error: ",
    "Invalid argument error: ",
    "Optimizer rule ",
    "External error: ",
    "sql parser error: ",
];

/// Their names of types, and SQL's. Longer ones come first.
const TYPES: [(&str, &str); 24] = [
    ("Timestamp(ns, \"+00:00\")", "TIMESTAMP WITH TIME ZONE"),
    ("Timestamp(ns)", "TIMESTAMP"),
    ("Interval(MonthDayNano)", "INTERVAL"),
    ("Time64(ns)", "TIME"),
    ("Decimal128", "DECIMAL"),
    ("Decimal256", "DECIMAL"),
    ("Date32", "DATE"),
    ("Boolean", "BOOLEAN"),
    ("LargeUtf8", "VARCHAR"),
    ("Utf8View", "VARCHAR"),
    ("Utf8", "VARCHAR"),
    ("Float32", "REAL"),
    ("Float64", "DOUBLE"),
    ("Int8", "TINYINT"),
    ("Int16", "SMALLINT"),
    ("Int32", "INTEGER"),
    ("Int64", "BIGINT"),
    ("Binary", "BYTEA"),
    ("UInt8", "TINYINT UNSIGNED"),
    ("UInt16", "SMALLINT UNSIGNED"),
    ("UInt32", "INTEGER UNSIGNED"),
    ("UInt64", "BIGINT UNSIGNED"),
    ("Decimal", "DECIMAL"),
    ("String", "VARCHAR"),
];

/// Types that a column can be declared with, for "did you mean".
const TYPE_NAMES: [&str; 28] = [
    "TINYINT",
    "SMALLINT",
    "INT",
    "INTEGER",
    "BIGINT",
    "UNSIGNED",
    "FLOAT",
    "REAL",
    "DOUBLE",
    "DECIMAL",
    "NUMERIC",
    "TEXT",
    "VARCHAR",
    "CHAR",
    "STRING",
    "BOOLEAN",
    "BOOL",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "INTERVAL",
    "BYTEA",
    "BLOB",
    "BINARY",
    "VARBINARY",
    "ARRAY",
    "STRUCT",
];

/// Functions that are known with OVER alone.
const WINDOW_FUNCTIONS: [&str; 9] =
    ["row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead", "nth_value"];

/// Texts that begin like this, and what is said instead of them.
const WHOLE: [(&str, &str); 4] = [
    ("Divide by zero error", "division by zero"),
    ("Column count doesn't match insert query", WRONG_WIDTH),
    ("Multiple recursive references to the same CTE", "a recursive query reads itself more than once"),
    ("UNION queries have different number of columns", "the queries of a UNION have different numbers of columns"),
];

/// How rows are refused that have another number of columns than they are inserted into.
pub const WRONG_WIDTH: &str = "the rows have another number of columns than are inserted into";
/// How a query with two columns of one name is refused.
const TWO_COLUMNS: &str = "the query has two columns";

/// Whether an error is that a query has two columns of one name, or may be.
pub fn is_about_names(error: &Error) -> bool {
    let is = |message: &str| message.starts_with(TWO_COLUMNS) || message.contains("could be any of several");
    matches!(error, Error::Input(error) if is(&error.message))
}

/// The error that a query has two columns of one name.
pub fn two_columns(name: &str) -> Error {
    Error::input(format!("{TWO_COLUMNS} `{name}`")).with_hint("give one of them another name with AS")
}

/// An error of the user's from their text.
pub(super) fn said(text: &str) -> Error {
    let mut text = text.trim();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    reworded(text).unwrap_or_else(|| Error::input(sql_types(text)))
}

/// The same, of what cannot be done.
pub(super) fn unsupported(text: &str) -> Error {
    match said(text) {
        Error::Input(error) => Error::Unsupported(error),
        other => other,
    }
}

/// The texts that say it in the words of their own inside.
fn reworded(text: &str) -> Option<Error> {
    let quoted = |mark: char| text.split(mark).nth(1);
    if let Some((_, ours)) = WHOLE.iter().find(|(theirs, _)| text.starts_with(theirs)) {
        return Some(Error::input(*ours));
    }
    if let Some(name) = text.strip_prefix("Schema contains duplicate unqualified field name ") {
        return Some(Error::input(format!("column `{}` is named twice", name.trim_matches('"'))));
    }
    if let Some(operation) = text.strip_prefix("Overflow happened on: ") {
        return Some(Error::input(format!("overflow: {operation}")));
    }
    if let Some(name) = text.strip_prefix("Invalid qualifier ") {
        return Some(Error::input(format!("no `{name}` in this FROM")));
    }
    if let Some(node) = text.strip_prefix("Unsupported ast node ") {
        let name: String = node.chars().take_while(char::is_ascii_alphanumeric).collect();
        return Some(Error::unsupported(format!("`{}` is not supported here", name.to_uppercase())));
    }
    if text.starts_with("Invalid function '") {
        let name = quoted('\'')?;
        let error = Error::input(format!("no function `{name}`"));
        if WINDOW_FUNCTIONS.contains(&name) {
            return Some(error.with_hint(format!("it is a window function: {name}(...) OVER (...)")));
        }
        return Some(error);
    }
    if let Some((what, rest)) = text.split_once(" must be >=")
        && ["LIMIT", "OFFSET"].contains(&what)
    {
        let number = rest.split('\'').nth(1)?;
        return Some(Error::input(format!("{what} cannot be negative, as '{number}' is")));
    }
    if text.starts_with("Physical plan does not support logical expression") {
        return Some(
            Error::unsupported("a subquery is not supported at this place")
                .with_hint("put it into FROM, as a join, or into WHERE by itself"),
        );
    }
    if text.starts_with("Query INSERT INTO") {
        return Some(
            Error::unsupported("WITH before INSERT is not supported").with_hint("INSERT INTO ... WITH ... SELECT is"),
        );
    }
    if let Some(name) = text.strip_prefix("Unsupported SQL type ") {
        let error = Error::input(format!("no type `{name}`"));
        return Some(match nearest(&name.to_uppercase(), TYPE_NAMES) {
            Some(near) if near == name.to_uppercase() => error,
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error,
        });
    }
    if let Some(error) = misplaced(text) {
        return Some(error);
    }
    if text.contains("must appear in the GROUP BY clause") {
        let name = quoted('"')?;
        return Some(
            Error::input(format!("column `{name}` is neither in GROUP BY nor within an aggregate function"))
                .with_hint("group by it, or say which of a group's values is meant: min, max, first_value, ..."),
        );
    }
    if text.starts_with("Projections require unique expression names") {
        let expression = text.split_once("the expression \"").map(|(_, rest)| rest.split("\" at position").next());
        let name = expression.flatten().or_else(|| quoted('"'))?;
        let name = name.rsplit(" AS ").next().unwrap_or(name);
        return Some(two_columns(name));
    }
    if let Some((message, candidates)) = text.split_once("Candidate functions:") {
        return Some(wrong_call(message, candidates));
    }
    if let Some(rest) = text.strip_prefix("Inconsistent data length across values list: got ") {
        let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<usize>().ok());
        let (got, row, expected) = (numbers.next()?, numbers.next()?, numbers.next()?);
        return Some(Error::input(format!("row {} of VALUES has {got} values where {expected} are expected", row + 1)));
    }
    if let Some(rest) = text.strip_prefix("Cannot coerce arithmetic expression ") {
        let types = rest.strip_suffix(" to valid types")?;
        let (operator, (left, right)) =
            ["+", "-", "*", "/", "%"].iter().find_map(|o| Some((o, types.split_once(&format!(" {o} "))?)))?;
        let text = format!("`{operator}` cannot take {} and {}", sql_types(left), sql_types(right));
        return Some(Error::input(text).with_hint("CAST one of them to the type of the other"));
    }
    if let Some(rest) = text.strip_prefix("Cannot cast string ") {
        let (value, name) = rest.strip_suffix(" type")?.rsplit_once(" to value of ")?;
        return Some(Error::input(format!("cannot read {value} as {}", sql_types(name))));
    }
    if text.starts_with("Placeholder ") || text.contains("has no type information") {
        return Some(Error::unsupported(format!("parameters and variables: {text}")));
    }
    if text.starts_with("a scalar subquery gives more than one row") {
        return Some(Error::input(text).with_hint("aggregate it, or add a LIMIT 1 with an ORDER BY"));
    }
    None
}

/// What stands where it cannot: the name between backquotes is where the caret goes.
fn misplaced(text: &str) -> Option<Error> {
    let after = |start: &str| text.strip_prefix(start);
    if let Some(rest) = after("Cannot create filter with non-boolean predicate '") {
        let (condition, data_type) = rest.split_once("' returning ")?;
        let data_type = sql_types(data_type);
        return Some(Error::input(format!("a condition is BOOLEAN, and `{condition}` is {data_type}")));
    }
    if let Some(data_type) = after("Join condition must be boolean type, but got ") {
        return Some(Error::input(format!("a condition in `ON` is BOOLEAN, not {}", sql_types(data_type))));
    }
    if text.starts_with("Aggregate functions are not allowed in the WHERE clause") {
        let error = Error::input("an aggregate function cannot stand in `WHERE`, which is asked of each row by itself");
        return Some(error.with_hint("HAVING is a condition on groups"));
    }
    if text.starts_with("HAVING clause references: ") {
        let error = "`HAVING` names a column that is neither in GROUP BY nor within an aggregate function";
        return Some(Error::input(error).with_hint("a condition on rows stands in WHERE"));
    }
    if let Some(rest) = after("Order by column out of bounds, specified: ") {
        let (number, columns) = rest.split_once(", max: ")?;
        return Some(Error::input(format!("ORDER BY has no column `{number}`: the query has {columns}")));
    }
    if let Some(rest) = after("Cannot find column with position ") {
        let (number, rest) = rest.split_once(" in SELECT clause. Valid columns: 1 to ")?;
        return Some(Error::input(format!("GROUP BY has no column `{number}`: the query has {rest}")));
    }
    if let Some(rest) = after("WITH query name \"") {
        let (name, _) = rest.split_once("\" specified more than once")?;
        let error = Error::input(format!("WITH gives the name `{name}` twice, here or further out"));
        return Some(error.with_hint("give one of them another name"));
    }
    None
}

/// `Function 'upper' expects ... No function matches the given name and argument types 'upper(Utf8, Int64)'. ...`
fn wrong_call(message: &str, candidates: &str) -> Error {
    let call = message.split_once("argument types '").and_then(|(_, rest)| rest.split_once("'.")).map(|(call, _)| call);
    let error = match call {
        Some(call) => {
            let name = call.split('(').next().unwrap_or(call);
            Error::input(format!("function `{name}` cannot be called as {}", sql_types(call)))
        }
        None => Error::input(sql_types(message.trim())),
    };
    let mut forms: Vec<String> =
        candidates.split('\n').map(|c| sql_types(c.trim())).filter(|c| !c.is_empty()).collect();
    forms.dedup();
    // Some functions look at their arguments themselves and cannot say what they take.
    forms.retain(|form| !form.contains("UserDefined"));
    if forms.is_empty() { error } else { error.with_hint(format!("it is called as {}", forms.join(" or "))) }
}

/// The text with SQL's names of types.
pub fn sql_types(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let within_word = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let found = TYPES.iter().find(|(theirs, _)| {
            let rest = text[at..].strip_prefix(theirs);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        });
        match found {
            Some((theirs, ours)) if !within_word => {
                out.push_str(ours);
                at += theirs.len();
            }
            _ => {
                out.push(next);
                at += next.len_utf8();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn their_texts_become_ours() {
        let cases = [
            ("Execution error: Divide by zero error", "division by zero"),
            ("Invalid function 'upperr'.\nDid you mean 'upper'?", "no function `upperr`"),
            ("Unsupported SQL type BIGNT", "no type `BIGNT`\nhint: did you mean `BIGINT`?"),
            (
                "Function 'upper' expects 1 arguments but received 2. No function matches the given name and argument \
                 types 'upper(Float64, Int64)'. You might need to add explicit type casts.\n\tCandidate functions:\n\tupper(String)",
                "function `upper` cannot be called as upper(DOUBLE, BIGINT)\nhint: it is called as upper(VARCHAR)",
            ),
            (
                "Cannot coerce arithmetic expression Utf8 + Float64 to valid types",
                "`+` cannot take VARCHAR and DOUBLE\nhint: CAST one of them to the type of the other",
            ),
            (
                "Cannot coerce arithmetic expression Timestamp(ns, \"+00:00\") + Int64 to valid types",
                "`+` cannot take TIMESTAMP WITH TIME ZONE and BIGINT\nhint: CAST one of them to the type of the other",
            ),
            (
                "Invalid function 'lag'.\nDid you mean 'log'?",
                "no function `lag`\nhint: it is a window function: lag(...) OVER (...)",
            ),
            ("Unsupported ast node Pivot { table: Table {", "`PIVOT` is not supported here"),
            (
                "Inconsistent data length across values list: got 1 values in row 0 but expected 4",
                "row 1 of VALUES has 1 values where 4 are expected",
            ),
            ("Overflow happened on: 32767 + 1", "overflow: 32767 + 1"),
            ("Cannot cast string 'Utf8x' to value of Int32 type", "cannot read 'Utf8x' as INTEGER"),
            (
                "Cannot create filter with non-boolean predicate 'a.id' returning Int64",
                "a condition is BOOLEAN, and `a.id` is BIGINT",
            ),
            ("Join condition must be boolean type, but got Int64", "a condition in `ON` is BOOLEAN, not BIGINT"),
            ("Order by column out of bounds, specified: 5, max: 1", "ORDER BY has no column `5`: the query has 1"),
            (
                "Cannot find column with position 5 in SELECT clause. Valid columns: 1 to 2",
                "GROUP BY has no column `5`: the query has 2",
            ),
            (
                "WITH query name \"c\" specified more than once",
                "WITH gives the name `c` twice, here or further out\nhint: give one of them another name",
            ),
        ];
        for (theirs, ours) in cases {
            assert_eq!(said(theirs).to_string(), ours);
        }
    }
}
