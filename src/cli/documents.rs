//! Names of report files -> what each of them is to be.

use std::path::{Component, Path, PathBuf};

use crate::plan::{Document, DocumentKind};

/// Decides by the name of each file what it is.
///
/// # Errors
/// A sentence about the first name that says nothing, or says it twice. `option` is where the names were typed.
pub(super) fn documents(option: &str, typed: Vec<PathBuf>) -> Result<Vec<Document>, String> {
    let mut documents: Vec<Document> = Vec::new();
    for path in typed {
        if documents.iter().any(|other| is_one_name(&other.path, &path)) {
            return Err(format!("{option} names \"{}\" twice; keep one", path.display()));
        }
        let kind = DocumentKind::of(&path).ok_or_else(|| unknown(option, &path))?;
        documents.push(Document { path, kind });
    }
    Ok(documents)
}

/// Whether two names are plainly those of one file.
pub(super) fn is_one_name(one: &Path, other: &Path) -> bool {
    let plain = |path: &Path| -> PathBuf {
        path.components().filter(|part| *part != Component::CurDir).collect()
    };
    plain(one) == plain(other)
}

fn unknown(option: &str, path: &Path) -> String {
    let known = DocumentKind::ALL.map(|kind| format!(".{}", kind.extension()));
    format!(
        "invalid value for {option}: \"{}\" does not say what to write; let its name end in one of {}",
        path.display(),
        known.join(", ")
    )
}
