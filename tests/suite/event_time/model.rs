//! What is late, worked out by hand: the reference for the rows that views may see.

use std::fmt::Write as _;

use crate::oracle::random::Random;

/// An event: its moment in seconds since the first one. What is called a second here may be run as something shorter.
#[derive(Debug, Clone)]
pub struct Event {
    pub k: usize,
    pub x: usize,
    pub at: i64,
}

/// A stream as it should be.
#[derive(Debug)]
pub struct Stream {
    pub name: &'static str,
    /// How late rows can be, in seconds.
    pub delay: i64,
    pub watermark: Option<i64>,
    pub late: usize,
    /// Where the next rows are about.
    now: i64,
}

/// A moment as SQL writes it.
pub fn moment(at: i64) -> String {
    format!("(TIMESTAMP '2026-01-01 00:00:00' + INTERVAL '{at} seconds')")
}

impl Stream {
    pub fn new(name: &'static str, random: &mut Random) -> Self {
        Stream { name, delay: *random.pick(&[0, 5, 30]), watermark: None, late: 0, now: 600 }
    }

    pub fn create(&self, with_watermark: bool, ts: &str) -> String {
        let watermark = match with_watermark {
            true => format!(", WATERMARK FOR ts AS ts - INTERVAL '{} seconds'", self.delay),
            false => String::new(),
        };
        format!("CREATE STREAM {} (k INT, x INT, ts {ts}{watermark})", self.name)
    }

    /// Events about now, some of them too old.
    pub fn events(&mut self, random: &mut Random) -> Vec<Event> {
        self.now += random.below(40) as i64;
        let events = (0..random.between(1, 5)).map(|_| Event {
            k: random.below(3),
            x: random.below(6),
            at: self.now - random.below(2 * self.delay as usize + 12) as i64,
        });
        events.collect()
    }

    /// Takes in the events of one commit and returns those that are not late.
    pub fn commit(&mut self, events: &[Event]) -> Vec<Event> {
        let in_time = |event: &&Event| self.watermark.is_none_or(|watermark| event.at >= watermark);
        let accepted: Vec<Event> = events.iter().filter(in_time).cloned().collect();
        self.late += events.len() - accepted.len();
        if let Some(latest) = accepted.iter().map(|event| event.at).max() {
            self.advance(latest - self.delay);
        }
        accepted
    }

    pub fn advance(&mut self, to: i64) {
        self.watermark = Some(self.watermark.map_or(to, |watermark| watermark.max(to)));
    }

    /// A watermark far behind everything where there is none yet.
    pub fn bound(&self) -> i64 {
        self.watermark.unwrap_or(-1_000_000)
    }
}

/// Events as the VALUES of an INSERT.
pub fn insert(stream: &str, events: &[Event]) -> Option<String> {
    let mut sql = format!("INSERT INTO {stream} VALUES ");
    for (at, Event { k, x, at: moment_of }) in events.iter().enumerate() {
        let _ = write!(sql, "{}({k}, {x}, {})", if at == 0 { "" } else { ", " }, moment(*moment_of));
    }
    (!events.is_empty()).then_some(sql)
}
