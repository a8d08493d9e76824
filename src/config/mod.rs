//! From a file, the environment and flags to checked settings.
//!
//! Invariants: a flag goes before the environment, the environment before the file, the file before the default; an
//! unknown key is an error that names the nearest known one; nothing here reads the process environment by itself.

mod file;
mod load;
mod rest;
mod secret;
mod serve;
mod settings;

pub use file::{ConfigFile, TEMPLATE};
pub use load::{find, load, parse};
pub use rest::{CALL_DATA_API, RestInput};
pub use secret::{is_plain, resolve};
pub use serve::ServeSettings;
pub use settings::{Environment, Overrides, SalesforceInput, Settings, settings};
