//! Locks.

use std::sync::{Mutex, MutexGuard};

/// Locks a mutex.
///
/// # Panics
/// If a thread panicked while it held the lock: what the lock protects may be half changed then.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("lock poisoned")
}
