//! The pattern as it is written, and its variables.

use datafusion::sql::sqlparser::ast::{
    self, Ident, MatchRecognizePattern as Written, MatchRecognizeSymbol, RepetitionQuantifier,
};

use super::{VARIABLES_MAX, place, unknown};
use crate::error::{Error, Result};
use crate::operators::match_recognize::pattern::Pattern;
use crate::sql::parse::normalize;

/// Symbols of one PERMUTE: each more multiplies the orders.
const PERMUTED_MAX: usize = 5;

/// A symbol of a pattern.
pub(super) struct Symbol {
    pub name: String,
    /// As the pattern writes it first.
    pub shown: String,
    pub ident: Ident,
}

/// The variables of a pattern.
#[derive(Default)]
pub(super) struct Variables {
    pub symbols: Vec<Symbol>,
    subsets: Vec<(String, Vec<usize>)>,
}

impl Variables {
    pub fn of(pattern: &Written) -> Result<Variables> {
        let mut variables = Variables::default();
        variables.note(pattern)?;
        Ok(variables)
    }

    fn note(&mut self, pattern: &Written) -> Result<()> {
        match pattern {
            Written::Symbol(symbol) => self.note_symbol(symbol),
            Written::Exclude(symbol) => {
                let error = Error::unsupported(format!("`{{- {symbol} -}}` in PATTERN"));
                Err(error.with_hint("a WHERE over ALL ROWS PER MATCH and CLASSIFIER() leaves rows out"))
            }
            Written::Permute(symbols) if symbols.len() > PERMUTED_MAX => {
                Err(Error::Limit(format!("PERMUTE has more variables than the limit of {PERMUTED_MAX}")))
            }
            Written::Permute(symbols) => symbols.iter().try_for_each(|symbol| self.note_symbol(symbol)),
            Written::Concat(parts) | Written::Alternation(parts) => parts.iter().try_for_each(|part| self.note(part)),
            Written::Group(part) | Written::Repetition(part, _) => self.note(part),
        }
    }

    fn note_symbol(&mut self, symbol: &MatchRecognizeSymbol) -> Result<()> {
        let MatchRecognizeSymbol::Named(ident) = symbol else { return Ok(()) };
        let name = normalize(ident);
        if self.symbols.iter().any(|symbol| symbol.name == name) {
            return Ok(());
        }
        if self.symbols.len() >= VARIABLES_MAX {
            return Err(Error::Limit(format!("the pattern has more variables than the limit of {VARIABLES_MAX}")));
        }
        let shown = ident.value.clone();
        self.symbols.push(Symbol { name, shown, ident: ident.clone() });
        Ok(())
    }

    pub fn add_subset(&mut self, name: &str, of: &ast::Expr) -> Result<()> {
        let wrong = || Error::input(format!("SUBSET `{name}` takes variables of the PATTERN, as in (a, b)"));
        let parts: Vec<&ast::Expr> = match of {
            ast::Expr::Tuple(parts) => parts.iter().collect(),
            ast::Expr::Nested(part) => vec![part],
            _ => return Err(wrong()),
        };
        if self.find(name).is_some() {
            return Err(Error::input(format!("SUBSET `{name}` has the name of another variable")));
        }
        if self.subsets.len() >= VARIABLES_MAX {
            return Err(Error::Limit(format!("there are more subsets than the limit of {VARIABLES_MAX}")));
        }
        let mut symbols = Vec::new();
        for part in parts {
            let ast::Expr::Identifier(ident) = part else { return Err(wrong()) };
            symbols.push(self.symbol(ident, "SUBSET")?);
        }
        self.subsets.push((name.to_string(), symbols));
        Ok(())
    }

    /// The place of a symbol.
    pub fn symbol(&self, ident: &Ident, of: &str) -> Result<usize> {
        let name = normalize(ident);
        let found = self.symbols.iter().position(|symbol| symbol.name == name);
        found.ok_or_else(|| unknown(ident, of, self.symbols.iter().map(|symbol| symbol.name.clone())))
    }

    /// The place of a symbol or a subset.
    pub fn variable(&self, ident: &Ident, of: &str) -> Result<usize> {
        self.find(&normalize(ident)).ok_or_else(|| unknown(ident, of, self.all()))
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        let symbol = self.symbols.iter().position(|symbol| symbol.name == name);
        symbol.or_else(|| Some(self.symbols.len() + self.subsets.iter().position(|subset| subset.0 == name)?))
    }

    pub fn all(&self) -> impl Iterator<Item = String> {
        let symbols = self.symbols.iter().map(|symbol| symbol.name.clone());
        symbols.chain(self.subsets.iter().map(|subset| subset.0.clone()))
    }

    pub fn names(&self) -> Vec<String> {
        self.symbols.iter().map(|symbol| symbol.shown.clone()).collect()
    }

    pub fn subsets(&self) -> Vec<Vec<usize>> {
        self.subsets.iter().map(|subset| subset.1.clone()).collect()
    }

    pub fn pattern(&self, pattern: &Written) -> Result<Pattern> {
        let all = |parts: &[Written]| parts.iter().map(|part| self.pattern(part)).collect::<Result<Vec<_>>>();
        Ok(match pattern {
            Written::Symbol(symbol) | Written::Exclude(symbol) => self.one(symbol)?,
            Written::Permute(symbols) => {
                let symbols = symbols.iter().map(|symbol| self.one(symbol)).collect::<Result<Vec<_>>>()?;
                Pattern::Choice(orders(&symbols).into_iter().map(Pattern::Sequence).collect())
            }
            Written::Concat(parts) => Pattern::Sequence(all(parts)?),
            Written::Alternation(parts) => Pattern::Choice(all(parts)?),
            Written::Group(part) => self.pattern(part)?,
            Written::Repetition(part, quantifier) => self.repeated(part, quantifier)?,
        })
    }

    fn one(&self, symbol: &MatchRecognizeSymbol) -> Result<Pattern> {
        Ok(match symbol {
            MatchRecognizeSymbol::Named(ident) => Pattern::Symbol(self.symbol(ident, "PATTERN")?),
            MatchRecognizeSymbol::Start => Pattern::Start,
            MatchRecognizeSymbol::End => Pattern::End,
        })
    }

    /// A quantifier right behind a quantifier is a question mark that makes it reluctant.
    fn repeated(&self, part: &Written, quantifier: &RepetitionQuantifier) -> Result<Pattern> {
        if let Written::Repetition(inner, quantity) = part {
            let twice = matches!(inner.as_ref(), Written::Repetition(..));
            if twice || *quantifier != RepetitionQuantifier::AtMostOne {
                let error = Error::input(format!("PATTERN has a quantifier on a quantifier, `{part}{quantifier}`"));
                return Err(error.with_hint("brackets around the first say what is meant"));
            }
            let Pattern::Repeat { of, least, most, .. } = self.repeated(inner, quantity)? else {
                return Err(Error::Internal("a repeated pattern is none".into()));
            };
            return Ok(Pattern::Repeat { of, least, most, reluctant: true });
        }
        let (least, most) = match quantifier {
            RepetitionQuantifier::ZeroOrMore => (0, None),
            RepetitionQuantifier::OneOrMore => (1, None),
            RepetitionQuantifier::AtMostOne => (0, Some(1)),
            RepetitionQuantifier::Exactly(times) => (*times, Some(*times)),
            RepetitionQuantifier::AtLeast(times) => (*times, None),
            RepetitionQuantifier::AtMost(times) => (0, Some(*times)),
            RepetitionQuantifier::Range(least, most) => (*least, Some(*most)),
        };
        if most.is_some_and(|most| most < least || most == 0) {
            return Err(Error::input(format!("PATTERN repeats something `{quantifier}` times, which is never")));
        }
        Ok(Pattern::Repeat { of: Box::new(self.pattern(part)?), least, most, reluctant: false })
    }
}

/// All orders of some patterns, as they are listed the earlier ones first.
fn orders(parts: &[Pattern]) -> Vec<Vec<Pattern>> {
    if parts.is_empty() {
        return vec![Vec::new()];
    }
    let mut found = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let others: Vec<Pattern> = parts.iter().enumerate().filter(|(o, _)| *o != at).map(|(_, p)| p.clone()).collect();
        found.extend(orders(&others).into_iter().map(|rest| [vec![part.clone()], rest].concat()));
    }
    found
}

/// Where a name of the text stands, for errors.
pub(super) fn at(ident: &Ident, error: Error) -> Error {
    error.with_place(place(ident))
}
