//! Owns a certificate authority for the lab's services, made with the `openssl` program for one test.
//! It never makes a certificate that a machine would trust by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::folder::Folder;
use crate::components::openssl::openssl;

/// A certificate authority; copies share one.
#[derive(Clone, Debug)]
pub struct Authority {
    folder: Arc<Folder>,
}

/// A certificate for `localhost` and 127.0.0.1, and for the lab's services in a cluster; and its private key (PEM, PKCS #8).
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The private key's file.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority, which nobody trusts yet.
    pub fn new() -> Result<Self> {
        let authority = Self { folder: Arc::new(Folder::new("authority")?) };
        authority.request("authority", "authority", &[])?;
        Ok(authority)
    }

    /// The authority's own certificate: who trusts this file trusts all that it issues.
    pub fn certificate(&self) -> PathBuf {
        self.file("authority.pem")
    }

    /// Issues a certificate for servers and clients, with `name` as its common name; one for each name.
    pub fn issue(&self, name: &str) -> Result<Certificate> {
        let issuer = [self.certificate(), self.file("authority.key")];
        let [certificate, key] = issuer.each_ref().map(|path| path.to_string_lossy());
        self.request(name, "leaf", &["-CA", &certificate, "-CAkey", &key])?;
        Ok(Certificate {
            certificate: self.file(&format!("{name}.pem")),
            key: self.file(&format!("{name}.key")),
        })
    }

    fn request(&self, name: &str, kind: &str, issuer: &[&str]) -> Result<()> {
        let settings = self.file(&format!("{name}.cnf"));
        fs::write(&settings, format!("[names]\nCN = {name}\n{SETTINGS}"))
            .with_context(|| format!("failed to write {}", settings.display()))?;
        let output = Command::new(openssl()?)
            .args(["req", "-x509", "-days", "3650", "-nodes"])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-extensions", kind])
            .args(issuer)
            .arg("-config")
            .arg(&settings)
            .arg("-keyout")
            .arg(self.file(&format!("{name}.key")))
            .arg("-out")
            .arg(self.file(&format!("{name}.pem")))
            .stdin(Stdio::null())
            .output()
            .context("failed to run openssl")?;
        if !output.status.success() {
            bail!("openssl failed to make a certificate: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Certificate {
    /// Key and certificate in one PEM text, as Kafka wants its key store.
    pub(super) fn key_store(&self) -> Result<String> {
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
        };
        Ok(format!("{}{}", read(&self.key)?, read(&self.certificate)?))
    }
}

const SETTINGS: &str = "
[req]
distinguished_name = names
prompt = no
[authority]
basicConstraints = critical, CA:TRUE
subjectKeyIdentifier = hash
keyUsage = critical, keyCertSign, cRLSign
[leaf]
basicConstraints = critical, CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
keyUsage = critical, digitalSignature, keyAgreement
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:localhost, IP:127.0.0.1, DNS:kafka, DNS:redis, DNS:jaeger, IP:172.30.0.1
";
