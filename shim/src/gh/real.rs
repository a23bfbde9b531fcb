//! Finds the real gh, and becomes it.
//!
//! A wrapper of the image's may sit earlier on `PATH` and run us by our full
//! path. So a gh that first comes up on `PATH` after us is taken before all
//! others: however many wrappers and copies there are, each step goes further
//! down the list. Only where there is none are the others tried, a few times.

use crate::fallback::{Path, search_path};
use crate::messages::say;
use crate::sys::{self, Arg, Start};

use super::environment::Table;

/// Counts the steps that don't go down the list. An extension of gh's runs with
/// it too, and may call this shim again, so a few such steps are allowed.
const GUARD: &[u8] = b"MOLECULE_BROKER_GH_SHIM";
const STEPS: [&[u8]; 4] = [
    b"MOLECULE_BROKER_GH_SHIM=1\0",
    b"MOLECULE_BROKER_GH_SHIM=2\0",
    b"MOLECULE_BROKER_GH_SHIM=3\0",
    b"MOLECULE_BROKER_GH_SHIM=4\0",
];

/// Comes back only if there is no real gh.
pub(super) fn become_gh(start: &Start<'_>, table: Table<'_>) -> u8 {
    let own = start.path.map_or(&b"gh"[..], Arg::bytes);
    let mut diverted = Path::of(&[own, b".distrib"]);
    if let Some(path) = diverted.arg().filter(|_| own.contains(&b'/')) {
        sys::exec(path, start.argv, table.get());
    }
    try_path(start, table);
    say(&[
        b"the real gh isn't there: neither ",
        diverted.get(),
        b" nor another gh further down PATH; install it (https://cli.github.com) or remove this shim",
    ]);
    127
}

/// `GH_PATH=` and the path of this shim. gh runs itself by that path, for git
/// as much as in extensions, and each such call then has a fresh token, however
/// long ago the first began (`gh help environment`; gh's `Factory.Executable`;
/// extensions are told since 2.102, and go-gh looks there in all versions).
///
/// Left alone where the user has set it, and where our own path isn't one that
/// leads here again, such as `/dev/fd/3`.
pub(super) fn way_back(start: &Start<'_>) -> Option<Path> {
    const NAME: &[u8] = b"GH_PATH";
    let path = start.path?.bytes();
    if start.setting(NAME).is_some() || path.rsplit(|&b| b == b'/').next() != Some(b"gh") {
        return None;
    }
    if path.starts_with(b"/") {
        return Some(Path::of(&[NAME, b"=", path]));
    }
    let mut folder = [0; 4096];
    let folder = sys::read_link(Arg::new(b"/proc/self/cwd\0")?, &mut folder).ok()?;
    Some(Path::of(&[NAME, b"=", folder, b"/", path]))
}

fn try_path(start: &Start<'_>, mut table: Table<'_>) {
    let Some(own) = own_identity(start) else { return };
    let first = |wanted| search_path(start).position(|folder| identity(folder) == Some(wanted));
    if let Some(ours) = first(own) {
        let further = |found, at| at > ours && first(found) == Some(at);
        try_each(start, table.get(), |found, at| found != own && further(found, at));
    }
    // Before us, or we aren't on it: that program may come back to us.
    let taken = start.setting(GUARD).map_or(0, |count| count[0].wrapping_sub(b'0'));
    if let Some(step) = STEPS.get(usize::from(taken)).and_then(|text| Arg::new(text)) {
        table.set(step);
        try_each(start, table.get(), |found, _| found != own);
    }
}

fn try_each(start: &Start<'_>, envp: &[Option<Arg<'_>>], may_be: impl Fn((u64, u64), usize) -> bool) {
    for (at, folder) in search_path(start).enumerate() {
        if identity(folder).is_some_and(|found| may_be(found, at))
            && let Some(path) = gh_in(folder).arg()
        {
            sys::exec(path, start.argv, envp);
        }
    }
}

fn own_identity(start: &Start<'_>) -> Option<(u64, u64)> {
    let by_link = Arg::new(b"/proc/self/exe\0").and_then(|path| sys::stat(path).ok());
    let stat = by_link.or_else(|| sys::stat(start.path?).ok())?;
    Some(stat.identity)
}

fn identity(folder: &[u8]) -> Option<(u64, u64)> {
    let stat = sys::stat(gh_in(folder).arg()?).ok()?;
    Some(stat.identity)
}

fn gh_in(folder: &[u8]) -> Path {
    Path::of(&[folder, b"/gh"])
}
