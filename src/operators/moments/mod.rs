//! Variance, covariance, correlation and regression, defined on exact sums.
//!
//! ```text
//! pairs (y, x) -> n, Sx, Sxx, Sy, Syy, Sxy exactly -> one quotient of integers -> one rounding
//!                                                      var_samp = (n Sxx - Sx Sx) / (n (n - 1))
//! ```
//!
//! So a statistic is a function of the bag of its values: their order leaves no trace, and a deletion undoes an
//! insertion to the last bit. Where there is no value (too few pairs, no spread) the rules are DataFusion's. NaN and the
//! infinities are counted apart; a statistic that they enter is NaN, but an average may be infinite.

mod exact;

use exact::{Parts, ProductSum, Scaled};

/// A statistic of the pairs `(y, x)`, or of `x` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Statistic {
    /// `var`, also `var_samp`.
    Variance,
    /// `var_pop`.
    VariancePopulation,
    /// `stddev`, also `stddev_samp`.
    Deviation,
    /// `stddev_pop`.
    DeviationPopulation,
    /// `covar_samp`.
    Covariance,
    /// `covar_pop`.
    CovariancePopulation,
    /// `corr`.
    Correlation,
    /// `regr_slope`.
    Slope,
    /// `regr_intercept`.
    Intercept,
    /// `regr_r2`.
    Determination,
    /// `regr_avgx`.
    AverageX,
    /// `regr_avgy`.
    AverageY,
    /// `regr_sxx`.
    SquaresX,
    /// `regr_syy`.
    SquaresY,
    /// `regr_sxy`.
    Products,
    /// `regr_count`, which alone is an integer.
    Count,
}

impl Statistic {
    /// Every statistic, by its name in SQL.
    pub const ALL: [(&'static str, Statistic); 16] = [
        ("var", Statistic::Variance),
        ("var_pop", Statistic::VariancePopulation),
        ("stddev", Statistic::Deviation),
        ("stddev_pop", Statistic::DeviationPopulation),
        ("covar_samp", Statistic::Covariance),
        ("covar_pop", Statistic::CovariancePopulation),
        ("corr", Statistic::Correlation),
        ("regr_slope", Statistic::Slope),
        ("regr_intercept", Statistic::Intercept),
        ("regr_r2", Statistic::Determination),
        ("regr_avgx", Statistic::AverageX),
        ("regr_avgy", Statistic::AverageY),
        ("regr_sxx", Statistic::SquaresX),
        ("regr_syy", Statistic::SquaresY),
        ("regr_sxy", Statistic::Products),
        ("regr_count", Statistic::Count),
    ];

    /// The statistic of this name.
    pub fn named(name: &str) -> Option<Statistic> {
        Statistic::ALL.iter().find(|(own, _)| *own == name).map(|(_, statistic)| *statistic)
    }

    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        let found = Statistic::ALL.iter().find(|(_, statistic)| *statistic == self);
        found.map(|(name, _)| *name).expect("every statistic is listed")
    }
}

/// The exact sums of a bag of values or pairs.
#[derive(Debug, Clone, Default)]
pub struct Moments {
    count: i64,
    x: Axis,
    /// Of pairs only.
    y: Option<Box<(Axis, ProductSum)>>,
}

/// The sums of one of the two values.
#[derive(Debug, Clone, Default)]
struct Axis {
    sum: ProductSum,
    squares: ProductSum,
    /// How many NaN, infinities and negative infinities there are.
    specials: [i64; 3],
}

impl Axis {
    fn add(&mut self, value: f64, weight: i64) -> Option<Parts> {
        if !value.is_finite() {
            let kind = if value.is_nan() {
                0
            } else if value > 0.0 {
                1
            } else {
                2
            };
            self.specials[kind] += weight;
            return None;
        }
        let parts = Parts::of(value);
        self.sum.add(parts, Parts::ONE, weight);
        self.squares.add(parts, parts, weight);
        Some(parts)
    }

    fn is_finite(&self) -> bool {
        self.specials == [0; 3]
    }

    /// The average of `count` values.
    fn average(&self, count: i64) -> f64 {
        match self.specials {
            [0, 0, 0] => self.sum.total().divided_by(&Scaled::integer(count)),
            [0, _, 0] => f64::INFINITY,
            [0, 0, _] => f64::NEG_INFINITY,
            _ => f64::NAN,
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        self.specials.iter().for_each(|count| bytes.extend(count.to_le_bytes()));
        self.sum.total().write(bytes);
        self.squares.total().write(bytes);
    }

    fn merge(&mut self, bytes: &mut &[u8]) -> Option<()> {
        for count in &mut self.specials {
            *count += integer(bytes)?;
        }
        self.sum.merge(&Scaled::read(bytes)?);
        self.squares.merge(&Scaled::read(bytes)?);
        Some(())
    }

    fn heap_bytes(&self) -> usize {
        self.sum.heap_bytes() + self.squares.heap_bytes()
    }
}

fn integer(bytes: &mut &[u8]) -> Option<i64> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(i64::from_le_bytes(*head))
}

impl Moments {
    /// Adds a value some times; a negative weight takes it away.
    pub fn add(&mut self, x: f64, weight: i64) {
        self.count += weight;
        self.x.add(x, weight);
    }

    /// Adds a pair some times; a negative weight takes it away.
    pub fn add_pair(&mut self, y: f64, x: f64, weight: i64) {
        self.count += weight;
        let (y_axis, products) = &mut **self.y.get_or_insert_default();
        if let (Some(x), Some(y)) = (self.x.add(x, weight), y_axis.add(y, weight)) {
            products.add(x, y, weight);
        }
    }

    /// How many values or pairs there are.
    pub fn count(&self) -> i64 {
        self.count
    }

    /// A statistic of them. [`Statistic::Count`] comes as a float here; [`Moments::count`] has it whole.
    pub fn value(&self, statistic: Statistic) -> Option<f64> {
        let n = self.count;
        let none = (Axis::default(), ProductSum::default());
        let (y, products) = self.y.as_deref().unwrap_or(&none);
        let x = &self.x;
        let (finite_x, finite_y) = (x.is_finite(), y.is_finite());
        let number = Scaled::integer;
        // What n times the sum of the products of the deviations from the averages is.
        let central = |products: &ProductSum, a: &Axis, b: &Axis| {
            number(n).times(&products.total()).minus(&a.sum.total().times(&b.sum.total()))
        };
        let quotient = |is_finite: bool, a: &dyn Fn() -> Scaled, divisor: Scaled| {
            Some(if is_finite { a().divided_by(&divisor) } else { f64::NAN })
        };
        let (xx, yy) = (|| central(&x.squares, x, x), || central(&y.squares, y, y));
        let xy = || central(products, x, y);
        let (pairs, less_one) = (number(n).times(&number(n)), number(n).times(&number(n - 1)));
        let finite = finite_x && finite_y;
        match statistic {
            _ if n < 1 && statistic != Statistic::Count => None,
            Statistic::Count => Some(n as f64),
            Statistic::AverageX => Some(x.average(n)),
            Statistic::AverageY => Some(y.average(n)),
            Statistic::SquaresX => quotient(finite_x, &xx, number(n)),
            Statistic::SquaresY => quotient(finite_y, &yy, number(n)),
            Statistic::Products => quotient(finite, &xy, number(n)),
            Statistic::VariancePopulation => quotient(finite_x, &xx, pairs),
            Statistic::DeviationPopulation => quotient(finite_x, &xx, pairs).map(f64::sqrt),
            Statistic::CovariancePopulation => quotient(finite, &xy, pairs),
            // The others say nothing of a single value.
            _ if n < 2 => None,
            Statistic::Variance => quotient(finite_x, &xx, less_one),
            Statistic::Deviation => quotient(finite_x, &xx, less_one).map(f64::sqrt),
            Statistic::Covariance => quotient(finite, &xy, less_one),
            _ if !finite => Some(f64::NAN),
            _ if xx().is_zero() => None,
            Statistic::Slope => Some(xy().divided_by(&xx())),
            Statistic::Intercept => {
                let ahead = y.sum.total().times(&x.squares.total());
                let back = x.sum.total().times(&products.total());
                Some(ahead.minus(&back).divided_by(&xx()))
            }
            // A line through values that are all the same explains all of what there is.
            Statistic::Determination if yy().is_zero() => Some(1.0),
            _ if yy().is_zero() => None,
            Statistic::Determination | Statistic::Correlation => {
                let (xy, spread) = (xy(), xx().times(&yy()));
                let square = xy.times(&xy).divided_by(&spread);
                let sign = if xy.is_negative() { -1.0 } else { 1.0 };
                Some(if statistic == Statistic::Correlation { sign * square.sqrt() } else { square })
            }
        }
    }

    /// The sums as bytes, for [`Moments::merge`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.count.to_le_bytes().to_vec();
        self.x.write(&mut bytes);
        if let Some(pairs) = &self.y {
            pairs.0.write(&mut bytes);
            pairs.1.total().write(&mut bytes);
        }
        bytes
    }

    /// Adds the sums that another has written; `None` where the bytes are no such sums.
    pub fn merge(&mut self, mut bytes: &[u8]) -> Option<()> {
        let bytes = &mut bytes;
        self.count += integer(bytes)?;
        self.x.merge(bytes)?;
        if !bytes.is_empty() {
            let pairs = self.y.get_or_insert_default();
            pairs.0.merge(bytes)?;
            pairs.1.merge(&Scaled::read(bytes)?);
        }
        Some(())
    }

    /// Bytes of memory beside the value itself.
    pub fn heap_bytes(&self) -> usize {
        let pairs = |y: &(Axis, ProductSum)| size_of::<(Axis, ProductSum)>() + y.0.heap_bytes() + y.1.heap_bytes();
        self.x.heap_bytes() + self.y.as_deref().map_or(0, pairs)
    }
}

#[cfg(test)]
mod tests;
