//! Rules of `docs/rules.md` that the daemon keeps, each as a test of the real
//! binary between a scripted platform and a raw socket. The name of such a test
//! begins with `rule` and the rule's number.

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
