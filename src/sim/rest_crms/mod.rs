//! Simulated CRMs with plain REST interfaces, one file each, written from their documentation and sharing nothing with
//! the clients.
//!
//! Each is strict about every field and names the wrong one; what the documentation leaves open is a switch.
