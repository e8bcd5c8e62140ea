//! Fetches the published `MovieLens` archives from GroupLens, whole and verified or not at all. It knows nothing of what is
//! in them.
//!
//! Bytes gather in `NAME.zip.part` beside the target. An interrupted download leaves them there and the next one goes on
//! from their end; only an archive whose size and checksums are the published ones is renamed to `NAME.zip`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cinedex_domain::{Progress, Step};
use md5::{Digest, Md5};
use serde::Serialize;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use crate::DatasetError;

/// Where GroupLens publishes its archives.
pub const GROUPLENS_URL: &str = "https://files.grouplens.org/datasets/movielens";

/// A published archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// `ml-latest-small`; the archive is `NAME.zip`.
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
    /// The MD5 that GroupLens publishes, lower-case hex.
    pub md5: &'static str,
    /// SHA-256 of the same archive, lower-case hex.
    pub sha256: &'static str,
}

/// The archives that can be downloaded: those whose published checksum was verified against a copy.
pub const PUBLICATIONS: &[Publication] = &[Publication {
    name: "ml-latest-small",
    bytes: 978_202,
    md5: "31a303aabbc519bd33d025e44d6c2570",
    sha256: "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
}];

/// Where to download from and to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadOptions {
    /// The address before `/NAME.zip`; [`GROUPLENS_URL`] by default. An `https` address is never left for another scheme.
    pub base_url: String,
    /// The folder of the archive, created if need be.
    pub folder: PathBuf,
}

impl DownloadOptions {
    /// From GroupLens to `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { base_url: GROUPLENS_URL.to_owned(), folder: folder.into() }
    }
}

/// What a download brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DownloadReport {
    /// The verified archive.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Bytes that came over the network; 0 if the archive was there already.
    pub fetched_bytes: u64,
    /// Bytes of an earlier, interrupted download that were used.
    pub resumed_from: u64,
}

/// Downloads the published archive `name`, see [`PUBLICATIONS`]. An archive that is there already is verified and kept.
///
/// After an interruption (a lost connection, a short body, a refusal) the bytes so far are kept for the next call; bytes
/// that turn out not to be the published ones are removed.
pub fn download(
    name: &str,
    options: &DownloadOptions,
    progress: Progress<'_>,
) -> Result<DownloadReport, DatasetError> {
    let publication = PUBLICATIONS.iter().find(|publication| publication.name == name);
    let publication = publication.ok_or_else(|| DatasetError::InvalidOption {
        name: "the data set to download",
        found: name.to_owned(),
        reason: "use ml-latest-small",
    })?;
    fetch(publication, options, progress)
}

/// Downloads one archive.
fn fetch(
    publication: &Publication,
    options: &DownloadOptions,
    progress: Progress<'_>,
) -> Result<DownloadReport, DatasetError> {
    let folder = &options.folder;
    fs::create_dir_all(folder).map_err(DatasetError::io("create", folder))?;
    let target = folder.join(format!("{}.zip", publication.name));
    let url = format!("{}/{}.zip", options.base_url.trim_end_matches('/'), publication.name);
    let mut transfer =
        Transfer { publication, url, part: folder.join(format!("{}.zip.part", publication.name)) };
    if target.exists() {
        let mut file = File::open(&target).map_err(DatasetError::io("open", &target))?;
        if let Err(reason) = verify(&mut file, &target, publication)? {
            let reason = format!("{} is there already but {reason}; move it away", target.display());
            return Err(transfer.refuse(reason));
        }
        let bytes = publication.bytes;
        return Ok(DownloadReport { path: target, bytes, fetched_bytes: 0, resumed_from: 0 });
    }
    let (fetched_bytes, resumed_from) = transfer.run(progress)?;
    fs::rename(&transfer.part, &target).map_err(DatasetError::io("rename", &transfer.part))?;
    if let Ok(folder) = File::open(folder) {
        // Not every file system can sync a directory; the archive itself is synced.
        folder.sync_all().ok();
    }
    Ok(DownloadReport { path: target, bytes: publication.bytes, fetched_bytes, resumed_from })
}

/// One archive on its way into its part file.
struct Transfer<'a> {
    publication: &'a Publication,
    url: String,
    part: PathBuf,
}

/// How an answer continues the part file.
enum Continuation {
    /// The body holds the bytes from the part's end on.
    Append,
    /// The body is the whole archive: the server ignored the range.
    Restart,
}

impl Transfer<'_> {
    /// Fills and verifies the part file; bytes fetched and bytes that were there. A resumed file that turns out wrong is
    /// fetched once more from the start, because its beginning may be what was wrong.
    fn run(&mut self, progress: Progress<'_>) -> Result<(u64, u64), DatasetError> {
        let mut file = self.lock_part()?;
        let mut fetched = 0;
        loop {
            let resumed_from = self.usable_length(&mut file)?;
            let (more, resumed_from) = self.receive(&mut file, resumed_from, progress)?;
            fetched += more;
            match verify(&mut file, &self.part, self.publication)? {
                Ok(()) => {
                    file.sync_all().map_err(DatasetError::io("sync", &self.part))?;
                    return Ok((fetched, resumed_from));
                }
                Err(_) if resumed_from > 0 => truncate(&mut file, &self.part)?,
                Err(reason) => {
                    fs::remove_file(&self.part).map_err(DatasetError::io("remove", &self.part))?;
                    return Err(self.refuse(format!("{reason}; it was removed, try again later")));
                }
            }
        }
    }

    /// Opens the part file for this process alone.
    fn lock_part(&self) -> Result<File, DatasetError> {
        let mut open = OpenOptions::new();
        let file = open.read(true).write(true).create(true).truncate(false).open(&self.part);
        let file = file.map_err(DatasetError::io("open", &self.part))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                Err(self.refuse(format!("another download is writing {}", self.part.display())))
            }
            Err(fs::TryLockError::Error(error)) => Err(DatasetError::io("lock", &self.part)(error)),
        }
    }

    /// Bytes of the part file that may be a beginning of the archive; more than it has cannot be.
    fn usable_length(&self, file: &mut File) -> Result<u64, DatasetError> {
        let length = file.seek(io::SeekFrom::End(0)).map_err(DatasetError::io("read", &self.part))?;
        if length <= self.publication.bytes {
            return Ok(length);
        }
        truncate(file, &self.part)?;
        Ok(0)
    }

    /// Receives what is missing; bytes received, and bytes kept from before.
    fn receive(
        &self,
        file: &mut File,
        length: u64,
        progress: Progress<'_>,
    ) -> Result<(u64, u64), DatasetError> {
        if length == self.publication.bytes {
            return Ok((0, length));
        }
        let mut response = self.request(length)?;
        let start = match self.continuation(&response, length)? {
            Continuation::Append => length,
            Continuation::Restart => {
                truncate(file, &self.part)?;
                0
            }
        };
        let received = self.copy(&mut response, file, start, progress);
        // Whatever came is a beginning: it is kept, and the next call goes on from there.
        file.sync_all().map_err(DatasetError::io("sync", &self.part))?;
        Ok((received?, start))
    }

    fn request(&self, length: u64) -> Result<Response<Body>, DatasetError> {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(self.url.starts_with("https:"))
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_mins(1)))
            .timeout_per_read(Some(Duration::from_mins(1)))
            .accept_encoding("identity")
            .user_agent(concat!("cinedex/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let mut request = agent.get(&self.url);
        if length > 0 {
            request = request.header(header::RANGE, format!("bytes={length}-"));
        }
        request.call().map_err(|error| {
            self.refuse(format!("{error}; check the connection, or fetch it by hand and import the zip"))
        })
    }

    fn continuation(&self, response: &Response<Body>, length: u64) -> Result<Continuation, DatasetError> {
        match response.status() {
            StatusCode::OK => Ok(Continuation::Restart),
            StatusCode::PARTIAL_CONTENT if length > 0 => {
                let range =
                    response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
                let expected = format!("bytes {length}-");
                if range.is_some_and(|range| range.starts_with(&expected)) {
                    return Ok(Continuation::Append);
                }
                Err(self.refuse(format!("the server sent the range {range:?}, not the bytes from {length}")))
            }
            StatusCode::NOT_FOUND => Err(self.refuse("it is not there (404); check the address".to_owned())),
            status => Err(self.refuse(format!("the server answered {status}; try again later"))),
        }
    }

    /// Appends the body to the part file; bytes received. A body that ends early or runs over is an error.
    fn copy(
        &self,
        response: &mut Response<Body>,
        file: &mut File,
        start: u64,
        progress: Progress<'_>,
    ) -> Result<u64, DatasetError> {
        let total = self.publication.bytes;
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; 1 << 16];
        let mut done = start;
        file.seek(io::SeekFrom::Start(start)).map_err(DatasetError::io("write", &self.part))?;
        loop {
            progress(Step::new("downloading", done, Some(total)));
            let read = match body.read(&mut buffer) {
                Ok(0) if done == total => return Ok(done - start),
                Ok(0) => return Err(self.interrupted(done, "the connection ended early")),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.interrupted(done, &error.to_string())),
            };
            if done + read as u64 > total {
                truncate(file, &self.part)?;
                return Err(self.refuse(format!("the server sent more than the published {total} bytes")));
            }
            file.write_all(&buffer[..read]).map_err(DatasetError::io("write", &self.part))?;
            done += read as u64;
        }
    }

    fn interrupted(&self, done: u64, reason: &str) -> DatasetError {
        let total = self.publication.bytes;
        self.refuse(format!("{reason} after {done} of {total} bytes; run it again to go on from there"))
    }

    fn refuse(&self, reason: String) -> DatasetError {
        DatasetError::Download { url: self.url.clone(), reason }
    }
}

fn truncate(file: &mut File, path: &Path) -> Result<(), DatasetError> {
    file.set_len(0).map_err(DatasetError::io("write", path))?;
    file.rewind().map_err(DatasetError::io("write", path))
}

/// Compares size and checksums with the published ones; the inner error says what differs.
fn verify(
    file: &mut File,
    path: &Path,
    publication: &Publication,
) -> Result<Result<(), String>, DatasetError> {
    let io_error = || DatasetError::io("read", path);
    file.rewind().map_err(io_error())?;
    let mut md5 = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(io_error())?;
        if read == 0 {
            break;
        }
        md5.update(&buffer[..read]);
        bytes += read as u64;
    }
    if bytes != publication.bytes {
        return Ok(Err(format!("it has {bytes} bytes, the published one has {}", publication.bytes)));
    }
    let found = hex(&md5.finalize());
    if found != publication.md5 {
        return Ok(Err(format!("its md5 is {found}, the published one is {}", publication.md5)));
    }
    let found = cinedex_storage::sha256_file(path)?;
    if found != publication.sha256 {
        return Ok(Err(format!(
            "its sha256 is {found}, that of the published archive is {}",
            publication.sha256
        )));
    }
    Ok(Ok(()))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble| char::from_digit(u32::from(nibble), 16).expect("a nibble is below 16");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests;
