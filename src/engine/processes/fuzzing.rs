//! What holds for any line between a parent process and its children.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::protocol::{ChildInit, FromChild, ToChild, encode};

/// Lines: a message that one is read as is the same after it was sent.
pub fn child_messages(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(line) = str::from_utf8(line) else { continue };
        check::<ChildInit>(line);
        check::<ToChild>(line);
        check::<FromChild>(line);
    }
}

fn check<T: Serialize + DeserializeOwned>(line: &str) {
    let Ok(message) = serde_json::from_str::<T>(line) else { return };
    let sent = encode(&message);
    let newline = sent.iter().position(|byte| *byte == b'\n');
    assert_eq!(newline, Some(sent.len() - 1), "a message is a line: {line}");
    let received: T = serde_json::from_slice(&sent).expect("what was sent can be read");
    assert_eq!(encode(&received), sent, "{line}");
}
