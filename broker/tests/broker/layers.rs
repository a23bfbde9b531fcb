//! Layers of `broker/src`: a folder imports only from folders further down in
//! the table of `lib.rs`, no modules import each other, and `refresh` is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Imports of each module. Modules are paths from the crate's root, such as
/// `daemon::server`.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Returns the module of a file: `daemon::server::accept` for
/// `daemon/server/accept.rs`.
fn module(file: &Path) -> String {
    let path = file.strip_prefix(root()).unwrap().with_extension("");
    let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "mod").collect();
    parts.join("::")
}

fn is_test(file: &Path) -> bool {
    file.strip_prefix(root()).unwrap().with_extension("").iter().any(|part| part == "tests")
}

/// Returns the paths after `crate::` and `super::` in each file's code, without
/// comments and without the unit tests at its end.
fn imports() -> Imports {
    let mut imports = Imports::new();
    for file in files(&root()).into_iter().filter(|file| !is_test(file)) {
        let own = module(&file);
        let parent = own.rsplit_once("::").map_or("", |(parent, _)| parent).to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let code = lines.join("\n");
        let found = imports.entry(own).or_default();
        for (word, base) in [("crate::", ""), ("super::", parent.as_str())] {
            for rest in code.split(word).skip(1) {
                found.extend(
                    heads(rest).into_iter().map(|head| if base.is_empty() { head } else { format!("{base}::{head}") }),
                );
            }
        }
    }
    imports
}

/// Returns the paths that begin at `rest`: `{a, b::c}` names two.
fn heads(rest: &str) -> Vec<String> {
    let path = |text: &str| {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
        text[..end].trim_end_matches(':').to_owned()
    };
    match rest.strip_prefix('{') {
        None => vec![path(rest)],
        Some(group) => group.split('}').next().unwrap().split(',').map(|item| path(item.trim())).collect(),
    }
}

/// Returns the longest prefix of an imported path that is a module.
fn imported<'a>(path: &str, modules: &'a Imports) -> Option<&'a str> {
    let mut path = path;
    loop {
        if let Some((module, _)) = modules.get_key_value(path) {
            return Some(module);
        }
        path = path.rsplit_once("::")?.0;
    }
}

#[test]
fn a_folder_imports_only_from_folders_below_it() {
    let lib = fs::read_to_string(root().join("lib.rs")).unwrap();
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split('`').next());
    let order: Vec<&str> = rows.collect();
    let folders = order.len();
    assert!((10..=14).contains(&folders), "{order:?}");
    let place = |module: &str| order.iter().position(|name| module.split("::").next() == Some(name));
    for (module, imports) in imports() {
        let Some(own) = place(&module) else { continue };
        for import in imports {
            let other =
                place(&import).unwrap_or_else(|| panic!("{module} imports {import}, which lib.rs doesn't list"));
            assert!(other >= own, "{module} imports {import}, which is above it in the table of lib.rs");
        }
    }
    for module in imports().keys().filter(|module| !["lib", "main"].contains(&module.as_str())) {
        assert!(place(module).is_some(), "lib.rs doesn't list {module}");
    }
}

#[test]
fn no_modules_import_each_other() {
    let imports = imports();
    let mut arrows = Imports::new();
    for (module, paths) in &imports {
        let targets = paths.iter().filter_map(|path| imported(path, &imports));
        // A parent lists its children and may share constants with them.
        let related = |other: &str| {
            module == other || module.starts_with(&format!("{other}::")) || other.starts_with(&format!("{module}::"))
        };
        let targets = targets.filter(|other| !related(other)).map(str::to_owned);
        arrows.insert(module.clone(), targets.collect());
    }
    let count: usize = arrows.values().map(BTreeSet::len).sum();
    assert!(count > 100, "only {count} imports were found");
    for module in arrows.keys() {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&String> = arrows[module].iter().collect();
        while let Some(other) = next.pop() {
            if reached.insert(other) {
                next.extend(&arrows[other]);
            }
        }
        assert!(!reached.contains(module), "{module} imports itself through others: {:?}", arrows[module]);
    }
}

/// The refresh machine gets time and random numbers as arguments, so that its
/// tests can try every moment.
#[test]
fn refresh_reads_no_clock_and_does_no_io() {
    for file in files(&root().join("refresh")).into_iter().filter(|file| !is_test(file)) {
        let code = fs::read_to_string(&file).unwrap();
        for word in [
            "tokio",
            "hyper",
            "rand::",
            "tracing",
            "std::fs",
            "std::net",
            "std::env",
            "::clock",
            "SystemTime",
            "Instant",
        ] {
            assert!(!code.contains(word), "{} names {word}", file.display());
        }
    }
}
