//! Byte strings by dense id in one growing buffer, with the room of freed ones won back.
//!
//! ```text
//! spans  | (0,5) | (5,3) | (0,0) |        id -> start, length
//! bytes  | h e l l o | a b c | garbage .. |
//! ```
//!
//! Freed bytes stay where they are until they are more than the live ones; then the live ones are copied together.

/// Garbage below this many bytes is not worth a copy.
const COMPACT_BYTES_MIN: usize = 1 << 16;

#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u64,
    length: u32,
}

/// Byte strings by id.
#[derive(Debug, Default)]
pub struct Arena {
    spans: Vec<Span>,
    bytes: Vec<u8>,
    garbage: usize,
}

impl Arena {
    /// Makes room for ids below `slots`; new ones are empty.
    pub fn resize(&mut self, slots: usize) {
        self.spans.resize(slots, Span::default());
    }

    /// Puts a string at an id whose former string, if any, was cleared.
    #[inline]
    pub fn set(&mut self, id: u32, value: &[u8]) {
        let length = u32::try_from(value.len()).expect("an Arrow value is below 4 GiB");
        self.spans[id as usize] = Span { start: self.bytes.len() as u64, length };
        self.bytes.extend_from_slice(value);
    }

    /// The string at an id.
    #[inline]
    pub fn get(&self, id: u32) -> &[u8] {
        let span = self.spans[id as usize];
        let start = span.start as usize;
        &self.bytes[start..start + span.length as usize]
    }

    /// Makes the string at an id empty.
    pub fn clear(&mut self, id: u32) {
        let span = &mut self.spans[id as usize];
        self.garbage += span.length as usize;
        *span = Span::default();
        if self.garbage > COMPACT_BYTES_MIN && self.garbage > self.bytes.len() / 2 {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut live = Vec::with_capacity(self.bytes.len() - self.garbage);
        for span in &mut self.spans {
            let start = span.start as usize;
            span.start = live.len() as u64;
            live.extend_from_slice(&self.bytes[start..start + span.length as usize]);
        }
        self.bytes = live;
        self.garbage = 0;
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compaction_keeps_what_lives() {
        let mut arena = Arena::default();
        arena.resize(2000);
        for id in 0..2000u32 {
            arena.set(id, format!("{id:>100}").as_bytes());
        }
        for id in 0..2000u32 {
            if id % 7 != 0 {
                arena.clear(id);
            }
        }
        assert!(arena.bytes.len() < 100_000);
        for id in (0..2000u32).step_by(7) {
            assert_eq!(arena.get(id), format!("{id:>100}").as_bytes());
        }
        assert_eq!(arena.get(1), b"");
    }
}
