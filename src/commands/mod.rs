//! What each command of the program does.

pub mod dry_run;
pub mod fetch;
pub mod help;
pub mod report;
pub mod verify;
