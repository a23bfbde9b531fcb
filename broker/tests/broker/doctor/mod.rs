//! `doctor` with the real git, the real daemon, and a platform on a thread:
//! each fault is made, found, named with its remedy, and gone after that.

mod faults;
mod remedies;
mod situations;
mod terminals;
