//! A fuzz target for netrc files.

use super::{Netrc, NetrcEntry};

/// Input: a netrc file. Its entries are unchanged after they were written and parsed, and an error message quotes no word
/// of the file.
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
    let again = Netrc::parse(&to_file(netrc)).expect("what was written is valid");
    assert_eq!((&again.netrc, again.ignored), (netrc, None));
    for host in ["a.test", "", "::1"] {
        let of_host = netrc.user_at(host);
        assert!(of_host.is_none_or(|both| both != (b"", b"")));
        if let Some((user, password @ [_, ..])) = of_host {
            assert!(netrc.password_at(host, user).is_some(), "{password:?}");
        }
    }
}

/// The text of a file with the same entries.
fn to_file(netrc: &Netrc) -> Vec<u8> {
    let mut file = Vec::new();
    for NetrcEntry { machine, login, password } in &netrc.0 {
        match machine {
            Some(machine) => push_quoted(b"machine", machine, &mut file),
            None => file.extend_from_slice(b"default\n"),
        }
        push_quoted(b"login", login, &mut file);
        push_quoted(b"password", password, &mut file);
    }
    file
}

fn push_quoted(keyword: &[u8], value: &[u8], file: &mut Vec<u8>) {
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
