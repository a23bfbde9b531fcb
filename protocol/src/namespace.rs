//! User namespaces: the facts that a client needs to judge its server.
//!
//! The kernel shows all users that a process's user namespace doesn't map as one uid,
//! the overflow uid (user_namespaces(7)), both as the peer of a socket and as the owner
//! of a file. Agents run commands in such a namespace (bubblewrap maps a single uid).
//! There root, the daemon's user and every other user that isn't mapped show as the same
//! uid.

/// The overflow uid. `/proc/sys/kernel/overflowuid` can set another one, but no known
/// system does: user databases name this uid `nobody`.
pub const OVERFLOW_UID: u32 = 65534;

/// Meaning of the overflow uid in a user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverflowMeaning {
    /// The user with that number, since every user is mapped.
    User,
    /// Only users that aren't mapped.
    Unmapped,
    /// A mapped user or one that isn't mapped. The two can't be told apart.
    Ambiguous,
}

impl OverflowMeaning {
    /// Reads the content of `/proc/self/uid_map`. Its lines have the first uid inside,
    /// the first uid in the parent namespace, and the length. The second number is
    /// ignored. Of two nested namespaces, as bubblewrap makes them for `--dev`, the
    /// inner one names uid 0 of the outer one there, which is the caller and not root.
    #[must_use]
    pub fn from_uid_map(uid_map: &[u8]) -> Self {
        let mut words = uid_map.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        // Without a range the caller itself isn't mapped.
        let mut seen = Self::Ambiguous;
        while let Some(word) = words.next() {
            let (Some(first), Some(_), Some(length)) = (number(word), words.next(), words.next().and_then(number))
            else {
                return Self::Ambiguous;
            };
            if first == 0 && length == u64::from(u32::MAX) {
                return Self::User;
            }
            if (first..first + length).contains(&u64::from(OVERFLOW_UID)) {
                return Self::Ambiguous;
            }
            seen = Self::Unmapped;
        }
        seen
    }
}

/// True if only users that aren't mapped can write to a folder with this owner and mode,
/// or replace a symbolic link. Valid only for [`OverflowMeaning::Unmapped`]. If there is
/// an access control list, the group's bits are the most that it grants (acl(5)), so
/// they cover it too.
#[must_use]
pub fn is_closed_to_mapped(uid: u32, mode: u32) -> bool {
    const TYPE: u32 = 0o170_000;
    const LINK: u32 = 0o120_000;
    const OTHERS_WRITE: u32 = 0o022;
    uid == OVERFLOW_UID && (mode & TYPE == LINK || mode & OTHERS_WRITE == 0)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number: u64, byte| match byte {
        b'0'..=b'9' if number <= u64::from(u32::MAX) => Some(number * 10 + u64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule25_a_uid_map_gives_the_overflow_uid_its_meaning() {
        for (map, expected) in [
            // Outside any namespace, and in gVisor.
            ("         0          0 4294967295\n", OverflowMeaning::User),
            // bubblewrap, without and with `--dev`, and with `--uid 0`.
            ("      1000       1000          1\n", OverflowMeaning::Unmapped),
            ("      1000          0          1\n", OverflowMeaning::Unmapped),
            ("         0          0          1\n", OverflowMeaning::Unmapped),
            ("0 1000 1\n1 100000 65533\n", OverflowMeaning::Unmapped),
            // Docker's userns-remap and rootless Podman map a `nobody`.
            ("0 100000 65536\n", OverflowMeaning::Ambiguous),
            ("0 1000 1\n1 100000 65536\n", OverflowMeaning::Ambiguous),
            ("65534 1000 1\n", OverflowMeaning::Ambiguous),
            ("", OverflowMeaning::Ambiguous),
            ("1000 1000\n", OverflowMeaning::Ambiguous),
            ("1000 1000 1 1\n", OverflowMeaning::Ambiguous),
            ("1000 1000 -1\n", OverflowMeaning::Ambiguous),
            ("1000 1000 1\n0 0", OverflowMeaning::Ambiguous),
        ] {
            assert_eq!(OverflowMeaning::from_uid_map(map.as_bytes()), expected, "{map:?}");
        }
    }

    #[test]
    fn rule25_a_folder_is_closed_if_only_its_unmapped_owner_writes() {
        assert!(is_closed_to_mapped(OVERFLOW_UID, 0o40755));
        assert!(is_closed_to_mapped(OVERFLOW_UID, 0o120_777), "a link has no mode of its own");
        for mode in [0o40775, 0o41777, 0o41755 | 0o002, 0o40757] {
            assert!(!is_closed_to_mapped(OVERFLOW_UID, mode), "{mode:o}");
        }
        for owner in [0, 1000] {
            assert!(!is_closed_to_mapped(owner, 0o40755) && !is_closed_to_mapped(owner, 0o120_777), "{owner}");
        }
    }
}
