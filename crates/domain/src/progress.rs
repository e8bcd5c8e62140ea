//! How long work says how far it is, without knowing who listens.

/// One report of progress.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// What is being done, a short lower-case phrase, constant for the length of a stage.
    pub stage: &'a str,
    /// Units done so far, in the stage's own unit.
    pub done: u64,
    /// Units in all, where known.
    pub total: Option<u64>,
    /// What training lowers, per observed pair, where it is known.
    pub loss: Option<f64>,
}

impl<'a> Step<'a> {
    /// A step without a loss.
    pub fn new(stage: &'a str, done: u64, total: Option<u64>) -> Self {
        Self { stage, done, total, loss: None }
    }
}

/// A listener for progress; called from the thread that works, often, so it must be quick.
pub type Progress<'a> = &'a (dyn Fn(Step<'_>) + Sync);

/// A listener that hears nothing.
pub fn silent(_: Step<'_>) {}
