//! Packs: files or objects made of members one after another, ended by the manifest and a trailer. A pack may be cut
//! between members into volumes.

mod reader;
mod trailer;
mod volume;
mod writer;

pub(crate) use reader::read_whole;
pub use reader::{OpenPack, PackError, open_pack, read_member};
pub use trailer::{TRAILER_BYTES_MAX, Trailer, TrailerError};
pub(crate) use volume::volume_name;
pub use volume::{VOLUMES_MAX, VolumeName};
pub use writer::{FinishedPack, PackWriter, WritePackError};
