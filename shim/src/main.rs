//! The shim as a program. `start` has the entry point, the library all the rest.

#![no_std]
#![no_main]

mod start;
