//! The rules of `docs/rules.md` that the daemon holds, each as a test with the
//! real binary: a scripted platform on one side, a raw socket on the other.
//! A test's name begins with its rule's section and number.

mod clocks;
mod commands;
mod hostility;
mod idle;
mod load;
mod neighbours;
mod outage;
mod page;
mod reload;
mod scope;
mod socket_life;
mod source;
mod spoilt;
mod strangers;
mod who_may_ask;
