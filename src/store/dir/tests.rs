use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, IoSlice, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::model::OverwriteRule;

/// A folder to save to, and beside it one that nobody may touch.
struct HostileDir {
    temporary: TempDir,
    folder: SaveDir,
}

impl HostileDir {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        fs::create_dir_all(temporary.path().join("outside/below")).unwrap();
        fs::write(temporary.path().join("outside/secret"), "secret").unwrap();
        let folder = SaveDir::open(&temporary.path().join("saved"), IfMissing::Create).unwrap();
        let mut manifest = folder.bookkeeping().unwrap().create("manifest.jsonl").unwrap();
        manifest.write_all(b"{}\n").unwrap();
        Self { temporary, folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.temporary.path().join("saved").join(name)
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.temporary.path().join("outside").join(name)
    }

    fn file(&self, name: &str) -> DirFile {
        self.folder.file(name).unwrap()
    }

    /// What stands outside and in the bookkeeping.
    fn untouchable(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        take_down(self.temporary.path(), &mut all);
        all.retain(|path, _| {
            !path.starts_with(self.at("")) || path.starts_with(self.at(BOOKKEEPING))
        });
        all
    }

    fn files(&self) -> Vec<(String, u64)> {
        let files = self.folder.files().unwrap();
        files.map(|listed| listed.map(|listed| (listed.name, listed.bytes)).unwrap()).collect()
    }
}

fn take_down(folder: &Path, all: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        let mut text = format!("{kind:?}");
        if kind.is_file() {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
        if kind.is_dir() {
            take_down(&path, all);
        }
        all.insert(path, text);
    }
}

fn write(file: &DirFile, text: &str) {
    file.create_part().unwrap().write_all(text.as_bytes()).unwrap();
}

fn pipe(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[test]
fn a_missing_folder_is_made_with_those_above_it_or_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("a/b/c");
    let refused = SaveDir::open(&path, IfMissing::Refuse).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    SaveDir::open(&path, IfMissing::Create).unwrap();
    SaveDir::open(&path, IfMissing::Create).unwrap();
    SaveDir::open(&path, IfMissing::Refuse).unwrap();
}

#[test]
fn a_file_is_not_a_folder_to_save_to() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(SaveDir::open(file.path(), IfMissing::Create).is_err());
    assert!(SaveDir::open(file.path(), IfMissing::Refuse).is_err());
}

#[test]
fn a_part_gets_its_final_name_whole() {
    let dir = HostileDir::new();
    for name in ["flat.html", "host/path/deep.html", ".hidden", "a b\u{e9}\n", "..."] {
        let file = dir.file(name);
        assert_eq!(file.kind().unwrap(), FileKind::Nothing);
        assert_eq!(file.part_kind().unwrap(), FileKind::Nothing);
        write(&file, "body");
        assert_eq!(file.kind().unwrap(), FileKind::Nothing);
        assert!(matches!(file.part_kind().unwrap(), FileKind::File { bytes: 4, .. }));
        assert_eq!(file.place(OverwriteRule::Nothing).unwrap(), PlaceResult::Done);
        assert_eq!(file.part_kind().unwrap(), FileKind::Nothing);
        assert_eq!(fs::read_to_string(dir.at(name)).unwrap(), "body");
        file.sync_folder().unwrap();
    }
}

#[test]
fn a_name_that_is_taken_is_told_and_nothing_is_lost() {
    let dir = HostileDir::new();
    for (name, way) in [("a", 0), ("b", 1), ("c", 2)] {
        fs::write(dir.at(name), "theirs").unwrap();
        let file = dir.file(name);
        write(&file, "ours");
        let taken = match way {
            0 => file.place(OverwriteRule::Nothing).unwrap() == PlaceResult::Taken,
            1 => file.link().unwrap_err().kind() == ErrorKind::AlreadyExists,
            _ => file.look_and_rename().unwrap_err().kind() == ErrorKind::AlreadyExists,
        };
        assert!(taken, "{name}");
        assert_eq!(fs::read_to_string(dir.at(name)).unwrap(), "theirs");
        assert_eq!(fs::read_to_string(dir.at(&format!("{name}.part"))).unwrap(), "ours");
        assert_eq!(file.place(OverwriteRule::File).unwrap(), PlaceResult::Done);
        assert_eq!(fs::read_to_string(dir.at(name)).unwrap(), "ours");
    }
}

#[test]
fn the_ways_of_poorer_file_systems_place_too() {
    let dir = HostileDir::new();
    for (name, way) in [("a", DirFile::link as fn(&DirFile) -> _), ("b", DirFile::look_and_rename)]
    {
        let file = dir.file(name);
        write(&file, "body");
        way(&file).unwrap();
        assert_eq!(fs::read_to_string(dir.at(name)).unwrap(), "body");
        assert_eq!(fs::metadata(dir.at(name)).unwrap().nlink(), 1);
        assert_eq!(file.part_kind().unwrap(), FileKind::Nothing);
    }
}

#[test]
fn a_folder_is_never_replaced() {
    let dir = HostileDir::new();
    fs::create_dir(dir.at("a")).unwrap();
    let file = dir.file("a");
    write(&file, "body");
    assert_eq!(file.kind().unwrap(), FileKind::Other);
    assert_eq!(file.place(OverwriteRule::Nothing).unwrap(), PlaceResult::Taken);
    assert_eq!(file.place(OverwriteRule::File).unwrap(), PlaceResult::Taken);
    assert!(dir.at("a").is_dir());
}

#[test]
fn placing_without_a_part_is_an_error() {
    let dir = HostileDir::new();
    for over in [OverwriteRule::Nothing, OverwriteRule::File] {
        let error = dir.file("a").place(over).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

#[test]
fn names_that_are_none_are_refused_and_make_nothing() {
    let dir = HostileDir::new();
    let before = dir.untouchable();
    let names = [
        "",
        ".",
        "..",
        "/",
        "/etc/passwd",
        "../outside/secret",
        "a/../../outside/secret",
        "a/..",
        "a/.",
        "./a",
        "a//b",
        "a/",
        "/a",
        "a\0b",
        "a/b\0",
        ".fetch",
        ".fetch/manifest.jsonl",
        ".FETCH/manifest.jsonl",
        ".fetch/new/file",
    ];
    for name in names {
        let refused = dir.folder.file(name).unwrap_err();
        assert!(matches!(&refused, PathError::Name(told) if told == name), "{name}: {refused}");
    }
    assert_eq!(dir.untouchable(), before);
    assert!(!dir.at("a").exists());
    assert!(dir.folder.file("a/.fetch/b").is_ok(), "the bookkeeping is at the top only");
    assert!(dir.folder.file(".fetch2").is_ok());
}

#[test]
fn no_symbolic_link_is_followed_to_a_folder() {
    let dir = HostileDir::new();
    symlink(dir.outside(""), dir.at("out")).unwrap();
    symlink("..", dir.at("up")).unwrap();
    symlink("nowhere", dir.at("dangling")).unwrap();
    fs::create_dir(dir.at("real")).unwrap();
    symlink("real", dir.at("within")).unwrap();
    symlink(dir.outside(""), dir.at("real/out")).unwrap();
    let before = dir.untouchable();
    let names =
        ["out/x", "out/below/x", "up/outside/x", "dangling/x", "within/x", "real/out/below/x"];
    for name in names {
        let refused = dir.folder.file(name).unwrap_err();
        assert!(matches!(refused, PathError::Outside(_)), "{name}: {refused}");
    }
    let refused = dir.folder.file("real/out/below/x").unwrap_err();
    assert_eq!(refused.to_string(), r#"refusing to follow the symbolic link "real/out""#);
    assert_eq!(dir.untouchable(), before);
}

#[test]
fn a_file_where_a_folder_should_be_is_told() {
    let dir = HostileDir::new();
    fs::write(dir.at("a"), "").unwrap();
    pipe(&dir.at("pipe"));
    for name in ["a/b", "pipe/b"] {
        assert!(matches!(dir.folder.file(name), Err(PathError::Taken(_))), "{name}");
    }
    let long = "x".repeat(300);
    assert!(matches!(dir.folder.file(&format!("{long}/a")), Err(PathError::Disk(..))));
}

#[test]
fn a_final_name_that_is_a_symbolic_link_is_replaced_and_not_followed() {
    let dir = HostileDir::new();
    symlink(dir.outside("secret"), dir.at("a")).unwrap();
    let file = dir.file("a");
    assert_eq!(file.kind().unwrap(), FileKind::Other);
    write(&file, "body");
    assert_eq!(file.place(OverwriteRule::Nothing).unwrap(), PlaceResult::Taken);
    assert_eq!(file.place(OverwriteRule::File).unwrap(), PlaceResult::Done);
    assert!(fs::symlink_metadata(dir.at("a")).unwrap().is_file());
    assert_eq!(fs::read_to_string(dir.outside("secret")).unwrap(), "secret");
}

#[test]
fn a_part_that_is_no_file_is_neither_continued_nor_written_through() {
    let dir = HostileDir::new();
    symlink(dir.outside("secret"), dir.at("link.part")).unwrap();
    symlink(dir.outside("new"), dir.at("dangling.part")).unwrap();
    pipe(&dir.at("pipe.part"));
    fs::create_dir(dir.at("folder.part")).unwrap();
    let before = dir.untouchable();
    for name in ["link", "dangling", "pipe", "folder"] {
        let file = dir.file(name);
        assert_eq!(file.part_kind().unwrap(), FileKind::Other, "{name}");
        assert!(file.reopen_part(0).unwrap().is_none(), "{name}");
        assert_eq!(file.create_part().unwrap_err().kind(), ErrorKind::AlreadyExists, "{name}");
    }
    assert_eq!(dir.untouchable(), before);
}

#[test]
fn a_part_with_another_name_is_not_continued_and_its_other_name_keeps_what_it_has() {
    let dir = HostileDir::new();
    fs::hard_link(dir.outside("secret"), dir.at("a.part")).unwrap();
    let file = dir.file("a");
    assert!(file.reopen_part(0).unwrap().is_none());
    write(&file, "body");
    assert_eq!(fs::read_to_string(dir.outside("secret")).unwrap(), "secret");
    assert_eq!(fs::read_to_string(dir.at("a.part")).unwrap(), "body");
}

#[test]
fn a_leftover_part_is_replaced_and_not_changed() {
    let dir = HostileDir::new();
    let file = dir.file("a");
    write(&file, "a long one");
    let mut old = File::open(dir.at("a.part")).unwrap();
    write(&file, "new");
    assert_eq!(fs::read_to_string(dir.at("a.part")).unwrap(), "new");
    let mut text = String::new();
    old.read_to_string(&mut text).unwrap();
    assert_eq!(text, "a long one");
}

#[test]
fn a_part_is_continued_at_its_end_if_it_is_long_enough() {
    let dir = HostileDir::new();
    let file = dir.file("a");
    assert!(file.reopen_part(0).unwrap().is_none(), "there is none");
    write(&file, "one ");
    assert!(file.reopen_part(5).unwrap().is_none(), "it is shorter");
    let mut part = file.reopen_part(4).unwrap().unwrap();
    part.write_all(b"two").unwrap();
    assert_eq!(fs::read_to_string(dir.at("a.part")).unwrap(), "one two");
    let mut text = String::new();
    part.rewind().unwrap();
    part.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one two", "what is there can be read");
    part.cut(3).unwrap();
    part.write_all(b"!").unwrap();
    assert_eq!(fs::read_to_string(dir.at("a.part")).unwrap(), "one!");
}

#[test]
fn a_part_is_removed_once_and_that_there_is_none_is_fine() {
    let dir = HostileDir::new();
    let file = dir.file("a");
    write(&file, "body");
    file.remove_part().unwrap();
    assert_eq!(file.part_kind().unwrap(), FileKind::Nothing);
    file.remove_part().unwrap();
    fs::create_dir(dir.at("a.part")).unwrap();
    assert!(file.remove_part().is_err());
}

#[test]
fn a_part_is_moved_to_another_place_and_replaces_what_is_left_over_there() {
    let dir = HostileDir::new();
    for name in ["x/a", "x/b"] {
        write(&dir.file(name), name);
    }
    let moved = dir.file("x/a").move_part_to("x/b").unwrap();
    assert_eq!(dir.file("x/a").part_kind().unwrap(), FileKind::Nothing);
    assert_eq!(moved.place(OverwriteRule::Nothing).unwrap(), PlaceResult::Done);
    assert_eq!(fs::read_to_string(dir.at("x/b")).unwrap(), "x/a");
    assert_eq!(dir.files(), [("x/b".to_owned(), 3)]);
    assert!(dir.file("x/a").move_part_to("x/c").is_err(), "there is none");
}

#[test]
fn a_part_is_not_moved_to_where_something_else_than_a_file_is_and_that_is_not_cleared() {
    let dir = HostileDir::new();
    symlink(dir.outside("secret"), dir.at("link.part")).unwrap();
    fs::create_dir(dir.at("folder.part")).unwrap();
    let file = dir.file("a");
    write(&file, "body");
    for name in ["link", "folder"] {
        assert_eq!(file.move_part_to(name).unwrap_err().kind(), ErrorKind::AlreadyExists, "{name}");
        dir.file(name).clear_part().unwrap();
        assert_eq!(dir.file(name).part_kind().unwrap(), FileKind::Other, "{name}");
    }
    assert!(matches!(file.part_kind().unwrap(), FileKind::File { bytes: 4, .. }));
    file.clear_part().unwrap();
    assert_eq!(file.part_kind().unwrap(), FileKind::Nothing);
}

#[test]
fn a_part_that_has_its_final_name_too_is_known() {
    let dir = HostileDir::new();
    let file = dir.file("a");
    write(&file, "body");
    assert!(!file.has_both_names().unwrap());
    fs::write(dir.at("a"), "body").unwrap();
    assert!(!file.has_both_names().unwrap(), "equal is not the same");
    fs::remove_file(dir.at("a")).unwrap();
    fs::hard_link(dir.at("a.part"), dir.at("a")).unwrap();
    assert!(file.has_both_names().unwrap());
}

#[test]
fn room_is_taken_without_making_the_file_longer() {
    let dir = HostileDir::new();
    let file = dir.file("a");
    let mut part = file.create_part().unwrap();
    part.reserve(0).unwrap();
    part.reserve(1 << 20).unwrap();
    part.write_all(b"body").unwrap();
    part.sync().unwrap();
    assert!(matches!(file.part_kind().unwrap(), FileKind::File { bytes: 4, .. }));
}

#[test]
fn several_pieces_are_written_with_one_call() {
    let dir = HostileDir::new();
    let mut part = dir.file("a").create_part().unwrap();
    let pieces = [IoSlice::new(b"bo"), IoSlice::new(b"dy")];
    assert_eq!(part.write_vectored(&pieces).unwrap(), 4);
}

#[test]
fn the_time_of_the_last_change_is_kept() {
    let dir = HostileDir::new();
    let file = dir.file("a");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let mut part = file.create_part().unwrap();
    part.write_all(b"body").unwrap();
    part.set_modified(time).unwrap();
    drop(part);
    file.place(OverwriteRule::Nothing).unwrap();
    assert_eq!(file.kind().unwrap(), FileKind::File { bytes: 4, modified: Some(time) });
}

#[test]
fn work_goes_on_in_the_opened_folder_when_a_link_takes_its_place() {
    let dir = HostileDir::new();
    let moved = dir.temporary.path().join("moved");
    fs::rename(dir.at(""), &moved).unwrap();
    symlink(dir.outside(""), dir.temporary.path().join("saved")).unwrap();
    for name in ["a", "b/c"] {
        let file = dir.file(name);
        write(&file, "body");
        file.place(OverwriteRule::File).unwrap();
        file.sync_folder().unwrap();
        assert_eq!(fs::read_to_string(moved.join(name)).unwrap(), "body");
    }
    assert_eq!(fs::read_dir(dir.outside("")).unwrap().count(), 2);
}

#[test]
fn a_folder_that_a_link_replaces_after_it_was_opened_is_still_the_one_written_to() {
    let dir = HostileDir::new();
    let before = dir.untouchable();
    let file = dir.file("a/b");
    fs::rename(dir.at("a"), dir.at("c")).unwrap();
    symlink(dir.outside(""), dir.at("a")).unwrap();
    write(&file, "body");
    file.place(OverwriteRule::File).unwrap();
    assert_eq!(fs::read_to_string(dir.at("c/b")).unwrap(), "body");
    assert_eq!(dir.untouchable(), before);
}

#[test]
fn bookkeeping_that_is_a_symbolic_link_or_a_file_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = SaveDir::open(temporary.path(), IfMissing::Refuse).unwrap();
    let path = temporary.path().join(BOOKKEEPING);
    fs::create_dir(temporary.path().join("other")).unwrap();
    symlink("other", &path).unwrap();
    assert!(folder.bookkeeping().is_err());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    assert!(folder.bookkeeping().is_err());
    fs::remove_file(&path).unwrap();
    folder.bookkeeping().unwrap();
    folder.bookkeeping().unwrap();
}

#[test]
fn bookkeeping_is_known_under_another_name_too() {
    let dir = HostileDir::new();
    fs::rename(dir.at(BOOKKEEPING), dir.at("FETCH~1")).unwrap();
    assert!(matches!(dir.folder.file("FETCH~1/manifest.jsonl"), Err(PathError::Name(_))));
}

#[test]
fn files_are_listed_in_order_without_links_and_bookkeeping() {
    let dir = HostileDir::new();
    for name in ["b", "a/z", "a/b/c", "a.txt", "B", "a/.fetch"] {
        let path = dir.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    symlink(dir.outside(""), dir.at("out")).unwrap();
    symlink(dir.outside("secret"), dir.at("secret")).unwrap();
    pipe(&dir.at("pipe"));
    fs::create_dir(dir.at("empty")).unwrap();
    let expected = ["B", "a/.fetch", "a/b/c", "a/z", "a.txt", "b"];
    assert_eq!(dir.files(), expected.map(|name| (name.to_owned(), name.len() as u64)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf8_is_listed_as_well_as_it_can_be() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let dir = HostileDir::new();
    let folder = dir.at("").join(OsStr::from_bytes(b"a\xff"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(OsStr::from_bytes(b"\xfeb")), "body").unwrap();
    assert_eq!(dir.files(), [("a\u{fffd}/\u{fffd}b".to_owned(), 4)]);
}

#[test]
fn what_goes_away_while_files_are_listed_is_passed_over() {
    let dir = HostileDir::new();
    for name in ["a", "b", "c"] {
        fs::write(dir.at(name), "").unwrap();
    }
    let mut files = dir.folder.files().unwrap();
    assert_eq!(files.next().unwrap().unwrap().name, "a");
    fs::remove_file(dir.at("b")).unwrap();
    assert_eq!(files.next().unwrap().unwrap().name, "c");
    assert!(files.next().is_none());
}

#[test]
fn a_full_disk_is_told_from_other_troubles() {
    use rustix::io::Errno;

    for (error, full) in
        [(Errno::NOSPC, true), (Errno::DQUOT, true), (Errno::FBIG, false), (Errno::ACCESS, false)]
    {
        assert_eq!(is_full(&error.into()), full, "{error:?}");
    }
    assert!(HostileDir::new().folder.free().unwrap() > 0);
}

#[cfg(target_os = "linux")]
#[test]
fn writing_to_a_device_that_is_full_says_so() {
    let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert!(is_full(&full.write_all(b"x").unwrap_err()));
}

#[test]
fn a_folder_that_several_need_at_once_is_there_for_each() {
    let dir = HostileDir::new();
    let folder = &dir.folder;
    std::thread::scope(|scope| {
        let seats =
            ["x/y/1", "x/y/2", "x/y/3", "x/y/4"].map(|name| scope.spawn(|| folder.file(name)));
        assert!(seats.into_iter().all(|file| file.join().unwrap().is_ok()));
    });
}

/// Components that mean something to a file system or to the dir below, and some that do not.
fn component() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "",
        ".",
        "..",
        "...",
        "\0",
        "\\",
        ".fetch",
        ".FETCH",
        "manifest.jsonl",
        "out",
        "up",
        "in",
        "real",
        "secret",
        "hard",
        "pipe",
        "outside",
        "saved",
        "below",
        "a",
        "a.part",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => ".{0,8}"]
}

fn hostile_house() -> HostileDir {
    let dir = HostileDir::new();
    symlink(dir.outside(""), dir.at("out")).unwrap();
    symlink("..", dir.at("up")).unwrap();
    symlink("real", dir.at("in")).unwrap();
    symlink(BOOKKEEPING, dir.at("a")).unwrap();
    fs::create_dir(dir.at("real")).unwrap();
    symlink(dir.outside("below"), dir.at("real/below")).unwrap();
    symlink(dir.outside("secret"), dir.at("secret")).unwrap();
    symlink(dir.outside("secret"), dir.at("secret.part")).unwrap();
    symlink(dir.outside("new"), dir.at("real/a.part")).unwrap();
    fs::hard_link(dir.outside("secret"), dir.at("hard.part")).unwrap();
    pipe(&dir.at("pipe.part"));
    dir
}

proptest! {
    #[test]
    fn whatever_the_names_nothing_outside_and_no_bookkeeping_changes(
        names in prop::collection::vec(prop::collection::vec(component(), 1..5), 1..6),
        anything in any::<bool>(),
    ) {
        let dir = hostile_house();
        let before = dir.untouchable();
        let over = if anything { OverwriteRule::File } else { OverwriteRule::Nothing };
        for name in names {
            let name = name.join("/");
            let Ok(file) = dir.folder.file(&name) else { continue };
            if let Ok(Some(mut part)) = file.reopen_part(0) {
                part.write_all(b"more").unwrap();
            }
            let Ok(mut part) = file.create_part() else { continue };
            part.write_all(name.as_bytes()).unwrap();
            if let Ok(PlaceResult::Done) = file.place(over) {
                prop_assert_eq!(fs::read(dir.at(&name)).unwrap(), name.as_bytes());
            }
        }
        prop_assert_eq!(dir.untouchable(), before);
        for listed in dir.folder.files().unwrap() {
            prop_assert!(listed.is_ok());
        }
    }
}

#[test]
fn only_a_regular_file_is_opened_to_be_read_and_no_link_is_followed() {
    let dir = HostileDir::new();
    fs::write(dir.at("a"), "whole").unwrap();
    fs::write(dir.at("a.part"), "begun").unwrap();
    let read = |file: std::io::Result<File>| std::io::read_to_string(file?);
    assert_eq!(read(dir.file("a").open_file()).unwrap(), "whole");
    assert_eq!(read(dir.file("a").open_part()).unwrap(), "begun");
    for name in ["link", "link.part"] {
        symlink(dir.outside("secret"), dir.at(name)).unwrap();
    }
    for name in ["pipe", "pipe.part"] {
        pipe(&dir.at(name));
    }
    fs::create_dir(dir.at("folder")).unwrap();
    for name in ["link", "pipe", "folder", "none"] {
        assert!(dir.file(name).open_file().is_err(), "{name}");
        assert!(dir.file(name).open_part().is_err(), "{name}");
    }
}
