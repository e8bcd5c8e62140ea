//! Which view a request gets: the live one, once the engine has heard what the log had, or for a later page one of the bundle
//! on which the list began.

use std::sync::atomic::Ordering;

use cinedex_recommender::View;

use crate::problem::{Code, Problem};
use crate::respond::{List, read_cursor};
use crate::service::Service;

/// Entries of the log that the engine hears at a time when the server starts.
const REPLAYED_AT_ONCE: usize = 4_096;

impl Service {
    /// What answers, as it is now: not before the engine has heard what the log had.
    pub(crate) fn live(&self) -> Result<View, Problem> {
        if !self.heard.load(Ordering::Acquire) {
            return Err(Problem::not_ready());
        }
        self.engine.view().map_err(|_| Problem::not_ready())
    }

    /// Tells the engine, once it has a bundle, what the log has from before the start. Nothing is served until then.
    pub(crate) fn replay(&self) {
        let Some(log) = self.log.as_ref().filter(|_| !self.heard.load(Ordering::Acquire)) else { return };
        if self.engine.snapshot().is_err() {
            return;
        }
        let mut entries = Vec::with_capacity(REPLAYED_AT_ONCE);
        let read = log.read(0, |logged| {
            entries.push(logged);
            if entries.len() == REPLAYED_AT_ONCE {
                self.engine.hear(&entries);
                entries.clear();
            }
            true
        });
        self.engine.hear(&entries);
        match read {
            Ok(()) => self.heard.store(true, Ordering::Release),
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "cannot read the log"),
        }
    }

    /// The view that a list is answered from: the live one, or one of the bundle on which the first page was.
    pub(crate) fn view_for(&self, live: View, list: &mut List) -> Result<View, Problem> {
        let Some(text) = list.asked.parameters.cursor.take() else {
            list.asked.stamp = list.stamp(&live);
            return Ok(live);
        };
        let cursor = read_cursor(&text, &list.asked)?;
        let expired = || Problem::new(Code::CursorExpired, "begin again without the cursor");
        let view = self.engine.view_of(&cursor.version).ok_or_else(expired)?;
        let stamp = list.stamp(&view);
        let asked = &mut list.asked;
        // Rows of movies and users are 32 bits wide.
        asked.offset = cursor.offset.min(u32::MAX.into()) as usize;
        asked.first_page = usize::from(cursor.first_page);
        asked.moved = cursor.stamp != stamp;
        asked.shown = cursor.shown;
        asked.stamp = stamp;
        if asked.moved && asked.shown.len() != asked.offset {
            return Err(Problem::new(
                Code::CursorExpired,
                "the list has changed; begin again without the cursor",
            ));
        }
        Ok(view)
    }
}
