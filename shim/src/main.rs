//! The shim as a program: `start` has the entry point, the library the rest.

#![no_std]
#![no_main]

mod start;
