//! What a chapter carries over from the one before.
