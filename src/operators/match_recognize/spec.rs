//! What a MATCH_RECOGNIZE is to find and to show, ready to be run over rows.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{Column, Literal};

use super::formula::{Formula, Source};
use super::pattern::{Pattern, Program, Step};
use crate::error::Result;

/// Rows of a match: all of them, or those of a symbol or a subset. Subsets are numbered behind the symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variable {
    /// Every row.
    All,
    /// Those of one variable.
    One(usize),
}

/// What a condition or a measure takes from the rows of a match, beside constants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Item {
    /// The value of a column in one row.
    At {
        /// Of these rows
        of: Variable,
        /// the first, else the last,
        first: bool,
        /// so many further on, or back,
        skip: usize,
        /// and from there so many rows further in the partition, whether or not they are of the match.
        shift: i64,
        /// The column.
        column: usize,
        /// Whether rows count that come behind the current one.
        whole: bool,
    },
    /// An aggregate.
    Total {
        /// Over these rows.
        of: Variable,
        /// The function.
        function: Arc<AggregateUDF>,
        /// What it is given.
        args: Vec<Arg>,
        /// Whether rows count that come behind the current one.
        whole: bool,
    },
    /// The name of the symbol whose row the current one is.
    Classifier,
    /// The number of the match in its partition, from one.
    Number,
}

/// An argument of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Arg {
    /// A column.
    Column(usize),
    /// A constant.
    Value(ScalarValue),
}

/// Where the next match may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skip {
    /// Behind the match.
    PastLast,
    /// At its second row.
    ToNext,
    /// At the first row of a variable.
    ToFirst(usize),
    /// At the last row of a variable.
    ToLast(usize),
}

/// Which rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Show {
    /// One for each match.
    Match,
    /// Each row of each match; of a match without rows the one that it begins before, if it is shown at all.
    Rows {
        /// Whether matches without rows are shown.
        empty: bool,
    },
}

/// A column that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shown {
    /// A column of the rows: of a match that is shown as one row, that of its first.
    Column(usize),
    /// A measure.
    Measure(usize),
}

/// What a match is, by the places of columns and symbols.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The pattern.
    pub pattern: Pattern,
    /// What symbols are called.
    pub symbols: Vec<String>,
    /// The symbols of each subset.
    pub subsets: Vec<Vec<usize>>,
    /// Where the next match may begin.
    pub skip: Skip,
    /// The column of event time, and the nanoseconds that the last row of a match is less than behind its first.
    pub within: Option<(usize, i64)>,
    /// Which rows are shown.
    pub show: Show,
    /// Which columns.
    pub shown: Vec<Shown>,
}

/// The same, ready to be run.
pub struct Spec {
    pub(super) shape: Shape,
    pub(super) program: Program,
    /// For each symbol, what its rows must be.
    pub(super) conditions: Vec<Option<Formula>>,
    pub(super) measures: Vec<Formula>,
    pub(super) totals: Vec<Total>,
    /// For each symbol the variables whose rows its rows are.
    pub(super) variables_of: Vec<Vec<usize>>,
    /// Rows before the first one of a match that may be looked at.
    pub(super) back: usize,
    /// Rows behind the last one of a match that its measures look at.
    pub(super) ahead: usize,
    pub(super) schema: SchemaRef,
}

/// An aggregate over rows of a match.
pub(super) struct Total {
    pub of: Variable,
    pub args: Vec<Arg>,
    function: AggregateFunctionExpr,
}

impl Total {
    pub fn accumulator(&self) -> Result<Box<dyn Accumulator>, DataFusionError> {
        self.function.create_accumulator()
    }
}

/// An expression whose columns are called by their place among items.
pub struct OverItems {
    /// The expression.
    pub expr: Arc<dyn PhysicalExpr>,
    /// What its columns are.
    pub items: Vec<Item>,
    /// Their types.
    pub fields: Vec<Field>,
}

impl Spec {
    /// What is to be run over rows of `input`: a condition for each symbol that has one, and the measures. `schema` is that
    /// of the rows that are shown.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::error::Error::Limit) for a pattern that is too long; an aggregate that does not take its
    /// arguments.
    pub fn new(
        shape: Shape,
        conditions: Vec<Option<OverItems>>,
        measures: Vec<OverItems>,
        input: &SchemaRef,
        schema: SchemaRef,
    ) -> Result<Spec> {
        let program = Program::of(&shape.pattern)?;
        let mut totals = Totals { items: Vec::new(), totals: Vec::new(), input };
        let conditions =
            conditions.into_iter().map(|c| c.map(|c| totals.formula(c)).transpose()).collect::<Result<Vec<_>>>()?;
        let measures = measures.into_iter().map(|m| totals.formula(m)).collect::<Result<Vec<_>>>()?;
        let variables_of = (0..shape.symbols.len()).map(|symbol| {
            let subsets = shape.subsets.iter().enumerate().filter(|(_, subset)| subset.contains(&symbol));
            std::iter::once(symbol).chain(subsets.map(|(at, _)| shape.symbols.len() + at)).collect()
        });
        let variables_of = variables_of.collect();
        let totals = totals.totals;
        let mut spec = Spec { shape, program, conditions, measures, totals, variables_of, back: 0, ahead: 0, schema };
        (spec.back, spec.ahead) = (spec.rows_back(), spec.rows_ahead());
        Ok(spec)
    }

    /// Columns of the rows that are shown.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether what is before the rows of a match counts for more than where it begins: then partitions are remembered
    /// for ever.
    pub fn remembers(&self) -> bool {
        self.back > 0 || self.is_anchored() || self.is_numbered()
    }

    /// The microseconds of WITHIN, rounded up.
    pub fn within_micros(&self) -> Option<i64> {
        self.shape.within.map(|(_, nanoseconds)| nanoseconds.saturating_add(999) / 1_000)
    }

    /// Whether the end of a partition, or a row behind the last of a match, counts.
    pub fn looks_ahead(&self) -> bool {
        let ahead = |formula: &Formula| formula.sources.iter().any(|s| matches!(s, Source::At { shift: 1.., .. }));
        self.program.steps.contains(&Step::End) || self.conditions.iter().flatten().chain(&self.measures).any(ahead)
    }

    /// Whether matches depend on how many rows come before them.
    pub(super) fn is_anchored(&self) -> bool {
        self.program.steps.contains(&Step::Start)
    }

    /// Whether matches are shown with their numbers.
    pub(super) fn is_numbered(&self) -> bool {
        self.measures.iter().any(|measure| measure.sources.contains(&Source::Number))
    }

    /// The measures that are a moment of a row of the match.
    pub fn moments(&self, column: usize) -> Vec<usize> {
        let is = |formula: &Formula| match (formula.expr.downcast_ref::<Column>(), formula.sources.as_slice()) {
            (Some(_), [Source::At { shift: 0, column: of, .. }]) => *of == column,
            _ => false,
        };
        let shown = self.shape.shown.iter().enumerate();
        let shown = shown.filter(|(_, shown)| matches!(shown, Shown::Measure(at) if is(&self.measures[*at])));
        shown.map(|(at, _)| at).collect()
    }

    fn rows_back(&self) -> usize {
        let before = self.shape.pattern.rows_before(self.shape.symbols.len());
        let of = |variable: &Variable, current: usize| match variable {
            Variable::All => current,
            Variable::One(at) => match at.checked_sub(self.shape.symbols.len()) {
                None => before[*at],
                Some(subset) => self.shape.subsets[subset].iter().map(|s| before[*s]).min().unwrap_or(0),
            },
        };
        let mut back = 0;
        let mut note = |formula: &Formula, current: usize| {
            for source in &formula.sources {
                if let Source::At { of: variable, first, skip, shift: shift @ ..0, .. } = source {
                    let is_current = !first && *skip == 0;
                    let from = of(variable, if is_current { current } else { 0 });
                    back = back.max(usize::try_from(-shift).unwrap_or(usize::MAX).saturating_sub(from));
                }
            }
        };
        for (symbol, condition) in self.conditions.iter().enumerate() {
            condition.iter().for_each(|condition| note(condition, before[symbol]));
        }
        self.measures.iter().for_each(|measure| note(measure, 0));
        back
    }

    fn rows_ahead(&self) -> usize {
        let shifts = self.measures.iter().flat_map(|measure| &measure.sources).map(|source| match source {
            Source::At { shift: shift @ 1.., .. } => usize::try_from(*shift).unwrap_or(usize::MAX),
            _ => 0,
        });
        shifts.max().unwrap_or(0)
    }
}

struct Totals<'a> {
    items: Vec<(Variable, Arc<AggregateUDF>, Vec<Arg>)>,
    totals: Vec<Total>,
    input: &'a SchemaRef,
}

impl Totals<'_> {
    fn formula(&mut self, over: OverItems) -> Result<Formula> {
        let sources = over.items.into_iter().map(|item| match item {
            Item::At { of, first, skip, shift, column, whole } => {
                Ok(Source::At { of, first, skip, shift, column, whole })
            }
            Item::Total { of, function, args, whole } => {
                Ok(Source::Total { at: self.place(of, function, args)?, whole })
            }
            Item::Classifier => Ok(Source::Classifier),
            Item::Number => Ok(Source::Number),
        });
        let sources = sources.collect::<Result<_>>()?;
        Ok(Formula { expr: over.expr, sources, schema: Arc::new(Schema::new(over.fields)) })
    }

    fn place(&mut self, of: Variable, function: Arc<AggregateUDF>, args: Vec<Arg>) -> Result<usize> {
        let item = (of, function, args);
        if let Some(at) = self.items.iter().position(|known| *known == item) {
            return Ok(at);
        }
        let exprs = item.2.iter().map(|arg| match arg {
            Arg::Column(column) => Arc::new(Column::new(self.input.field(*column).name(), *column)) as _,
            Arg::Value(value) => Arc::new(Literal::new(value.clone())) as Arc<dyn PhysicalExpr>,
        });
        let function = AggregateExprBuilder::new(item.1.clone(), exprs.collect()).schema(self.input.clone());
        let function = function.alias("total").build()?;
        self.totals.push(Total { of, args: item.2.clone(), function });
        self.items.push(item);
        Ok(self.items.len() - 1)
    }
}
