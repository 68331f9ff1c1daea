//! Where bodies and bookkeeping go: what was saved, who holds a name, and which run may write. Unix alone.

pub mod entry;
pub mod index;
pub mod lock;
pub mod manifest;
