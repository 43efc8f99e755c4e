//! Who takes part, and how they are timed: in turn, round after round, so that a machine that changes its speed changes
//! it for all.

use std::hint::black_box;
use std::time::Duration;

use crate::Outcome;
use crate::clock;
use crate::corpus::Corpus;
use crate::task::Task;

/// Someone who does the tasks.
pub trait Contestant {
    /// As it stands in the tables.
    fn name(&self) -> String;

    /// Whether numbers are to stay as they are written: `1.50` as `1.50`.
    fn keeps_numbers(&self) -> bool {
        false
    }

    /// Whether it is a process of its own, which is timed in few rounds only.
    fn is_process(&self) -> bool {
        false
    }

    /// Takes in a corpus, untimed.
    fn prepare(&mut self, _: &Corpus) -> Outcome<()> {
        Ok(())
    }

    /// Its answer to each document; `None` for a yardstick, which does no task.
    fn answers(&mut self, task: Task, corpus: &Corpus) -> Outcome<Option<Vec<Vec<u8>>>>;

    /// Whether it takes a text that is not JSON; `None` where that is not asked, since a process says it for all texts.
    fn takes(&mut self, _: Task, _: &[u8]) -> Option<bool> {
        None
    }

    /// How long it takes for the whole corpus this many times.
    fn time(&mut self, task: Task, corpus: &Corpus, times: u32) -> Outcome<Duration>;
}

/// A peer that is called in this process: it gets the document and appends its answer to an empty buffer.
pub struct InProcess<F> {
    name: &'static str,
    keeps_numbers: bool,
    /// A yardstick does no task.
    does_tasks: bool,
    work: F,
    out: Vec<u8>,
}

impl<F: FnMut(Task, &[u8], &mut Vec<u8>) -> Outcome<()>> InProcess<F> {
    /// A peer.
    pub fn peer(name: &'static str, work: F) -> Self {
        Self { name, keeps_numbers: false, does_tasks: true, work, out: Vec::new() }
    }

    /// A yardstick.
    pub fn yardstick(name: &'static str, work: F) -> Self {
        Self { does_tasks: false, ..Self::peer(name, work) }
    }

    /// A peer that claims to keep numbers as they are written.
    pub fn keeping_numbers(self) -> Self {
        Self { keeps_numbers: true, ..self }
    }
}

impl<F: FnMut(Task, &[u8], &mut Vec<u8>) -> Outcome<()>> Contestant for InProcess<F> {
    fn name(&self) -> String {
        self.name.into()
    }

    fn keeps_numbers(&self) -> bool {
        self.keeps_numbers
    }

    fn answers(&mut self, task: Task, corpus: &Corpus) -> Outcome<Option<Vec<Vec<u8>>>> {
        let mut answers = Vec::new();
        for document in &corpus.documents {
            self.out.clear();
            (self.work)(task, document, &mut self.out)?;
            answers.push(self.out.clone());
        }
        Ok(self.does_tasks.then_some(answers))
    }

    fn takes(&mut self, task: Task, document: &[u8]) -> Option<bool> {
        self.out.clear();
        self.does_tasks.then(|| (self.work)(task, document, &mut self.out).is_ok())
    }

    fn time(&mut self, task: Task, corpus: &Corpus, times: u32) -> Outcome<Duration> {
        let start = clock::this_thread();
        for _ in 0..times {
            for document in &corpus.documents {
                self.out.clear();
                (self.work)(task, black_box(document), &mut self.out)?;
                black_box(&self.out);
            }
        }
        Ok(clock::this_thread() - start)
    }
}

/// What came out of the rounds, for each contestant.
pub struct Timed {
    /// As it stands in the tables.
    pub name: String,
    /// Seconds for the corpus once: the median of the rounds.
    pub median: f64,
    /// How many times as fast as it the first contestant was: the median of what each round says.
    pub ratio: f64,
}

/// A batch takes at least this long, so that the clock's grain and the first touch of memory don't count.
const BATCH: Duration = Duration::from_millis(2);
/// A process is timed in one round of this many.
const PROCESS_EVERY: usize = 5;

/// Times the contestants in turn; the first is the one that the others are held against.
pub fn rounds(
    contestants: &mut [&mut dyn Contestant],
    task: Task,
    corpus: &Corpus,
    rounds: usize,
) -> Outcome<Vec<Timed>> {
    let mut batches = Vec::new();
    for contestant in contestants.iter_mut() {
        contestant.prepare(corpus)?;
        // Once for the caches, once for the length of a batch.
        let once = match contestant.is_process() {
            true => BATCH,
            false => contestant.time(task, corpus, 1).and_then(|_| contestant.time(task, corpus, 1))?,
        };
        batches.push(BATCH.as_nanos().div_ceil(once.as_nanos().max(1)).clamp(1, 1 << 20) as u32);
    }
    let mut times = vec![vec![None; rounds]; contestants.len()];
    for round in 0..rounds {
        for place in 0..contestants.len() {
            // Each round begins with another, so that nobody always follows the same one.
            let place = (place + round) % contestants.len();
            let (contestant, batch) = (&mut contestants[place], batches[place]);
            if contestant.is_process() && round % PROCESS_EVERY != 0 {
                continue;
            }
            if !contestant.is_process() {
                contestant.time(task, corpus, 1)?;
            }
            times[place][round] = Some(contestant.time(task, corpus, batch)?.as_secs_f64() / f64::from(batch));
        }
    }
    let ratio = |of: &Vec<Option<f64>>| {
        median(of.iter().zip(&times[0]).filter_map(|(of, ours)| Some(of.as_ref()? / ours.as_ref()?)))
    };
    let timed = |(contestant, of): (&&mut dyn Contestant, &Vec<Option<f64>>)| Timed {
        name: contestant.name(),
        median: median(of.iter().flatten().copied()),
        ratio: ratio(of),
    };
    Ok(contestants.iter().zip(&times).map(timed).collect())
}

/// The median.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
