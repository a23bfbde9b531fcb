//! The contract between the broker and its shims.
#![no_std]
#![forbid(unsafe_code)]

pub mod digest;
