//! A request to write, among others in one transaction.

use tokio::sync::oneshot;

use super::MetaError;
use super::engine::engine;
use super::tables::{Failure, Tables};

/// A request to write. It answers its requester itself.
pub(super) trait Job: Send {
    /// Whether it is likely to write only what was not there.
    fn is_new(&self) -> bool;

    /// Does the work, or does it again; an error is the engine's, and the transaction must be given up.
    fn run(&mut self, tables: &mut Tables<'_>) -> Result<(), MetaError>;

    /// Learns how the transaction ended that all its work was done in.
    fn finish(self: Box<Self>, committed: Result<(), &MetaError>);
}

/// What became of the work.
enum Outcome<T> {
    NotRun,
    Done(T),
    Refused(MetaError),
    Failed(MetaError),
}

struct Request<T, W> {
    is_new: bool,
    work: W,
    outcome: Outcome<T>,
    answer: oneshot::Sender<Result<T, MetaError>>,
}

/// A job, and where its answer will be.
pub(super) fn job<T: Send + 'static>(
    is_new: bool,
    work: impl Fn(&mut Tables<'_>) -> Result<T, Failure> + Send + 'static,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, MetaError>>) {
    let (answer, answered) = oneshot::channel();
    (Box::new(Request { is_new, work, outcome: Outcome::NotRun, answer }), answered)
}

impl<T, W> Job for Request<T, W>
where
    T: Send,
    W: Fn(&mut Tables<'_>) -> Result<T, Failure> + Send,
{
    fn is_new(&self) -> bool {
        self.is_new
    }

    fn run(&mut self, tables: &mut Tables<'_>) -> Result<(), MetaError> {
        let failed;
        (self.outcome, failed) = match (self.work)(tables) {
            Ok(value) => (Outcome::Done(value), Ok(())),
            Err(Failure::Refused(refusal)) => (Outcome::Refused(refusal), Ok(())),
            Err(Failure::Engine(error)) => {
                let error = engine(error);
                (Outcome::Failed(error.clone()), Err(error))
            }
        };
        failed
    }

    fn finish(self: Box<Self>, committed: Result<(), &MetaError>) {
        let result = match (self.outcome, committed) {
            (Outcome::Failed(error), _) => Err(error),
            // What refused it may have been a neighbour's change, which is not there then.
            (_, Err(error)) => Err(error.clone()),
            (Outcome::Refused(refusal), Ok(())) => Err(refusal),
            (Outcome::Done(value), Ok(())) => Ok(value),
            (Outcome::NotRun, Ok(())) => Err(MetaError::Engine("a request was passed over".to_owned())),
        };
        // The one who asked may have gone; the transaction stands all the same.
        let _ = self.answer.send(result);
    }
}
