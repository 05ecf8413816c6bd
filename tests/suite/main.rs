

mod architecture;
mod transcripts;
