//! `maypole session export` and `import`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use maypole::admin::{Admin, Exported};
use maypole::config::Config;

use super::super::arguments::Arguments;
use super::super::output::{Failure, note, say};
use super::open;

pub(super) fn export(arguments: &mut Arguments, config: &Config) -> Result<(), Failure> {
    let file = arguments.file().filter(|file| file != "-").map(PathBuf::from);
    arguments.end()?;
    if file.is_none() && io::stdout().is_terminal() {
        return Err(Failure::Usage("export writes no text: name a file".to_owned()));
    }
    let Some(admin) = open(config)? else {
        return Err(Failure::Failed("there is nothing to export".to_owned()));
    };
    let exported = match &file {
        Some(path) => export_to(&admin, path)?,
        None => admin.export(BufWriter::new(io::stdout().lock()))?,
    };
    let Exported { records, bytes, .. } = exported;
    note(&format!(
        "{records} records with {bytes} bytes; they hold what your visitors stored: keep them as \
         private as the store\n"
    ));
    Ok(admin.close()?)
}

/// A file that did not exist before, for its owner alone; none is left if it does not get whole.
fn export_to(admin: &Admin, path: &Path) -> Result<Exported, Failure> {
    let cannot =
        |error: io::Error| Failure::Failed(format!("cannot write {}: {error}", path.display()));
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path).map_err(cannot)?;
    let exported = admin.export(BufWriter::new(&file)).map_err(Failure::from);
    let exported = exported.and_then(|exported| {
        File::sync_all(&file).map_err(cannot)?;
        Ok(exported)
    });
    if exported.is_err() {
        #[expect(clippy::disallowed_methods, reason = "a command has no workers")]
        std::fs::remove_file(path).ok();
    }
    exported
}

pub(super) fn import(arguments: &mut Arguments, config: &Config) -> Result<(), Failure> {
    let replaces = arguments.flag("--replace");
    let file = arguments.file().ok_or_else(|| Failure::Usage("import needs a file".to_owned()))?;
    arguments.end()?;
    let admin = Admin::open(config)?;
    let imported = admin.import(Path::new(&file), replaces)?;
    let mut text = String::new();
    for (count, what) in [
        (imported.added, "added"),
        (imported.updated, "updated"),
        (imported.same, "were there already"),
        (imported.kept, "kept as this store has them (--replace takes those of the file)"),
        (imported.ended, "have ended here, and stay so"),
        (imported.old_ids, "old ids of sessions that have a later one, which alone lives"),
        (imported.expired, "have expired"),
        (imported.no_room, "left out: anonymous, seen once, and the store is full"),
        (imported.skipped, "skipped: locks, and what cannot be read"),
    ] {
        if count > 0 {
            text.push_str(&format!("{count} {what}\n"));
        }
    }
    say(if text.is_empty() { "the export holds nothing\n" } else { &text })?;
    Ok(admin.close()?)
}
