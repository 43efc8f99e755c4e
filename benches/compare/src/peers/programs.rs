//! jq and jaq: whole processes over a file that holds the corpus several times, less what they take for `null`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Outcome;
use crate::clock;
use crate::contest::{Contestant, median};
use crate::corpus::Corpus;
use crate::task::Task;

/// The file is at least this long, so that the start is a small part.
const LONG: usize = 8 << 20;

/// A filter program.
pub struct Program {
    name: &'static str,
    program: PathBuf,
    version: String,
    keeps_numbers: bool,
    folder: PathBuf,
    /// How often the file holds the corpus.
    times: u32,
    /// What it takes for `null`, in seconds.
    start: f64,
}

impl Program {
    /// The program that this variable names, or else the one of this name; `None` where there is none.
    pub fn find(name: &'static str, variable: &str, keeps_numbers: bool, folder: &Path) -> Outcome<Option<Self>> {
        let program = std::env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from);
        let Ok(said) = Command::new(&program).arg("--version").stderr(Stdio::null()).output() else { return Ok(None) };
        let version = String::from_utf8_lossy(&said.stdout).replace(name, "").trim_matches([' ', '-', '\n']).into();
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(Some(Self { name, program, version, keeps_numbers, folder, times: 1, start: 0.0 }))
    }

    fn run(&self, filter: &[&str], file: &Path, into: Stdio) -> Outcome<Vec<u8>> {
        let output = Command::new(&self.program).arg("-c").args(filter).arg(file).stdout(into).output()?;
        if !output.status.success() {
            return Err(format!("{} failed: {}", self.name, String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(output.stdout)
    }

    fn filter(task: Task) -> [&'static str; 1] {
        match task {
            Task::Hide => [include_str!("a.jq")],
            Task::Pick => [include_str!("b.jq")],
        }
    }
}

impl Contestant for Program {
    fn name(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    fn keeps_numbers(&self) -> bool {
        self.keeps_numbers
    }

    fn is_process(&self) -> bool {
        true
    }

    fn prepare(&mut self, corpus: &Corpus) -> Outcome<()> {
        let once = corpus.documents.join(&b'\n');
        self.times = LONG.div_ceil(once.len()) as u32;
        fs::write(self.folder.join("long"), [once, b"\n".to_vec()].concat().repeat(self.times as usize))?;
        let null = self.folder.join("null");
        fs::write(&null, "null")?;
        let starts = (0..9).map(|_| {
            let start = clock::children();
            self.run(&["."], &null, Stdio::null())?;
            Ok((clock::children() - start).as_secs_f64())
        });
        self.start = median(starts.collect::<Outcome<Vec<_>>>()?.into_iter());
        Ok(())
    }

    /// All in one: a program that writes nothing for a document leaves no trace of it.
    fn answers(&mut self, task: Task, corpus: &Corpus) -> Outcome<Option<Vec<Vec<u8>>>> {
        let file = self.folder.join("once");
        fs::write(&file, corpus.documents.join(&b'\n'))?;
        Ok(Some(vec![self.run(&Self::filter(task), &file, Stdio::piped())?]))
    }

    fn time(&mut self, task: Task, _: &Corpus, _: u32) -> Outcome<Duration> {
        let start = clock::children();
        self.run(&Self::filter(task), &self.folder.join("long"), Stdio::null())?;
        let taken = ((clock::children() - start).as_secs_f64() - self.start).max(0.0);
        Ok(Duration::from_secs_f64(taken / f64::from(self.times)))
    }
}
