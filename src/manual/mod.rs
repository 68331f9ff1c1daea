//! The manual: chapters in Markdown that are readable as they are, compiled in.

/// A chapter, which `fetch help TOPIC` prints.
#[derive(Debug)]
pub struct Chapter {
    /// The topic that it is asked for by: the name of its file, without the extension.
    pub topic: &'static str,
    /// Other words that it is asked for by.
    pub synonyms: &'static [&'static str],
    /// What it is about, in one line.
    pub about: &'static str,
    /// The text. No line is longer than 80 columns.
    pub text: &'static str,
}

macro_rules! chapter {
    ($topic:literal, $synonyms:expr, $about:literal) => {
        Chapter {
            topic: $topic,
            synonyms: &$synonyms,
            about: $about,
            text: include_str!(concat!($topic, ".md")),
        }
    };
}

/// All chapters, in the order of a reader who begins at the beginning.
pub const CHAPTERS: [Chapter; 25] = [
    chapter!(
        "lists",
        ["list", "urls", "url", "input", "mirrors"],
        "The list format: URLs, mirrors, options of one URL"
    ),
    chapter!(
        "tables",
        ["table", "tsv", "parquet", "columns", "carry", "gzip", "zstd"],
        "Lists from CSV, JSON lines and Parquet, compressed, or at URLs"
    ),
    chapter!(
        "saving",
        ["save", "dir", "names", "resume", "manifest"],
        "Files: names, resuming, segments, the manifest"
    ),
    chapter!(
        "archives",
        ["archive", "warc", "tar", "cdxj", "webdataset"],
        "Bodies in WARC and tar files"
    ),
    chapter!(
        "object-stores",
        ["object-store", "objects", "s3", "gs", "az", "gcs", "azure", "bucket"],
        "Bodies in S3, Google Cloud Storage and Azure Blob Storage"
    ),
    chapter!("shards", ["shard"], "Lists for several machines: shards and array jobs"),
    chapter!(
        "cluster",
        ["clusters", "spark", "kubernetes", "slurm", "container", "image"],
        "Spark, Kubernetes, Slurm, and a container image"
    ),
    chapter!("scale", ["billion", "simulation"], "What a billion URLs cost on a hundred machines"),
    chapter!(
        "integrity",
        ["checksum", "checksums", "digest", "hash"],
        "Checksums, digests, fetch verify"
    ),
    chapter!(
        "politeness",
        ["retry", "retries", "robots", "rate", "timeout", "timeouts"],
        "Limits per host, retries, robots.txt, timeouts"
    ),
    chapter!(
        "network",
        [
            "proxy",
            "proxies",
            "tls",
            "ssl",
            "cert",
            "certificate",
            "certificates",
            "dns",
            "redirects",
            "socks"
        ],
        "Proxies, TLS, addresses, redirects"
    ),
    chapter!(
        "limits",
        ["bounds", "size", "sizes", "memory", "quota"],
        "What servers and lists can cost, and what ends it"
    ),
    chapter!(
        "credentials",
        ["netrc", "password", "passwords", "login", "user", "auth", "authorization", "token"],
        "Users, passwords, tokens, netrc files"
    ),
    chapter!("cookies", ["cookie"], "Cookies: given, set by redirects, kept in a file"),
    chapter!(
        "strangers",
        ["security", "untrusted", "public", "private", "ssrf"],
        "Lists that others have written: what may be reached"
    ),
    chapter!(
        "configuration",
        ["config", "environment", "variables"],
        "The configuration file and the environment"
    ),
    chapter!(
        "reports",
        ["json", "jsonl", "csv", "har", "html", "output"],
        "Output formats, their fields, report files"
    ),
    chapter!("exit-codes", ["exit", "errors", "classes", "status"], "Exit codes and error classes"),
    chapter!(
        "faults",
        ["fault", "failures", "failure", "error"],
        "What becomes of a URL for each thing that can go wrong"
    ),
    chapter!("compare", ["modes", "benchmark"], "The modes, and how they are compared"),
    chapter!(
        "coming-from",
        ["curl", "wget", "aria2", "aria2c"],
        "Flags of curl, wget and aria2, and what they are here"
    ),
    chapter!("recipes", ["examples", "example"], "Examples for common tasks"),
    chapter!("glossary", ["terms"], "The terms of the manual and of the code"),
    chapter!("design", ["architecture"], "How the program works, and how to extend it"),
    chapter!("changes", ["changelog", "news"], "What is new in each version"),
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

/// The chapter about a topic, by its name or another word; `None` if there is none.
pub fn chapter(topic: &str) -> Option<&'static Chapter> {
    let is_it = |chapter: &&Chapter| chapter.topic == topic || chapter.synonyms.contains(&topic);
    CHAPTERS.iter().find(is_it)
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
