//! The token that a call of gh needs, read from its arguments, and the host that it
//! is for.

use crate::protocol::origin::has_host_bytes;

/// The token that a call of gh needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenNeed<'a> {
    /// No token: the call logs gh in or out, or only prints help or a version.
    Nothing,
    /// A token for the host that gh is pointed at. This includes `auth status`,
    /// which should report the login that works.
    Token,
    /// A token that `auth token` prints: for this host, or without one for the host
    /// that gh is pointed at.
    PrintedToken(Option<&'a [u8]>),
    /// A token that `auth git-credential get` gives to git, for the host that git
    /// names on standard input.
    GitCredential,
    /// An OAuth token. This command of gh demands one, and only a person's login has
    /// it.
    Login(&'a [u8]),
}

impl<'a> TokenNeed<'a> {
    pub(super) fn from_arguments(arguments: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        if arguments.clone().take_while(|word| *word != b"--").any(|word| word == b"--help") {
            return Self::Nothing;
        }
        let mut words = words(arguments.clone());
        match words.next() {
            None | Some(b"version" | b"help" | b"completion") => Self::Nothing,
            Some(b"auth") => match (words.next(), words.next()) {
                (Some(b"token"), _) => Self::PrintedToken(hostname(arguments)),
                (Some(b"git-credential"), Some(b"get")) => Self::GitCredential,
                (Some(b"status"), _) => Self::Token,
                _ => Self::Nothing,
            },
            // Names and aliases, as `gh agent-task --help` (2.102) lists them.
            Some(word @ (b"agent-task" | b"agent-tasks" | b"agent" | b"agents" | b"copilot")) => Self::Login(word),
            Some(_) => Self::Token,
        }
    }
}

/// Returns the words that name a command, as cobra finds them (its `stripFlags`). A
/// flag without `=` takes the next word as its value, except for gh's global flags
/// `--help` and `--version`.
fn words<'a>(arguments: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    let mut follows_flag = false;
    arguments.take_while(|word| *word != b"--").filter(move |word| {
        let is_value = core::mem::take(&mut follows_flag);
        let is_long = word.starts_with(b"--") && *word != b"--version";
        let is_flag = word.starts_with(b"-");
        follows_flag = !is_value && !word.contains(&b'=') && (is_long || is_flag && word.len() == 2);
        !is_value && !is_flag
    })
}

/// True if an argument, or `GH_REPO`, names a host that `matters`.
///
/// Every text that could be a host counts as one. If a token is wrongly withheld, gh
/// asks for a login; if it is wrongly given, it goes to a stranger's host.
pub(super) fn named_hosts<'a>(
    arguments: impl Iterator<Item = &'a [u8]> + Clone,
    repository: Option<&'a [u8]>,
    matters: impl Fn(&[u8]) -> bool,
) -> bool {
    let bare = arguments.clone().filter(|word| !word.starts_with(b"-")).take(1);
    let repositories = bare.clone().any(|word| [&b"repo"[..], b"extension", b"extensions", b"ext"].contains(&word));
    let named = values(arguments).any(|(flag, value)| {
        let host = match flag_kind(flag) {
            FlagKind::Host => Some(value),
            FlagKind::Repository => host_of_repository(value, true),
            FlagKind::Other => host_of_repository(value, repositories && flag.is_empty()),
        };
        host.is_some_and(&matters)
    });
    named || repository.and_then(|text| host_of_repository(text, true)).is_some_and(&matters)
}

/// Returns the host that `--hostname` or `-h` names. The last one counts (pflag).
fn hostname<'a>(arguments: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let hosts = values(arguments).filter(|(flag, _)| matches!(flag_kind(flag), FlagKind::Host));
    hosts.map(|(_, value)| value).last()
}

/// Returns every value among the arguments, with the flag that it belongs to. The
/// flag is empty for a positional argument.
fn values<'a>(arguments: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let mut previous: &[u8] = b"";
    arguments.filter_map(move |argument| {
        let (flag, value) = match flag_and_value(argument) {
            Some(pair) => pair,
            None => (core::mem::take(&mut previous), argument),
        };
        previous = if value.is_empty() { flag } else { b"" };
        (!value.is_empty()).then_some((flag, value))
    })
}

enum FlagKind {
    Host,
    Repository,
    Other,
}

/// Returns what the flag's value names. By pflag's rules a short flag may be the
/// last of a cluster, as in `-wR`.
fn flag_kind(flag: &[u8]) -> FlagKind {
    let short = flag.starts_with(b"-") && !flag.starts_with(b"--");
    match flag {
        b"--hostname" | b"--host" => FlagKind::Host,
        b"--repo" => FlagKind::Repository,
        _ if short && flag.ends_with(b"h") => FlagKind::Host,
        _ if short && flag.ends_with(b"R") => FlagKind::Repository,
        _ => FlagKind::Other,
    }
}

/// Splits `--flag=value`, `-Fvalue` and `-F=value`. Returns `None` for an argument
/// that isn't a flag.
fn flag_and_value(argument: &[u8]) -> Option<(&[u8], &[u8])> {
    if !argument.starts_with(b"-") {
        return None;
    }
    if argument.starts_with(b"--") {
        let end = argument.iter().position(|&b| b == b'=').unwrap_or(argument.len());
        return Some((&argument[..end], argument.get(end + 1..).unwrap_or_default()));
    }
    let end = argument.iter().position(|b| b"Rh=".contains(b)).unwrap_or(argument.len());
    let flag_end = if argument.get(end) == Some(&b'=') { end } else { argument.len().min(end + 1) };
    let value = argument.get(end + 1..).unwrap_or_default();
    Some((&argument[..flag_end], value.strip_prefix(b"=").unwrap_or(value)))
}

/// Returns the host in a URL, in `user@host:path`, or in `HOST/OWNER/REPO`. A text of
/// the last form that isn't `sure` to be a repository must have a dot or a port in
/// its host.
fn host_of_repository(text: &[u8], sure: bool) -> Option<&[u8]> {
    let scheme_end = text.iter().position(|b| !(b.is_ascii_alphanumeric() || b"+-.".contains(b))).unwrap_or(0);
    if let Some(rest) = text[scheme_end..].strip_prefix(b"://") {
        let end = rest.iter().position(|b| b"/?#\\".contains(b)).unwrap_or(rest.len());
        return Some(after_user(&rest[..end]));
    }
    let slash = text.iter().position(|&b| b == b'/').unwrap_or(text.len());
    let head = &text[..slash];
    if let (Some(at), Some(colon)) = (head.iter().position(|&b| b == b'@'), head.iter().rposition(|&b| b == b':')) {
        return head.get(at + 1..colon);
    }
    let three_parts = text.get(slash + 1..).is_some_and(|rest| rest.contains(&b'/'));
    let like_a_host = has_host_bytes(head) && head.iter().any(|b| b".:".contains(b)) && !head.starts_with(b".");
    (three_parts && !head.is_empty() && (sure || like_a_host)).then_some(head)
}

fn after_user(authority: &[u8]) -> &[u8] {
    let start = authority.iter().rposition(|&b| b == b'@').map_or(0, |at| at + 1);
    &authority[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&[u8]> {
        line.split_whitespace().map(str::as_bytes).collect()
    }

    fn hosts(line: &str) -> Vec<String> {
        let found = std::cell::RefCell::new(Vec::new());
        named_hosts(words(line).into_iter(), None, |host| {
            found.borrow_mut().push(String::from_utf8(host.to_vec()).unwrap());
            false
        });
        found.into_inner()
    }

    fn need(line: &str) -> TokenNeed<'_> {
        TokenNeed::from_arguments(words(line).into_iter())
    }

    #[test]
    fn login_help_and_version_commands_need_no_token() {
        for line in [
            "auth login --with-token",
            "auth --hostname ghe.corp login",
            "auth logout",
            "auth setup-git",
            "auth refresh",
            "auth switch",
            "auth git-credential store",
            "auth token --help",
            "auth",
            "--version",
            "version",
            "help pr",
            "pr create --help",
            "agent-task --help",
            "completion -s bash",
            "",
        ] {
            assert_eq!(need(line), TokenNeed::Nothing, "{line}");
        }
        for line in ["auth status", "pr list", "api user", "alias-of-mine", "pr create -b -- --help"] {
            assert_eq!(need(line), TokenNeed::Token, "{line}");
        }
    }

    #[test]
    fn commands_that_print_a_token_are_recognized() {
        assert_eq!(need("auth token"), TokenNeed::PrintedToken(None));
        for line in [
            "auth token --hostname ghe.corp",
            "auth token --hostname=ghe.corp",
            "auth token -h ghe.corp",
            "auth token -h=ghe.corp",
            "auth token -hghe.corp",
            "auth --hostname ghe.corp token",
            "auth token -h other.corp -u me -h ghe.corp",
        ] {
            assert_eq!(need(line), TokenNeed::PrintedToken(Some(b"ghe.corp")), "{line}");
        }
        assert_eq!(need("auth git-credential get"), TokenNeed::GitCredential);
    }

    #[test]
    fn commands_that_demand_a_login_are_known_by_every_name() {
        for (line, word) in
            [("agent-task list", "agent-task"), ("agents view 1", "agents"), ("copilot -p x", "copilot")]
        {
            assert_eq!(need(line), TokenNeed::Login(word.as_bytes()), "{line}");
        }
        for line in ["pr create -t agent-task", "issue list --label copilot"] {
            assert_eq!(need(line), TokenNeed::Token, "{line}");
        }
    }

    #[test]
    fn every_way_to_name_a_host_is_found() {
        for line in [
            "api --hostname other.corp user",
            "api --hostname=other.corp user",
            "config get editor -h other.corp",
            "pr list -R other.corp/o/r",
            "pr list --repo other.corp/o/r",
            "pr list --repo=other.corp/o/r",
            "pr list -R=other.corp/o/r",
            "pr list -Rother.corp/o/r",
            "pr view -wR other.corp/o/r",
            "pr view https://other.corp/o/r/pull/1",
            "api https://user@other.corp/x",
            "api https://other.corp?x",
            "repo clone git@other.corp:o/r",
            "repo clone ssh://git@other.corp/o/r",
            "repo clone other.corp/o/r",
            "secret set X --repos=a --body=https://other.corp",
        ] {
            assert_eq!(hosts(line), ["other.corp"], "{line}");
        }
        assert_eq!(hosts("pr list -R ghe/o/r"), ["ghe"]);
        assert_eq!(hosts("repo view ghe/o/r"), ["ghe"]);
        assert_eq!(hosts("api https://good.corp:8443/x"), ["good.corp:8443"]);
    }

    #[test]
    fn arguments_that_name_no_host_are_ignored() {
        for line in ["api repos/o/r/pulls", "pr list -R o/r", "repo clone o/r", "pr checkout feature/a/b", "pr view 1"]
        {
            assert!(hosts(line).is_empty(), "{line}: {:?}", hosts(line));
        }
        assert!(hosts("pr comment 1 -b=see(https://other.corp/x)").is_empty());
        assert!(hosts("api /repos/o/r").is_empty());
        assert!(hosts("release upload v1 ./dist/a/b").is_empty());
    }

    #[test]
    fn gh_repo_names_a_host_too() {
        assert!(named_hosts(words("pr list").into_iter(), Some(b"other.corp/o/r"), |host| host == b"other.corp"));
        assert!(!named_hosts(words("pr list").into_iter(), Some(b"o/r"), |_| true));
    }
}
