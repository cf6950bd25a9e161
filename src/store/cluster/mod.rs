//! A node among others: it says every second that it lives, answers what collectors of garbage ask, and ends itself when it
//! was taken for dead.
//!
//! | a collector asks | a node answers |
//! |---|---|
//! | which readers have left who had entered before | when all of its own have |
//! | which of these xorbs and packs nobody relies on | what it was promised or holds; it promises none of the others to anybody from then on, until the next question |
//!
//! Who does not answer is waited for as long as he says that he lives. A node that says nothing while the collector can reach
//! the database is ended there: nothing that it has written and has no row gets one any more, and a promise that it was given
//! is worth no more than what the transaction finds that relies on it.

mod asking;
mod learning;
mod member;

pub use asking::Nodes;
pub use learning::Learning;
pub use member::{BEAT_EVERY, Member};
