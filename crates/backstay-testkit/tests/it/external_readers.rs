//! What is written can be checked and read without Backstay.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use backstay_core::manifest::Manifest;
use backstay_core::store::{MemoryStore, Store as _};
use backstay_core::{Codec, Compression};
use backstay_testkit::fixtures::SampleBackup;

const ID: &str = "kulti_backup_20250116_143022";

/// The files of a backup in a folder of their own, with what they hold.
struct Written {
    folder: tempfile::TempDir,
    sample: SampleBackup,
    manifest: Manifest,
    pack: String,
}

fn write(codec: Codec) -> Written {
    let store = MemoryStore::new();
    let mut sample = SampleBackup::kulti(ID, Compression::new(codec));
    // A row that looks like the manifest's first line must not lead a reader astray.
    let decoy = b"-- Backstay manifest: what follows is JSON behind two dashes, cut into lines anywhere.\n--{}\n";
    sample.add_rows(7, backstay_core::manifest::Chunk::default(), decoy);
    let published = sample.publish(Arc::new(store.clone()));
    let folder = tempfile::tempdir().unwrap();
    for object in store.list("").unwrap() {
        let mut bytes = Vec::new();
        store.read(&object.key, None).unwrap().read_to_end(&mut bytes).unwrap();
        std::fs::write(folder.path().join(object.key.as_str()), bytes).unwrap();
    }
    Written {
        folder,
        sample,
        manifest: published.manifest,
        pack: published.pack.to_string(),
    }
}

/// Runs a program in a folder; Debian's package of it is named where it is missing.
#[track_caller]
fn run(folder: &Path, program: &str, package: &str, arguments: &[&str]) -> Output {
    match Command::new(program).args(arguments).current_dir(folder).output() {
        Ok(output) => output,
        Err(error) => panic!("{program} does not run ({error}): apt-get install {package}"),
    }
}

/// What the program wrote; it must have succeeded without a word of complaint.
#[track_caller]
fn output(folder: &Path, program: &str, package: &str, arguments: &[&str]) -> Vec<u8> {
    let output = run(folder, program, package, arguments);
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {complaints}");
    assert_eq!(complaints, "", "{program} {arguments:?}");
    output.stdout
}

fn unpacked(written: &Written) -> Vec<u8> {
    match written.manifest.codec {
        Codec::Gzip => output(written.folder.path(), "gunzip", "gzip", &["-c", &written.pack]),
        Codec::Zstd => output(
            written.folder.path(),
            "zstd",
            "zstd",
            &["-q", "-d", "-c", &written.pack],
        ),
    }
}

#[test]
fn gunzip_and_zstd_find_packs_whole() {
    let gzip = write(Codec::Gzip);
    output(gzip.folder.path(), "gunzip", "gzip", &["-t", &gzip.pack]);
    let zstd = write(Codec::Zstd);
    output(zstd.folder.path(), "zstd", "zstd", &["-q", "-t", &zstd.pack]);
}

#[test]
fn gunzip_and_zstd_see_a_pack_that_is_cut_or_changed() {
    for (codec, program, quiet) in [(Codec::Gzip, "gunzip", "-q"), (Codec::Zstd, "zstd", "-q")] {
        let written = write(codec);
        let path = written.folder.path().join(&written.pack);
        let bytes = std::fs::read(&path).unwrap();
        let member = &written.manifest.members[3];
        let inside = usize::try_from(member.offset + member.stored_bytes / 2).unwrap();
        let mut flipped = bytes.clone();
        flipped[inside] ^= 4;
        for damaged in [&bytes[..inside], &flipped] {
            std::fs::write(&path, damaged).unwrap();
            let output = run(written.folder.path(), program, program, &[quiet, "-t", &written.pack]);
            assert!(!output.status.success(), "{program}");
        }
    }
}

#[test]
fn a_pack_unpacks_to_its_members_in_order() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let written = write(codec);
        let text = unpacked(&written);
        let members: Vec<u8> = written
            .sample
            .members
            .iter()
            .flat_map(|(_, text)| text.clone())
            .collect();
        assert!(text.starts_with(&members), "{codec}");
        let behind = std::str::from_utf8(&text[members.len()..]).unwrap();
        assert!(
            behind.lines().all(|line| line.starts_with("--")),
            "{codec}: only comments follow"
        );
    }
}

#[test]
fn sha256sum_checks_a_pack_beside_its_sum() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let written = write(codec);
        let sums = format!("{}.sha256", written.pack);
        let told = output(
            written.folder.path(),
            "sha256sum",
            "coreutils",
            &["--strict", "-c", &sums],
        );
        assert_eq!(String::from_utf8(told).unwrap(), format!("{}: OK\n", written.pack));
        let path = written.folder.path().join(&written.pack);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let output = run(written.folder.path(), "sha256sum", "coreutils", &["-c", &sums]);
        assert!(!output.status.success());
    }
}

#[test]
fn jq_reads_the_manifest_beside_the_pack() {
    let written = write(Codec::Gzip);
    let name = format!("{ID}.manifest.json");
    let query = "[.format, .id, (.tables | length), .packs[0].name, ([.members[].stored_bytes] | add)] | @csv";
    let told = output(written.folder.path(), "jq", "jq", &["-r", query, &name]);
    let expected = format!(
        "1,\"{ID}\",{},\"{}\",{}\n",
        written.manifest.tables.len(),
        written.pack,
        written.manifest.stored_bytes()
    );
    assert_eq!(String::from_utf8(told).unwrap(), expected);
}

/// Of all that looks like a manifest, in rows too, the last one counts.
const EXTRACT: &str = r#"/^-- Backstay manifest: / { json = ""; next }
/^-- End of the Backstay manifest[.]$/ { last = json }
/^--/ { json = json substr($0, 3) }
END { print last }"#;

#[test]
fn jq_reads_the_manifest_within_the_pack() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let written = write(codec);
        let folder = written.folder.path();
        std::fs::write(folder.join("unpacked.sql"), unpacked(&written)).unwrap();
        let within = output(folder, "awk", "mawk", &[EXTRACT, "unpacked.sql"]);
        std::fs::write(folder.join("within.json"), within).unwrap();
        // All but the pack itself, which cannot know its own digest and length.
        let query = ["-S", "-c", ".packs[0] |= (.id = \"\" | .bytes = 0)"];
        let [within, beside] = ["within.json", &format!("{ID}.manifest.json")]
            .map(|name| output(folder, "jq", "jq", &[&query[..], &[name]].concat()));
        assert!(!within.is_empty() && within == beside, "{codec}");
        let id = output(folder, "jq", "jq", &["-r", ".packs[0].id", "within.json"]);
        assert_eq!(id, b"self\n");
    }
}

/// The command by which any member can be had out of a pack with nothing but common programs.
#[test]
fn dd_and_gunzip_give_one_member() {
    let written = write(Codec::Gzip);
    for (member, (_, text)) in written.manifest.members.iter().zip(&written.sample.members) {
        let arguments = [
            format!("if={}", written.pack),
            "of=member.gz".to_owned(),
            "bs=1".to_owned(),
            format!("skip={}", member.offset),
            format!("count={}", member.stored_bytes),
            "status=none".to_owned(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        output(written.folder.path(), "dd", "coreutils", &arguments);
        let found = output(written.folder.path(), "gunzip", "gzip", &["-c", "member.gz"]);
        assert_eq!(found, *text);
    }
}
