//! `doctor` with the real git, the real daemon and a platform on a thread. Each
//! test creates a fault, checks that it is found with its remedy, and that it is
//! gone afterwards.

mod faults;
mod remedies;
mod situations;
mod terminals;
