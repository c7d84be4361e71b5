//! Owns what must be true of any configuration file: nothing panics, and what is printed of it reads back as the same.
//! It never knows which files are right.

use std::io;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use insights::record::{Decoder, Scratch};
use insights::spec::{self, Errors, Overrides, PipelineSpec, Sources};
use insights::state::Layout;

/// Reads it, and what is printed of it.
pub(super) fn check(input: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(input);
    let spec = match read(&text) {
        Ok(spec) => spec,
        Err(errors) => {
            ensure!(!errors.to_string().is_empty(), "it is refused without a reason");
            return Ok(());
        }
    };
    let printed = spec.to_yaml();
    let again = read(&printed)
        .map_err(|errors| anyhow!("{errors}"))
        .with_context(|| format!("what is printed of it is refused:\n{printed}"))?;
    let twice = again.to_yaml();
    ensure!(twice == printed, "it is printed as\n{printed}\nand that as\n{twice}");
    // The effective text holds fingerprints of secrets, which the print leaves out.
    let effective = spec.text();
    let adopted = spec.with_text(&effective, spec.revision);
    let adopted = adopted.with_context(|| format!("its own effective text is refused: {effective}"))?;
    ensure!(adopted.text() == effective, "adopted from\n{effective}\nit is\n{}", adopted.text());
    let decoder = Decoder::new(&spec).context("it is accepted, and its filter is not")?;
    drop(Layout::new(&spec, &[]));
    drop(decoder.decode(&mut Scratch::default(), Some(LOGIN), -1));
    Ok(())
}

fn read(text: &str) -> Result<PipelineSpec, Errors> {
    let environment = |name: &str| (name == "MAX").then(|| "50".to_owned());
    let file = |path: &Path| match path.to_str() {
        Some("/secret") => Ok("s3cret\n".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    spec::read(text, &Overrides::default(), &Sources { environment: &environment, file: &file })
}

const LOGIN: &[u8] =
    br#"{"user_id":"u","app_version":"3.1","device_type":"android","locale":"de","ip":"10.1.2.3","timestamp":1700000000}"#;
