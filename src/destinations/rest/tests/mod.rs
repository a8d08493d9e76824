//! Tests of the REST destination.
