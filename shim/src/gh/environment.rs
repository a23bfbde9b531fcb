//! gh's token variables: which are the user's own, which are dead, and the
//! environment that the real gh gets.

use crate::protocol::gh::{DEFAULT_HOST, TOKENS, canonical, is_installation_token, variables};
use crate::protocol::origin::has_host_bytes;
use crate::sys::{self, Arg, Errno};

/// Number of variables that [`Table::set`] can add: the token, the way back to this
/// shim, the preference, and the guard.
const ADDED: usize = 4;

/// The host that gh is pointed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host<'a> {
    pub(super) name: &'a [u8],
    variables: &'static [&'static str; 2],
}

/// The environment that gh gets. It ends with `None`.
pub(super) struct Table<'a> {
    entries: &'a mut [Option<Arg<'a>>],
    used: usize,
}

impl<'a> Host<'a> {
    /// The host that gh takes this text for: the value of `GH_HOST` or of
    /// `--hostname`. `None` if it can't be a host.
    pub(super) fn of(said: Option<&'a [u8]>) -> Option<Self> {
        Self::named_by_git(canonical(said.unwrap_or(DEFAULT_HOST.as_bytes())))
    }

    /// The host as git names it: a name below github.com is asked for as it is,
    /// and a scope that doesn't list it holds.
    pub(super) fn named_by_git(name: &'a [u8]) -> Option<Self> {
        (has_host_bytes(name) && !name.is_empty()).then(|| Self { name, variables: variables(canonical(name)) })
    }

    pub(super) fn variable(&self) -> &'static [u8] {
        self.variables[0].as_bytes()
    }

    /// Returns true if a variable that gh reads for this host holds the user's
    /// own token, and not one of the broker's.
    pub(super) fn has_own_token(&self, envp: &[Option<Arg<'_>>]) -> bool {
        let is_own = |value: &[u8]| !value.is_empty() && !is_installation_token(value);
        envp.iter().flatten().any(|entry| value(*entry, self.variables).is_some_and(is_own))
    }

    /// Returns true if gh would send this host's token to the host `named`.
    pub(super) fn would_leak_to(&self, named: &[u8]) -> bool {
        let named = canonical(named);
        !named.eq_ignore_ascii_case(self.name) && variables(named) == self.variables
    }
}

impl<'a> Table<'a> {
    /// The environment without its dead tokens, in memory of the size that it
    /// takes: there is no largest one.
    pub(super) fn of(envp: &[Option<Arg<'a>>]) -> Result<Self, Errno> {
        let mut table = Self { entries: sys::pointers(envp.len() + ADDED)?, used: 0 };
        for entry in envp.iter().flatten().copied().filter(|entry| !is_dead(*entry)) {
            table.push(entry);
        }
        Ok(table)
    }

    /// Sets the variable that this `NAME=value` names.
    pub(super) fn set(&mut self, entry: Arg<'a>) {
        let name = entry.bytes().split(|&b| b == b'=').next().unwrap_or_default();
        let known = self.entries[..self.used].iter_mut().flatten().find(|known| known.value_of(name).is_some());
        match known {
            Some(known) => *known = entry,
            None => self.push(entry),
        }
    }

    fn push(&mut self, entry: Arg<'a>) {
        // The last place stays `None`.
        let room = self.entries.len() - 1;
        if let Some(place) = self.entries[..room].get_mut(self.used) {
            *place = Some(entry);
            self.used += 1;
        }
    }

    pub(super) fn get(&self) -> &[Option<Arg<'a>>] {
        &self.entries[..=self.used]
    }
}

/// An empty one is none to gh, but the first of a name wins: it would hide the
/// fresh one behind it.
fn is_dead(entry: Arg<'_>) -> bool {
    let of_no_use = |value: &[u8]| value.is_empty() || is_installation_token(value);
    value(entry, &TOKENS).is_some_and(of_no_use)
}

fn value<'a>(entry: Arg<'a>, names: &[&str]) -> Option<&'a [u8]> {
    names.iter().find_map(|name| entry.value_of(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &'static str) -> Option<Arg<'static>> {
        Arg::new(text.as_bytes())
    }

    fn after(envp: &[&'static str], set: &[&'static str]) -> Vec<&'static [u8]> {
        let envp: Vec<_> = envp.iter().map(|e| entry(e)).chain([None]).collect();
        let mut table = Table::of(&envp).unwrap();
        set.iter().for_each(|text| table.set(entry(text).unwrap()));
        assert!(table.get().last().unwrap().is_none());
        table.get().iter().flatten().map(|e| e.bytes()).collect()
    }

    #[test]
    fn dead_tokens_go_and_the_fresh_one_comes() {
        let envp = ["A=1\0", "GH_TOKEN=ghs_old\0", "GITHUB_TOKEN=ghs_old\0", "GH_TOKENS=ghs_x\0"];
        assert_eq!(after(&envp, &["GH_TOKEN=ghs_new\0"]), [&b"A=1"[..], b"GH_TOKENS=ghs_x", b"GH_TOKEN=ghs_new"]);
    }

    #[test]
    fn an_empty_variable_hides_no_fresh_token() {
        assert_eq!(after(&["GH_TOKEN=\0", "GITHUB_TOKEN=\0"], &["GH_TOKEN=ghs_new\0"]), [b"GH_TOKEN=ghs_new"]);
    }

    #[test]
    fn the_users_own_token_is_left_alone() {
        let envp = [entry("GH_TOKEN=ghs_old\0"), entry("GITHUB_TOKEN=ghp_own\0"), None];
        assert!(Host::of(None).unwrap().has_own_token(&envp));
        assert!(!Host::of(Some(b"ghe.corp")).unwrap().has_own_token(&envp));
        assert_eq!(after(&["GH_TOKEN=ghs_old\0", "GITHUB_TOKEN=ghp_own\0"], &[]), [b"GITHUB_TOKEN=ghp_own"]);
        let none = [entry("GH_TOKEN=\0"), entry("GITHUB_TOKEN=ghs_\0"), entry("GH_ENTERPRISE_TOKEN=x\0"), None];
        assert!(!Host::of(None).unwrap().has_own_token(&none));
    }

    #[test]
    fn an_environment_of_any_size_fits() {
        let mut envp = vec![entry("A=1\0"); 100_000];
        envp.extend([entry("GH_TOKEN=ghs_old\0"), None]);
        let mut table = Table::of(&envp).unwrap();
        for text in ["B=1\0", "C=1\0", "D=1\0", "E=1\0"] {
            table.set(entry(text).unwrap());
        }
        assert_eq!(table.get().len(), 100_005);
        assert_eq!(
            table.get()[100_000..].iter().flatten().map(|e| e.bytes()).collect::<Vec<_>>(),
            [b"B=1", b"C=1", b"D=1", b"E=1"]
        );
    }

    #[test]
    fn a_variable_that_is_set_again_stands_once() {
        assert_eq!(after(&["A=1\0", "AB=1\0"], &["A=2\0", "A=3\0", "C=1\0"]), [&b"A=3"[..], b"AB=1", b"C=1"]);
    }

    #[test]
    fn git_names_a_host_exactly() {
        let host = Host::named_by_git(b"gist.github.com").unwrap();
        assert_eq!((host.name, host.variable()), (&b"gist.github.com"[..], &b"GH_TOKEN"[..]));
        assert_eq!(Host::named_by_git(b"ghe.corp:8443").unwrap().variable(), b"GH_ENTERPRISE_TOKEN");
        assert!(Host::named_by_git(b"").is_none() && Host::named_by_git(b"a/b").is_none());
    }

    #[test]
    fn a_host_has_the_variable_that_gh_reads_for_it() {
        for (said, name, variable) in [
            (None, "github.com", "GH_TOKEN"),
            (Some("GitHub.com"), "GitHub.com", "GH_TOKEN"),
            (Some("api.github.com"), "github.com", "GH_TOKEN"),
            (Some("tenant.ghe.com"), "tenant.ghe.com", "GH_TOKEN"),
            (Some("ghe.corp"), "ghe.corp", "GH_ENTERPRISE_TOKEN"),
            (Some("github.com.evil.example"), "github.com.evil.example", "GH_ENTERPRISE_TOKEN"),
        ] {
            let host = Host::of(said.map(str::as_bytes)).unwrap();
            assert_eq!((host.name, host.variable()), (name.as_bytes(), variable.as_bytes()));
        }
        for said in [&b"evil/.github.com"[..], b"evil\n.github.com", b"a/b", b"a%2f.github.com"] {
            assert_eq!(Host::of(Some(said)), None);
        }
    }

    #[test]
    fn a_token_leaks_only_to_another_host_of_its_own_kind() {
        let enterprise = Host::of(Some(b"ghe.corp")).unwrap();
        assert!(enterprise.would_leak_to(b"other.corp"));
        assert!(!enterprise.would_leak_to(b"GHE.corp"));
        assert!(!enterprise.would_leak_to(b"github.com"));
        let github = Host::of(None).unwrap();
        assert!(github.would_leak_to(b"tenant.ghe.com"));
        assert!(!github.would_leak_to(b"gist.github.com"));
        assert!(!github.would_leak_to(b"ghe.corp"));
    }
}
