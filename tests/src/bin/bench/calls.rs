//! The cost for git itself: `git credential fill` and a whole `git ls-remote`,
//! with the configuration that `setup-git` writes, compared with the same git
//! with another helper or with none. They are measured in pairs, because the
//! ratio is the result.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use molecule_tests::programs::{Git, gits};
use molecule_tests::proxy::Proxy;
use molecule_tests::world::run;

use crate::peers::Peers;
use crate::stats::{at_most, median, micros, paired};
use crate::whole::{once, shuffle};

const REQUEST: &[u8] = b"protocol=https\nhost=github.com\n\n";
const REPOSITORY: &str = "acme/bench.git";

/// A git with its configuration, and the text that its output must contain.
struct Contestant {
    name: &'static str,
    command: Command,
    expected: &'static str,
}

/// Git configuration files that differ only in their helper.
struct Configs {
    ours: PathBuf,
    least: PathBuf,
    cache: PathBuf,
    none: PathBuf,
}

pub(crate) fn compare(peers: &Peers, fills: usize, lists: usize) -> Result<(), String> {
    let configs = Configs::write(peers)?;
    peers.world.host.create_repository(REPOSITORY);
    let proxy = Proxy::start(peers.world.host.port(), peers.world.host.port());
    println!("\nCost for git, medians of {fills} fills and {lists} lists, in ms");
    for git in gits() {
        let mut fill = fill_contestants(peers, &git, &configs);
        let [ours, least, cache] = measure(&mut fill, fills)?;
        let ratio = paired(&ours, &least);
        at_most(&format!("git {} credential fill: ours / the least possible client", git.version), ratio, 1.05);
        println!("  ours / credential-cache {:.2}", paired(&ours, &cache));

        let mut list = list_contestants(peers, &git, &configs, &proxy);
        let [ours, least, without] = measure(&mut list, lists)?;
        println!("  ours / the least possible client {:.2}", paired(&ours, &least));
        println!("  ours / token in the URL, no helper {:.2}", paired(&ours, &without));
    }
    match peers.world.host.dead_shown() {
        0 => Ok(()),
        dead => Err(format!("git showed {dead} dead tokens")),
    }
}

impl Configs {
    fn write(peers: &Peers) -> Result<Self, String> {
        let file = |name: &str| peers.world.path().join(format!("bench/{name}.gitconfig"));
        let ours = file("ours");
        let mut setup = peers.world.shim("molecule-broker");
        setup.args(["setup-git", "--global", "--host", "github.com"]).env("GIT_CONFIG_GLOBAL", &ours);
        let ran = run(&mut setup, Duration::from_secs(10));
        if !ran.success() {
            return Err(format!("setup-git: {}", ran.stderr));
        }
        let text = fs::read_to_string(&ours).map_err(|error| format!("{}: {error}", ours.display()))?;
        let helper = text.lines().filter_map(|line| line.trim().strip_prefix("helper = ")).next_back();
        let helper = helper.filter(|helper| Path::new(helper).is_absolute());
        let helper = helper.ok_or_else(|| format!("setup-git names no helper by its absolute path:\n{text}"))?;
        let with = |name: &str, value: &str| {
            let file = file(name);
            fs::write(&file, text.replace(helper, value)).map_err(|error| format!("{}: {error}", file.display()))?;
            Ok::<_, String>(file)
        };
        let cache = peers.cache.socket.display();
        Ok(Self {
            least: with("least", &format!("{} {}", peers.least.display(), peers.bare.socket.display()))?,
            cache: with("cache", &format!("cache --timeout=3600 --socket={cache}"))?,
            none: with("none", "")?,
            ours,
        })
    }
}

fn with_config(peers: &Peers, git: &Git, config: &Path) -> Command {
    let mut command = peers.world.command(&git.path);
    command.env("GIT_CONFIG_GLOBAL", config);
    command
}

fn fill_contestants(peers: &Peers, git: &Git, configs: &Configs) -> [Contestant; 3] {
    let fill = |name, config| {
        let mut command = with_config(peers, git, config);
        command.args(["credential", "fill"]);
        Contestant { name, command, expected: "password=ghs_" }
    };
    [
        fill("credential fill, molecule-broker", &configs.ours),
        fill("credential fill, the least possible client", &configs.least),
        fill("credential fill, credential-cache", &configs.cache),
    ]
}

fn list_contestants(peers: &Peers, git: &Git, configs: &Configs, proxy: &Proxy) -> [Contestant; 3] {
    let list = |name, config, login: &str| {
        let mut command = with_config(peers, git, config);
        command.env("https_proxy", proxy.url()).arg("ls-remote");
        command.arg(format!("https://{login}github.com/{REPOSITORY}"));
        Contestant { name, command, expected: "refs/heads/main" }
    };
    let login = format!("x-access-token:{}@", peers.token);
    [
        list("ls-remote, molecule-broker", &configs.ours, ""),
        list("ls-remote, the least possible client", &configs.least, ""),
        list("ls-remote, token in the URL", &configs.none, &login),
    ]
}

/// Returns the times of each contestant, in milliseconds and in the order of
/// the rounds.
fn measure<const N: usize>(contestants: &mut [Contestant; N], rounds: usize) -> Result<[Vec<f64>; N], String> {
    let mut times = [(); N].map(|()| Vec::with_capacity(rounds));
    let mut order: Vec<usize> = (0..N).collect();
    let warm_up = rounds / 10;
    for round in 0..rounds + warm_up {
        // The second contestant finds warm caches, so the order is random.
        shuffle(&mut order);
        for number in order.iter().copied() {
            let Contestant { name, command, expected } = &mut contestants[number];
            let (took, output) = once(command, REQUEST).map_err(|error| format!("{name}: {error}"))?;
            if !output.contains(*expected) {
                return Err(format!("{name} prints {output:?}"));
            }
            if round >= warm_up {
                times[number].push(micros(took) / 1000.0);
            }
        }
    }
    for (contestant, times) in contestants.iter().zip(&times) {
        println!("  {:<58} {:>6.2}", contestant.name, median(times.clone()));
    }
    Ok(times)
}
