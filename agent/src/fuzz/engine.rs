//! A small fuzzer: mutations of seeds, guided by coverage where the build counts it.
//!
//! `cargo xtask fuzz` builds with LLVM's `sancov` pass, which the stable compiler has: each basic block
//! then counts in a byte, and an input that reaches what none before did joins the corpus.
//! libFuzzer does this better, but needs a C++ compiler, and a nightly one of Rust to be driven by
//! cargo-fuzz. Without the counters it mutates blindly, which is what a test run does.

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

/// How long each target runs, in seconds.
const SECONDS: &str = "SIGBLAME_FUZZ_SECONDS";
/// Where inputs that reached something new are kept from run to run.
const CORPUS: &str = "SIGBLAME_FUZZ_CORPUS";
/// Without the variable: all targets together take a minute, side by side less.
const DEFAULT: u64 = 12;
/// No input may take longer than this, in a debug build on a busy machine.
const SLOW: Duration = Duration::from_secs(5);
/// Bytes of an input.
const LONGEST: usize = 1 << 16;

/// The counters of this program's basic blocks, told by the code that the compiler adds.
static COUNTERS: Mutex<Option<(usize, usize)>> = Mutex::new(None);

/// Called before `main` by every module that was compiled with the counters.
///
/// # Safety
///
/// The two are the ends of a static array of bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    if let Ok(mut counters) = COUNTERS.lock() {
        *counters = Some((start as usize, stop as usize));
    }
}

/// The counters; none where the build has none.
fn counters() -> &'static mut [u8] {
    let range = COUNTERS.lock().ok().and_then(|range| *range);
    let Some((start, stop)) = range else {
        return &mut [];
    };
    // SAFETY: the compiler's own static array, which lives as long as the program. Its counts are
    // bytes that instrumented code of this thread changes; `cargo xtask fuzz` runs one test at a time.
    unsafe { std::slice::from_raw_parts_mut(start as *mut u8, stop - start) }
}

/// SplitMix64: a few lines, and good enough to choose bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not zero.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Runs a target until its time is over; panics, with the input in a file, where the target does.
pub(super) fn run(name: &str, mut corpus: Vec<Vec<u8>>, target: impl Fn(&[u8])) {
    assert!(!corpus.is_empty(), "{name} has no seeds");
    let seconds = env::var(SECONDS).ok().and_then(|text| text.parse().ok());
    let kept = env::var_os(CORPUS).map(|dir| PathBuf::from(dir).join(name));
    if let Some(dir) = &kept {
        fs::create_dir_all(dir).expect("a directory for the corpus");
        let files = fs::read_dir(dir).expect("the corpus").flatten();
        corpus.extend(files.filter_map(|file| fs::read(file.path()).ok()));
    }
    // A known start where time is short, so that a test run is the same each time.
    let seed = if seconds.is_some() {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        now.as_nanos() as u64
    } else {
        1
    };
    let mut random = Random(seed);
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(DEFAULT));
    let mut reached = vec![0_u8; counters().len()];
    let (seeds, mut runs) = (corpus.len(), 0_u64);
    while Instant::now() < end {
        let input = match corpus.get(usize::try_from(runs).unwrap_or(usize::MAX)) {
            // Every seed as it is, first.
            Some(seed) if runs < seeds as u64 => seed.clone(),
            _ => mutated(&corpus, &mut random),
        };
        runs += 1;
        counters().fill(0);
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
        let time = start.elapsed();
        if let Err(panic) = outcome {
            eprintln!("{name} panics: {}", keep(name, &input));
            resume_unwind(panic);
        }
        assert!(time < SLOW, "{name} takes {time:?}: {}", keep(name, &input));
        if is_new(counters(), &mut reached) && runs > seeds as u64 {
            if let Some(dir) = &kept {
                fs::write(dir.join(format!("{seed:x}-{runs}")), &input)
                    .expect("room for the corpus");
            }
            corpus.push(input);
        }
    }
    let blocks = reached.iter().filter(|count| **count != 0).count();
    eprintln!(
        "{name}: {runs} inputs, {} kept, {blocks} blocks reached",
        corpus.len()
    );
}

/// Whether a block was reached more often, by powers of two, than by any input before.
fn is_new(counters: &[u8], reached: &mut [u8]) -> bool {
    let mut new = false;
    for (count, before) in counters.iter().zip(reached) {
        if *count != 0 {
            let bucket = 1 << count.ilog2();
            new |= *before & bucket == 0;
            *before |= bucket;
        }
    }
    new
}

/// Puts an input into a file, and says where.
fn keep(name: &str, input: &[u8]) -> String {
    let path = env::temp_dir().join(format!("sigblame-fuzz-{name}"));
    match fs::write(&path, input) {
        Ok(()) => format!("see {}", path.display()),
        Err(error) => format!("failed to keep the input: {error}"),
    }
}

/// One of the corpus with a few changes.
fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const ODD: [u64; 10] = [
        0,
        1,
        7,
        0x7f,
        0xff,
        0x1000,
        0x7fff_ffff,
        0xffff_ffff,
        i64::MAX as u64,
        u64::MAX,
    ];
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let rest = bytes.len() - at;
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.next() as u8),
            2 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                let piece = other[from..].iter().take(random.below(256));
                let piece: Vec<u8> = piece.copied().collect();
                let until = at + piece.len().min(rest);
                bytes.splice(at..until, piece);
            }
            3 if rest > 0 => {
                let until = at + 1 + random.below(rest);
                bytes.drain(at..until);
            }
            4 if rest > 0 => bytes[at] ^= 1 << random.below(8),
            5 if rest > 0 => {
                bytes[at] = bytes[at]
                    .wrapping_add(random.below(35) as u8)
                    .wrapping_sub(17)
            }
            _ => {
                let value = if random.below(2) == 0 {
                    ODD[random.below(ODD.len())]
                } else {
                    random.next() >> random.below(64)
                };
                let width = 1 << random.below(4);
                // Fields are aligned.
                let at = at & !(width - 1);
                let word = value.to_le_bytes();
                for (slot, byte) in bytes.iter_mut().skip(at).zip(&word[..width]) {
                    *slot = *byte;
                }
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}
