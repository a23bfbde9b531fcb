//! Finds the real gh and executes it.
//!
//! A wrapper of the image may be earlier on `PATH` and run the shim by its full path.
//! So the shim prefers a gh whose first entry on `PATH` comes after the shim's own.
//! However many wrappers and copies there are, each step goes further down the list.
//! Only if no gh comes after the shim are the others tried, a few times.

use crate::fallback::{PathText, search_path};
use crate::messages::print_line;
use crate::sys::{self, Arg, ProcessStart};

use super::environment::GhEnvironment;

/// Variable that counts the steps that don't go down the list. Extensions of gh
/// inherit it and may call this shim again, so a few such steps are allowed.
const GUARD: &[u8] = b"MOLECULE_BROKER_GH_SHIM";
const STEPS: [&[u8]; 4] = [
    b"MOLECULE_BROKER_GH_SHIM=1\0",
    b"MOLECULE_BROKER_GH_SHIM=2\0",
    b"MOLECULE_BROKER_GH_SHIM=3\0",
    b"MOLECULE_BROKER_GH_SHIM=4\0",
];

/// Executes the real gh. Returns an exit status only if there is none.
pub(super) fn exec_gh(start: &ProcessStart<'_>, environment: GhEnvironment<'_>) -> u8 {
    let own = start.path.map_or(&b"gh"[..], Arg::bytes);
    let mut diverted = PathText::concat(&[own, b".distrib"]);
    if let Some(path) = diverted.arg().filter(|_| own.contains(&b'/')) {
        sys::exec(path, start.argv, environment.get());
    }
    try_path(start, environment);
    print_line(&[
        b"the real gh isn't there: neither ",
        diverted.get(),
        b" nor another gh further down PATH; install it (https://cli.github.com) or remove this shim",
    ]);
    127
}

/// Returns `GH_PATH=` and the path of this shim. gh runs itself by that path, for git
/// and for extensions, so each such call gets a fresh token, however long ago the
/// first call began (`gh help environment`; gh's `Factory.Executable`; gh passes it to
/// extensions since 2.102, and go-gh reads it in all versions).
///
/// Returns `None` if the user has set the variable, or if the shim's own path doesn't
/// lead back to it, as `/dev/fd/3` doesn't.
pub(super) fn gh_path_entry(start: &ProcessStart<'_>) -> Option<PathText> {
    const NAME: &[u8] = b"GH_PATH";
    let path = start.path?.bytes();
    if start.setting(NAME).is_some() || path.rsplit(|&b| b == b'/').next() != Some(b"gh") {
        return None;
    }
    if path.starts_with(b"/") {
        return Some(PathText::concat(&[NAME, b"=", path]));
    }
    let mut folder = [0; 4096];
    let folder = sys::read_link(Arg::new(b"/proc/self/cwd\0")?, &mut folder).ok()?;
    Some(PathText::concat(&[NAME, b"=", folder, b"/", path]))
}

fn try_path(start: &ProcessStart<'_>, mut environment: GhEnvironment<'_>) {
    let Some(own) = own_identity(start) else { return };
    let first = |wanted| search_path(start).position(|folder| identity(folder) == Some(wanted));
    if let Some(ours) = first(own) {
        let further = |found, at| at > ours && first(found) == Some(at);
        try_each(start, environment.get(), |found, at| found != own && further(found, at));
    }
    // The gh found now comes before the shim, or the shim isn't on PATH. Such a
    // program may call the shim again.
    let taken = start.setting(GUARD).map_or(0, |count| count[0].wrapping_sub(b'0'));
    if let Some(step) = STEPS.get(usize::from(taken)).and_then(|text| Arg::new(text)) {
        environment.set(step);
        try_each(start, environment.get(), |found, _| found != own);
    }
}

fn try_each(start: &ProcessStart<'_>, envp: &[Option<Arg<'_>>], may_be: impl Fn((u64, u64), usize) -> bool) {
    for (at, folder) in search_path(start).enumerate() {
        if identity(folder).is_some_and(|found| may_be(found, at))
            && let Some(path) = gh_in(folder).arg()
        {
            sys::exec(path, start.argv, envp);
        }
    }
}

fn own_identity(start: &ProcessStart<'_>) -> Option<(u64, u64)> {
    let by_link = Arg::new(b"/proc/self/exe\0").and_then(|path| sys::stat(path).ok());
    let stat = by_link.or_else(|| sys::stat(start.path?).ok())?;
    Some(stat.identity)
}

fn identity(folder: &[u8]) -> Option<(u64, u64)> {
    let stat = sys::stat(gh_in(folder).arg()?).ok()?;
    Some(stat.identity)
}

fn gh_in(folder: &[u8]) -> PathText {
    PathText::concat(&[folder, b"/gh"])
}
