//! The CRMs seen from outside.
