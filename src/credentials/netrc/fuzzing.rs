//! A fuzz target for netrc files.

use super::{Netrc, NetrcEntry};

/// A netrc file: what it says is the same after it was written and read, and a mistake is named without a word of it.
pub fn netrc(data: &[u8]) {
    match Netrc::parse(data) {
        Ok(parsed) => check(&parsed.netrc),
        Err(error) => {
            let (message, lines) = (error.to_string(), data.split(|byte| *byte == b'\n').count());
            let (line, fault) = message.split_once(": ").expect("a line and a fault");
            let is_line = line.parse().is_ok_and(|line: usize| (1..=lines).contains(&line));
            assert!(is_line && fault.is_ascii() && fault.len() < 80, "{message}");
        }
    }
}

fn check(netrc: &Netrc) {
    let again = Netrc::parse(&written(netrc)).expect("what was written is valid");
    assert_eq!((&again.netrc, again.ignored), (netrc, None));
    for host in ["a.test", "", "::1"] {
        let of_host = netrc.user_at(host);
        assert!(of_host.is_none_or(|both| both != (b"", b"")));
        if let Some((user, password @ [_, ..])) = of_host {
            assert!(netrc.password_at(host, user).is_some(), "{password:?}");
        }
    }
}

/// A file that says the same.
fn written(netrc: &Netrc) -> Vec<u8> {
    let mut file = Vec::new();
    for NetrcEntry { machine, login, password } in &netrc.0 {
        match machine {
            Some(machine) => word(b"machine", machine, &mut file),
            None => file.extend_from_slice(b"default\n"),
        }
        word(b"login", login, &mut file);
        word(b"password", password, &mut file);
    }
    file
}

fn word(keyword: &[u8], value: &[u8], file: &mut Vec<u8>) {
    file.extend_from_slice(keyword);
    file.extend_from_slice(b" \"");
    for byte in value {
        match byte {
            b'\n' => file.extend_from_slice(b"\\n"),
            b'"' | b'\\' => file.extend([b'\\', *byte]),
            _ => file.push(*byte),
        }
    }
    file.extend_from_slice(b"\"\n");
}
