//! Reading packs from start to end, once, while threads check their members.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use backstay_core::manifest::{Manifest, Member, MemberContent, Span};
use backstay_core::repository::BackupReader;
use backstay_core::seal::SealMethod;
use backstay_core::store::{Error, Store};
use backstay_core::{MEMBER_TEXT_BYTES_MAX, Sha256Digest, Sha256Hasher, decode_member};

use super::large_objects::LargeObjectSum;
use super::{PackState, member_name, text};
use crate::error::VerifyError;
use crate::finding::{Finding, Findings};
use crate::observer::VerifyObserver;
use crate::options::Level;

/// The longest member that is held in memory: text of the longest that there is, which the codecs make a little longer
/// at most (gzip by 5 bytes in 5,000, zstd by 3 in 128 KiB).
const MEMBER_STORED_BYTES_MAX: u64 = MEMBER_TEXT_BYTES_MAX + MEMBER_TEXT_BYTES_MAX / 256;

const BUFFER_BYTES: usize = 256 << 10;

/// One pass over all packs of a backup.
pub(super) struct Scan<'a> {
    backup: &'a BackupReader,
    level: Level,
    findings: &'a Findings,
    observer: &'a dyn VerifyObserver,
    cancel: &'a (dyn Fn() -> bool + Sync),
    /// The entries whose SQL stands in a member, by the index of the member.
    spans: HashMap<u32, Vec<(usize, Span)>>,
    large_objects: Mutex<LargeObjectSum>,
    bytes_total: u64,
    bytes_done: AtomicU64,
    members: AtomicU64,
    rows: AtomicU64,
}

/// What a pass found, besides findings.
#[derive(Debug)]
pub(super) struct Scanned {
    /// The digest of each pack that was read to its end.
    pub(super) digests: Vec<Option<Sha256Digest>>,
    pub(super) members: u64,
    pub(super) rows: u64,
    pub(super) bytes_read: u64,
}

/// A member that was read and is to be checked.
struct Job {
    index: usize,
    stored: Vec<u8>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        backup: &'a BackupReader,
        level: Level,
        findings: &'a Findings,
        observer: &'a dyn VerifyObserver,
        cancel: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        let mut spans: HashMap<u32, Vec<(usize, Span)>> = HashMap::new();
        for (index, entry) in backup.manifest().entries.iter().enumerate() {
            let all = [entry.definition, entry.owner_statement, entry.access_method_statement];
            for span in all.into_iter().flatten() {
                spans.entry(span.member).or_default().push((index, span));
            }
        }
        Self {
            backup,
            level,
            findings,
            observer,
            cancel,
            spans,
            large_objects: Mutex::default(),
            bytes_total: 0,
            bytes_done: AtomicU64::new(0),
            members: AtomicU64::new(0),
            rows: AtomicU64::new(0),
        }
    }

    /// Reads the packs on this thread and checks members on `jobs` others. At most twice as many members as threads are
    /// in memory, half of them with their text.
    pub(super) fn run(mut self, packs: &[PackState], jobs: usize) -> Result<Scanned, VerifyError> {
        // What is sealed is read twice: as it is stored, and as what is in it.
        let times = if self.backup.is_sealed() { 2 } else { 1 };
        self.bytes_total = packs.iter().filter_map(|pack| pack.bytes).sum::<u64>() * times;
        self.advance(0);
        let (sender, receiver) = sync_channel(jobs);
        let receiver = Arc::new(Mutex::new(receiver));
        let this = &self;
        let digests: Vec<Option<Sha256Digest>> = thread::scope(|scope| {
            // Both ends go when nobody holds them any more, so that neither side waits for one that is gone.
            let (sender, receiver) = (sender, receiver);
            for _ in 0..jobs {
                let receiver = Arc::clone(&receiver);
                thread::Builder::new()
                    .name("backstay-verify".to_owned())
                    .spawn_scoped(scope, move || this.work(&receiver))
                    .map_err(VerifyError::Thread)?;
            }
            drop(receiver);
            packs
                .iter()
                .map(|pack| this.read_pack(pack, &sender))
                .collect::<Result<_, _>>()
        })?;
        if (self.cancel)() {
            return Err(VerifyError::Cancelled);
        }
        let members = self.members.into_inner();
        let manifest = self.backup.manifest();
        if self.level >= Level::Standard {
            let sum = self.large_objects.into_inner().unwrap_or_else(PoisonError::into_inner);
            self.findings.extend(sum.check(manifest));
        }
        Ok(Scanned {
            digests,
            members,
            rows: self.rows.into_inner(),
            bytes_read: self.bytes_done.into_inner(),
        })
    }

    /// Checks members until none comes.
    fn work(&self, jobs: &Mutex<Receiver<Job>>) {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Job { index, stored }) = job else { return };
            if !(self.cancel)() {
                self.check_member(index, &stored);
                self.advance(stored.len() as u64);
            }
        }
    }

    fn check_member(&self, index: usize, stored: &[u8]) {
        self.members.fetch_add(1, Ordering::Relaxed);
        let manifest = self.backup.manifest();
        let member = &manifest.members[index];
        let found = manifest.member_digest(stored);
        if found != member.sha256 {
            self.findings.add(
                self.finding("member-digest", index, "its bytes are not those that were written")
                    .with("expected", member.sha256)
                    .with("found", found),
            );
            return;
        }
        if self.level < Level::Standard {
            return;
        }
        let text = match decode_member(manifest.codec, stored, member.text_bytes) {
            Ok(text) => text,
            Err(error) => {
                let finding = self.finding("member-text", index, "it does not decompress to its text");
                self.findings.add(finding.because(&error));
                return;
            }
        };
        let spans = u32::try_from(index).ok().and_then(|index| self.spans.get(&index));
        let checked = text::check(manifest, index, &text, spans.map_or(&[][..], Vec::as_slice));
        self.rows.fetch_add(checked.rows, Ordering::Relaxed);
        self.findings.extend(checked.findings);
        if member.content == MemberContent::LargeObjects {
            let sum = LargeObjectSum::of(&text, manifest.row_hasher());
            self.large_objects
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .merge(sum);
        }
    }

    /// Reads a pack and hands its members out; gives its digest if it could be read to the end.
    fn read_pack(&self, pack: &PackState, jobs: &SyncSender<Job>) -> Result<Option<Sha256Digest>, VerifyError> {
        let Some(bytes) = pack.bytes else { return Ok(None) };
        let mut members: Vec<(usize, &Member)> = self
            .manifest()
            .members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.pack as usize == pack.index)
            .collect();
        members.sort_by_key(|(index, member)| (member.offset, *index));
        let mut stream = match self.backup.clear_store().read(&pack.key, None) {
            Ok(reader) => Some(PackStream::new(reader)),
            Err(error) => {
                self.pack_unreadable(pack, &error);
                None
            }
        };
        for (index, member) in members {
            if (self.cancel)() {
                return Err(VerifyError::Cancelled);
            }
            let end = member.offset.saturating_add(member.stored_bytes);
            if end > bytes {
                self.findings
                    .add(self.finding("member-missing", index, "the pack ends before it does"));
                continue;
            }
            if member.stored_bytes > MEMBER_STORED_BYTES_MAX {
                self.findings
                    .add(self.finding("member-size", index, "it is longer than any member may be"));
                continue;
            }
            let stored = match self.next_member(pack, &mut stream, member) {
                Ok(stored) => stored,
                Err(error) => {
                    let finding = self.finding("member-read", index, "it cannot be read");
                    self.findings.add(finding.because(&error));
                    continue;
                }
            };
            // Nobody takes it only where every thread has panicked, which the end of the scope makes known.
            drop(jobs.send(Job { index, stored }));
        }
        let Some(mut stream) = stream else { return Ok(None) };
        let rest = stream.skip_to(u64::MAX, &mut |bytes| {
            self.advance(bytes);
            (self.cancel)()
        });
        match rest {
            Ok(()) if (self.cancel)() => Err(VerifyError::Cancelled),
            // What was hashed is what is in it, and its digest is that of what is stored.
            Ok(()) if SealMethod::of_name(pack.key.as_str()).is_some() => self.stored_digest(pack),
            Ok(()) => Ok(Some(stream.hasher.finish())),
            Err(error) => {
                self.pack_unreadable(pack, &Error::io("read", pack.key.as_str(), error));
                Ok(None)
            }
        }
    }

    /// Reads a pack as it is stored, and gives its digest if it could be read to the end.
    fn stored_digest(&self, pack: &PackState) -> Result<Option<Sha256Digest>, VerifyError> {
        digest_of(&**self.backup.store(), pack, self.findings, &|bytes| {
            self.advance(bytes);
            (self.cancel)()
        })
    }

    /// Takes a member out of the stream; where the stream has failed or is already behind it, reads it by itself.
    fn next_member(
        &self,
        pack: &PackState,
        stream: &mut Option<PackStream>,
        member: &Member,
    ) -> Result<Vec<u8>, Error> {
        let io_error = |error| Error::io("read", pack.key.as_str(), error);
        if let Some(open) = stream.as_mut().filter(|open| open.position <= member.offset) {
            let skipped = open.skip_to(member.offset, &mut |bytes| {
                self.advance(bytes);
                (self.cancel)()
            });
            match skipped.and_then(|()| open.take(member.stored_bytes)) {
                Ok(stored) => return Ok(stored),
                Err(error) => {
                    self.pack_unreadable(pack, &io_error(error));
                    *stream = None;
                }
            }
        }
        let range = member.offset..member.offset.saturating_add(member.stored_bytes);
        let reader = self.backup.clear_store().read(&pack.key, Some(range))?;
        PackStream::new(reader).take(member.stored_bytes).map_err(io_error)
    }

    fn pack_unreadable(&self, pack: &PackState, error: &Error) {
        pack_unreadable(pack, error, self.findings);
    }

    fn finding(&self, rule: &'static str, index: usize, message: &str) -> Finding {
        Finding::error(rule, member_name(self.manifest(), index), message).at(index)
    }

    fn manifest(&self) -> &Manifest {
        self.backup.manifest()
    }

    fn advance(&self, bytes: u64) {
        let done = self.bytes_done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // Members that overlap are read twice.
        self.observer.progress(done.min(self.bytes_total), self.bytes_total);
    }
}

fn pack_unreadable(pack: &PackState, error: &Error, findings: &Findings) {
    let message = "the pack cannot be read from start to end, so its digest is not known";
    let finding = Finding::error("pack-read", &pack.key, message);
    findings.add(finding.because(error).at(pack.index));
}

/// Reads a pack as it is stored, and gives its digest if it could be read to the end. `advance` is told after each piece
/// how long it was, and gives `true` to stop.
pub(super) fn digest_of(
    store: &dyn Store,
    pack: &PackState,
    findings: &Findings,
    advance: &dyn Fn(u64) -> bool,
) -> Result<Option<Sha256Digest>, VerifyError> {
    let mut stream = match store.read(&pack.key, None) {
        Ok(reader) => PackStream::new(reader),
        Err(error) => {
            pack_unreadable(pack, &error, findings);
            return Ok(None);
        }
    };
    let mut is_stopped = false;
    let read = stream.skip_to(u64::MAX, &mut |bytes| {
        is_stopped = advance(bytes);
        is_stopped
    });
    match read {
        Ok(()) if is_stopped => Err(VerifyError::Cancelled),
        Ok(()) => Ok(Some(stream.hasher.finish())),
        Err(error) => {
            pack_unreadable(pack, &Error::io("read", pack.key.as_str(), error), findings);
            Ok(None)
        }
    }
}

/// A pack that is read from its start, and hashed.
struct PackStream {
    reader: Box<dyn Read + Send>,
    hasher: Sha256Hasher,
    position: u64,
    buffer: Vec<u8>,
}

impl PackStream {
    fn new(reader: Box<dyn Read + Send>) -> Self {
        Self {
            reader,
            hasher: Sha256Hasher::new(),
            position: 0,
            buffer: Vec::new(),
        }
    }

    /// Reads up to `offset` or the end, and tells after each piece how long it was; stops where that gives `true`.
    fn skip_to(&mut self, offset: u64, stop: &mut dyn FnMut(u64) -> bool) -> io::Result<()> {
        self.buffer.resize(BUFFER_BYTES, 0);
        while self.position < offset {
            let wanted = usize::try_from(offset - self.position)
                .unwrap_or(BUFFER_BYTES)
                .min(BUFFER_BYTES);
            match self.reader.read(&mut self.buffer[..wanted]) {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    self.hasher.update(&self.buffer[..length]);
                    self.position += length as u64;
                    if stop(length as u64) {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads exactly so many bytes; memory grows with what arrives.
    fn take(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(length.min(16 << 20)).unwrap_or(0));
        self.reader.by_ref().take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hasher.update(&bytes);
        self.position += length;
        Ok(bytes)
    }
}
