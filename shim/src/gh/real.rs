//! Finds the real gh, and becomes it.
//!
//! A wrapper of the image's may sit earlier on `PATH` and run us by our full
//! path. So a gh that first comes up on `PATH` after us is taken before all
//! others: however many wrappers and copies there are, each step goes further
//! down the list. Only where there is none are the others tried, and once.

use crate::fallback::{Path, search_path};
use crate::speech::say;
use crate::sys::{self, Arg, Start};
use crate::text::Text;

/// Set where the next step doesn't go down the list.
const GUARD: &[u8] = b"MOLECULE_BROKER_GH_SHIM";

/// Comes back only if there is no real gh.
pub(super) fn become_gh(start: &Start<'_>, envp: &[Option<Arg<'_>>]) -> u8 {
    let own = start.path.map_or(&b"gh"[..], Arg::bytes);
    let mut diverted = Path::of(&[own, b".distrib"]);
    if let Some(path) = diverted.arg().filter(|_| own.contains(&b'/')) {
        sys::exec(path, start.argv, envp);
    }
    try_path(start, envp);
    say(&[
        b"the real gh isn't there: neither ",
        diverted.get(),
        b" nor another gh further down PATH; install it (https://cli.github.com) or remove this shim",
    ]);
    127
}

fn try_path(start: &Start<'_>, envp: &[Option<Arg<'_>>]) {
    let Some(own) = own_identity(start) else { return };
    let first = |wanted| search_path(start).position(|folder| identity(folder) == Some(wanted));
    if let Some(ours) = first(own) {
        let further = |found, at| at > ours && first(found) == Some(at);
        try_each(start, envp, |found, at| found != own && further(found, at));
    }
    // Before us, or we aren't on it: whoever that is may come back to us, once.
    let mut guard = Text::<64>::of(&[GUARD, b"=1"]);
    let mut room = [None; super::environment::MOST + 1];
    if start.variable(GUARD).is_none()
        && let Some(envp) = with(envp, guard.arg(), &mut room)
    {
        try_each(start, envp, |found, _| found != own);
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

fn with<'s, 'a>(
    envp: &[Option<Arg<'a>>],
    more: Option<Arg<'a>>,
    room: &'s mut [Option<Arg<'a>>],
) -> Option<&'s [Option<Arg<'a>>]> {
    let longer = room.get_mut(..=envp.len())?;
    longer[0] = more;
    longer[1..].copy_from_slice(envp);
    Some(longer)
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
