//! Where bodies and bookkeeping go: the folder that files are saved to. Never waits for a network, never prints.

mod folder;

pub use folder::{
    Files, Folder, Found, Listed, Missing, NoSeat, Over, PART, Part, Placed, Seat, is_full,
};
