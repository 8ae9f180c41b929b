//! From a file's text and the environment to one checked [`Config`].

use std::env;
use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::path::Path;

use super::error::{ConfigError, Origin};
use super::reader::{Given, GivenValue, Setting, variable};
use super::redis_keys::is_redis_name;
use super::scan::{Scanned, scan};
use super::section::Section;
use super::suggest::{did_you_mean, nearest};
use super::{Config, check};

const FILE_NAME: &str = "config.ini";
const FILE_VARIABLE: &str = "MAYPOLE_CONFIG";
const PREFIX: &str = "MAYPOLE_";

/// Nobody writes a larger one by hand; a wrong path may point at anything.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Stores that are part of maypole: their `[session.NAME]` is never a free section.
const BUILT_IN_STORES: [&str; 4] = ["file", "table", "redis", "tiered"];

pub(super) fn load() -> Result<Config, ConfigError> {
    if let Some(path) = env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()) {
        let path = Path::new(&path);
        if !path.try_exists().unwrap_or(true) {
            let message = format!("there is no such file; {FILE_VARIABLE} names it");
            return Err(ConfigError::in_file(&path.display().to_string(), None, message));
        }
        return load_from(path);
    }
    match read_text(Path::new(FILE_NAME))? {
        Some(text) => resolve(Some((&text, FILE_NAME)), &variables()?),
        None => resolve(None, &variables()?),
    }
}

pub(super) fn load_from(path: &Path) -> Result<Config, ConfigError> {
    let name = path.display().to_string();
    match read_text(path)? {
        Some(text) => resolve(Some((&text, &name)), &variables()?),
        None => Err(ConfigError::in_file(&name, None, "there is no such file")),
    }
}

/// The whole file, or `None` when there is none.
fn read_text(path: &Path) -> Result<Option<String>, ConfigError> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) => text_of(bytes, &name).map(Some),
        Err(error) if error.kind() == IoErrorKind::NotFound => Ok(None),
        Err(error) => Err(ConfigError::in_file(&name, None, format!("cannot be read: {error}"))),
    }
}

pub(super) fn text_of(bytes: Vec<u8>, name: &str) -> Result<String, ConfigError> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::in_file(
            name,
            None,
            "it is larger than 1 MiB; is it the right file?",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = error.as_bytes().iter().take(good);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        ConfigError::in_file(name, Some(line), "the text is not UTF-8")
    })
}

/// Our variables of the process environment, sorted by name so that messages do not vary.
fn variables() -> Result<Vec<(String, String)>, ConfigError> {
    let mut ours = Vec::new();
    for (name, value) in env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        if !name.starts_with(PREFIX) {
            continue;
        }
        let Ok(value) = value.into_string() else {
            let message = "the value is not UTF-8".to_owned();
            return Err(ConfigError::new(Origin::Variable(name), "", "", message));
        };
        ours.push((name, value));
    }
    ours.sort();
    Ok(ours)
}

/// Everything but reading the file and the environment; `file` is text and name.
#[expect(clippy::large_stack_frames, reason = "runs at start, not on a coroutine's stack")]
pub(super) fn resolve(
    file: Option<(&str, &str)>,
    variables: &[(String, String)],
) -> Result<Config, ConfigError> {
    let (given, sections) = gather(file, variables, Config::default().settings)?;
    let config = Config::read(&given, sections).map_err(|error| *error)?;
    check::check(&config)?;
    Ok(config)
}

/// The values of the file with those of the environment over them, all of them known to `table`
/// or in the program's own sections, which come sorted out as well.
#[expect(clippy::large_stack_frames, reason = "runs at start, not on a coroutine's stack")]
fn gather(
    file: Option<(&str, &str)>,
    variables: &[(String, String)],
    mut table: Vec<Setting>,
) -> Result<(Given, Vec<Section>), ConfigError> {
    let name = file.map(|(_, name)| name);
    let scanned = file.map(|(text, name)| scan(text, name)).transpose()?.unwrap_or_default();
    let mut given = written(&scanned, name);
    given.redis = redis_names(&scanned, variables, &table);
    for name in &given.redis {
        let section = format!("redis.{name}");
        let like_default: Vec<_> = redis_keys(&table).cloned().collect();
        table.extend(like_default.into_iter().map(|mut setting| {
            setting.section = section.clone().into();
            setting
        }));
    }
    let table = &table[..];
    let free = free_sections(&scanned, &given, variables);
    check_sections(&scanned, name.unwrap_or_default(), table, &free)?;
    check_keys(&given, table, &free)?;
    for (name, value) in variables {
        if let Some(value) = from_environment(name, value, table, &given, &free)? {
            given.set(value);
        }
    }
    let sections = collect(&free, &scanned, &given);
    Ok((given, sections))
}

fn written(scanned: &Scanned, file: Option<&str>) -> Given {
    let name = file.unwrap_or_default();
    let values = scanned.entries.iter().map(|entry| GivenValue {
        section: entry.section.clone(),
        key: entry.key.clone(),
        value: entry.value.clone(),
        origin: Origin::File { file: name.to_owned(), line: Some(entry.line) },
    });
    Given { file: file.map(str::to_owned), values: values.collect(), redis: Vec::new() }
}

/// The keys that every `[redis.NAME]` takes: those of `[redis.default]`.
fn redis_keys(table: &[Setting]) -> impl Iterator<Item = &Setting> {
    table.iter().filter(|setting| setting.section == "redis.default")
}

/// The `NAME` of every `[redis.NAME]` beside `default`, in the order of their first mention; one
/// that only the environment mentions is called so in lower case.
fn redis_names(
    scanned: &Scanned,
    variables: &[(String, String)],
    table: &[Setting],
) -> Vec<String> {
    let mut names = vec!["default".to_owned()];
    let in_file = scanned.sections.iter().filter_map(|(section, _)| section.strip_prefix("redis."));
    for name in in_file.filter(|name| is_redis_name(name)) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    let prefix = variable("redis", "");
    for (variable_name, _) in variables {
        let Some(rest) = variable_name.strip_prefix(&prefix) else { continue };
        let is_known = |name: &String| rest.starts_with(&variable(name, "").replace(PREFIX, ""));
        if names.iter().any(is_known) {
            continue;
        }
        let keys =
            redis_keys(table).map(|setting| format!("_{}", setting.key.to_ascii_uppercase()));
        let longest = keys.filter(|key| rest.ends_with(key)).max_by_key(String::len);
        let name = longest.and_then(|key| rest.strip_suffix(&key)).map(str::to_ascii_lowercase);
        names.extend(name.filter(|name| is_redis_name(name)));
    }
    names.remove(0);
    names
}

/// The names of the sections that belong to the program.
fn free_sections(scanned: &Scanned, given: &Given, variables: &[(String, String)]) -> Vec<String> {
    let chosen = variables.iter().find(|(name, _)| *name == variable("session", "backend"));
    let backend = chosen
        .map(|(_, value)| value.as_str())
        .or_else(|| given.find("session", "backend").map(|given| given.value.as_str()));
    let mut free = vec!["custom".to_owned()];
    if let Some(backend) = backend.filter(|name| !BUILT_IN_STORES.contains(name)) {
        free.push(format!("session.{backend}"));
    }
    for (name, _) in &scanned.sections {
        let is_free = match name.split_once('.') {
            Some(("custom", rest)) => !rest.is_empty(),
            // A section for a store that is not chosen is welcome, a slip of a built-in one is not.
            Some(("session", store)) => {
                !store.is_empty() && nearest(store, BUILT_IN_STORES).is_none()
            }
            _ => false,
        };
        if is_free && !free.contains(name) {
            free.push(name.clone());
        }
    }
    free
}

fn check_sections(
    scanned: &Scanned,
    file: &str,
    table: &[Setting],
    free: &[String],
) -> Result<(), ConfigError> {
    for (name, line) in &scanned.sections {
        if free.contains(name) || table.iter().any(|setting| setting.section == *name) {
            continue;
        }
        let known = table.iter().map(|setting| setting.section.as_ref()).chain(["custom"]);
        let hint = match nearest(name, known) {
            Some(near) => format!("; did you mean [{near}]?"),
            None if name == "redis" => "; did you mean [redis.default]?".to_owned(),
            None => "; sections of your own are called [custom] or [custom.NAME]".to_owned(),
        };
        let message = format!("unknown section [{name}]{hint}");
        return Err(ConfigError::in_file(file, Some(*line), message));
    }
    Ok(())
}

fn check_keys(given: &Given, table: &[Setting], free: &[String]) -> Result<(), ConfigError> {
    for GivenValue { section, key, origin, .. } in &given.values {
        let is_known = |setting: &Setting| setting.section == *section && setting.key == key;
        if free.contains(section) || table.iter().any(is_known) {
            continue;
        }
        let elsewhere: Vec<_> = table
            .iter()
            .filter(|setting| setting.key == key)
            .map(|setting| format!("[{}]", setting.section))
            .collect();
        let hint = if elsewhere.is_empty() {
            let siblings = table.iter().filter(|setting| setting.section == *section);
            match other_word(section, key) {
                Some(known) => format!("; did you mean {known:?}?"),
                None => did_you_mean(key, siblings.map(|setting| setting.key)),
            }
        } else {
            format!("; it belongs in {}", elsewhere.join(" or "))
        };
        let message = format!("unknown key {key:?}{hint}");
        return Err(ConfigError::new(origin.clone(), section, key, message));
    }
    Ok(())
}

/// What a key is called here that goes by another word elsewhere, too far from ours to be a slip.
fn other_word(section: &str, key: &str) -> Option<&'static str> {
    let words: &[(&str, &str, &[&str])] = &[
        ("server", "listen", &["port", "host", "bind", "address", "addr"]),
        ("session", "backend", &["store", "driver", "engine", "save_handler"]),
        ("session", "idle_timeout", &["lifetime", "ttl", "max_age", "gc_maxlifetime", "timeout"]),
        ("session", "cookie_name", &["name"]),
        ("session.file", "path", &["dir", "directory", "save_path"]),
        ("redis.default", "url", &["host", "port", "address", "addr", "server"]),
        ("runtime", "workers", &["threads"]),
    ];
    let (_, known, _) =
        words.iter().find(|(within, _, others)| *within == section && others.contains(&key))?;
    Some(known)
}

/// Which key a variable sets. In a free section that is a key the file already has, else a new
/// one in the section with the longest fitting name, in lower case.
fn from_environment(
    name: &str,
    value: &str,
    table: &[Setting],
    given: &Given,
    free: &[String],
) -> Result<Option<GivenValue>, ConfigError> {
    if name == FILE_VARIABLE || !name.starts_with(PREFIX) {
        return Ok(None);
    }
    let origin = Origin::Variable(name.to_owned());
    let found = |section: &str, key: &str| {
        let (section, key) = (section.to_owned(), key.to_owned());
        Ok(Some(GivenValue { section, key, value: value.to_owned(), origin: origin.clone() }))
    };
    if let Some(setting) = table.iter().find(|setting| setting.variable() == name) {
        return found(&setting.section, setting.key);
    }
    let written = given.values.iter().find(|given| variable(&given.section, &given.key) == name);
    if let Some(written) = written {
        return found(&written.section, &written.key);
    }
    let fitting = free.iter().filter_map(|section| {
        let key = name.strip_prefix(&variable(section, ""))?;
        (!key.is_empty()).then(|| (section, key.to_ascii_lowercase()))
    });
    if let Some((section, key)) = fitting.max_by_key(|(section, _)| section.len()) {
        return found(section, &key);
    }
    let known: Vec<String> = table.iter().map(Setting::variable).collect();
    let hint = did_you_mean(name, known.iter().map(String::as_str));
    let message = format!("unknown setting in the environment{hint}");
    Err(ConfigError::new(origin, "", "", message))
}

/// The free sections with their values; those that nobody wrote are left out.
fn collect(free: &[String], scanned: &Scanned, given: &Given) -> Vec<Section> {
    let mut sections = Vec::new();
    for name in free {
        let values: Vec<_> =
            given.values.iter().filter(|given| given.section == *name).cloned().collect();
        let line = scanned.sections.iter().find(|(known, _)| known == name).map(|(_, line)| *line);
        if values.is_empty() && line.is_none() {
            continue;
        }
        let origin = match &given.file {
            Some(file) => Origin::File { file: file.clone(), line },
            None => Origin::Default,
        };
        sections.push(Section::new(name, origin, values));
    }
    sections
}
