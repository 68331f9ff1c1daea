//! The manual: chapters in Markdown that are readable as they are, compiled in.

/// A chapter, which `fetch help TOPIC` prints.
#[derive(Debug)]
pub struct Chapter {
    /// The topic that it is asked for by: the name of its file, without the extension.
    pub topic: &'static str,
    /// What it is about, in one line.
    pub about: &'static str,
    /// The text. No line is longer than 80 columns.
    pub text: &'static str,
}

macro_rules! chapter {
    ($topic:literal, $about:literal) => {
        Chapter { topic: $topic, about: $about, text: include_str!(concat!($topic, ".md")) }
    };
}

/// All chapters, in the order of a reader who begins at the beginning.
pub const CHAPTERS: [Chapter; 18] = [
    chapter!("lists", "The list format: URLs, mirrors, options of one URL"),
    chapter!("saving", "Files: names, resuming, segments, the manifest"),
    chapter!("integrity", "Checksums, digests, fetch verify"),
    chapter!("politeness", "Limits per host, retries, robots.txt, timeouts"),
    chapter!("network", "Proxies, TLS, addresses, redirects"),
    chapter!("limits", "What servers and lists can cost, and what ends it"),
    chapter!("credentials", "Users, passwords, tokens, netrc files"),
    chapter!("cookies", "Cookies: given, set by redirects, kept in a file"),
    chapter!("strangers", "Lists that others have written: what may be reached"),
    chapter!("configuration", "The configuration file and the environment"),
    chapter!("reports", "Output formats, their fields, report files"),
    chapter!("exit-codes", "Exit codes and error classes"),
    chapter!("compare", "The modes, and how they are compared"),
    chapter!("coming-from", "Flags of curl, wget and aria2, and what they are here"),
    chapter!("recipes", "Examples for common tasks"),
    chapter!("glossary", "The terms of the manual and of the code"),
    chapter!("design", "How the program works, and how to extend it"),
    chapter!("changes", "What is new in each version"),
];

impl Chapter {
    /// The first paragraph, its lines joined.
    pub fn first_paragraph(&self) -> String {
        let mut paragraphs = self.text.split("\n\n").filter(|text| !text.starts_with('#'));
        paragraphs.next().unwrap_or_default().replace('\n', " ")
    }

    /// The rows of the first table, each with its cells.
    pub fn first_table(&self) -> impl Iterator<Item = Vec<&'static str>> {
        let lines = self.text.lines().skip_while(|line| !line.starts_with('|'));
        // The first two lines are its head.
        let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
        rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
    }
}

/// The chapter about a topic; `None` if there is none.
pub fn chapter(topic: &str) -> Option<&'static Chapter> {
    CHAPTERS.iter().find(|chapter| chapter.topic == topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chapter_begins_with_its_title_and_a_paragraph() {
        for chapter in &CHAPTERS {
            assert!(chapter.text.starts_with("# "), "{}", chapter.topic);
            let first = chapter.first_paragraph();
            assert!(first.ends_with('.') && !first.contains('\n'), "{}: {first}", chapter.topic);
        }
    }

    #[test]
    fn the_first_table_is_read_without_its_head() {
        let table: Vec<_> = chapter("exit-codes").unwrap().first_table().collect();
        assert_eq!(table[0][0], "0");
        assert_eq!(table.last().unwrap()[0], "129, 130, 143");
        assert!(table.iter().all(|row| row.len() == 2));
    }
}
