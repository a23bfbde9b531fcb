//! Images: built once per run, and by docker's cache if nothing has changed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use super::docker;
use crate::blocks;
use crate::ledger::random_alphanumerics;
use crate::programs::programs;
use crate::world::{run, run_with_input};
use crate::{machine_tool, program};

const LONG: Duration = Duration::from_secs(900);
const BROKER: &str = "molecule-test-broker";

/// The line by which the guides copy our files, and the command that builds our
/// image.
const PUBLISHED: &str = "COPY --from=molecule-broker / /";
const BUILD: &str = "docker build --file docker/Dockerfile --tag molecule-broker .";

/// The image families, and the file in `tests/images/` that represents each.
pub const FAMILIES: [(&str, &str); 8] = [
    ("autogen", "drops"),
    ("claude-code", "drops"),
    ("crewai", "drops"),
    ("deepagents", "direct"),
    ("gemini-cli", "direct"),
    ("hermes", "stays"),
    ("langgraph", "direct"),
    ("openclaw", "direct"),
];

/// An image that is removed when the value is dropped.
pub struct Image {
    pub name: String,
}

impl Image {
    /// Builds an image from this Dockerfile, with `tests/images/` as its
    /// context.
    #[track_caller]
    pub fn build(name: &str, dockerfile: &str) -> Self {
        let image = Self { name: format!("molecule-test-{name}-{}", random_alphanumerics(8).to_lowercase()) };
        image_from(&image.name, dockerfile);
        image
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        docker(&["image", "rm", "--force", &self.name]);
    }
}

/// Returns the name of one of the images that `docker/base` makes.
#[track_caller]
pub fn base_image(name: &str) -> String {
    let _one_at_a_time = lock();
    run(machine_tool(repository_root().join("docker/base")).arg(name), LONG).ok();
    format!("molecule-test-{name}")
}

/// Returns an agent's image with the broker wired in. The command runs as the
/// agent.
#[track_caller]
pub fn agent_image() -> &'static str {
    static AGENT: OnceLock<&str> = OnceLock::new();
    AGENT.get_or_init(|| {
        let lines = "ENTRYPOINT [\"/usr/local/lib/molecule-broker/entrypoint\", \"--user\", \"agent\"]\n\
                     CMD [\"sleep\", \"infinity\"]\n";
        image_from("molecule-test-agent", &(wired("direct", &guide("langgraph")) + lines));
        "molecule-test-agent"
    })
}

/// Builds an image of our files on one of `docker/base`'s images, with these
/// lines of a Dockerfile.
#[track_caller]
pub fn image_on_base(name: &str, lines: &str) -> Image {
    broker();
    let from = base_image(name);
    Image::build(&format!("on-{name}"), &format!("FROM {from}\nCOPY --from={BROKER} / /\n{lines}"))
}

/// Builds a family's image: its stand-in, and the lines of its guide.
#[track_caller]
pub fn family_image(family: &str) -> Image {
    let (_, style) = FAMILIES.iter().find(|(name, _)| *name == family).expect("one of the eight families");
    Image::build(family, &wired(style, &guide(family)))
}

/// Returns the lines for the Dockerfile in a family's guide.
#[track_caller]
pub fn guide(family: &str) -> String {
    blocks::find_block(&format!("docs/images/{family}.md"), PUBLISHED).text
}

fn wired(style: &str, lines: &str) -> String {
    broker();
    let stand_in = fs::read_to_string(repository_root().join(format!("tests/images/{style}.Dockerfile")));
    let stand_in = stand_in.expect("each style has a stand-in in tests/images");
    format!("{stand_in}\n{}", lines.replace(PUBLISHED, &format!("COPY --from={BROKER} / /")))
}

/// Builds the image from which the other images copy our files. It runs the
/// guides' own command, with a different image name and without a compiler.
fn broker() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let base = base_image("debian");
        let _one_at_a_time = lock();
        let context = context();
        let here = format!("--quiet --build-arg BUILDER={base} --tag {BROKER} .");
        let command = blocks::find_block("docs/images/README.md", BUILD).text.replace("--tag molecule-broker .", &here);
        run(program("sh").args(["-ec", &command]).current_dir(context.path()), LONG).ok();
    });
}

/// Creates the build context of `docker/Dockerfile`, with programs that are
/// built already.
fn context() -> TempDir {
    let context = tempfile::tempdir().expect("the temporary directory is writable");
    let copy = |from: &Path, to: &str| {
        let to = context.path().join(to);
        fs::create_dir_all(to.parent().expect("a file in a folder")).expect("our own folder is writable");
        fs::copy(from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        to
    };
    for name in ["Dockerfile", "assemble", "entrypoint", "install", "profile.sh"] {
        copy(&repository_root().join("docker").join(name), &format!("docker/{name}"));
    }
    for (from, name) in [(&programs().broker, "molecule-broker"), (&programs().shim, "molecule-shim")] {
        let stripped = copy(from, &format!("prebuilt/{name}"));
        // A debug build is large, and docker sends it to its engine.
        run(program("strip").arg(stripped), LONG);
    }
    context
}

/// Returns mounts for `docker run`: the parts of this repository that an
/// installation needs at `/src`, with the finished programs in `folder`.
pub fn checkout_mounts(folder: &str) -> Vec<String> {
    let mount = |from: &Path, to: &str| {
        let from = from.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        format!("--volume={}:/src/{to}:ro", from.display())
    };
    let programs = programs();
    vec![
        mount(&repository_root().join("docker"), "docker"),
        mount(&repository_root().join("systemd"), "systemd"),
        mount(&programs.broker, &format!("{folder}molecule-broker")),
        mount(&programs.shim, &format!("{folder}molecule-shim")),
    ]
}

#[track_caller]
fn image_from(name: &str, dockerfile: &str) {
    base_image("debian");
    let mut command = machine_tool("docker");
    command.args(["build", "--tag", name, "--file", "-"]).arg(repository_root().join("tests/images"));
    let ran = run_with_input(&mut command, dockerfile.as_bytes(), LONG);
    assert!(ran.success(), "{name} doesn't build: {}\n{}\n{dockerfile}", ran.stdout, ran.stderr);
}

pub fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Locks the images: test programs run in parallel.
fn lock() -> File {
    // The lock is a file of the checkout. In the shared temporary folder
    // another user could create the file, and then this user couldn't open it.
    let file = File::open(repository_root().join("docker/base")).expect("the checkout can be read");
    file.lock().expect("the lock can be waited for");
    file
}
