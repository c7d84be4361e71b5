//! What one login costs within the core: `cargo bench -p rollcall-insights --bench core`; times are of one login.
//!
//! Owns no gate: times change with the hour. `tests/tests/instructions.rs` guards the same work by instructions.

use std::hint::black_box;
use std::io;
use std::sync::Arc;

use divan::Bencher;
use insights::record::{Decoder, Login, Scratch};
use insights::spec::{self, Overrides, PipelineSpec, Sources};
use insights::state::{Layout, PartitionState};

// The generator that fills the lab's topics. A dependency on its crate would build librdkafka, and be one on itself.
#[path = "../../worker/src/logins.rs"]
#[expect(unreachable_pub, reason = "it is public where it belongs")]
mod logins;

use logins::Logins;

fn main() {
    let records = records();
    let decoder = Decoder::new(&spec()).expect("the default specification compiles");
    let mut scratch = Scratch::default();
    let mut passed = 0;
    for record in &records {
        passed += u32::from(decode(&decoder, &mut scratch, record).processed);
    }
    let bytes: usize = records.iter().map(Vec::len).sum();
    println!("{} logins of {} bytes, {passed} pass the filter", records.len(), bytes / records.len());
    divan::main();
}

/// Decoding, validation, and what is to be counted, without a filter.
#[divan::bench(sample_size = RECORDS, sample_count = 200)]
fn decode_and_validate(bencher: Bencher) {
    let spec = PipelineSpec { filter: Vec::new(), ..spec() };
    decoding(bencher, &Decoder::new(&spec).expect("no filter compiles"));
}

/// The same with the default filter.
#[divan::bench(sample_size = RECORDS, sample_count = 200)]
fn decode_validate_filter(bencher: Bencher) {
    decoding(bencher, &Decoder::new(&spec()).expect("the default specification compiles"));
}

fn decoding(bencher: Bencher, decoder: &Decoder) {
    let records = records();
    let mut scratch = Scratch::default();
    let mut next = records.iter().cycle();
    bencher.bench_local(|| {
        let record = next.next().expect("a cycle has no end");
        black_box(decode(decoder, &mut scratch, record).processed)
    });
}

/// The output's bytes of a login that passes.
#[divan::bench(sample_size = RECORDS, sample_count = 200)]
fn splice(bencher: Bencher) {
    with_logins(|logins| {
        let mut next = logins.iter().filter(|login| login.processed).cycle();
        let mut out = Vec::new();
        bencher.bench_local(|| {
            out.clear();
            next.next().expect("some pass").write_output(&mut out);
            black_box(out.len())
        });
    });
}

/// The fold of a decoded login into its partition's state.
#[divan::bench(sample_size = RECORDS, sample_count = 200)]
fn count(bencher: Bencher) {
    with_logins(|logins| {
        let mut state = PartitionState::new(Arc::new(Layout::new(&spec(), &[])));
        let mut next = logins.iter().cycle();
        bencher.bench_local(|| {
            state
                .count_login(next.next().expect("a cycle has no end").counted())
                .expect("nothing is stored yet");
        });
        black_box(state.totals());
    });
}

/// All of it, with the outputs of those that pass.
#[divan::bench(sample_size = RECORDS, sample_count = 200)]
fn decode_validate_filter_splice_count(bencher: Bencher) {
    let decoder = Decoder::new(&spec()).expect("the default specification compiles");
    let mut state = PartitionState::new(Arc::new(Layout::new(&spec(), &[])));
    let records = records();
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    let mut next = records.iter().cycle();
    bencher.bench_local(|| {
        let login = decode(&decoder, &mut scratch, next.next().expect("a cycle has no end"));
        state.count_login(login.counted()).expect("nothing is stored yet");
        if login.processed {
            out.clear();
            login.write_output(&mut out);
        }
        black_box(out.len())
    });
    black_box(state.totals());
}

/// Something else that is done with each login, to compare machines and hours by: `serde_json`'s parse alone.
#[divan::bench(sample_size = RECORDS, sample_count = 200)]
fn yardstick_serde_json(bencher: Bencher) {
    let records = records();
    let mut next = records.iter().cycle();
    bencher.bench_local(|| {
        let record = next.next().expect("a cycle has no end");
        let text = std::str::from_utf8(record).expect("every record is UTF-8");
        serde_json::from_str::<Parsed<'_>>(black_box(text)).expect("every record is a login")
    });
}

/// A login as `serde_json` reads it fastest.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "it is parsed and let go")]
struct Parsed<'a> {
    user_id: &'a str,
    app_version: &'a str,
    device_type: &'a str,
    locale: &'a str,
    timestamp: &'a str,
}

/// Hands over all logins, decoded.
fn with_logins(work: impl FnOnce(&[Login<'_>])) {
    let decoder = Decoder::new(&spec()).expect("the default specification compiles");
    let records = records();
    let mut scratches: Vec<Scratch> = records.iter().map(|_| Scratch::default()).collect();
    let logins: Vec<Login<'_>> = scratches
        .iter_mut()
        .zip(&records)
        .map(|(scratch, record)| decode(&decoder, scratch, record))
        .collect();
    work(&logins);
}

fn decode<'a>(decoder: &'a Decoder, scratch: &'a mut Scratch, record: &'a [u8]) -> Login<'a> {
    decoder.decode(scratch, Some(record), NOW_MS).expect("every record is a login")
}

/// Logins as the lab's benchmark produces them, of which one in four passes the filter.
fn records() -> Vec<Vec<u8>> {
    let mut logins = Logins::new(SEED, USERS, 0.0, 0.0, 0.0);
    // Fifty a second, so that their times change.
    let made = (0..i64::from(RECORDS)).map(|number| logins.next(NOW_MS + number * 20));
    made.filter(|made| !made.key.is_empty()).map(|made| made.value).collect()
}

/// The settings of an empty configuration file.
fn spec() -> PipelineSpec {
    let sources = Sources { environment: &|_| None, file: &|_| Err(io::ErrorKind::NotFound.into()) };
    spec::read("", &Overrides::default(), &sources).expect("an empty file is a configuration")
}

const RECORDS: u32 = 4096;
const USERS: u64 = 10_000;
const SEED: u64 = 1;
const NOW_MS: i64 = 1_790_000_000_000;
