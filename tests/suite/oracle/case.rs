//! A case: relations, views over them, and changes. It is data, so that it can be printed, run again and made smaller.

use super::change::Change;
use super::expression::{Expressions, Named};
use super::query::{Queries, Source};
use super::random::Random;
use super::value::Column;

/// A stream or table.
#[derive(Debug, Clone)]
pub struct Relation {
    pub name: String,
    pub is_stream: bool,
    pub columns: Vec<Column>,
    /// The columns of the primary key; none in a stream, perhaps none in a table.
    pub key: Vec<usize>,
    /// A condition that no row may break.
    pub check: Option<String>,
}

/// What happens, one after the other.
#[derive(Debug, Clone)]
pub enum Step {
    View {
        name: String,
        sql: String,
    },
    /// Gives a view that no other reads another query.
    Replace {
        name: String,
        sql: String,
    },
    /// One change is a statement of its own, several are a transaction.
    Commit(Vec<Change>),
    /// Drops a view; refused while others read it.
    Drop {
        name: String,
    },
    /// Seals and archives the log.
    Checkpoint,
    /// Closes the database and opens it again, where it is on disk.
    Reopen,
}

/// How large a random case is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// How deep queries nest at most.
    pub depth_max: usize,
    /// How many commits there are.
    pub commits: (usize, usize),
}

impl Size {
    /// What a test of every day bears.
    pub const SMALL: Size = Size { depth_max: 2, commits: (14, 22) };
    /// For the long run.
    pub const LONG: Size = Size { depth_max: 4, commits: (20, 24) };
}

#[derive(Debug, Clone)]
pub struct Case {
    pub relations: Vec<Relation>,
    pub steps: Vec<Step>,
}

impl Relation {
    pub fn create(&self) -> String {
        let mut items: Vec<String> = self
            .columns
            .iter()
            .map(|c| format!("{} {}{}", c.name, c.sql_type, if c.required { " NOT NULL" } else { "" }))
            .collect();
        if !self.key.is_empty() {
            let key: Vec<&str> = self.key.iter().map(|k| self.columns[*k].name.as_str()).collect();
            items.push(format!("PRIMARY KEY ({})", key.join(", ")));
        }
        items.extend(self.check.iter().map(|check| format!("CHECK ({check})")));
        let what = if self.is_stream { "STREAM" } else { "TABLE" };
        format!("CREATE {what} {} ({})", self.name, items.join(", "))
    }

    fn random(random: &mut Random, at: usize) -> Relation {
        let is_stream = random.percent(35);
        let count = random.between(2, 5);
        let columns: Vec<Column> = (0..count).map(|c| Column::random(random, format!("x{c}"))).collect();
        let key = match random.below(4) {
            _ if is_stream => Vec::new(),
            0 => Vec::new(),
            1..3 => vec![0],
            _ => vec![1, 0],
        };
        let name = format!("{}{at}", if is_stream { "events" } else { "facts" });
        let named: Vec<Named> = columns.iter().map(|c| Named { name: c.name.clone(), kind: c.kind }).collect();
        // NULL breaks no check, and most rows should break none.
        let check = random.percent(25).then(|| {
            let mut expressions = Expressions { random, columns: &named, fallible: false };
            format!("{} OR {}", expressions.condition(1), expressions.condition(1))
        });
        Relation { name, is_stream, columns, key, check }
    }

    pub fn named(&self) -> Vec<Named> {
        self.columns.iter().map(|c| Named { name: c.name.clone(), kind: c.kind }).collect()
    }
}

impl Case {
    /// The case of a seed; `exotic`: with what has no incremental operator.
    pub fn random(seed: u64, exotic: bool, size: Size) -> Case {
        let mut random = Random::new(seed);
        let relations: Vec<Relation> = (0..random.between(2, 3)).map(|at| Relation::random(&mut random, at)).collect();
        let mut sources: Vec<Source> =
            relations.iter().map(|r| Source { name: r.name.clone(), columns: r.named() }).collect();
        let mut steps = Vec::new();
        let mut views = random.between(4, 7);
        let mut commits = random.between(size.commits.0, size.commits.1);
        while views + commits > 0 {
            // Most views come early; one that comes late is filled from history.
            if views > 0 && (commits == 0 || random.percent(35)) {
                views -= 1;
                let fallible = random.percent(25);
                let depth = random.between(0, size.depth_max);
                let name = format!("view{views}");
                if random.percent(8) {
                    // Nothing but another name for its input.
                    let Source { name: of, columns } = random.pick(&sources).clone();
                    steps.push(Step::View { name: name.clone(), sql: format!("SELECT * FROM {of}") });
                    sources.push(Source { name, columns });
                    continue;
                }
                let mut queries = Queries { random: &mut random, sources: &sources, fallible, exotic, names: 0 };
                let query = queries.query(depth);
                let columns = query.kinds.iter().enumerate();
                let columns = columns.map(|(at, kind)| Named { name: format!("c{at}"), kind: *kind }).collect();
                if !fallible {
                    sources.push(Source { name: name.clone(), columns });
                }
                let read = |name: &str| {
                    let mut views = steps.iter().filter_map(|s| match s {
                        Step::View { sql, .. } | Step::Replace { sql, .. } => Some(sql),
                        _ => None,
                    });
                    query.sql.contains(name) || views.any(|sql| sql.contains(name))
                };
                // Some views take the place of an earlier one.
                let earlier = format!("view{}", views + 1);
                let is_there = steps.iter().any(|s| matches!(s, Step::View { name, .. } if *name == earlier));
                if is_there && !read(&earlier) && random.percent(40) {
                    sources.retain(|source| source.name != earlier && source.name != name);
                    steps.push(Step::Replace { name: earlier, sql: query.sql });
                } else {
                    steps.push(Step::View { name, sql: query.sql });
                }
            } else {
                commits -= 1;
                let count = if random.percent(30) { random.between(2, 4) } else { 1 };
                let changes = (0..count).map(|_| Change::random(&mut random, &relations)).collect();
                steps.push(Step::Commit(changes));
                match random.below(60) {
                    0..4 => steps.push(Step::Reopen),
                    4..6 => steps.push(Step::Checkpoint),
                    6..9 if views < 4 => {
                        steps.push(Step::Drop { name: format!("view{}", random.between(views, views + 1)) })
                    }
                    _ => {}
                }
            }
        }
        Case { relations, steps }
    }

    /// The case as a script for the shell.
    pub fn script(&self) -> String {
        let mut lines: Vec<String> = self.relations.iter().map(Relation::create).collect();
        for step in &self.steps {
            match step {
                Step::View { name, sql } => lines.push(format!("CREATE MATERIALIZED VIEW {name} AS {sql}")),
                Step::Replace { name, sql } => {
                    lines.push(format!("CREATE OR REPLACE MATERIALIZED VIEW {name} AS {sql}"))
                }
                Step::Drop { name } => lines.push(format!("DROP MATERIALIZED VIEW {name}")),
                Step::Checkpoint => lines.push("CHECKPOINT".into()),
                Step::Reopen => lines.push("-- here the database is closed and opened again".into()),
                Step::Commit(changes) if changes.len() == 1 => lines.push(changes[0].sql(&self.relations)),
                Step::Commit(changes) => {
                    lines.push("BEGIN".into());
                    lines.extend(changes.iter().map(|c| c.sql(&self.relations)));
                    lines.push("COMMIT".into());
                }
            }
        }
        lines.push("VERIFY".into());
        lines.iter().map(|line| format!("{line}{}\n", if line.starts_with("--") { "" } else { ";" })).collect()
    }

    /// Smaller cases: each leaves out one thing.
    pub fn smaller(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for (at, step) in self.steps.iter().enumerate().rev() {
            let mut without = self.clone();
            without.steps.remove(at);
            cases.push(without);
            let Step::Commit(changes) = step else { continue };
            for change in 0..changes.len() {
                if changes.len() > 1 {
                    let mut case = self.clone();
                    if let Step::Commit(changes) = &mut case.steps[at] {
                        changes.remove(change);
                    }
                    cases.push(case);
                }
                let rows = changes[change].clone().rows_mut().map_or(0, |rows| rows.len());
                for row in (0..rows).filter(|_| rows > 1) {
                    let mut case = self.clone();
                    if let Step::Commit(changes) = &mut case.steps[at]
                        && let Some(rows) = changes[change].rows_mut()
                    {
                        rows.remove(row);
                        cases.push(case);
                    }
                }
            }
        }
        for at in (0..self.relations.len()).rev() {
            let used = self.steps.iter().any(|s| match s {
                Step::View { sql, .. } | Step::Replace { sql, .. } => sql.contains(&self.relations[at].name),
                Step::Commit(changes) => changes.iter().any(|c| c.relation() == at || c.other() == Some(at)),
                Step::Drop { .. } | Step::Checkpoint | Step::Reopen => false,
            });
            if !used && at + 1 == self.relations.len() {
                let mut case = self.clone();
                case.relations.pop();
                cases.push(case);
            }
        }
        cases
    }
}
