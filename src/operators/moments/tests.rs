//! Statistics with known values, and against the textbook formulas over a list.

use super::*;
use crate::operators::testing::Random;

fn of(values: &[f64]) -> Moments {
    let mut moments = Moments::default();
    values.iter().for_each(|x| moments.add(*x, 1));
    moments
}

fn of_pairs(pairs: &[(f64, f64)]) -> Moments {
    let mut moments = Moments::default();
    pairs.iter().for_each(|(y, x)| moments.add_pair(*y, *x, 1));
    moments
}

#[test]
fn known_values() {
    let moments = of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
    assert_eq!(moments.value(Statistic::DeviationPopulation), Some(2.0));
    assert_eq!(moments.value(Statistic::Variance), Some(32.0 / 7.0));
    // Welford's method and the plain one lose these digits.
    assert_eq!(of(&[1e16, 1e16 + 2.0, 1e16 + 4.0]).value(Statistic::Variance), Some(4.0));
    assert_eq!(of(&[0.1, 0.1, 0.1]).value(Statistic::VariancePopulation), Some(0.0));
    let line = of_pairs(&[(5.0, 1.0), (7.0, 2.0), (9.0, 3.0)]);
    assert_eq!(line.value(Statistic::Slope), Some(2.0));
    assert_eq!(line.value(Statistic::Intercept), Some(3.0));
    assert_eq!(line.value(Statistic::Correlation), Some(1.0));
    assert_eq!(line.value(Statistic::Determination), Some(1.0));
    assert_eq!((line.value(Statistic::AverageX), line.value(Statistic::AverageY)), (Some(2.0), Some(7.0)));
    assert_eq!((line.value(Statistic::SquaresX), line.value(Statistic::SquaresY)), (Some(2.0), Some(8.0)));
    assert_eq!((line.value(Statistic::Products), line.value(Statistic::Covariance)), (Some(4.0), Some(2.0)));
    let down = of_pairs(&[(-1e200, 1e-200), (-2e200, 2e-200)]);
    assert_eq!(down.value(Statistic::Correlation), Some(-1.0));
}

#[test]
fn where_there_is_no_value() {
    for (_, statistic) in Statistic::ALL {
        let none = (statistic == Statistic::Count).then_some(0.0);
        assert_eq!(Moments::default().value(statistic), none, "{statistic:?}");
    }
    let one = of_pairs(&[(3.0, 5.0)]);
    for (name, statistic) in Statistic::ALL {
        let expected = match name {
            "var_pop" | "stddev_pop" | "covar_pop" | "regr_sxx" | "regr_syy" | "regr_sxy" => Some(0.0),
            "regr_avgx" => Some(5.0),
            "regr_avgy" => Some(3.0),
            "regr_count" => Some(1.0),
            _ => None,
        };
        assert_eq!(one.value(statistic), expected, "{name}");
        assert_eq!(Statistic::named(statistic.name()), Some(statistic));
    }
    let flat = of_pairs(&[(3.0, 5.0), (3.0, 6.0)]);
    assert_eq!((flat.value(Statistic::Slope), flat.value(Statistic::Correlation)), (Some(0.0), None));
    let upright = of_pairs(&[(3.0, 5.0), (4.0, 5.0)]);
    assert_eq!((upright.value(Statistic::Slope), upright.value(Statistic::Intercept)), (None, None));
}

#[test]
fn specials_are_counted_apart_and_go() {
    let mut moments = of_pairs(&[(1.0, 2.0), (2.0, 4.0), (f64::INFINITY, 7.0)]);
    assert!(moments.value(Statistic::Slope).unwrap().is_nan());
    assert_eq!(moments.value(Statistic::AverageY), Some(f64::INFINITY));
    assert_eq!(moments.value(Statistic::AverageX), Some(13.0 / 3.0));
    moments.add_pair(f64::INFINITY, 7.0, -1);
    assert_eq!(moments.value(Statistic::Slope), Some(0.5));
    assert!(of(&[f64::NAN, 1.0]).value(Statistic::Variance).unwrap().is_nan());
}

/// Within rounding the formulas over a list; to the bit the same after any history and in any order.
#[test]
fn moments_reference() {
    let mut random = Random::new(3);
    for round in 0..300 {
        let value = |random: &mut Random| match random.below(3) {
            0 => random.below(100) as f64,
            1 => (random.next() as i64 % 100_000) as f64 * 0.01,
            _ => 1e6 + random.below(1000) as f64 / 7.0,
        };
        let pairs: Vec<(f64, f64)> =
            (0..2 + random.below(20)).map(|_| (value(&mut random), value(&mut random))).collect();
        let moments = of_pairs(&pairs);
        let n = pairs.len() as f64;
        let average = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
        let (my, mx) = (average(&|p| p.0), average(&|p| p.1));
        let sxx = n * average(&|p| (p.1 - mx) * (p.1 - mx));
        let syy = n * average(&|p| (p.0 - my) * (p.0 - my));
        let sxy = n * average(&|p| (p.0 - my) * (p.1 - mx));
        for (name, statistic) in Statistic::ALL {
            let expected = match name {
                "var" => sxx / (n - 1.0),
                "var_pop" => sxx / n,
                "stddev" => (sxx / (n - 1.0)).sqrt(),
                "stddev_pop" => (sxx / n).sqrt(),
                "covar_samp" => sxy / (n - 1.0),
                "covar_pop" => sxy / n,
                "corr" => sxy / (sxx * syy).sqrt(),
                "regr_slope" => sxy / sxx,
                "regr_intercept" => my - sxy / sxx * mx,
                "regr_r2" => sxy * sxy / (sxx * syy),
                "regr_avgx" => mx,
                "regr_avgy" => my,
                "regr_sxx" => sxx,
                "regr_syy" => syy,
                "regr_sxy" => sxy,
                _ => n,
            };
            let Some(got) = moments.value(statistic) else {
                assert!(sxx < 1e-9 || syy < 1e-9, "round {round}: {name} of {pairs:?}");
                continue;
            };
            // Sums of products lose digits where they nearly cancel.
            let scale = expected.abs().max(1e-4 * sxx.max(syy).max(1.0));
            assert!((got - expected).abs() <= 1e-9 * scale, "round {round}: {name}: {got} for {expected}");
        }
        let mut detour = of_pairs(&[(1e300, 0.1), (f64::NAN, 5e-324)]);
        let (first, second) = pairs.split_at(pairs.len() / 2);
        second.iter().rev().for_each(|(y, x)| detour.add_pair(*y, *x, 1));
        detour.merge(&of_pairs(first).to_bytes()).unwrap();
        detour.add_pair(f64::NAN, 5e-324, -1);
        detour.add_pair(1e300, 0.1, -1);
        for (name, statistic) in Statistic::ALL {
            let bits = |moments: &Moments| moments.value(statistic).map(f64::to_bits);
            assert_eq!(bits(&detour), bits(&moments), "round {round}: {name}");
        }
    }
}
