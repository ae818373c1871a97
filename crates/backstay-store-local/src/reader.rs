use std::fs::File;
use std::io::{self, Read};

/// Gives exactly the promised number of bytes from where the file stands, or fails.
#[derive(Debug)]
pub(crate) struct RangeReader {
    file: File,
    left: u64,
}

impl RangeReader {
    pub(crate) fn new(file: File, bytes: u64) -> Self {
        Self { file, left: bytes }
    }
}

impl Read for RangeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.file.read(&mut buffer[..wanted])?;
        if count == 0 {
            // The file was cut after its length was looked up.
            let message = format!("the object ends {} bytes too early", self.left);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
