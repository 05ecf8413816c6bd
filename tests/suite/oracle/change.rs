//! Changes of relations: every statement that changes rows, as SQL.

use super::case::Relation;
use super::expression::{Expressions, Named};
use super::random::Random;
use super::value::Value;

/// A change of one relation.
#[derive(Debug, Clone)]
pub enum Change {
    Insert {
        relation: usize,
        rows: Vec<Vec<Value>>,
    },
    InsertSelect {
        relation: usize,
    },
    Update {
        relation: usize,
        column: usize,
        value: String,
        condition: String,
    },
    Delete {
        relation: usize,
        condition: String,
    },
    Truncate {
        relation: usize,
    },
    /// `INSERT ... ON CONFLICT`.
    Upsert {
        relation: usize,
        rows: Vec<Vec<Value>>,
        set: Option<Set>,
    },
    /// `UPDATE ... FROM` and `DELETE ... USING`, where there is nothing to set.
    Joined {
        relation: usize,
        other: usize,
        set: Option<Set>,
        condition: String,
    },
    Merge {
        relation: usize,
        other: usize,
        on: String,
        clauses: Vec<Clause>,
    },
}

/// A column, the value it gets, and the rows that it gets it in.
#[derive(Debug, Clone)]
pub struct Set {
    pub column: usize,
    pub value: String,
    pub condition: Option<String>,
}

/// Which rows a WHEN is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Both,
    SourceOnly,
    TargetOnly,
}

#[derive(Debug, Clone)]
pub struct Clause {
    pub when: When,
    pub condition: Option<String>,
    pub action: Action,
}

#[derive(Debug, Clone)]
pub enum Action {
    Nothing,
    Delete,
    Update {
        column: usize,
        value: String,
    },
    /// A value for each column.
    Insert(Vec<String>),
}

/// What the target and the other table are called in statements with both.
pub const TARGET: &str = "t";
pub const OTHER: &str = "o";

impl Change {
    pub fn sql(&self, relations: &[Relation]) -> String {
        let name = |at: &usize| &relations[*at].name;
        let column = |at: &usize, column: &usize| relations[*at].columns[*column].name.clone();
        match self {
            Change::Insert { relation, rows } => values(&relations[*relation], "", rows),
            Change::InsertSelect { relation } => {
                let name = name(relation);
                format!("INSERT INTO {name} SELECT * FROM {name}")
            }
            Change::Update { relation, column: at, value, condition } => {
                format!("UPDATE {} SET {} = {value} WHERE {condition}", name(relation), column(relation, at))
            }
            Change::Delete { relation, condition } => format!("DELETE FROM {} WHERE {condition}", name(relation)),
            Change::Truncate { relation } => format!("TRUNCATE {}", name(relation)),
            Change::Upsert { relation, rows, set } => {
                let insert = values(&relations[*relation], &format!(" AS {TARGET}"), rows);
                let Some(set) = set else { return format!("{insert} ON CONFLICT DO NOTHING") };
                let condition = set.condition.as_ref().map_or_else(String::new, |c| format!(" WHERE {c}"));
                let key: Vec<String> = relations[*relation].key.iter().map(|at| column(relation, at)).collect();
                let set = format!("{} = {}", column(relation, &set.column), set.value);
                format!("{insert} ON CONFLICT ({}) DO UPDATE SET {set}{condition}", key.join(", "))
            }
            Change::Joined { relation, other, set, condition } => {
                let (name, other) = (name(relation), name(other));
                match set {
                    Some(set) => {
                        let set = format!("{} = {}", column(relation, &set.column), set.value);
                        format!("UPDATE {name} AS {TARGET} SET {set} FROM {other} AS {OTHER} WHERE {condition}")
                    }
                    None => format!("DELETE FROM {name} AS {TARGET} USING {other} AS {OTHER} WHERE {condition}"),
                }
            }
            Change::Merge { relation, other, on, clauses } => {
                let mut sql =
                    format!("MERGE INTO {} AS {TARGET} USING {} AS {OTHER} ON {on}", name(relation), name(other));
                for Clause { when, condition, action } in clauses {
                    sql.push_str(match when {
                        When::Both => " WHEN MATCHED",
                        When::SourceOnly => " WHEN NOT MATCHED",
                        When::TargetOnly => " WHEN NOT MATCHED BY SOURCE",
                    });
                    condition.iter().for_each(|condition| sql.push_str(&format!(" AND {condition}")));
                    sql.push_str(&match action {
                        Action::Nothing => " THEN DO NOTHING".into(),
                        Action::Delete => " THEN DELETE".into(),
                        Action::Update { column: at, value } => {
                            format!(" THEN UPDATE SET {} = {value}", column(relation, at))
                        }
                        Action::Insert(values) => format!(" THEN INSERT VALUES ({})", values.join(", ")),
                    });
                }
                sql
            }
        }
    }

    pub fn relation(&self) -> usize {
        match self {
            Change::Insert { relation, .. }
            | Change::InsertSelect { relation }
            | Change::Update { relation, .. }
            | Change::Delete { relation, .. }
            | Change::Truncate { relation }
            | Change::Upsert { relation, .. }
            | Change::Joined { relation, .. }
            | Change::Merge { relation, .. } => *relation,
        }
    }

    /// The relation that it reads, where that is another.
    pub fn other(&self) -> Option<usize> {
        match self {
            Change::Joined { other, .. } | Change::Merge { other, .. } => Some(*other),
            _ => None,
        }
    }

    /// The rows of values in it.
    pub fn rows_mut(&mut self) -> Option<&mut Vec<Vec<Value>>> {
        match self {
            Change::Insert { rows, .. } | Change::Upsert { rows, .. } => Some(rows),
            _ => None,
        }
    }

    pub fn random(random: &mut Random, relations: &[Relation]) -> Change {
        let at = random.below(relations.len());
        let relation = &relations[at];
        let columns = relation.named();
        let what = if relation.is_stream { random.below(52) } else { random.below(140) };
        match what {
            0..50 => Change::Insert { relation: at, rows: rows(random, relation) },
            50..53 => Change::InsertSelect { relation: at },
            53..78 => {
                let column = random.below(relation.columns.len());
                let value = value(random, &columns, relation, column);
                let condition = Expressions { random, columns: &columns, fallible: false }.condition(1);
                Change::Update { relation: at, column, value, condition }
            }
            78..100 => {
                let mut expressions = Expressions { random, columns: &columns, fallible: false };
                let condition = match expressions.random.percent(10) {
                    true => "true".into(),
                    false => expressions.condition(1),
                };
                Change::Delete { relation: at, condition }
            }
            100..102 => Change::Truncate { relation: at },
            102..118 if !relation.key.is_empty() => {
                let rows = rows(random, relation);
                let known = [qualified(TARGET, relation), qualified("excluded", relation)].concat();
                let set = random.percent(70).then(|| set(random, &known, relation, 30));
                Change::Upsert { relation: at, rows, set }
            }
            _ => {
                let other = random.below(relations.len());
                let (own, others) = (qualified(TARGET, relation), qualified(OTHER, &relations[other]));
                let known = [own.clone(), others.clone()].concat();
                let on = on(random, &own, &others);
                if random.percent(50) {
                    let set = random.percent(60).then(|| set(random, &known, relation, 0));
                    return Change::Joined { relation: at, other, set, condition: on };
                }
                let count = random.between(1, 3);
                let clause = |random: &mut Random| clause(random, relation, &own, &others);
                Change::Merge { relation: at, other, on, clauses: (0..count).map(|_| clause(random)).collect() }
            }
        }
    }
}

fn values(relation: &Relation, called: &str, rows: &[Vec<Value>]) -> String {
    let row = |row: &Vec<Value>| {
        let values: Vec<String> = relation.columns.iter().zip(row).map(|(c, v)| c.literal(*v)).collect();
        format!("({})", values.join(", "))
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    format!("INSERT INTO {}{called} VALUES {}", relation.name, rows.join(", "))
}

fn rows(random: &mut Random, relation: &Relation) -> Vec<Vec<Value>> {
    let row = |random: &mut Random| relation.columns.iter().map(|c| c.value(random)).collect();
    (0..random.between(1, 5)).map(|_| row(random)).collect()
}

fn qualified(table: &str, relation: &Relation) -> Vec<Named> {
    relation.columns.iter().map(|c| Named { name: format!("{table}.{}", c.name), kind: c.kind }).collect()
}

/// A value for a column: a literal, or one of the columns known.
fn value(random: &mut Random, known: &[Named], relation: &Relation, column: usize) -> String {
    let column = &relation.columns[column];
    let mut expressions = Expressions { random, columns: known, fallible: false };
    let other = if expressions.random.percent(50) { expressions.column(column.kind) } else { None };
    other.unwrap_or_else(|| {
        let value = column.value(random);
        column.literal(value)
    })
}

fn set(random: &mut Random, known: &[Named], relation: &Relation, conditional: usize) -> Set {
    let column = random.below(relation.columns.len());
    let value = value(random, known, relation, column);
    let conditional = random.percent(conditional);
    let condition = conditional.then(|| Expressions { random, columns: known, fallible: false }.condition(1));
    Set { column, value, condition }
}

/// What joins two tables: mostly columns that are equal, sometimes more, sometimes anything.
fn on(random: &mut Random, own: &[Named], others: &[Named]) -> String {
    let pairs = own.iter().flat_map(|a| others.iter().filter(|b| a.kind == b.kind).map(move |b| (a, b)));
    let pairs: Vec<(&Named, &Named)> = pairs.collect();
    let known = [own, others].concat();
    if pairs.is_empty() || random.percent(15) {
        return Expressions { random, columns: &known, fallible: false }.condition(1);
    }
    let (a, b) = *random.pick(&pairs);
    let equal = format!("{} = {}", a.name, b.name);
    match random.percent(30) {
        true => format!("{equal} AND {}", Expressions { random, columns: &known, fallible: false }.condition(1)),
        false => equal,
    }
}

fn clause(random: &mut Random, relation: &Relation, own: &[Named], others: &[Named]) -> Clause {
    let when = *random.pick(&[When::Both, When::Both, When::SourceOnly, When::TargetOnly]);
    let known = match when {
        When::Both => [own, others].concat(),
        When::SourceOnly => others.to_vec(),
        When::TargetOnly => own.to_vec(),
    };
    let conditional = random.percent(40);
    let condition = conditional.then(|| Expressions { random, columns: &known, fallible: false }.condition(1));
    let action = match (when, random.below(6)) {
        (_, 0) => Action::Nothing,
        (When::SourceOnly, _) => {
            let columns = 0..relation.columns.len();
            Action::Insert(columns.map(|column| value(random, &known, relation, column)).collect())
        }
        (_, 1..3) => Action::Delete,
        _ => {
            let column = random.below(relation.columns.len());
            Action::Update { column, value: value(random, &known, relation, column) }
        }
    };
    Clause { when, condition, action }
}
