//! `docs/sql.md` against the engine: what each row of its tables says of its example is what EXPLAIN says, or what the
//! statement gives.
//!
//! The first SQL block of the page makes the relations. A table whose third column is `kept` holds queries: the test
//! explains each as a view and compares the word (incremental or Recompute) and the operators beyond Input, Filter
//! and Project. A table whose third column is `gives` holds statements, each run in a database of its own over a few
//! rows. `UPDATE=1 cargo test --test suite docs` writes these two columns anew; the words beside them are ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use millstream::datafusion::functions_aggregate::all_default_aggregate_functions;
use millstream::datafusion::functions_window::all_default_window_functions;
use millstream::{Database, Error, Outcome};

/// Rows for the statements.
const ROWS: &str = "INSERT INTO t (id, k, a, b) VALUES (1, 'x', 2, 3), (2, 'y', 4, 5); \
    INSERT INTO u VALUES (1, 'x', 1), (2, 'y', 2)";
/// Operators that nearly every view has, and that keep nothing.
const PLAIN: [&str; 3] = ["Input", "Filter", "Project"];

#[test]
fn the_page_says_of_each_query_what_explain_says() {
    let page = Page::read();
    let db = page.database();
    let rows = page.rows("kept");
    assert!(rows.len() > 100, "{}", rows.len());
    page.compare(&rows, |example| match operators(&db, example) {
        Ok(operators) if operators.iter().any(|name| name == "Recompute") => {
            ["Recompute".to_string(), operators.join(", ")].into()
        }
        Ok(operators) => ["incremental".to_string(), operators.join(", ")].into(),
        Err(error) => ["refused".to_string(), first_line(&error)].into(),
    });
}

#[test]
fn the_page_says_of_each_statement_what_it_gives() {
    let page = Page::read();
    let rows = page.rows("gives");
    assert!(rows.len() > 30, "{}", rows.len());
    page.compare(&rows, |example| {
        let db = page.database();
        ROWS.split("; ").for_each(|sql| drop(db.execute(sql).unwrap()));
        let mut session = db.session();
        let mut gives = String::new();
        for sql in example.split("; ") {
            gives = match session.execute(sql) {
                Ok(Outcome::Done { tag }) => tag,
                Ok(Outcome::Rows(rows)) => format!("{} rows", rows.len()),
                Ok(Outcome::Verified { ok, .. }) => if ok { "ok" } else { "differs" }.to_string(),
                Ok(other) => format!("{other:?}"),
                Err(error) => format!("refused: {}", first_line(&error)),
            };
        }
        vec![gives]
    });
}

#[test]
fn the_page_tells_the_cost_of_every_operator_and_names_every_function() {
    let page = Page::read();
    let named = |text: &str| text.split(", ").map(String::from).collect::<Vec<_>>();
    let told: BTreeSet<String> = page.rows("state").into_iter().map(|at| page.cells(at)[0].clone()).collect();
    let used: BTreeSet<String> = page
        .rows("kept")
        .into_iter()
        .map(|at| page.cells(at))
        .filter(|cells| cells[2] != "refused")
        .flat_map(|cells| named(&cells[3]))
        .collect();
    for operator in &used {
        assert!(told.contains(operator), "no row tells the cost of `{operator}`: {told:?}");
    }
    for operator in told.iter().filter(|operator| *operator != "input") {
        assert!(used.contains(operator), "`{operator}` has a row, and no example uses it: {used:?}");
    }
    let examples: Vec<String> = page.rows("kept").into_iter().map(|at| page.cells(at)[1].clone()).collect();
    let aggregates = all_default_aggregate_functions().into_iter().map(|f| f.name().to_string());
    let windows = all_default_window_functions().into_iter().map(|f| f.name().to_string());
    for function in aggregates.chain(windows) {
        let called = format!("{function}(");
        assert!(examples.iter().any(|e| e.contains(&called)), "no example calls `{function}`");
    }
}

fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}

/// The operators of a query as a view, in alphabetical order.
fn operators(db: &Database, query: &str) -> Result<Vec<String>, Error> {
    let circuit = db.query(&format!("EXPLAIN CREATE MATERIALIZED VIEW x AS {query}"))?;
    let names = crate::embed_support::operators(&circuit);
    let (plain, mut kept): (Vec<String>, Vec<String>) =
        names.into_iter().partition(|name| PLAIN.contains(&name.as_str()));
    if kept.is_empty() {
        // What every view has is named where there is nothing else.
        kept.extend(plain.into_iter().filter(|name| name != "Input"));
    }
    Ok(kept)
}

/// The page, line by line.
struct Page {
    file: PathBuf,
    lines: Vec<String>,
}

impl Page {
    fn read() -> Page {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/sql.md");
        let lines = fs::read_to_string(&file).unwrap().lines().map(String::from).collect();
        Page { file, lines }
    }

    /// A database with the relations of the page.
    fn database(&self) -> Database {
        let begin = self.lines.iter().position(|line| line == "```sql").unwrap() + 1;
        let text: Vec<&str> = self.lines[begin..].iter().take_while(|l| *l != "```").map(String::as_str).collect();
        let db = Database::in_memory().unwrap();
        for sql in text.join("\n").split(';').filter(|sql| !sql.trim().is_empty()) {
            db.execute(sql).unwrap();
        }
        db
    }

    /// Where the rows of the tables are whose third column has this name.
    fn rows(&self, third: &str) -> Vec<usize> {
        let mut found = Vec::new();
        let mut inside = false;
        for (at, line) in self.lines.iter().enumerate() {
            match line.starts_with('|') {
                false => inside = false,
                true if !at.checked_sub(1).is_some_and(|b| self.lines[b].starts_with('|')) => {
                    inside = self.cells(at).get(2).is_some_and(|name| name == third);
                }
                true if inside && !line.starts_with("|---") => found.push(at),
                true => {}
            }
        }
        found
    }

    /// The cells of a row; a bar within one is written `\|`.
    fn cells(&self, at: usize) -> Vec<String> {
        let line = self.lines[at].replace("\\|", "\u{1}");
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
    }

    /// Compares the cells from the third on with what `of` gives for the example, or writes them.
    fn compare(&self, rows: &[usize], of: impl Fn(&str) -> Vec<String>) {
        let (mut wrong, mut lines) = (Vec::new(), self.lines.clone());
        for at in rows {
            let mut cells = self.cells(*at);
            let example = cells[1].trim_matches('`').to_string();
            let found = of(&example);
            let cells_found = &mut cells[2..2 + found.len()];
            if *cells_found != found {
                let (said, is) = (cells_found.join(" | "), found.join(" | "));
                wrong.push(format!("line {}: {example}\n  the page says: {said}\n  it is: {is}", at + 1));
            }
            cells_found.clone_from_slice(&found);
            let escaped: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            lines[*at] = format!("| {} |", escaped.join(" | ")).replace("  |", " |");
        }
        if std::env::var_os("UPDATE").is_some_and(|v| v == "1") {
            // The two tests write different lines, one after the other.
            let _writing = WRITING.lock().unwrap();
            let mut now = Page::read().lines;
            rows.iter().for_each(|at| now[*at].clone_from(&lines[*at]));
            fs::write(&self.file, now.join("\n") + "\n").unwrap();
        }
        assert!(wrong.is_empty(), "UPDATE=1 writes what is so:\n{}", wrong.join("\n"));
    }
}

static WRITING: std::sync::Mutex<()> = std::sync::Mutex::new(());
