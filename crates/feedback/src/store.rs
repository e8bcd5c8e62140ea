//! What the log needs of a store: durable, atomic batches of records in the order of their positions. It knows nothing of what
//! a record says.

use std::path::Path;

use crate::entry::BackupFiles;
use crate::error::FeedbackError;

/// A durable sequence of records. One thread commits; any may read, rewrite and back up meanwhile.
pub(crate) trait Store: Send + Sync {
    /// Makes a batch durable. After an error nothing of it is readable, and the store is as it was.
    fn commit(&self, batch: &Batch) -> Result<(), FeedbackError>;

    /// Calls `each` with the record at a position, the entry before its notes; false if it has left.
    fn get(&self, position: u64, each: &mut dyn FnMut(&[u8])) -> Result<bool, FeedbackError>;

    /// Calls `each` with position and record, ascending, from the first position after `after` to the last committed when the
    /// call began, until it answers false.
    fn scan(&self, after: u64, each: &mut Visitor<'_>) -> Result<(), FeedbackError>;

    /// Asks `judge` about every record committed before the call and lets go of what it drops; crash safe, and readers see either
    /// all of a segment's records or those that were kept.
    fn rewrite(&self, judge: &mut Judge<'_>) -> Result<Rewritten, FeedbackError>;

    /// Copies everything committed when the call began into an empty folder, durably.
    fn backup(&self, into: &Path) -> Result<BackupFiles, FeedbackError>;

    /// How large the store is.
    fn size(&self) -> StoreSize;
}

/// Told position and record; false ends the scan.
pub(crate) type Visitor<'a> = dyn FnMut(u64, &[u8]) -> bool + 'a;

/// Told position and record; decides what becomes of it.
pub(crate) type Judge<'a> = dyn FnMut(u64, &[u8]) -> Verdict + 'a;

/// What becomes of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    Drop,
    Replace(Vec<u8>),
}

/// Bytes of the segments that a rewrite looked at, before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rewritten {
    pub(crate) bytes_before: u64,
    pub(crate) bytes_after: u64,
}

/// Bytes, files, and where the first file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreSize {
    pub(crate) bytes: u64,
    pub(crate) files: usize,
    pub(crate) first_position: u64,
}

/// Records on their way to the store, in calls that are kept whole or not at all.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    records: Vec<Slot>,
    /// Where the open call began.
    call: usize,
}

/// A record of a batch: bytes up to `end`; whether it is the first or last of its call.
#[derive(Debug, Clone, Copy)]
struct Slot {
    position: u64,
    end: usize,
    opens: bool,
    closes: bool,
}

/// One record of a batch as a store reads it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchRecord<'a> {
    pub(crate) position: u64,
    pub(crate) payload: &'a [u8],
    pub(crate) opens: bool,
    pub(crate) closes: bool,
}

impl Batch {
    /// Adds a record of the open call; `encode` appends its bytes and nothing else. On an error nothing is added.
    pub(crate) fn push<E>(
        &mut self,
        position: u64,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        if let Err(error) = encode(&mut self.bytes) {
            self.bytes.truncate(start);
            return Err(error);
        }
        let opens = self.records.len() == self.call;
        self.records.push(Slot { position, end: self.bytes.len(), opens, closes: false });
        Ok(())
    }

    /// Ends the open call, if it has records.
    pub(crate) fn close_call(&mut self) {
        if self.records.len() > self.call
            && let Some(last) = self.records.last_mut()
        {
            last.closes = true;
        }
        self.call = self.records.len();
    }

    /// Bytes of all records.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is nothing to commit.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Forgets everything, for the next round.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.call = 0;
    }

    /// The records in their order.
    pub(crate) fn records(&self) -> impl Iterator<Item = BatchRecord<'_>> {
        let starts = std::iter::once(0).chain(self.records.iter().map(|slot| slot.end));
        starts.zip(&self.records).map(|(start, slot)| BatchRecord {
            position: slot.position,
            payload: &self.bytes[start..slot.end],
            opens: slot.opens,
            closes: slot.closes,
        })
    }
}
