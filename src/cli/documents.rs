//! Names of report files -> what each of them is to be.

use std::path::{Component, Path, PathBuf};

use crate::plan::{ReportFile, ReportFormat, ReportSubject};

/// Decides by the name of each file what it is. `option` is where the names were typed, `of` what they are reports of,
/// if that is known.
///
/// # Errors
/// A sentence about the first name that says nothing, says it twice, or says what there is not.
pub(super) fn documents(
    option: &str,
    typed: Vec<PathBuf>,
    of: Option<ReportSubject>,
) -> Result<Vec<ReportFile>, String> {
    let mut documents: Vec<ReportFile> = Vec::new();
    for path in typed {
        if documents.iter().any(|other| is_one_name(&other.path, &path)) {
            return Err(format!("{option} names \"{}\" twice; keep one", path.display()));
        }
        let kind = ReportFormat::of(&path).ok_or_else(|| unknown(option, &path, of))?;
        if let Some(why) = of.and_then(|of| kind.unfit_for(of)) {
            return Err(format!("invalid value for {option}: \"{}\": {why}", path.display()));
        }
        documents.push(ReportFile { path, kind });
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

fn unknown(option: &str, path: &Path, of: Option<ReportSubject>) -> String {
    let fits = |kind: &ReportFormat| of.is_none_or(|of| kind.unfit_for(of).is_none());
    let known = ReportFormat::ALL.into_iter().filter(fits);
    let known: Vec<_> = known.map(|kind| format!(".{}", kind.extension())).collect();
    format!(
        "invalid value for {option}: \"{}\" does not say what to write; let its name end in one of {}",
        path.display(),
        known.join(", ")
    )
}
