//! Owns the work of the core alone, over a few logins again and again: what `valgrind` counts the instructions of.
//! It never touches a service or a clock.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use insights::record::{Decoder, Scratch};
use insights::spec::{self, Overrides, Sources};
use insights::state::{Layout, PartitionState};
use rollcall_worker::logins::Logins;

/// Decodes, validates, filters, counts and splices [`LOGINS`] logins, `rounds` times.
pub fn run(rounds: u32) -> Result<()> {
    let sources = Sources { environment: &|_| None, file: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    let spec = spec::read("", &Overrides::default(), &sources).context("an empty file is refused")?;
    let decoder = Decoder::new(&spec).context("the default filter is refused")?;
    let mut state = PartitionState::new(Arc::new(Layout::new(&spec, &[])));
    let mut logins = Logins::new(1, 10_000, 0.0, 0.0, 0.0);
    let records: Vec<Vec<u8>> =
        (0..i64::from(LOGINS)).map(|number| logins.next(NOW_MS + number * 20).value).collect();
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    let mut written = 0;
    for _ in 0..rounds {
        for record in &records {
            let login = decoder.decode(&mut scratch, Some(record), NOW_MS);
            let login = login.map_err(|rejection| anyhow::anyhow!("{:?}", rejection.reason))?;
            state.count_login(login.counted()).context("a new state has nothing to load")?;
            if login.processed {
                out.clear();
                login.write_output(&mut out);
                written += u64::from(!out.is_empty());
            }
        }
    }
    ensure!(written == state.totals().processed, "{written} outputs, {:?}", state.totals());
    Ok(())
}

/// Logins of one round.
pub const LOGINS: u32 = 1024;
const NOW_MS: i64 = 1_790_000_000_000;
