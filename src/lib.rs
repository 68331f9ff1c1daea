//! `fetch` gets whole lists of URLs, intact and politely, under the strategy of your choice.
//!
//! A plan puts targets in a queue; workers take one at a time, transfer it and settle it into a record; reporters
//! hear every event; a strategy only says who the workers are. The rooms, in the order of a URL's way back home:

pub mod plan;
pub mod record;
pub mod serve;
pub mod units;
