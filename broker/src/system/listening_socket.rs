//! Life of the listening socket: the checks of its folder, its creation and its removal.
//!
//! Nothing is changed before every check has passed. A stale socket can't be distinguished from one
//! that is about to be served, so a lock file next to the socket decides between two daemons that
//! start at once. The mode is set on the socket's descriptor, before the file exists. bind copies
//! it from there (unix(7), "pathname socket ownership and permissions"), so it is final at bind.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use molecule_protocol::limits::MAX_SOCKET_PATH;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::stat::{Mode, fchmod, umask};
use nix::unistd::{Gid, Uid, chown};

use super::scm_rights;

/// Number of clients that may wait to be accepted (listen(2) cuts it at `somaxconn`).
const BACKLOG: i32 = 4096;

/// Mode of a folder that is made for the socket.
const FOLDER_MODE: u32 = 0o755;

/// Properties of a socket to be created.
#[derive(Clone, Debug)]
pub struct SocketPlan {
    pub path: PathBuf,
    /// Permission bits. They are final as soon as the socket exists.
    pub mode: u32,
    pub group: Option<Gid>,
    /// True if a missing folder is made, as for the default paths. For a configured path a missing
    /// folder is an error.
    pub make_folder: bool,
}

/// Socket that this process created. It is removed on drop, if it is still there.
#[derive(Debug)]
pub struct BoundSocket {
    path: PathBuf,
    /// Device and inode of the socket file.
    identity: (u64, u64),
    _lock: Flock<File>,
}

/// Reason why a socket couldn't be created: what happened, where, and the remedy.
#[derive(Debug)]
pub enum SocketError {
    /// The path is longer than a Unix socket's can be.
    TooLong { path: PathBuf },
    /// The folder doesn't exist or can't be used.
    NoFolder { folder: PathBuf, error: io::Error },
    /// Users other than root and the daemon's could replace the socket.
    Folder { folder: PathBuf, fault: String, mend: String },
    /// There is a file at the path that isn't a socket.
    InTheWay { path: PathBuf },
    /// Another process serves the socket.
    Served { path: PathBuf },
    /// The socket can't be given to the configured group.
    Group { path: PathBuf, group: Gid, error: io::Error },
    /// A system call failed.
    Io { step: &'static str, path: PathBuf, error: io::Error },
}

impl SocketPlan {
    /// Creates the socket and listens on it.
    ///
    /// # Errors
    /// Returns a [`SocketError`]. Then no existing file has been changed, except that a stale
    /// socket may be gone.
    pub fn bind(&self) -> Result<(UnixListener, BoundSocket), SocketError> {
        let path = &self.path;
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(SocketError::TooLong { path: path.clone() });
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.check_folder(folder)?;
        reject_non_socket(path)?;
        let lock = lock(path)?;
        remove_stale_socket(path)?;
        let listener = self.listen()?;
        let metadata = fs::symlink_metadata(path).map_err(|error| SocketError::Io {
            step: "examine",
            path: path.clone(),
            error,
        })?;
        Ok((listener, BoundSocket { path: path.clone(), identity: identity(&metadata), _lock: lock }))
    }

    fn check_folder(&self, folder: &Path) -> Result<(), SocketError> {
        let no_folder = |error| SocketError::NoFolder { folder: folder.to_owned(), error };
        let metadata = match fs::symlink_metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.make_folder => {
                make_folder(folder).map_err(no_folder)?;
                fs::symlink_metadata(folder).map_err(no_folder)?
            }
            other => other.map_err(no_folder)?,
        };
        folder_fault(folder, &metadata)
            .map_or(Ok(()), |(fault, mend)| Err(SocketError::Folder { folder: folder.to_owned(), fault, mend }))
    }

    fn listen(&self) -> Result<UnixListener, SocketError> {
        let io = |error| SocketError::Io { step: "listen on", path: self.path.clone(), error };
        let fd = self.create_and_bind().map_err(io)?;
        let finish = || {
            if let Some(group) = self.group {
                let failed = |error: Errno| SocketError::Group { path: self.path.clone(), group, error: error.into() };
                chown(&self.path, None, Some(group)).map_err(failed)?;
            }
            scm_rights::refuse(&fd);
            let backlog = Backlog::new(BACKLOG).map_err(|error| io(error.into()))?;
            listen(&fd, backlog).map_err(|error| io(error.into()))
        };
        // No process will ever accept a connection on this socket, so its file is removed.
        finish().inspect_err(|_| drop(fs::remove_file(&self.path)))?;
        Ok(UnixListener::from(fd))
    }

    fn create_and_bind(&self) -> io::Result<OwnedFd> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        let address = UnixAddr::new(&self.path)?;
        // If a kernel refuses this, the umask below still keeps the group and all others out.
        let _ = fchmod(&fd, Mode::from_bits_truncate(self.mode));
        // The umask holds for all threads. It removes no permission of the owner, because this
        // process must be able to use a file that another thread creates meanwhile.
        let before = umask(Mode::from_bits_truncate(!self.mode & 0o077));
        let bound = bind(fd.as_raw_fd(), &address);
        umask(before);
        bound?;
        Ok(fd)
    }
}

/// Returns why a user other than root and this one could replace the socket in this folder, and the
/// command that corrects it.
fn folder_fault(folder: &Path, metadata: &Metadata) -> Option<(String, String)> {
    let me = Uid::effective().as_raw();
    let shown = folder.display();
    if metadata.file_type().is_symlink() {
        Some(("is a symbolic link".into(), format!("rm {shown} && install -d -m 0755 {shown}")))
    } else if !metadata.is_dir() {
        Some(("is not a folder".into(), format!("rm {shown} && install -d -m 0755 {shown}")))
    } else if metadata.uid() != 0 && metadata.uid() != me {
        Some((format!("belongs to uid {}, not to uid {me} or root", metadata.uid()), format!("chown {me} {shown}")))
    } else if metadata.mode() & 0o022 != 0 {
        Some((
            format!("can be written by others (mode {:04o})", metadata.mode() & 0o7777),
            format!("chmod go-w {shown}"),
        ))
    } else {
        None
    }
}

/// Makes the folder. Its mode is set explicitly, so that the umask doesn't lock users out that may
/// send requests.
fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn reject_non_socket(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => Err(SocketError::InTheWay { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// Locks the file that decides between two daemons.
fn lock(path: &Path) -> Result<Flock<File>, SocketError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_CLOEXEC)
        .open(&name)
        .map_err(|error| SocketError::Io { step: "lock", path: name.clone(), error })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| SocketError::Served { path: path.to_owned() })
}

/// Removes a socket that no process serves. The lock makes sure that it isn't about to be served by
/// another broker. A socket that another program serves stays.
fn remove_stale_socket(path: &Path) -> Result<(), SocketError> {
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            reject_non_socket(path)?;
            fs::remove_file(path).map_err(|error| SocketError::Io {
                step: "remove the stale socket",
                path: path.to_owned(),
                error,
            })
        }
        Ok(_) => Err(SocketError::Served { path: path.to_owned() }),
        Err(error) => Err(SocketError::Io { step: "connect to the socket at", path: path.to_owned(), error }),
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Drop for BoundSocket {
    /// Removes the socket file, unless another file has replaced it.
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| identity(&metadata) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl SocketError {
    /// Says what happened, and where.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::TooLong { path } => format!(
                "the socket's path {} has {} bytes, more than the {MAX_SOCKET_PATH} that a Unix socket's path can have",
                path.display(),
                path.as_os_str().len()
            ),
            Self::NoFolder { folder, error } => {
                format!("the socket's folder {} can't be used ({error})", folder.display())
            }
            Self::Folder { folder, fault, .. } => {
                format!("the socket's folder {} {fault}, so others could swap the socket", folder.display())
            }
            Self::InTheWay { path } => format!("{} is not a socket and is left alone", path.display()),
            Self::Served { path } => format!("another process serves {} already", path.display()),
            Self::Group { path, group, error } => {
                format!("could not give {} to the group {group}: {error}", path.display())
            }
            Self::Io { step, path, error } => format!("could not {step} {}: {error}", path.display()),
        }
    }

    /// Says what an operator can do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        let own_uid = Uid::effective();
        match self {
            Self::TooLong { .. } => "set a shorter MOLECULE_BROKER_SOCKET".into(),
            Self::NoFolder { folder, .. } => format!("make it with: install -d -m 0755 {}", folder.display()),
            Self::Folder { mend, .. } => format!("mend it with: {mend}"),
            Self::InTheWay { .. } => "move it away, or set another MOLECULE_BROKER_SOCKET".into(),
            Self::Served { .. } => "ask it with: molecule-broker status".into(),
            Self::Group { .. } => {
                format!("set group below [socket] to one of the groups of uid {own_uid}, or remove it")
            }
            Self::Io { .. } => {
                format!("make its folder writable for uid {own_uid}, or set another MOLECULE_BROKER_SOCKET")
            }
        }
    }
}

impl std::fmt::Display for SocketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.what(), self.remedy())
    }
}

impl std::error::Error for SocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoFolder { error, .. } | Self::Group { error, .. } | Self::Io { error, .. } => Some(error),
            Self::TooLong { .. } | Self::Folder { .. } | Self::InTheWay { .. } | Self::Served { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct SocketFolder(tempfile::TempDir);

    impl SocketFolder {
        fn new() -> Self {
            let dir = molecule_test_kit::temp_folder();
            fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
            Self(dir)
        }

        fn plan(&self) -> SocketPlan {
            SocketPlan { path: self.0.path().join("broker.sock"), mode: 0o666, group: None, make_folder: false }
        }
    }

    #[test]
    fn rule30_the_mode_is_final_whatever_the_umask() {
        let folder = SocketFolder::new();
        for mode in [0o600, 0o660, 0o666] {
            let plan = SocketPlan { mode, ..folder.plan() };
            let (_listener, bound) = plan.bind().unwrap();
            assert_eq!(fs::metadata(&bound.path).unwrap().mode() & 0o777, mode);
        }
    }

    #[test]
    fn rule30_a_created_folder_admits_all_users_whatever_the_umask() {
        let folder = SocketFolder::new();
        // A separate process, since the umask would hold for the other tests as well.
        let mut test = molecule_test_kit::program("sh");
        test.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
        test.args(["system::listening_socket::tests::in_a_folder_that_is_made_here", "--exact", "--ignored"]);
        let output = test.current_dir(folder.0.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(fs::metadata(folder.0.path().join("made")).unwrap().mode() & 0o7777, 0o755);
    }

    #[test]
    #[ignore = "not a test: the other process of the test above"]
    fn in_a_folder_that_is_made_here() {
        let path = std::env::current_dir().unwrap().join("made/broker.sock");
        SocketPlan { path, mode: 0o666, group: None, make_folder: true }.bind().unwrap();
    }

    #[test]
    fn rule27_a_second_socket_is_refused_and_the_first_one_stays() {
        let folder = SocketFolder::new();
        let (_listener, bound) = folder.plan().bind().unwrap();
        let before = fs::metadata(&bound.path).unwrap().ino();
        assert!(matches!(folder.plan().bind().unwrap_err(), SocketError::Served { .. }));
        assert_eq!(fs::metadata(&bound.path).unwrap().ino(), before);
    }

    #[test]
    fn rule28_a_stale_socket_is_replaced() {
        let folder = SocketFolder::new();
        drop(UnixListener::bind(folder.plan().path).unwrap());
        folder.plan().bind().unwrap();
    }

    #[test]
    fn rule29_a_foreign_file_in_its_place_stays() {
        let folder = SocketFolder::new();
        let (_listener, bound) = folder.plan().bind().unwrap();
        fs::remove_file(&bound.path).unwrap();
        fs::write(&bound.path, "theirs").unwrap();
        drop(bound);
        assert_eq!(fs::read_to_string(folder.plan().path).unwrap(), "theirs");
    }

    #[test]
    fn the_socket_goes_with_its_owner() {
        let folder = SocketFolder::new();
        drop(folder.plan().bind().unwrap());
        assert!(!folder.plan().path.exists());
    }

    #[test]
    fn rule30_an_unsafe_folder_is_refused_with_the_remedy() {
        let folder = SocketFolder::new();
        fs::set_permissions(folder.0.path(), Permissions::from_mode(0o775)).unwrap();
        let error = folder.plan().bind().unwrap_err().to_string();
        assert!(error.contains("mend it with: chmod go-w"), "{error}");

        let link = folder.0.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        let error = SocketPlan { path: link.join("s"), ..folder.plan() }.bind().unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{error}");
        assert!(fs::symlink_metadata(link).unwrap().file_type().is_symlink());
    }

    #[test]
    fn rule30_what_is_in_the_way_is_left_alone() {
        let folder = SocketFolder::new();
        fs::write(folder.plan().path, "a file").unwrap();
        assert!(matches!(folder.plan().bind().unwrap_err(), SocketError::InTheWay { .. }));
        assert_eq!(fs::read_to_string(folder.plan().path).unwrap(), "a file");
        assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 1, "nothing else was made");
    }

    #[test]
    fn rule30_a_path_too_long_or_a_missing_parent_is_a_clear_error() {
        let folder = SocketFolder::new();
        let long = SocketPlan { path: folder.0.path().join("x".repeat(108)), ..folder.plan() };
        assert!(matches!(long.bind().unwrap_err(), SocketError::TooLong { .. }));
        let missing = SocketPlan { path: folder.0.path().join("no/broker.sock"), ..folder.plan() };
        let error = missing.bind().unwrap_err().to_string();
        assert!(error.contains("install -d"), "{error}");
        assert!(!folder.0.path().join("no").exists());
        SocketPlan { make_folder: true, ..missing }.bind().unwrap();
    }
}
