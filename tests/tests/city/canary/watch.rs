//! Repeated searches: of the arguments, the environment and the open files of
//! every process, and of every new file of the world or in a folder for
//! temporary files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope};
use std::time::Duration;

use molecule_tests::programs::{gh, programs};
use molecule_tests::{Ability, can};

use crate::canary::secrets::Secrets;

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
const BETWEEN_LOOKS_AT_FILES: Duration = Duration::from_millis(50);

/// Our cores are far smaller. A larger file isn't one of ours.
const LARGEST: u64 = 64 << 20;

/// The places where a token is by design. Finding it there proves that a search
/// works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ByDesign {
    /// In the environment of the program that `exec` becomes.
    Exec,
    /// In the environment of the real gh, which the shim becomes.
    Gh,
    /// In the memory in which supervisor and daemon keep the leases.
    Leases,
}

pub(crate) struct Watch<'w> {
    world: &'w Path,
    secrets: &'w Secrets<'w>,
    /// Files that were in the folders for temporary files before.
    before: BTreeSet<PathBuf>,
    over: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    found: BTreeSet<String>,
    by_design: BTreeSet<ByDesign>,
    processes: BTreeMap<u32, Process>,
    files: HashMap<(u64, u64), Version>,
}

/// Properties of a process in the last search.
#[derive(Clone, Default, PartialEq, Eq)]
struct Process {
    program: PathBuf,
    arguments: Vec<u8>,
    environment: Vec<u8>,
}

/// Modification time and length of a file.
type Version = (i64, i64, u64);

pub(crate) struct Result {
    pub(crate) found: Vec<String>,
    pub(crate) processes: usize,
}

/// Ends the search when it is dropped, also if the test fails.
pub(crate) struct Watching<'w>(&'w AtomicBool);

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'w> Watch<'w> {
    pub(crate) fn new(world: &'w Path, secrets: &'w Secrets<'w>) -> Self {
        let before = temporary_files().collect();
        Self { world, secrets, before, over: AtomicBool::new(false), seen: Mutex::default() }
    }

    pub(crate) fn begin<'s>(&'s self, scope: &'s Scope<'s, '_>) -> Watching<'s> {
        scope.spawn(|| self.again_and_again(BETWEEN_LOOKS, Self::look_at_processes));
        scope.spawn(|| self.again_and_again(BETWEEN_LOOKS_AT_FILES, Self::look_at_files));
        Watching(&self.over)
    }

    fn again_and_again(&self, pause: Duration, look: impl Fn(&Self)) {
        while !self.over.load(Ordering::Relaxed) {
            look(self);
            thread::sleep(pause);
        }
    }

    pub(crate) fn has_seen(&self, place: ByDesign) -> bool {
        self.seen.lock().unwrap().by_design.contains(&place)
    }

    /// Searches the files a last time and returns the result.
    pub(crate) fn end(&self) -> Result {
        self.look_at_files();
        if can(&[Ability::LookIntoClosed]) {
            assert!(self.has_seen(ByDesign::Leases), "the leases' memory was never seen");
        }
        let seen = self.seen.lock().unwrap();
        Result { found: seen.found.iter().cloned().collect(), processes: seen.processes.len() }
    }

    fn look_at_processes(&self) {
        for folder in fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()) {
            let Some(number) = folder.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
            // A process that has just ended, or a thread of the kernel.
            let Ok(program) = fs::read_link(folder.join("exe")) else { continue };
            let read = |name| fs::read(folder.join(name)).unwrap_or_default();
            let process = Process { program, arguments: read("cmdline"), environment: read("environ") };
            self.look_at_one(number, &folder, process);
        }
    }

    fn look_at_one(&self, number: u32, folder: &Path, process: Process) {
        let is_new = self.seen.lock().unwrap().processes.get(&number) != Some(&process);
        if is_new && self.secrets.are_in(&process.arguments) {
            self.found(format!("the arguments of {}", process.named()));
        }
        if is_new && self.secrets.are_in(&process.environment) {
            // The process may have execed another program between two reads.
            let now = fs::read_link(folder.join("exe")).unwrap_or_default();
            match [&process.program, &now, &parents_program(folder)].into_iter().find_map(|program| by_design(program))
            {
                Some(place) => self.saw(place),
                None => self.found(format!("the environment of {}", process.named())),
            }
        }
        if process.is_of(self.world) {
            self.look_at_open_files(folder, &process);
            self.seen.lock().unwrap().processes.insert(number, process);
        }
    }

    fn look_at_open_files(&self, folder: &Path, process: &Process) {
        for entry in fs::read_dir(folder.join("fd")).into_iter().flatten().flatten() {
            let link = fs::read_link(entry.path()).unwrap_or_default();
            let is_lease = link.starts_with("/memfd:molecule-lease (deleted)");
            // Each file is read once, except for the leases: there it matters
            // which process has them.
            if is_lease && process.program == programs_file(&programs().broker) {
                if self.file_has_one(&entry.path()) {
                    self.saw(ByDesign::Leases);
                }
            } else if is_lease {
                self.found(format!("{} has the leases", process.named()));
            } else if link.is_absolute() && !link.starts_with("/proc") && self.file_has_one(&entry.path()) {
                self.found(format!("{}, which {} has open", link.display(), process.named()));
            }
        }
    }

    fn look_at_files(&self) {
        let mut folders = vec![self.world.to_owned()];
        let new = temporary_files().filter(|path| !self.before.contains(path) && !is_a_world(path));
        folders.extend(new);
        while let Some(path) = folders.pop() {
            let Ok(about) = path.symlink_metadata() else { continue };
            if about.is_dir() {
                folders.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            } else if about.is_file() && self.file_has_one(&path) {
                self.found(path.display().to_string());
            }
        }
    }

    /// True if the file contains a token. False if it is unchanged since the
    /// last search.
    fn file_has_one(&self, path: &Path) -> bool {
        let Ok(about) = fs::metadata(path) else { return false };
        if !about.is_file() || about.len() > LARGEST || self.is_known(&about) {
            return false;
        }
        fs::read(path).is_ok_and(|bytes| self.secrets.are_in(&bytes))
    }

    fn is_known(&self, about: &Metadata) -> bool {
        let version = (about.mtime(), about.mtime_nsec(), about.len());
        let key = (about.dev(), about.ino());
        self.seen.lock().unwrap().files.insert(key, version) == Some(version)
    }

    fn found(&self, place: String) {
        self.seen.lock().unwrap().found.insert(place);
    }

    fn saw(&self, place: ByDesign) {
        self.seen.lock().unwrap().by_design.insert(place);
    }
}

impl Process {
    fn named(&self) -> String {
        format!("{} ({})", String::from_utf8_lossy(&self.arguments).replace('\0', " "), self.program.display())
    }

    /// True if the process is ours or was started in this world.
    fn is_of(&self, world: &Path) -> bool {
        let marker = world.as_os_str().as_encoded_bytes();
        [&self.arguments, &self.environment].iter().any(|text| text.windows(marker.len()).any(|part| part == marker))
    }
}

/// A program that gh starts (infocmp since 2.46, for a terminal's colours) has
/// gh's environment.
fn parents_program(folder: &Path) -> PathBuf {
    let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default();
    fs::read_link(format!("/proc/{}/exe", parent.trim())).unwrap_or_default()
}

fn by_design(program: &Path) -> Option<ByDesign> {
    if program.file_name().is_some_and(|name| name == "given-to-exec") {
        return Some(ByDesign::Exec);
    }
    gh().is_some_and(|gh| programs_file(&gh) == program).then_some(ByDesign::Gh)
}

/// Returns the path in the form of `/proc/PID/exe`.
fn programs_file(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_default()
}

fn temporary_files() -> impl Iterator<Item = PathBuf> {
    let folders = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
    folders.into_iter().flat_map(fs::read_dir).flatten().flatten().map(|entry| entry.path())
}

/// Other tests run at the same time, each in its own folder.
fn is_a_world(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"molecule-"))
}
