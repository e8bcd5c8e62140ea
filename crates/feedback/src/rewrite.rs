//! Compaction of sealed segments: what is judged away leaves, and small neighbours become one. Each result replaces its first
//! source in one step before the others are removed; opening recognises what a kill between the two leaves.

use std::fs;
use std::path::Path;
use std::sync::RwLock;

use crate::error::FeedbackError;
use crate::frame::{HEAD, MAGIC, put_frame};
use crate::segments::{Extent, Part, replace_segment, sync_folder, walk, write};
use crate::store::{Batch, Judge, Rewritten, Verdict};

/// A run through the sealed segments, in order.
pub(crate) struct Rewrite<'a> {
    folder: &'a Path,
    parts: &'a RwLock<Vec<Part>>,
    /// Neighbours are put together up to this size.
    together: usize,
    pending: Option<Pending>,
    done: Rewritten,
}

/// What will replace one or more segments.
struct Pending {
    sources: Vec<Extent>,
    bytes: Vec<u8>,
    records: Vec<(u64, u64)>,
    changed: bool,
}

impl<'a> Rewrite<'a> {
    pub(crate) fn new(folder: &'a Path, parts: &'a RwLock<Vec<Part>>, segment_bytes: u64) -> Self {
        let together = segment_bytes as usize / 2;
        Self { folder, parts, together, pending: None, done: Rewritten::default() }
    }

    /// Judges the next segment's records.
    pub(crate) fn take(&mut self, extent: Extent, judge: &mut Judge<'_>) -> Result<(), FeedbackError> {
        let (mut kept, mut changed) = (Batch::default(), false);
        walk(&extent, MAGIC.len() as u64, &mut |position, payload| {
            let verdict = judge(position, payload);
            changed |= verdict != Verdict::Keep;
            let kept_bytes = match &verdict {
                Verdict::Keep => payload,
                Verdict::Replace(other) => other,
                Verdict::Drop => return true,
            };
            let pushed = kept.push(position, |out| {
                out.extend_from_slice(kept_bytes);
                Ok::<(), std::convert::Infallible>(())
            });
            let Ok(()) = pushed;
            // What is durable is whole; from here on each record stands for itself.
            kept.close_call();
            true
        })?;
        self.done.bytes_before += extent.length;
        let size = kept.bytes() + kept.len() * HEAD;
        if self.pending.as_ref().is_some_and(|pending| pending.bytes.len() + size > self.together) {
            self.settle()?;
        }
        let pending = self.pending.get_or_insert_with(|| Pending {
            sources: Vec::new(),
            bytes: MAGIC.to_vec(),
            records: Vec::new(),
            changed: false,
        });
        pending.changed |= changed;
        pending.sources.push(extent);
        let first = pending.sources[0].first;
        for record in kept.records() {
            let offset = pending.bytes.len() as u64;
            pending.records.push((record.position, offset));
            put_frame(&mut pending.bytes, first, offset, &record);
        }
        Ok(())
    }

    /// Writes what is pending; answers what was done.
    pub(crate) fn finish(mut self) -> Result<Rewritten, FeedbackError> {
        self.settle()?;
        Ok(self.done)
    }

    fn settle(&mut self) -> Result<(), FeedbackError> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        if !pending.changed && pending.sources.len() == 1 {
            self.done.bytes_after += pending.sources[0].length;
            return Ok(());
        }
        let head = &pending.sources[0];
        let part = if pending.records.is_empty() {
            None
        } else {
            let mut part = Part::new(replace_segment(&head.path, head.first, &pending.bytes)?);
            for &(position, offset) in &pending.records {
                part.note(position, offset);
            }
            self.done.bytes_after += pending.bytes.len() as u64;
            Some(part)
        };
        let removed = &pending.sources[usize::from(part.is_some())..];
        {
            let mut parts = write(self.parts);
            let from = parts.partition_point(|part| part.extent.first < head.first);
            parts.splice(from..from + pending.sources.len(), part);
        }
        for extent in removed {
            fs::remove_file(&extent.path).map_err(FeedbackError::io("remove", &extent.path))?;
        }
        sync_folder(self.folder)
    }
}
