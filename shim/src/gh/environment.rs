//! gh's token variables: the user's own, the dead ones, and the environment that
//! the real gh gets. A token variable is dead if it is empty or holds an installation
//! token, which may have expired.

use crate::protocol::gh::{DEFAULT_HOST, TOKEN_VARIABLES, canonical_host, is_installation_token, token_variables};
use crate::protocol::origin::has_host_bytes;
use crate::sys::{self, Arg, Errno};

/// Number of variables that [`GhEnvironment::set`] can add: the token, `GH_PATH`, the
/// preference, and the guard.
const ADDED: usize = 4;

/// The host that gh is pointed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GhHost<'a> {
    pub(super) name: &'a [u8],
    variables: &'static [&'static str; 2],
}

/// The environment that gh gets. It ends with `None`.
pub(super) struct GhEnvironment<'a> {
    entries: &'a mut [Option<Arg<'a>>],
    used: usize,
}

impl<'a> GhHost<'a> {
    /// Returns the host that gh reads from the value of `GH_HOST` or `--hostname`, or
    /// gh's default host without a value. Returns `None` if the text can't be a host.
    pub(super) fn from_name(name: Option<&'a [u8]>) -> Option<Self> {
        Self::from_git(canonical_host(name.unwrap_or(DEFAULT_HOST.as_bytes())))
    }

    /// Returns the host as git names it. A name below github.com isn't shortened to
    /// github.com, so a scope that doesn't list that name refuses it.
    pub(super) fn from_git(name: &'a [u8]) -> Option<Self> {
        (has_host_bytes(name) && !name.is_empty())
            .then(|| Self { name, variables: token_variables(canonical_host(name)) })
    }

    /// Returns the name of the variable that sets this host's token.
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
        let named = canonical_host(named);
        !named.eq_ignore_ascii_case(self.name) && token_variables(named) == self.variables
    }
}

impl<'a> GhEnvironment<'a> {
    /// Copies the environment without its dead tokens. The memory is mapped in the
    /// size that is needed, so an environment of any size fits.
    pub(super) fn without_dead_tokens(envp: &[Option<Arg<'a>>]) -> Result<Self, Errno> {
        let mut environment = Self { entries: sys::map_pointers(envp.len() + ADDED)?, used: 0 };
        for entry in envp.iter().flatten().copied().filter(|entry| !is_dead(*entry)) {
            environment.push(entry);
        }
        Ok(environment)
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
        // The last entry stays `None`.
        let room = self.entries.len() - 1;
        if let Some(free) = self.entries[..room].get_mut(self.used) {
            *free = Some(entry);
            self.used += 1;
        }
    }

    pub(super) fn get(&self) -> &[Option<Arg<'a>>] {
        &self.entries[..=self.used]
    }
}

/// True for a token variable that is empty or holds an installation token. gh ignores
/// an empty variable, but the first entry of a name wins, so an empty one would hide
/// the fresh token.
fn is_dead(entry: Arg<'_>) -> bool {
    let unusable = |value: &[u8]| value.is_empty() || is_installation_token(value);
    value(entry, &TOKEN_VARIABLES).is_some_and(unusable)
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
        let mut environment = GhEnvironment::without_dead_tokens(&envp).unwrap();
        set.iter().for_each(|text| environment.set(entry(text).unwrap()));
        assert!(environment.get().last().unwrap().is_none());
        environment.get().iter().flatten().map(|e| e.bytes()).collect()
    }

    #[test]
    fn a_fresh_token_replaces_the_dead_ones() {
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
        assert!(GhHost::from_name(None).unwrap().has_own_token(&envp));
        assert!(!GhHost::from_name(Some(b"ghe.corp")).unwrap().has_own_token(&envp));
        assert_eq!(after(&["GH_TOKEN=ghs_old\0", "GITHUB_TOKEN=ghp_own\0"], &[]), [b"GITHUB_TOKEN=ghp_own"]);
        let none = [entry("GH_TOKEN=\0"), entry("GITHUB_TOKEN=ghs_\0"), entry("GH_ENTERPRISE_TOKEN=x\0"), None];
        assert!(!GhHost::from_name(None).unwrap().has_own_token(&none));
    }

    #[test]
    fn an_environment_of_any_size_fits() {
        let mut envp = vec![entry("A=1\0"); 100_000];
        envp.extend([entry("GH_TOKEN=ghs_old\0"), None]);
        let mut environment = GhEnvironment::without_dead_tokens(&envp).unwrap();
        for text in ["B=1\0", "C=1\0", "D=1\0", "E=1\0"] {
            environment.set(entry(text).unwrap());
        }
        assert_eq!(environment.get().len(), 100_005);
        assert_eq!(
            environment.get()[100_000..].iter().flatten().map(|e| e.bytes()).collect::<Vec<_>>(),
            [b"B=1", b"C=1", b"D=1", b"E=1"]
        );
    }

    #[test]
    fn a_variable_that_is_set_again_is_listed_once() {
        assert_eq!(after(&["A=1\0", "AB=1\0"], &["A=2\0", "A=3\0", "C=1\0"]), [&b"A=3"[..], b"AB=1", b"C=1"]);
    }

    #[test]
    fn git_names_a_host_exactly() {
        let host = GhHost::from_git(b"gist.github.com").unwrap();
        assert_eq!((host.name, host.variable()), (&b"gist.github.com"[..], &b"GH_TOKEN"[..]));
        assert_eq!(GhHost::from_git(b"ghe.corp:8443").unwrap().variable(), b"GH_ENTERPRISE_TOKEN");
        assert!(GhHost::from_git(b"").is_none() && GhHost::from_git(b"a/b").is_none());
    }

    #[test]
    fn a_host_has_the_variable_that_gh_reads_for_it() {
        for (text, name, variable) in [
            (None, "github.com", "GH_TOKEN"),
            (Some("GitHub.com"), "GitHub.com", "GH_TOKEN"),
            (Some("api.github.com"), "github.com", "GH_TOKEN"),
            (Some("tenant.ghe.com"), "tenant.ghe.com", "GH_TOKEN"),
            (Some("ghe.corp"), "ghe.corp", "GH_ENTERPRISE_TOKEN"),
            (Some("github.com.evil.example"), "github.com.evil.example", "GH_ENTERPRISE_TOKEN"),
        ] {
            let host = GhHost::from_name(text.map(str::as_bytes)).unwrap();
            assert_eq!((host.name, host.variable()), (name.as_bytes(), variable.as_bytes()));
        }
        for text in [&b"evil/.github.com"[..], b"evil\n.github.com", b"a/b", b"a%2f.github.com"] {
            assert_eq!(GhHost::from_name(Some(text)), None);
        }
    }

    #[test]
    fn a_token_leaks_only_to_another_host_of_its_own_kind() {
        let enterprise = GhHost::from_name(Some(b"ghe.corp")).unwrap();
        assert!(enterprise.would_leak_to(b"other.corp"));
        assert!(!enterprise.would_leak_to(b"GHE.corp"));
        assert!(!enterprise.would_leak_to(b"github.com"));
        let github = GhHost::from_name(None).unwrap();
        assert!(github.would_leak_to(b"tenant.ghe.com"));
        assert!(!github.would_leak_to(b"gist.github.com"));
        assert!(!github.would_leak_to(b"ghe.corp"));
    }
}
