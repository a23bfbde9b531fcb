//! Credentials as data: the secret, the lease that limits its validity, and the scope that assigns
//! origins to credentials. No IO, no clock.

pub mod lease;
pub mod scope;
pub mod secret;
