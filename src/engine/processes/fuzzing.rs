//! A fuzz target for the messages between a parent process and its children.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::protocol::{ChildInit, FromChild, MessageBuffer, ToChild, encode, encode_init};

/// A message that can be decoded from the input, or from a line of it, is the same after it was encoded and decoded.
pub fn child_messages(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(init) = serde_json::from_slice::<ChildInit>(line) {
            let sent = encode_init(&init);
            let newline = sent.iter().position(|byte| *byte == b'\n');
            assert_eq!(newline, Some(sent.len() - 1), "it is a line");
            let received = serde_json::from_slice(&sent).expect("what was sent can be read");
            assert_eq!(encode_init(&received), sent);
        }
        // JSON is taken too, so that inputs can be written by hand.
        check(serde_json::from_slice::<ToChild>(line).ok().as_ref());
        check(serde_json::from_slice::<FromChild>(line).ok().as_ref());
    }
    let framed = [&(data.len() as u32).to_le_bytes(), data].concat();
    check(read::<ToChild>(&framed).as_ref());
    check(read::<FromChild>(&framed).as_ref());
}

fn check<M: Serialize + DeserializeOwned>(message: Option<&M>) {
    let Some(message) = message else { return };
    let sent = encode(message);
    let received: M = read(&sent).expect("what was sent can be read");
    assert_eq!(encode(&received), sent);
}

/// The first message of these bytes, if they are one.
fn read<M: DeserializeOwned>(bytes: &[u8]) -> Option<M> {
    let mut buffer = MessageBuffer::default();
    buffer.space().extend(bytes);
    buffer.take().ok().flatten()
}
