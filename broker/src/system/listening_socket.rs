//! The socket's life: where it may stand, how it comes to be, when it goes.
//!
//! Nothing is touched before every check has passed. A lock file beside the
//! socket decides between two daemons that start at once, since a stale socket
//! can't be told from one that is about to be served. The mode is set before the
//! file exists, on the socket's descriptor, from which bind copies it (unix(7),
//! "pathname socket ownership and permissions"), so it is final at bind.

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

/// How many clients may stand in line (listen(2) cuts it at `somaxconn`).
const BACKLOG: i32 = 4096;

/// The mode of a folder that is made for it.
const FOLDER: u32 = 0o755;

/// How a socket is to be made.
#[derive(Clone, Debug)]
pub struct SocketPlan {
    pub path: PathBuf,
    /// Permission bits, final from the first moment.
    pub mode: u32,
    pub group: Option<Gid>,
    /// Whether a missing folder is made (the default places), or an error (a
    /// path that somebody chose).
    pub make_folder: bool,
}

/// A socket that this process made, and takes away again if it is still there.
#[derive(Debug)]
pub struct BoundSocket {
    path: PathBuf,
    identity: (u64, u64),
    _lock: Flock<File>,
}

/// Why there is no socket: what happened, where, and the remedy.
#[derive(Debug)]
pub enum SocketError {
    TooLong { path: PathBuf },
    NoFolder { folder: PathBuf, error: io::Error },
    Folder { folder: PathBuf, fault: String, mend: String },
    InTheWay { path: PathBuf },
    Served { path: PathBuf },
    Group { path: PathBuf, group: Gid, error: io::Error },
    Io { step: &'static str, path: PathBuf, error: io::Error },
}

impl SocketPlan {
    /// Makes the socket and listens on it.
    ///
    /// # Errors
    /// [`SocketError`]; then nothing that was there has been changed.
    pub fn bind(&self) -> Result<(UnixListener, BoundSocket), SocketError> {
        let path = &self.path;
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(SocketError::TooLong { path: path.clone() });
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.check_folder(folder)?;
        reject_non_socket(path)?;
        let lock = lock(path)?;
        clear_stale(path)?;
        let listener = self.listen()?;
        let there = fs::symlink_metadata(path).map_err(|error| SocketError::Io {
            step: "look at",
            path: path.clone(),
            error,
        })?;
        Ok((listener, BoundSocket { path: path.clone(), identity: identity(&there), _lock: lock }))
    }

    fn check_folder(&self, folder: &Path) -> Result<(), SocketError> {
        let no_folder = |error| SocketError::NoFolder { folder: folder.to_owned(), error };
        let there = match fs::symlink_metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.make_folder => {
                make_folder(folder).map_err(no_folder)?;
                fs::symlink_metadata(folder).map_err(no_folder)?
            }
            other => other.map_err(no_folder)?,
        };
        folder_fault(folder, &there)
            .map_or(Ok(()), |(fault, mend)| Err(SocketError::Folder { folder: folder.to_owned(), fault, mend }))
    }

    fn listen(&self) -> Result<UnixListener, SocketError> {
        let io = |error| SocketError::Io { step: "listen on", path: self.path.clone(), error };
        let fd = self.bound().map_err(io)?;
        let finish = || {
            if let Some(group) = self.group {
                let failed = |error: Errno| SocketError::Group { path: self.path.clone(), group, error: error.into() };
                chown(&self.path, None, Some(group)).map_err(failed)?;
            }
            scm_rights::refuse(&fd);
            let backlog = Backlog::new(BACKLOG).map_err(|error| io(error.into()))?;
            listen(&fd, backlog).map_err(|error| io(error.into()))
        };
        // Nobody will ever answer there: the file goes.
        finish().inspect_err(|_| drop(fs::remove_file(&self.path)))?;
        Ok(UnixListener::from(fd))
    }

    fn bound(&self) -> io::Result<OwnedFd> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        let address = UnixAddr::new(&self.path)?;
        // Where a kernel refuses this, the umask still keeps group and others out.
        let _ = fchmod(&fd, Mode::from_bits_truncate(self.mode));
        // Of every thread, so it takes nothing from an owner: a file that another
        // thread makes meanwhile must stay usable to us.
        let before = umask(Mode::from_bits_truncate(!self.mode & 0o077));
        let bound = bind(fd.as_raw_fd(), &address);
        umask(before);
        bound?;
        Ok(fd)
    }
}

/// Who may swap the socket under its clients must be nobody but root and us.
fn folder_fault(folder: &Path, there: &Metadata) -> Option<(String, String)> {
    let me = Uid::effective().as_raw();
    let shown = folder.display();
    if there.file_type().is_symlink() {
        Some(("is a symbolic link".into(), format!("rm {shown} && install -d -m 0755 {shown}")))
    } else if !there.is_dir() {
        Some(("is not a folder".into(), format!("rm {shown} && install -d -m 0755 {shown}")))
    } else if there.uid() != 0 && there.uid() != me {
        Some((format!("belongs to uid {}, not to uid {me} or root", there.uid()), format!("chown {me} {shown}")))
    } else if there.mode() & 0o022 != 0 {
        Some((format!("can be written by others (mode {:04o})", there.mode() & 0o7777), format!("chmod go-w {shown}")))
    } else {
        None
    }
}

/// Whoever may ask gets through, whatever the umask was.
fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(FOLDER).create(folder) {
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(FOLDER)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn reject_non_socket(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => Err(SocketError::InTheWay { path: path.to_owned() }),
        _ => Ok(()),
    }
}

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

/// Takes away a socket that answers to nobody. Whoever holds the lock is the
/// only one of us here; another program's live socket stays.
fn clear_stale(path: &Path) -> Result<(), SocketError> {
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
        Err(error) => Err(SocketError::Io { step: "connect to what is at", path: path.to_owned(), error }),
    }
}

fn identity(there: &Metadata) -> (u64, u64) {
    (there.dev(), there.ino())
}

impl Drop for BoundSocket {
    /// Removes the socket, unless somebody else's stands in its place now.
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|there| identity(&there) == self.identity) {
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
                "the socket's path {} has {} bytes, and a Unix socket's can have {MAX_SOCKET_PATH}",
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

    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        let us = Uid::effective();
        match self {
            Self::TooLong { .. } => "set a shorter MOLECULE_BROKER_SOCKET".into(),
            Self::NoFolder { folder, .. } => format!("make it with: install -d -m 0755 {}", folder.display()),
            Self::Folder { mend, .. } => format!("mend it with: {mend}"),
            Self::InTheWay { .. } => "move it away, or set another MOLECULE_BROKER_SOCKET".into(),
            Self::Served { .. } => "ask it with: molecule-broker status".into(),
            Self::Group { .. } => {
                format!("name one of the groups of uid {us} as group below [socket], or none")
            }
            Self::Io { .. } => {
                format!("make its folder one that uid {us} can write to, or set another MOLECULE_BROKER_SOCKET")
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

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
            Self(dir)
        }

        fn plan(&self) -> SocketPlan {
            SocketPlan { path: self.0.path().join("broker.sock"), mode: 0o666, group: None, make_folder: false }
        }
    }

    #[test]
    fn rule30_the_mode_is_final_whatever_the_umask() {
        let place = Place::new();
        for mode in [0o600, 0o660, 0o666] {
            let plan = SocketPlan { mode, ..place.plan() };
            let (_listener, bound) = plan.bind().unwrap();
            assert_eq!(fs::metadata(&bound.path).unwrap().mode() & 0o777, mode);
        }
    }

    #[test]
    fn rule30_a_created_folder_admits_all_users_whatever_the_umask() {
        let place = Place::new();
        // A process with a umask of its own.
        let mut test = molecule_test_kit::program("sh");
        test.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
        test.args(["system::listening_socket::tests::in_a_folder_that_is_made_here", "--exact", "--ignored"]);
        let output = test.current_dir(place.0.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(fs::metadata(place.0.path().join("made")).unwrap().mode() & 0o7777, 0o755);
    }

    #[test]
    #[ignore = "not a test: the other process of the test above"]
    fn in_a_folder_that_is_made_here() {
        let path = std::env::current_dir().unwrap().join("made/broker.sock");
        SocketPlan { path, mode: 0o666, group: None, make_folder: true }.bind().unwrap();
    }

    #[test]
    fn rule27_a_second_one_is_refused_and_the_first_keeps_its_inode() {
        let place = Place::new();
        let (_listener, bound) = place.plan().bind().unwrap();
        let before = fs::metadata(&bound.path).unwrap().ino();
        assert!(matches!(place.plan().bind().unwrap_err(), SocketError::Served { .. }));
        assert_eq!(fs::metadata(&bound.path).unwrap().ino(), before);
    }

    #[test]
    fn rule28_a_stale_socket_is_replaced() {
        let place = Place::new();
        drop(UnixListener::bind(place.plan().path).unwrap());
        place.plan().bind().unwrap();
    }

    #[test]
    fn rule29_a_foreign_file_in_its_place_stays() {
        let place = Place::new();
        let (_listener, bound) = place.plan().bind().unwrap();
        fs::remove_file(&bound.path).unwrap();
        fs::write(&bound.path, "theirs").unwrap();
        drop(bound);
        assert_eq!(fs::read_to_string(place.plan().path).unwrap(), "theirs");
    }

    #[test]
    fn the_socket_goes_with_its_owner() {
        let place = Place::new();
        drop(place.plan().bind().unwrap());
        assert!(!place.plan().path.exists());
    }

    #[test]
    fn rule30_an_unsafe_folder_is_refused_with_the_remedy() {
        let place = Place::new();
        fs::set_permissions(place.0.path(), Permissions::from_mode(0o775)).unwrap();
        let error = place.plan().bind().unwrap_err().to_string();
        assert!(error.contains("mend it with: chmod go-w"), "{error}");

        let link = place.0.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        let error = SocketPlan { path: link.join("s"), ..place.plan() }.bind().unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{error}");
        assert!(fs::symlink_metadata(link).unwrap().file_type().is_symlink());
    }

    #[test]
    fn rule30_what_is_in_the_way_is_left_alone() {
        let place = Place::new();
        fs::write(place.plan().path, "a file").unwrap();
        assert!(matches!(place.plan().bind().unwrap_err(), SocketError::InTheWay { .. }));
        assert_eq!(fs::read_to_string(place.plan().path).unwrap(), "a file");
        assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 1, "nothing else was made");
    }

    #[test]
    fn rule30_a_path_too_long_or_a_missing_parent_is_a_clear_error() {
        let place = Place::new();
        let long = SocketPlan { path: place.0.path().join("x".repeat(108)), ..place.plan() };
        assert!(matches!(long.bind().unwrap_err(), SocketError::TooLong { .. }));
        let missing = SocketPlan { path: place.0.path().join("no/broker.sock"), ..place.plan() };
        let error = missing.bind().unwrap_err().to_string();
        assert!(error.contains("install -d"), "{error}");
        assert!(!place.0.path().join("no").exists());
        SocketPlan { make_folder: true, ..missing }.bind().unwrap();
    }
}
