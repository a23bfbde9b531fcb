//! Users and groups by name or number.
//!
//! Names are looked up through the C library. In the static musl build that
//! reads `/etc/passwd` and `/etc/group` and nothing else: users that exist only
//! in LDAP or sssd aren't found there, and are configured by number.

use std::fmt;
use std::path::PathBuf;

use molecule_protocol::namespace::OVERFLOW_UID;
use nix::unistd::{Gid, Group, Uid};

/// The uid that a user namespace shows for everybody it doesn't map
/// (user_namespaces(7)): not one user, so never one to trust unasked.
pub const OVERFLOW: Uid = Uid::from_raw(OVERFLOW_UID);

/// What is needed to act as somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// As in the user database, or the number where it has no entry.
    pub name: String,
    pub uid: Uid,
    pub gid: Gid,
    /// `None` for a bare number.
    pub home: Option<PathBuf>,
}

/// Why somebody couldn't be found. Says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserNotFound {
    what: &'static str,
    text: String,
}

/// Finds a user by name or by uid. A number without an entry is a user too:
/// containers run under such all the time.
///
/// # Errors
/// There is no such name, or the user database can't be read.
pub fn user(text: &str) -> Result<User, UserNotFound> {
    let missing = || UserNotFound { what: "user", text: text.to_owned() };
    match number(text) {
        Some(uid) => Ok(user_of(Uid::from_raw(uid))),
        None if text.is_empty() => Err(missing()),
        None => nix::unistd::User::from_name(text).ok().flatten().map(User::from).ok_or_else(missing),
    }
}

/// The user with this uid, whether or not the user database knows it. The gid
/// of an unknown one is its uid, as is usual, so that nothing is done with a
/// group that it isn't known to have.
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
/// There is no such name, or the group database can't be read.
pub fn group(text: &str) -> Result<Gid, UserNotFound> {
    let missing = || UserNotFound { what: "group", text: text.to_owned() };
    match number(text) {
        Some(gid) => Ok(Gid::from_raw(gid)),
        None if text.is_empty() => Err(missing()),
        None => Group::from_name(text).ok().flatten().map(|g| g.gid).ok_or_else(missing),
    }
}

/// A uid or gid as `id -u` prints it. 4294967295 is no id: to the kernel it
/// means "leave unchanged".
fn number(text: &str) -> Option<u32> {
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
    fn what_is_neither_a_name_nor_a_number_is_refused_with_advice() {
        for text in ["", "no-such-user", "-1", "+1", "4294967295", "99999999999", "1 2"] {
            let error = user(text).unwrap_err().to_string();
            assert!(error.contains("expected the name of a user or its number"), "{error}");
            assert!(group(text).is_err(), "{text}");
        }
    }
}
