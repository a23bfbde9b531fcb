//! Default location of the socket. The shims follow the same rule, so that neither side needs to be
//! configured.

use std::path::{Path, PathBuf};

use molecule_protocol::limits::{DEFAULT_SOCKET, MAX_SOCKET_PATH};

use crate::system::advice::AdviceError;

/// Returns the socket's path for a configuration without one: in `/run/molecule-broker` if that
/// folder is `usable`, otherwise in `XDG_RUNTIME_DIR`. For a daemon, a folder is usable if it
/// exists or can be created.
///
/// # Errors
/// Returns an error with a remedy if neither folder is usable.
pub fn default_socket_path(runtime_dir: Option<&Path>, usable: impl Fn(&Path) -> bool) -> Result<PathBuf, AdviceError> {
    let usual = Path::new(DEFAULT_SOCKET);
    if usual.parent().is_some_and(&usable) {
        return Ok(usual.to_owned());
    }
    match runtime_dir.filter(|dir| dir.is_absolute()) {
        Some(dir) if usable(&dir.join("molecule-broker")) => Ok(dir.join("molecule-broker/broker.sock")),
        Some(dir) => Err(AdviceError::new(
            format!(
                "neither /run/molecule-broker nor {} exists or can be created",
                dir.join("molecule-broker").display()
            ),
            "create one of them, owned by the daemon's user, or set MOLECULE_BROKER_SOCKET",
        )),
        None => Err(AdviceError::new(
            "/run/molecule-broker doesn't exist and can't be created, and XDG_RUNTIME_DIR isn't set",
            "create that folder, owned by the daemon's user, or set MOLECULE_BROKER_SOCKET",
        )),
    }
}

/// Returns the problem with a configured path, if there is one.
pub(super) fn find_problem(path: &Path) -> Option<String> {
    let bytes = path.as_os_str().len();
    if !path.is_absolute() {
        Some("a relative path, expected one that begins with /".to_owned())
    } else if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        Some("a folder, expected the path of a file in it".to_owned())
    } else if bytes > MAX_SOCKET_PATH {
        Some(format!(
            "{bytes} bytes long, expected at most {MAX_SOCKET_PATH}: the kernel accepts no longer socket path"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_folder_comes_first_then_the_sessions_own() {
        let runtime = Path::new("/run/user/1000");
        assert_eq!(default_socket_path(Some(runtime), |_| true).unwrap(), Path::new(DEFAULT_SOCKET));
        let own = default_socket_path(Some(runtime), |dir| dir.starts_with(runtime)).unwrap();
        assert_eq!(own, Path::new("/run/user/1000/molecule-broker/broker.sock"));
    }

    #[test]
    fn without_a_usable_folder_the_error_says_what_to_do() {
        for runtime in [None, Some(Path::new("/run/user/1000")), Some(Path::new("relative"))] {
            let error = default_socket_path(runtime, |_| false).unwrap_err();
            assert!(
                error.what.contains("/run/molecule-broker") && error.remedy.contains("MOLECULE_BROKER_SOCKET"),
                "{error}"
            );
        }
    }

    #[test]
    fn rule30_a_path_of_108_bytes_is_refused_and_one_of_107_is_not() {
        let path = |bytes: usize| PathBuf::from(format!("/{}", "x".repeat(bytes - 1)));
        assert_eq!(find_problem(&path(107)), None);
        assert!(find_problem(&path(108)).unwrap().contains("108 bytes long, expected at most 107"));
        assert!(find_problem(Path::new("broker.sock")).is_some() && find_problem(Path::new("/run/")).is_some());
    }
}
