//! Users and groups by name or number.
//!
//! Names are looked up through the C library. In the static musl build it reads only `/etc/passwd`
//! and `/etc/group`. Users that exist only in LDAP or sssd aren't found there, and must be
//! configured by number.

use std::fmt;
use std::path::PathBuf;

use molecule_protocol::namespace::OVERFLOW_UID;
use nix::unistd::{Gid, Group, Uid};

/// Overflow uid, which a user namespace shows for every user that it doesn't map
/// (user_namespaces(7)). It stands for many users, so it is trusted only where it is configured.
pub const OVERFLOW: Uid = Uid::from_raw(OVERFLOW_UID);

/// User that a process can run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name in the user database, or the uid if there is no entry.
    pub name: String,
    pub uid: Uid,
    pub gid: Gid,
    /// Home folder. `None` if the user database has no entry.
    pub home: Option<PathBuf>,
}

/// Error for a user or group that wasn't found. Its text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserNotFound {
    what: &'static str,
    text: String,
}

/// Finds a user by name or by uid. A uid without an entry in the user database is valid too, since
/// containers often run under one.
///
/// # Errors
/// Returns an error if there is no such name, or if the user database can't be read.
pub fn user(text: &str) -> Result<User, UserNotFound> {
    let missing = || UserNotFound { what: "user", text: text.to_owned() };
    match parse_id(text) {
        Some(uid) => Ok(user_of(Uid::from_raw(uid))),
        None if text.is_empty() => Err(missing()),
        None => nix::unistd::User::from_name(text).ok().flatten().map(User::from).ok_or_else(missing),
    }
}

/// Returns the user with this uid, whether or not the user database knows it. An unknown user gets
/// its uid as its gid, as is usual, so that no process runs with a group that the user isn't known
/// to have.
#[must_use]
pub fn user_of(uid: Uid) -> User {
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(known)) => User::from(known),
        _ => User { name: uid.to_string(), uid, gid: Gid::from_raw(uid.as_raw()), home: None },
    }
}

/// Finds a group by name or by gid.
///
/// # Errors
/// Returns an error if there is no such name, or if the group database can't be read.
pub fn group(text: &str) -> Result<Gid, UserNotFound> {
    let missing = || UserNotFound { what: "group", text: text.to_owned() };
    match parse_id(text) {
        Some(gid) => Ok(Gid::from_raw(gid)),
        None if text.is_empty() => Err(missing()),
        None => Group::from_name(text).ok().flatten().map(|g| g.gid).ok_or_else(missing),
    }
}

/// Parses a uid or gid as `id -u` prints it. 4294967295 isn't a valid id: to the kernel it means
/// "leave unchanged".
fn parse_id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|&id| digits && id != u32::MAX)
}

impl From<nix::unistd::User> for User {
    fn from(known: nix::unistd::User) -> Self {
        Self { name: known.name, uid: known.uid, gid: known.gid, home: Some(known.dir) }
    }
}

impl fmt::Display for UserNotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, text } = self;
        write!(f, "there is no {what} {text:?} here, expected the name of a {what} or its number")
    }
}

impl std::error::Error for UserNotFound {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_name_and_by_number() {
        let root = user("root").unwrap();
        assert_eq!((root.uid.as_raw(), root.gid.as_raw()), (0, 0));
        assert_eq!(user("0").unwrap(), root);
        assert_eq!(group("root").unwrap(), group("0").unwrap());
    }

    #[test]
    fn a_number_without_an_entry_is_still_a_user() {
        let user = user("3999999999").unwrap();
        assert_eq!((user.uid.as_raw(), user.home), (3_999_999_999, None));
    }

    #[test]
    fn neither_a_name_nor_a_number_is_refused_with_advice() {
        for text in ["", "no-such-user", "-1", "+1", "4294967295", "99999999999", "1 2"] {
            let error = user(text).unwrap_err().to_string();
            assert!(error.contains("expected the name of a user or its number"), "{error}");
            assert!(group(text).is_err(), "{text}");
        }
    }
}
