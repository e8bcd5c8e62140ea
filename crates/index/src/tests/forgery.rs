//! A bundle in memory that is altered and sealed again, as a writer with bad intentions would: every checksum agrees, and only
//! the meaning of the numbers is left to object to. It knows flat files and the manifest, and no file's meaning. The fuzz
//! target under `crates/index/fuzz` takes this file in as well.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use cinedex_storage::{sha256_bytes, xxh3};
use serde_json::Value;

use super::world::World;
use crate::{Bundle, IndexError, IndexRoot, VerifyReport, Version};

/// The manifest's name.
pub(crate) const MANIFEST: &str = "manifest.json";
const ROW: usize = 64;

/// Numbers that decide what is altered: taken from a fuzzer's or a property test's bytes, and zero when these are used up.
pub(crate) struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn number(&mut self, bytes: usize) -> u64 {
        let (taken, rest) = self.bytes.split_at(bytes.min(self.bytes.len()));
        self.bytes = rest;
        taken.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    /// Below `limit`; 0 if there is nothing to choose.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let bytes = if limit <= 256 { 1 } else { 4 };
        self.number(bytes) as usize % limit.max(1)
    }
}

/// A section of a flat file.
#[derive(Clone)]
struct Part {
    name: [u8; 24],
    code: u32,
    elements: u64,
    bytes: Vec<u8>,
}

impl Part {
    fn width(&self) -> usize {
        [1, 1, 4, 8, 8, 4].get(self.code as usize).copied().unwrap_or(1)
    }

    fn len(&self) -> usize {
        self.bytes.len() / self.width()
    }

    fn set(&mut self, position: usize, value: &[u8]) {
        let at = position * self.width();
        for (to, from) in self.bytes.iter_mut().skip(at).zip(value) {
            *to = *from;
        }
    }

    fn get(&self, position: usize) -> Vec<u8> {
        self.bytes.iter().copied().skip(position * self.width()).take(self.width()).collect()
    }

    /// The value at the ends of its type's range, or just beside what the sections' lengths allow.
    fn extreme(&self, choices: &mut Choices<'_>, lengths: &[u64]) -> Vec<u8> {
        if self.code == 5 {
            let floats = [
                f32::NAN,
                f32::INFINITY,
                f32::NEG_INFINITY,
                f32::MAX,
                f32::MIN,
                0.0,
                -0.0,
                1.0,
                -1.0,
                f32::MIN_POSITIVE,
                1e-45,
                1e30,
                -1e30,
                1e12,
                3e18,
                0.5,
            ];
            return floats[choices.below(floats.len())].to_le_bytes().to_vec();
        }
        let length = lengths.get(choices.below(lengths.len())).copied().unwrap_or_default();
        let values = [
            0,
            1,
            u64::MAX,
            u64::MAX - 1,
            1 << 63,
            (1 << 63) - 1,
            u64::from(u32::MAX),
            1 << 31,
            1 << 32,
            0xff,
            0x7f,
            0x80,
            length,
            length.wrapping_add(1),
            length.wrapping_sub(1),
            length / 2,
            u64::MAX / 64,
        ];
        values[choices.below(values.len())].to_le_bytes()[..self.width()].to_vec()
    }

    /// Alters one thing. `lengths` are those of all sections of the file.
    fn alter(&mut self, choices: &mut Choices<'_>, lengths: &[u64]) {
        let length = self.len();
        let (here, there) = (choices.below(length), choices.below(length));
        match choices.below(10) {
            0 => {
                let position = choices.below(self.bytes.len());
                if let Some(byte) = self.bytes.get_mut(position) {
                    *byte ^= 1 << choices.below(8);
                }
            }
            1 => {
                let run: Vec<u8> = (0..=choices.below(16)).map(|_| choices.number(1) as u8).collect();
                self.set(here, &run);
            }
            2..=4 => {
                let value = self.extreme(choices, lengths);
                self.set(here, &value);
            }
            5 => {
                let (first, second) = (self.get(here), self.get(there));
                self.set(here, &second);
                self.set(there, &first);
            }
            6 => {
                let value = self.get(here);
                self.set(there, &value);
            }
            7 => {
                let value = self.extreme(choices, lengths);
                (here..length).for_each(|position| self.set(position, &value));
            }
            8 => {
                let kept = (here * self.width()).min(self.bytes.len());
                self.bytes.truncate(kept);
                self.elements = self.len() as u64;
            }
            _ => {
                let more = self.bytes[..(1 + there % 4).min(length) * self.width()].to_vec();
                self.bytes.extend(more);
                self.elements = self.len() as u64;
            }
        }
    }
}

/// A flat file taken apart.
#[derive(Clone)]
struct Flat {
    head: Vec<u8>,
    parts: Vec<Part>,
}

impl Flat {
    /// `None` for what is not a flat file.
    fn read(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(b"CINEDEX\0") {
            return None;
        }
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let count = (number(24) >> 32) as usize;
        let part = |row: usize| {
            let at = (1 + row) * ROW;
            let mut part = Part {
                name: bytes[at..at + 24].try_into().expect("twenty-four bytes"),
                code: number(at + 24) as u32,
                elements: number(at + 40),
                bytes: Vec::new(),
            };
            let start = number(at + 32) as usize;
            part.bytes = bytes[start..start + part.elements as usize * part.width()].to_vec();
            part
        };
        Some(Self { head: bytes[..ROW].to_vec(), parts: (0..count).map(part).collect() })
    }

    /// Laid out as it must be, with every checksum.
    fn write(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        bytes[28..32].copy_from_slice(&(self.parts.len() as u32).to_le_bytes());
        bytes.resize(ROW * (1 + self.parts.len()), 0);
        for (row, part) in self.parts.iter().enumerate() {
            bytes.resize(bytes.len().next_multiple_of(ROW), 0);
            let (at, start) = (ROW * (1 + row), bytes.len() as u64);
            bytes[at..at + 24].copy_from_slice(&part.name);
            bytes[at + 24..at + 28].copy_from_slice(&part.code.to_le_bytes());
            bytes[at + 32..at + 40].copy_from_slice(&start.to_le_bytes());
            bytes[at + 40..at + 48].copy_from_slice(&part.elements.to_le_bytes());
            bytes[at + 48..at + 56].copy_from_slice(&xxh3(&part.bytes).to_le_bytes());
            bytes.extend_from_slice(&part.bytes);
        }
        let length = bytes.len() as u64;
        bytes[32..40].copy_from_slice(&length.to_le_bytes());
        seal_header(&mut bytes);
        bytes
    }

    fn alter(&mut self, choices: &mut Choices<'_>) {
        let lengths: Vec<u64> = self.parts.iter().map(|part| part.len() as u64).collect();
        let count = self.parts.len();
        let (here, there) = (choices.below(count), choices.below(count));
        if count == 0 {
            return;
        }
        match choices.below(24) {
            0 => {
                let bytes = self.parts[here].bytes.clone();
                let bytes = std::mem::replace(&mut self.parts[there].bytes, bytes);
                self.parts[here].bytes = bytes;
                for row in [here, there] {
                    self.parts[row].elements = self.parts[row].len() as u64;
                }
            }
            1 => drop(self.parts.remove(here)),
            2 => self.parts.push(self.parts[here].clone()),
            3 => self.parts[here].name = self.parts[there].name,
            4 => {
                let part = &mut self.parts[here];
                part.code = choices.below(7) as u32;
                part.elements = part.len() as u64;
            }
            5 => {
                let value = self.parts[here].extreme(choices, &lengths);
                self.parts[here].elements =
                    value.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
            }
            6 => self.parts.swap(here, there),
            _ => self.parts[here].alter(choices, &lengths),
        }
    }
}

/// Makes the header's checksum agree with header and table, as far as there is a table.
fn seal_header(bytes: &mut [u8]) {
    if bytes.len() < ROW || !bytes.starts_with(b"CINEDEX\0") {
        return;
    }
    let count = u32::from_le_bytes(bytes[28..32].try_into().expect("four bytes")) as usize;
    let end = bytes.len().min(ROW.saturating_mul(count.saturating_add(1)));
    bytes[40..48].fill(0);
    let checksum = xxh3(&bytes[..end]);
    bytes[40..48].copy_from_slice(&checksum.to_le_bytes());
}

/// A bundle's files and manifest.
#[derive(Clone, PartialEq)]
pub(crate) struct Forgery {
    /// Each file but the manifest.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// The manifest.
    pub(crate) manifest: Value,
}

impl Forgery {
    /// A world's bundle, whose planner asks the graph.
    pub(crate) fn of(world: &World) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = IndexRoot::new(directory.path());
        let built = world.build(&root).expect("a sound world");
        let mut bundle = Self::read(&root, &built.version);
        let cost = |microseconds: f64| serde_json::json!([{ "size": 1.0, "microseconds": microseconds }]);
        for question in ["similar", "for_user", "neighbors"] {
            bundle.manifest["calibration"][question]["planner"] = serde_json::json!({
                "ef_for_10": 16, "ef_for_100": 48, "filtered_ef_for_10": 16, "filtered_ef_for_100": 48, "scan": cost(1e12), "each": cost(1e12), "graph": cost(1.0),
                "microseconds_a_node": 1.0,
            });
        }
        bundle
    }

    /// Reads a version's directory.
    fn read(root: &IndexRoot, version: &Version) -> Self {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(root.path().join(version.as_str())).expect("a directory") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("our own names");
            files.insert(name, fs::read(entry.path()).expect("a readable file"));
        }
        let manifest = files.remove(MANIFEST).expect("a manifest");
        Self { files, manifest: serde_json::from_slice(&manifest).expect("JSON") }
    }

    /// The manifest's bytes.
    fn document(&self) -> Vec<u8> {
        serde_json::to_vec(&self.manifest).expect("a document always encodes")
    }

    /// The version that the manifest demands.
    fn version(&self) -> Version {
        let name = format!("20250131T235959Z-{}", &sha256_bytes(&self.document())[..8]);
        name.parse().expect("it looks like a version")
    }

    /// The names of all files, the manifest last.
    pub(crate) fn names(&self) -> Vec<String> {
        self.files.keys().map(String::as_str).chain([MANIFEST]).map(str::to_owned).collect()
    }

    /// Alters one file, or a number of the manifest, as `choices` say, and returns its name. Sections, tables and headers agree
    /// with each other afterwards but for what was altered in them; the manifest does not, see [`Forgery::seal`].
    pub(crate) fn alter(&mut self, choices: &mut Choices<'_>, other: &Forgery) -> String {
        let names = self.names();
        let name = names[choices.below(names.len())].clone();
        if name == MANIFEST {
            for _ in 0..=choices.below(3) {
                alter_document(&mut self.manifest, choices);
            }
            return name;
        }
        let bytes = self.files.get_mut(&name).expect("a name of its own");
        match choices.below(16) {
            0 => other.files.get(&name).into_iter().for_each(|foreign| bytes.clone_from(foreign)),
            1 => alter_bytes(bytes, choices),
            2 => {
                alter_bytes(bytes, choices);
                seal_header(bytes);
            }
            3 => {
                // In the header or the table, where most bytes matter.
                let head = bytes.len().min(ROW * 12);
                let (at, value) = (choices.below(head), choices.number(1) as u8);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
                seal_header(bytes);
            }
            _ => match Flat::read(bytes) {
                Some(mut flat) => {
                    for _ in 0..=choices.below(3) {
                        flat.alter(choices);
                    }
                    *bytes = flat.write();
                }
                None => alter_bytes(bytes, choices),
            },
        }
        name
    }

    /// Writes `bytes` over the beginning of a section.
    #[cfg(test)]
    pub(crate) fn overwrite(&mut self, name: &str, section: &str, bytes: &[u8]) {
        let file = self.files.get_mut(name).expect("a file of the bundle");
        let mut flat = Flat::read(file).expect("a flat file");
        let named =
            |part: &&mut Part| part.name.starts_with(section.as_bytes()) && part.name[section.len()] == 0;
        flat.parts.iter_mut().find(named).expect("a section of the file").set(0, bytes);
        *file = flat.write();
    }

    /// Makes the manifest agree with a file as it is.
    pub(crate) fn seal(&mut self, name: &str) {
        let Some(bytes) = self.files.get(name) else { return };
        let header = bytes.get(40..48).filter(|_| bytes.starts_with(b"CINEDEX\0"));
        let header = header.and_then(|header| header.try_into().ok()).map(u64::from_le_bytes);
        let entry = serde_json::json!({
            "bytes": bytes.len(),
            "sha256": sha256_bytes(bytes),
            "xxh3": format!("{:016x}", header.unwrap_or_else(|| xxh3(bytes))),
        });
        if let Some(files) = self.manifest.get_mut("files").and_then(Value::as_object_mut) {
            files.insert(name.to_owned(), entry);
        }
    }
}

fn alter_bytes(bytes: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let length = bytes.len();
    let at = choices.below(length);
    match choices.below(4) {
        0 => bytes.truncate(at),
        1 => bytes.extend((0..=choices.below(64)).map(|_| 0)),
        2 => {
            let run: Vec<u8> = (0..=choices.below(32)).map(|_| choices.number(1) as u8).collect();
            bytes.iter_mut().skip(at).zip(run).for_each(|(to, from)| *to = from);
        }
        _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << choices.below(8)),
    }
}

/// Replaces one leaf of a document by something else, or takes it out.
fn alter_document(document: &mut Value, choices: &mut Choices<'_>) {
    match document {
        Value::Object(entries) if !entries.is_empty() => {
            let key = entries.keys().nth(choices.below(entries.len())).cloned().unwrap_or_default();
            if choices.below(32) == 0 {
                entries.remove(&key);
            } else {
                alter_document(&mut entries[&key], choices);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let position = choices.below(items.len());
            alter_document(&mut items[position], choices);
        }
        leaf => {
            let values = [
                Value::from(0),
                Value::from(1),
                Value::from(-1),
                Value::from(u64::MAX),
                Value::from(u32::MAX),
                Value::from(i64::MAX),
                Value::from(1_000_000),
                Value::from(1e308),
                Value::from(-1e308),
                Value::from(1e-320),
                Value::from(0.5),
                Value::from(2),
                Value::from(63),
                Value::from(7),
                Value::Null,
                Value::from("x"),
                Value::from(true),
                Value::Array(Vec::new()),
            ];
            *leaf = values[choices.below(values.len())].clone();
        }
    }
}

/// A directory in which forgeries are shown to [`IndexRoot::open`].
pub(crate) struct Stage {
    _directory: tempfile::TempDir,
    root: IndexRoot,
    version: Version,
    shown: Forgery,
}

impl Stage {
    /// Begins with a bundle as it is.
    pub(crate) fn new(bundle: &Forgery) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = IndexRoot::new(directory.path());
        let version = bundle.version();
        fs::create_dir(root.path().join(version.as_str())).expect("a new directory");
        let stage = Self { _directory: directory, root, version, shown: bundle.clone() };
        bundle.files.iter().for_each(|(name, bytes)| stage.write(name, bytes));
        stage.write(MANIFEST, &bundle.document());
        stage
    }

    /// Opens a forgery under the name that its manifest demands.
    pub(crate) fn open_sealed(&mut self, forgery: &Forgery) -> Result<Bundle, IndexError> {
        let before = self.path();
        self.version = forgery.version();
        fs::rename(before, self.path()).expect("a free name");
        self.open(forgery)
    }

    /// Opens a forgery under the name that the directory has.
    pub(crate) fn open(&mut self, forgery: &Forgery) -> Result<Bundle, IndexError> {
        for (name, bytes) in &forgery.files {
            if self.shown.files.get(name) != Some(bytes) {
                self.write(name, bytes);
            }
        }
        if self.shown.manifest != forgery.manifest {
            self.write(MANIFEST, &forgery.document());
        }
        self.shown = forgery.clone();
        self.root.open(&self.version)
    }

    /// Compares every hash and measures again.
    pub(crate) fn verify(&self) -> Result<VerifyReport, IndexError> {
        self.root.verify(&self.version)
    }

    fn path(&self) -> PathBuf {
        self.root.path().join(self.version.as_str())
    }

    /// A new file in the old one's place: the old one may still be mapped.
    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        if path.exists() {
            fs::remove_file(&path).expect("our own file");
        }
        fs::write(path, bytes).expect("our own directory");
    }
}
