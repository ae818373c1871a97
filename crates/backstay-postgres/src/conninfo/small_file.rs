use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Password and service files of any sane size; a longer file is most likely another one.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a whole file of at most 1 MiB.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "the file is longer than 1 MiB",
        ));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_exact() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content = vec![b'\n'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
        std::fs::write(&path, &content[1..]).unwrap();
        assert_eq!(read(&path).unwrap().len(), content.len() - 1);
        std::fs::write(&path, &content).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
