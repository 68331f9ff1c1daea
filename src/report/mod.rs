//! What is told of a run, and where: rows on stdout in the form asked for, words and the progress display on stderr.
//! Hears events and the summary; reads no clock, waits for nobody but its streams, ends nothing. Every line is whole
//! and is written whole; what cannot be written is an error.

mod csv;
mod frame;
mod jsonl;
mod ordered;
mod printable;
mod progress;
mod text;
