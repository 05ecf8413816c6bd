//! MATCH_RECOGNIZE by its definition: all ways to read rows as a pattern, one after the other, the preferred ones first.

use super::language::{Condition, Pattern, Query, Row, SUBSET, SYMBOLS, Skip, Value};

/// Steps after which a case is given up.
const STEPS_MAX: usize = 100_000;

impl Value {
    /// The value in the last of the rows so far.
    fn of(&self, rows: &[Row], start: usize, path: &[usize]) -> Option<i64> {
        let places = |wanted: &Option<usize>| -> Vec<usize> {
            let is = |symbol: usize| match wanted {
                None => true,
                Some(SUBSET) => symbol < 2,
                Some(wanted) => symbol == *wanted,
            };
            path.iter().enumerate().filter(|(_, symbol)| is(**symbol)).map(|(at, _)| start + at).collect()
        };
        let x = |place: i64| rows.get(usize::try_from(place).ok()?)?.x;
        match self {
            Value::Number(number) => Some(*number),
            Value::X(by) => path.len().checked_sub(1).and_then(|at| x((start + at) as i64 + by)),
            Value::Of { symbol, first, skip, shift } => {
                let mut places = places(symbol);
                if !first {
                    places.reverse();
                }
                places.get(*skip).and_then(|place| x(*place as i64 + shift))
            }
            Value::Sum(symbol) => {
                let values: Vec<i64> = places(symbol).into_iter().filter_map(|place| rows[place].x).collect();
                (!values.is_empty()).then(|| values.iter().sum())
            }
            Value::Count(symbol) => Some(places(symbol).len() as i64),
            Value::Greatest(symbol) => places(symbol).into_iter().filter_map(|place| rows[place].x).max(),
        }
    }
}

impl Condition {
    fn holds(&self, rows: &[Row], start: usize, path: &[usize]) -> Option<bool> {
        let both = |left: &Value, right: &Value| Some((left.of(rows, start, path)?, right.of(rows, start, path)?));
        match self {
            Condition::Less(left, right) => both(left, right).map(|(left, right)| left < right),
            Condition::Equal(left, right) => both(left, right).map(|(left, right)| left == right),
            Condition::And(left, right) => match (left.holds(rows, start, path), right.holds(rows, start, path)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Condition::Or(left, right) => match (left.holds(rows, start, path), right.holds(rows, start, path)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }
}

/// A search from one row.
struct Search<'a> {
    query: &'a Query,
    rows: &'a [Row],
    start: usize,
    steps: usize,
}

/// What is done with a way to read the first rows; it says whether the search is over.
type Then<'a> = &'a mut dyn FnMut(&mut Search, &mut Vec<usize>) -> bool;

impl Search<'_> {
    fn read(&mut self, pattern: &Pattern, path: &mut Vec<usize>, then: Then) -> bool {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return true;
        }
        match pattern {
            Pattern::Symbol(symbol) => {
                let row = self.start + path.len();
                let Some(Row { at, .. }) = self.rows.get(row) else { return false };
                if self.query.within.is_some_and(|within| at - self.rows[self.start].at >= within) {
                    return false;
                }
                path.push(*symbol);
                let condition = &self.query.conditions[*symbol];
                let holds = condition.as_ref().is_none_or(|c| c.holds(self.rows, self.start, path) == Some(true));
                let over = holds && then(self, path);
                if !over {
                    path.pop();
                }
                over
            }
            Pattern::Start => self.start + path.len() == 0 && then(self, path),
            Pattern::End => self.start + path.len() == self.rows.len() && then(self, path),
            Pattern::Sequence(parts) => match parts.split_first() {
                None => then(self, path),
                Some((first, rest)) => {
                    let rest = Pattern::Sequence(rest.to_vec());
                    self.read(first, path, &mut |search, path| search.read(&rest, path, then))
                }
            },
            Pattern::Choice(parts) => parts.iter().any(|part| self.read(part, path, then)),
            Pattern::Repeat(of, least, most, reluctant) => {
                if *least > 0 {
                    let rest = Pattern::Repeat(of.clone(), least - 1, most.map(|most| most - 1), *reluctant);
                    return self.read(of, path, &mut |search, path| search.read(&rest, path, then));
                }
                if *most == Some(0) {
                    return then(self, path);
                }
                let rest = Pattern::Repeat(of.clone(), 0, most.map(|most| most - 1), *reluctant);
                if *reluctant && then(self, path) {
                    return true;
                }
                let length = path.len();
                let more =
                    self.read(of, path, &mut |search, path| path.len() > length && search.read(&rest, path, then));
                more || !*reluctant && then(self, path)
            }
        }
    }
}

/// Why there is no answer.
#[derive(Debug, PartialEq)]
pub enum Unanswered {
    /// The query fails.
    Fails,
    /// It takes too long to find out.
    TooLong,
}

impl Query {
    /// What it gives for a partition: each row as text, but for its first column and, if all rows are shown, the time and
    /// what comes behind the measures.
    pub fn answer(&self, rows: &[Row]) -> Result<Vec<String>, Unanswered> {
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| (if self.descending { -row.at } else { row.at }, row.id));
        let (mut start, mut number, mut shown) = (0, 0, Vec::new());
        while start < rows.len() {
            let mut found = None;
            let mut search = Search { query: self, rows: &rows, start, steps: 0 };
            search.read(&self.pattern, &mut Vec::new(), &mut |_, path| {
                found = Some(path.clone());
                true
            });
            if search.steps > STEPS_MAX {
                return Err(Unanswered::TooLong);
            }
            let Some(path) = found else {
                start += 1;
                continue;
            };
            number += 1;
            if self.all_rows {
                for count in 1..=path.len() {
                    let row = rows[start + count - 1];
                    shown.push(format!("{}|{}", row.id, self.measured(&rows, start, &path[..count], number)));
                }
                if path.is_empty() {
                    shown.push(format!("{}|{}", rows[start].id, self.measured(&rows, start, &path, number)));
                }
            } else {
                shown.push(self.measured(&rows, start, &path, number));
            }
            let is =
                |wanted: usize| move |symbol: &usize| if wanted == SUBSET { *symbol < 2 } else { *symbol == wanted };
            let next = match self.skip {
                _ if path.is_empty() => Some(1),
                Skip::PastLast => Some(path.len()),
                Skip::ToNext => Some(1),
                Skip::ToFirst(wanted) => path.iter().position(is(wanted)),
                Skip::ToLast(wanted) => path.iter().rposition(is(wanted)),
            };
            start += next.filter(|next| *next > 0).ok_or(Unanswered::Fails)?;
        }
        Ok(shown)
    }

    fn measured(&self, rows: &[Row], start: usize, path: &[usize], number: usize) -> String {
        let text = |value: Option<i64>| value.map_or("NULL".to_string(), |value| value.to_string());
        let mut values = vec![
            text(path.first().map(|_| rows[start].id)),
            text(path.last().map(|_| rows[start + path.len() - 1].id)),
            path.last().map_or("NULL".to_string(), |symbol| SYMBOLS[*symbol].into()),
        ];
        values.extend(self.measures.iter().map(|value| text(value.of(rows, start, path))));
        if self.numbered {
            values.push(number.to_string());
        }
        values.join("|")
    }
}
