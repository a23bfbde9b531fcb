//! A credential as data: the secret, the lease that says until when it is
//! valid, and the scope that says which origins it is for. No IO, no clock.

pub mod lease;
pub mod scope;
pub mod secret;
