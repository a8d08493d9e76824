//! What a call is, in the field's own words: no I/O and no vendor's names.
//!
//! Invariant: nothing here reads a clock, a file or the network, and no type that can hold a person's data
//! prints it through `Debug`.

mod call;
mod key;
mod merge;
mod pieces;
mod raw;

pub use call::{
    Action, Call, Campaign, Direction, Insights, Lead, Party, Recording, Role, Status, Turn, TurnDetail, same_text,
};
pub use key::{CallKey, Digest, Digester, Revision};
pub use merge::{Origin, Origins, merge};
pub use pieces::Pieces;
pub use raw::RawRef;
