//! A case: relations, views over them, and changes. It is data, so that it can be printed, run again and made smaller.

use super::expression::{Expressions, Named};
use super::query::{Queries, Source};
use super::random::Random;
use super::value::{Column, Value};

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

/// A change of one relation.
#[derive(Debug, Clone)]
pub enum Change {
    Insert { relation: usize, rows: Vec<Vec<Value>> },
    InsertSelect { relation: usize },
    Update { relation: usize, column: usize, value: String, condition: String },
    Delete { relation: usize, condition: String },
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

    fn named(&self) -> Vec<Named> {
        self.columns.iter().map(|c| Named { name: c.name.clone(), kind: c.kind }).collect()
    }
}

impl Change {
    pub fn sql(&self, relations: &[Relation]) -> String {
        match self {
            Change::Insert { relation, rows } => {
                let relation = &relations[*relation];
                let rows: Vec<String> = rows
                    .iter()
                    .map(|row| {
                        let values: Vec<String> =
                            relation.columns.iter().zip(row).map(|(c, v)| c.literal(*v)).collect();
                        format!("({})", values.join(", "))
                    })
                    .collect();
                format!("INSERT INTO {} VALUES {}", relation.name, rows.join(", "))
            }
            Change::InsertSelect { relation } => {
                let name = &relations[*relation].name;
                format!("INSERT INTO {name} SELECT * FROM {name}")
            }
            Change::Update { relation, column, value, condition } => {
                let relation = &relations[*relation];
                format!("UPDATE {} SET {} = {value} WHERE {condition}", relation.name, relation.columns[*column].name)
            }
            Change::Delete { relation, condition } => {
                format!("DELETE FROM {} WHERE {condition}", relations[*relation].name)
            }
        }
    }

    pub fn relation(&self) -> usize {
        match self {
            Change::Insert { relation, .. }
            | Change::InsertSelect { relation }
            | Change::Update { relation, .. }
            | Change::Delete { relation, .. } => *relation,
        }
    }

    fn random(random: &mut Random, relations: &[Relation]) -> Change {
        let at = random.below(relations.len());
        let relation = &relations[at];
        let columns = relation.named();
        let what = if relation.is_stream { random.below(52) } else { random.below(100) };
        match what {
            0..50 => {
                let count = random.between(1, 5);
                let row = |random: &mut Random| relation.columns.iter().map(|c| c.value(random)).collect();
                Change::Insert { relation: at, rows: (0..count).map(|_| row(random)).collect() }
            }
            50..53 => Change::InsertSelect { relation: at },
            53..78 => {
                let column = random.below(relation.columns.len());
                let mut expressions = Expressions { random, columns: &columns, fallible: false };
                let value = match expressions.random.percent(50) {
                    true => {
                        let column = &relation.columns[column];
                        let value = column.value(expressions.random);
                        column.literal(value)
                    }
                    false => expressions.column(relation.columns[column].kind).expect("its own fits"),
                };
                let condition = expressions.condition(1);
                Change::Update { relation: at, column, value, condition }
            }
            _ => {
                let mut expressions = Expressions { random, columns: &columns, fallible: false };
                let condition = match expressions.random.percent(10) {
                    true => "true".into(),
                    false => expressions.condition(1),
                };
                Change::Delete { relation: at, condition }
            }
        }
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
                let Change::Insert { rows, .. } = &changes[change] else { continue };
                for row in 0..rows.len() {
                    let mut case = self.clone();
                    if let Step::Commit(changes) = &mut case.steps[at]
                        && let Change::Insert { rows, .. } = &mut changes[change]
                        && rows.len() > 1
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
                Step::Commit(changes) => changes.iter().any(|c| c.relation() == at),
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
