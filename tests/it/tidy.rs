//! The rules of the house that a machine can check: arrows between rooms, sizes, and that nothing
//! shown to users is left untested.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use maypole::Config;

/// Source files with their path below `framework/src`.
fn sources() -> Vec<(String, String)> {
    let root = repository().join("framework/src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let mut sources: Vec<_> = files
        .into_iter()
        .map(|path| {
            let name =
                path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a source file"))
        })
        .collect();
    sources.sort();
    assert!(sources.len() > 50, "the sources are not where this test looks");
    sources
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The code of a file: no comments, no strings, and nothing from its test module on.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code = code.replace("'\"'", "' '").replace("b'\"'", "b' '").replace("\\\"", " ");
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let outside_of_strings = code.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    let lines = outside_of_strings.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Rooms of the crate that a file names, each as `room` or `session::stores`.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(list) = rest.strip_prefix('{') {
            let names = list.split('}').next().unwrap_or_default();
            rooms.extend(names.split([',', '\n']).map(|name| first_word(name.trim())));
        } else {
            rooms.insert(first_word(rest));
        }
    }
    rooms.remove("");
    rooms
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect()
}

fn is_in(name: &str, room: &str) -> bool {
    name.strip_prefix(room).is_some_and(|rest| rest.starts_with(['/', '.']))
}

/// Test code may reach wherever it likes.
fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs") || name.contains("/tests/")
}

#[test]
fn may_is_named_in_runtime_alone() {
    for (name, text) in sources() {
        let names_may = code(&text)
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
            .any(|word| word.starts_with("may::") || word.starts_with("generator::"));
        // Also as the target of its log lines.
        let quotes_may = text.contains("\"may::") || text.contains("\"generator::");
        assert!(!(names_may || quotes_may) || is_in(&name, "runtime"), "{name} names may");
    }
}

/// A room, and the rooms its files may name. Rooms that are missing here are free: the front door.
const ARROWS: [(&str, &[&str]); 16] = [
    ("error", &["http"]),
    ("http", &["error"]),
    ("clock", &[]),
    ("config", &["error"]),
    ("routing", &["http", "error"]),
    ("runtime", &["error"]),
    ("redis", &["config", "error", "runtime"]),
    ("upgrade", &["error", "runtime"]),
    ("response", &["error", "upgrade", "http"]),
    ("into_response", &["error", "http", "response"]),
    ("session", &["session", "clock", "error", "redis", "runtime", "config"]),
    ("admin", &["app", "clock", "config", "error", "runtime", "session"]),
    ("context", &["context", "error", "http", "into_response", "runtime", "session", "response"]),
    ("middleware", &["context", "error", "http", "into_response", "response", "session"]),
    (
        "live",
        &[
            "config",
            "context",
            "error",
            "into_response",
            "redis",
            "response",
            "runtime",
            "session",
            "upgrade",
        ],
    ),
    (
        "net",
        &["app", "context", "error", "http", "into_response", "response", "runtime", "upgrade"],
    ),
];

#[test]
fn arrows_between_rooms_point_down() {
    for (name, text) in sources() {
        if is_test(&name) {
            continue;
        }
        let Some((room, allowed)) = ARROWS.iter().find(|(room, _)| is_in(&name, room)) else {
            continue;
        };
        for found in rooms_named(&code(&text)) {
            let is_item = found.starts_with(|first: char| first.is_ascii_uppercase());
            let is_allowed = found == *room || is_item || allowed.contains(&found.as_str());
            assert!(is_allowed, "{name}: an arrow from {room} to {found}");
        }
    }
}

/// Files that are pure: values in, values out.
const PURE: [&str; 9] = [
    "http",
    "routing",
    "config",
    "session/id",
    "session/record",
    "session/operations",
    "session/commit",
    "session/data",
    "session/cookie",
];
/// What reads files or the environment by its purpose, at the edge of a pure room.
const EDGES: [&str; 2] = ["config/source.rs", "config/mod.rs"];

#[test]
fn pure_rooms_do_nothing_but_compute() {
    let forbidden = [
        "crate::runtime",
        "crate::net",
        "crate::clock",
        "std::fs",
        "std::thread",
        "TcpStream",
        "SystemTime::now",
        "Instant::now",
        "spawn(",
    ];
    for (name, text) in sources() {
        let is_pure = PURE.iter().any(|room| is_in(&name, room));
        if !is_pure || is_test(&name) || EDGES.contains(&name.as_str()) {
            continue;
        }
        for word in forbidden {
            assert!(!code(&text).contains(word), "{name} names {word}");
        }
    }
}

#[test]
fn stores_know_neither_http_nor_cookies() {
    for (name, text) in sources() {
        if !is_in(&name, "session/stores") || is_test(&name) {
            continue;
        }
        let code = code(&text).to_ascii_lowercase();
        for word in
            ["crate::http", "http::", "cookie", "crate::context", "crate::response", "merge"]
        {
            assert!(!code.contains(word), "{name} names {word}");
        }
    }
}

#[test]
fn no_file_is_too_long() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 500, "{name} has {lines} lines");
    }
}

#[test]
fn every_example_is_driven_by_a_test() {
    let tests = include_str!("examples.rs");
    let manifest =
        std::fs::read_to_string(repository().join("examples/Cargo.toml")).expect("a manifest");
    let mut count = 0;
    for entry in std::fs::read_dir(repository().join("examples")).expect("a directory").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".rs") else { continue };
        count += 1;
        let module =
            stem.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '_');
        assert!(tests.contains(&format!("/{name}\"")), "{name} is not included");
        assert!(tests.contains(&format!("{module}::routes")), "{name} is not driven");
        assert!(manifest.contains(&format!("path = \"{name}\"")), "{name} is no program");
        let text = std::fs::read_to_string(entry.path()).expect("an example");
        assert!(!code(&text).contains(".unwrap()"), "{name} unwraps");
        assert!(text.starts_with("//! ") && text.contains("cargo run"), "{name} does not say how");
    }
    assert!(count >= 10, "the examples are not where this test looks");
}

#[test]
fn the_shipped_settings_are_the_defaults() {
    let text = std::fs::read_to_string(repository().join("config.ini")).expect("config.ini");
    let shipped = Config::parse(&text, "config.ini").expect("valid");
    let values = |config: &Config| -> Vec<String> {
        let lines = config.describe();
        lines
            .lines()
            .map(|line| line.split([';', '#']).next().unwrap_or_default().trim().to_owned())
            .collect()
    };
    assert_eq!(values(&shipped), values(&Config::default()));
}
