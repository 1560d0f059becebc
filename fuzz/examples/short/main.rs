//! A short run of every door, or of those named, on any stable compiler: the corpora as they are, then mutations of them.
//!
//! ```text
//! cargo run --example short -- [--runs N] [--seconds N] [--seed N] [DOOR...]
//! ```
//!
//! It makes at least `--runs` inputs for each door, and goes on for `--seconds`.
//!
//! The same seed gives the same inputs. It is no match for libFuzzer, which sees what its inputs reach; it needs nothing
//! that a fresh machine lacks, and shows that a door still opens. An input that breaks a promise is written into
//! `artifacts/DOOR/`; hand it to `cargo fuzz run DOOR FILE`, or to this program: `-- DOOR FILE`.

mod mutate;

use forebay_fuzz::{DOORS, Door};
use mutate::Mutator;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, io, panic, process, thread};

/// An input that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

struct Options {
    runs: u64,
    time: Duration,
    seed: u64,
    names: Vec<String>,
    files: Vec<PathBuf>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { runs: 20_000, time: Duration::ZERO, seed: 1, names: Vec::new(), files: Vec::new() };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().unwrap_or_default();
            value.parse::<u64>().map_err(|_| format!("{argument} needs a number, not {value:?}"))
        };
        match argument.as_str() {
            "--runs" => options.runs = number()?,
            "--seconds" => options.time = Duration::from_secs(number()?),
            "--seed" => options.seed = number()?,
            name if DOORS.iter().any(|door| door.0 == name) => options.names.push(argument),
            file if Path::new(file).is_file() => options.files.push(file.into()),
            other => return Err(format!("neither a door nor a file: {other}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let watched = Arc::new(Watched::default());
    watched.clone().keep_watch();
    let mut good = true;
    for (name, door) in DOORS {
        if options.names.is_empty() || options.names.iter().any(|named| named == name) {
            match run(name, door, &options, &watched) {
                Ok(fine) => good &= fine,
                Err(error) => {
                    eprintln!("{name}: {error}");
                    good = false;
                }
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Opens a door with its corpus and mutations of it, or with the given files. False: a promise was broken.
fn run(name: &'static str, door: Door, options: &Options, watched: &Watched) -> io::Result<bool> {
    let replay = !options.files.is_empty();
    let seeds = if replay { options.files.clone() } else { listed(&folder("corpus", name))? };
    let seeds = seeds.into_iter().map(fs::read).collect::<io::Result<Vec<_>>>()?;
    if seeds.is_empty() {
        return Err(io::Error::other("no seeds"));
    }
    let begun = Instant::now();
    let mut done = 0;
    let mut mutator = Mutator::new(options.seed, name);
    let least = seeds.len() as u64 + if replay { 0 } else { options.runs };
    let mut replayed = seeds.iter().cloned();
    while done < least || (!replay && begun.elapsed() < options.time) {
        let input = replayed.next().unwrap_or_else(|| mutator.next(&seeds));
        watched.begin(name, input);
        let broken = panic::catch_unwind(|| watched.open(door)).is_err();
        if broken {
            let file = keep(name, &watched.input())?;
            eprintln!("{name}: input {done} of seed {} breaks a promise: {}", options.seed, file.display());
            return Ok(false);
        }
        done += 1;
    }
    watched.end();
    println!(
        "{name}: {} seeds, {done} inputs in {:.1} s, seed {}",
        seeds.len(),
        begun.elapsed().as_secs_f64(),
        options.seed
    );
    Ok(true)
}

/// A door, the input that it has, and since when.
type Now = (&'static str, Arc<Vec<u8>>, Instant);

#[derive(Default)]
struct Watched(Mutex<Option<Now>>);

impl Watched {
    fn begin(&self, name: &'static str, input: Vec<u8>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((name, Arc::new(input), Instant::now()));
    }

    fn input(&self) -> Arc<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|now| now.1.clone()).unwrap_or_default()
    }

    fn open(&self, door: Door) {
        door(&self.input());
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Ends the process when an input hangs.
    fn keep_watch(self: Arc<Self>) {
        thread::spawn(move || {
            loop {
                thread::sleep(Duration::from_secs(1));
                let now = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some((name, input, since)) = now
                    && since.elapsed() > PATIENCE
                {
                    let file = keep(name, &input).unwrap_or_default();
                    eprintln!("{name}: an input hangs: {}", file.display());
                    process::exit(1);
                }
            }
        });
    }
}

fn folder(kind: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(name)
}

fn keep(name: &str, input: &[u8]) -> io::Result<PathBuf> {
    let folder = folder("artifacts", name);
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("broken-{}", process::id()));
    fs::write(&file, input)?;
    Ok(file)
}

fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}
