//! Where bodies are written before they are whole, and who keeps the books about it: this process or its parent.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::folder::{Folder, Missing};
use super::{Begin, Kind, Open, Store, failpoint, manifest};
use crate::plan::{Durability, Keep};
use crate::record::Failure;

/// The folder as far as unfinished files go.
#[derive(Debug)]
pub struct Desk {
    pub dir: PathBuf,
    pub durability: Durability,
    pub min_free: Option<u64>,
    pub folder: Folder,
}

impl Desk {
    pub fn new(keep: &Keep, folder: Folder) -> Self {
        let Keep { dir, durability, min_free, .. } = keep.clone();
        Self { dir, durability, min_free, folder }
    }
}

/// Who knows what was begun.
#[derive(Debug, Clone)]
pub enum Books {
    /// The manifest, which is here.
    Here(Arc<Open>),
    /// The parent of this process.
    There(Arc<dyn Bookkeeper>),
}

/// The parent of a process that writes unfinished files.
pub trait Bookkeeper: Debug + Send + Sync {
    /// The body of the job that this process carries out is about to be written, `bytes` of it so far. Where it is
    /// written from its first byte on, what was left over is gone, and this has to be known before the file is made.
    ///
    /// # Errors
    /// If it cannot be known.
    fn note(&self, begin: &Begin, bytes: u64) -> Result<(), Failure>;
}

/// A child process that writes unfinished files. While it lives, no other run begins to save to the folder.
#[derive(Debug)]
pub struct Child {
    pub desk: Arc<Desk>,
    pub parent: Arc<dyn Bookkeeper>,
    _at_work: File,
}

/// All that a child process needs to write unfinished files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Commission {
    dir: OsString,
    durability: Durability,
    min_free: Option<u64>,
}

impl Store {
    /// What a child process needs to write unfinished files; `None` if bodies go nowhere.
    pub fn commission(&self) -> Option<Commission> {
        let Kind::Folder(open) = &self.0 else { return None };
        let Desk { dir, durability, min_free, .. } = &*open.desk;
        let dir = dir.clone().into_os_string();
        Some(Commission { dir, durability: *durability, min_free: *min_free })
    }

    /// The folder of a child process whose `parent` keeps the books.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn of_child(commission: Commission, parent: Arc<dyn Bookkeeper>) -> io::Result<Self> {
        failpoint::in_child();
        let Commission { dir, durability, min_free } = commission;
        let dir = PathBuf::from(dir);
        let folder = Folder::open(&dir, Missing::Refuse)?;
        let at_work = manifest::at_work(&folder.bookkeeping()?)?;
        let desk = Arc::new(Desk { dir, durability, min_free, folder });
        Ok(Self(Kind::Child(Arc::new(Child { desk, parent, _at_work: at_work }))))
    }
}
