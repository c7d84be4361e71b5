//! Owns making container images from programs just built, as OCI archives: one layer, with the program and the shared
//! libraries that it needs.
//! It never pulls anything, and knows nothing of a cluster.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Writes the archive of an image called `name`, whose entry point is `program`, into the empty folder `folder`.
pub(super) fn write(folder: &Path, name: &str, program: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    let file = program.file_name().with_context(|| format!("{} has no name", program.display()))?;
    let inside = root.join("usr/bin").join(file);
    copy(program, &inside)?;
    // Four fifths of a program just built help nobody but a debugger.
    run(Command::new("strip").arg("--strip-debug").arg(inside))?;
    for library in shared_libraries(program)? {
        let path = library.strip_prefix("/").context("a library's path is not absolute")?;
        copy(&library, &root.join(path))?;
    }
    let layout = folder.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("failed to create {}", blobs.display()))?;
    let layer = pack(&root, &folder.join("layer.tar"))?;
    let layer_text = fs::read(&layer).context("failed to read a layer")?;
    let layer = add(&blobs, "application/vnd.oci.image.layer.v1.tar", &layer_text)?;
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"User": "65532:65532", "Entrypoint": [format!("/usr/bin/{}", file.to_string_lossy())]},
        "rootfs": {"type": "layers", "diff_ids": [layer.get("digest")]},
    });
    let config = add_json(&blobs, "application/vnd.oci.image.config.v1+json", &config)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
    });
    let mut manifest = add_json(&blobs, MANIFEST, &manifest)?;
    if let Some(fields) = manifest.as_object_mut() {
        fields.insert("annotations".to_owned(), json!({"io.containerd.image.name": name}));
    }
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    write_file(&layout.join("index.json"), index.to_string().as_bytes())?;
    write_file(&layout.join("oci-layout"), br#"{"imageLayoutVersion": "1.0.0"}"#)?;
    pack(&layout, &folder.join("image.tar"))
}

/// What the dynamic linker finds for it; nothing for a static program.
fn shared_libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("failed to run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut libraries = Vec::new();
    for line in text.lines() {
        ensure!(!line.contains("not found"), "{} needs a library: {line}", program.display());
        // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, or the linker's own path alone.
        if let Some(path) = line.split_whitespace().find(|word| word.starts_with('/')) {
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

fn copy(source: &Path, target: &Path) -> Result<()> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).with_context(|| format!("failed to create {}", parent.display()))?;
    }
    fs::copy(source, target).map(drop).with_context(|| format!("failed to copy {}", source.display()))
}

fn pack(folder: &Path, archive: &Path) -> Result<PathBuf> {
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "-cf"]).arg(archive).arg("-C").arg(folder).arg(".");
    run(&mut tar)?;
    Ok(archive.to_owned())
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_owned();
    let output = command.output().with_context(|| format!("failed to run {}", name.display()))?;
    if !output.status.success() {
        bail!("{} failed: {}", name.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn add_json(blobs: &Path, kind: &str, value: &Value) -> Result<Value> {
    add(blobs, kind, value.to_string().as_bytes())
}

/// Stores a blob, and returns its descriptor.
fn add(blobs: &Path, kind: &str, content: &[u8]) -> Result<Value> {
    let mut digest = String::new();
    for byte in Sha256::digest(content) {
        write!(digest, "{byte:02x}").expect("a text takes all that is written");
    }
    write_file(&blobs.join(&digest), content)?;
    Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": content.len()}))
}

fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).with_context(|| format!("failed to write {}", path.display()))
}

/// As Go and OCI call it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_holds_the_program_and_its_libraries() {
        let folder = tempfile::tempdir().unwrap();
        let archive = write(folder.path(), "docker.io/rollcall/ls:dev", Path::new("/bin/ls")).unwrap();
        let list = Command::new("tar").arg("-tf").arg(archive).output().unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        assert!(list.contains("./index.json"), "{list}");
        assert!(list.contains("./oci-layout"), "{list}");
        assert_eq!(list.matches("./blobs/sha256/").count(), 1 + 3, "a layer, a config, a manifest: {list}");
        let root = folder.path().join("root");
        assert!(root.join("usr/bin/ls").is_file());
        let libraries = shared_libraries(Path::new("/bin/ls")).unwrap();
        assert!(libraries.iter().any(|path| path.to_string_lossy().contains("libc.so")), "{libraries:?}");
        for library in libraries {
            assert!(root.join(library.strip_prefix("/").unwrap()).is_file());
        }
    }
}
