//! orjson: a Python process that is asked, round after round, to time itself.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Outcome;
use crate::contest::Contestant;
use crate::corpus::Corpus;
use crate::task::Task;

/// The process.
pub struct Orjson {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    version: String,
    folder: PathBuf,
}

impl Orjson {
    /// `COMPARE_PYTHON`, else the environment beside this package, else `python3`; `None` where it has no orjson.
    pub fn find(folder: &Path) -> Outcome<Option<Self>> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
        let python = match std::env::var_os("COMPARE_PYTHON") {
            Some(named) => PathBuf::from(named),
            None if beside.exists() => beside,
            None => PathBuf::from("python3"),
        };
        let folder = folder.join("orjson");
        fs::create_dir_all(&folder)?;
        let peer = Command::new(python)
            .args(["-c", include_str!("orjson.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut process) = peer else { return Ok(None) };
        let (Some(commands), Some(answers)) = (process.stdin.take(), process.stdout.take()) else { return Ok(None) };
        let mut peer = Self { process, commands, answers: BufReader::new(answers), version: String::new(), folder };
        // It says its version once it has found orjson, and nothing where it hasn't.
        let Ok(Value::String(version)) = peer.answer() else { return Ok(None) };
        peer.version = version;
        Ok(Some(peer))
    }

    fn answer(&mut self) -> Outcome<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|_| "orjson.py stopped; run it by hand to see why".into())
    }

    fn ask(&mut self, command: &Value) -> Outcome<Value> {
        writeln!(self.commands, "{command}")?;
        self.answer()
    }
}

impl Drop for Orjson {
    fn drop(&mut self) {
        // It has nothing to lose; an error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Contestant for Orjson {
    fn name(&self) -> String {
        format!("orjson {}", self.version)
    }

    fn prepare(&mut self, corpus: &Corpus) -> Outcome<()> {
        for (place, document) in corpus.documents.iter().enumerate() {
            fs::write(self.folder.join(place.to_string()), document)?;
        }
        self.ask(&json!({"load": self.folder, "documents": corpus.documents.len()})).map(|_| ())
    }

    fn answers(&mut self, task: Task, corpus: &Corpus) -> Outcome<Option<Vec<Vec<u8>>>> {
        self.prepare(corpus)?;
        self.ask(&json!({"answer": task.letter(), "into": self.folder}))?;
        let read = |place: usize| Ok(fs::read(self.folder.join(format!("{place}.out")))?);
        (0..corpus.documents.len()).map(read).collect::<Outcome<_>>().map(Some)
    }

    fn time(&mut self, task: Task, _: &Corpus, times: u32) -> Outcome<Duration> {
        let said = self.ask(&json!({"time": task.letter(), "times": times}))?;
        said.as_u64().map(Duration::from_nanos).ok_or_else(|| "orjson.py tells no time".into())
    }
}
