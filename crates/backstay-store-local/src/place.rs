use std::fs::File;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::folder::{Folder, Found};

/// Gives a temporary file its final name, and takes the temporary one; never replaces anything.
///
/// A plain `rename` would replace, so where the operating system or the file system has no rename without replacing
/// (`renameat2` with `RENAME_NOREPLACE`, `renameatx_np` with `RENAME_EXCL`), it takes a hard link and an unlink. A crash
/// between the two leaves the object whole and its temporary name as a leftover.
///
/// `EXIST` says that something else has the final name. A network file system may answer so to a call that it carried
/// out and whose first answer was lost; that is told apart by the identity of the file.
pub(crate) fn place(folder: &Folder, file: &File, temporary: &str, name: &str) -> Result<(), Errno> {
    let placed = match rename(folder, temporary, name) {
        Err(errno) if lacks_rename(errno) => return link(folder, file, temporary, name),
        placed => placed,
    };
    match placed {
        Err(Errno::EXIST | Errno::NOENT) if is_placed(folder, file, name) => Ok(()),
        placed => placed,
    }
}

/// The second way of [`place`].
fn link(folder: &Folder, file: &File, temporary: &str, name: &str) -> Result<(), Errno> {
    match rustix::fs::linkat(folder.file(), temporary, folder.file(), name, AtFlags::empty()) {
        Err(Errno::EXIST) if is_placed(folder, file, name) => {}
        linked => linked?,
    }
    // The object is published by now; a temporary name that could not be removed is a leftover and no failure.
    let _ = folder.unlink(temporary);
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename(folder: &Folder, temporary: &str, name: &str) -> Result<(), Errno> {
    use rustix::fs::RenameFlags;
    rustix::fs::renameat_with(folder.file(), temporary, folder.file(), name, RenameFlags::NOREPLACE)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename(_folder: &Folder, _temporary: &str, _name: &str) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

fn lacks_rename(errno: Errno) -> bool {
    // `EINVAL` is the answer of a Linux file system that does not know the flag.
    [Errno::NOSYS, Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP].contains(&errno)
}

fn is_placed(folder: &Folder, file: &File, name: &str) -> bool {
    let (Ok(there), Ok(ours)) = (folder.look_at(name), Found::of(file)) else {
        return false;
    };
    there.identity == ours.identity
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::sync::Arc;

    use super::{Errno, File, Folder, is_placed, link, place, rename};

    type Place = fn(&Folder, &File, &str, &str) -> Result<(), Errno>;
    const WAYS: [(&str, Place); 2] = [("place", place), ("link", link)];

    fn folder() -> (tempfile::TempDir, Folder) {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::new(Arc::new(File::open(path.path()).unwrap()));
        (path, folder)
    }

    fn write(folder: &Folder, name: &str, text: &str) -> File {
        let mut file = folder.create_file(name).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn names(path: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(path).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn gives_the_final_name_and_takes_the_temporary_one() {
        for (way, place) in WAYS {
            let (path, folder) = folder();
            let file = write(&folder, "t", "new");
            place(&folder, &file, "t", "final").unwrap();
            assert_eq!(names(&path), ["final"], "{way}");
            assert!(is_placed(&folder, &file, "final"), "{way}");
        }
    }

    #[test]
    fn never_replaces() {
        for (way, place) in WAYS {
            let (path, folder) = folder();
            write(&folder, "final", "old");
            let file = write(&folder, "t", "new");
            assert_eq!(place(&folder, &file, "t", "final"), Err(Errno::EXIST), "{way}");
            assert_eq!(names(&path), ["final", "t"], "{way}");
            assert_eq!(fs::read(path.path().join("final")).unwrap(), b"old", "{way}");
        }
    }

    #[test]
    fn one_of_many_wins() {
        for (way, place) in WAYS {
            let (path, folder) = folder();
            for round in 0..50 {
                let name = format!("final{round}");
                let wins = std::thread::scope(|scope| {
                    let racers: Vec<_> = (0..4)
                        .map(|racer| {
                            let (folder, name) = (&folder, &name);
                            scope.spawn(move || {
                                let temporary = format!("t{racer}");
                                let file = write(folder, &temporary, &temporary);
                                let won = place(folder, &file, &temporary, name).is_ok();
                                if !won {
                                    folder.unlink(&temporary).unwrap();
                                }
                                won
                            })
                        })
                        .collect();
                    racers
                        .into_iter()
                        .map(|racer| usize::from(racer.join().unwrap()))
                        .sum::<usize>()
                });
                assert_eq!(wins, 1, "{way}, round {round}");
            }
            assert_eq!(names(&path).len(), 50, "{way}");
        }
    }

    #[test]
    fn a_lost_answer_is_no_refusal() {
        let (path, folder) = folder();
        let file = write(&folder, "t", "new");
        fs::hard_link(path.path().join("t"), path.path().join("final")).unwrap();
        link(&folder, &file, "t", "final").unwrap();
        assert_eq!(names(&path), ["final"]);
        // The rename was carried out, and is asked for again.
        place(&folder, &file, "t", "final").unwrap();
    }

    #[test]
    fn this_machine_tests_the_first_way_too() {
        let (_path, folder) = folder();
        write(&folder, "t", "new");
        assert_eq!(rename(&folder, "t", "final"), Ok(()));
    }
}
