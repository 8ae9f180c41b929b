//! What encryption needs to know: whom to believe, and what to show.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::config::{RedisSettings, RedisTls};
use crate::error::{Error, ErrorKind, Result};

/// Read once, used for every connection.
pub(super) struct TlsSettings {
    config: Arc<ClientConfig>,
}

impl TlsSettings {
    /// Reads the files that `settings` name, or the authorities of the system; `None` for plain
    /// connections.
    #[expect(clippy::large_stack_frames, reason = "at start, on a plain thread")]
    pub(super) fn read(settings: &RedisSettings) -> Result<Option<Self>> {
        let Some(tls) = &settings.tls else { return Ok(None) };
        let of_certificate = settings.place(&["tls_cert"]);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| {
                refused(&settings.place_of_servers(), "the versions of TLS").caused_by(error)
            })?
            .with_root_certificates(roots(settings, tls)?);
        let config = match &tls.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let place = settings.place(&["tls_key"]);
                let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| {
                    refused(&place, &format!("the key {}", key.display())).caused_by(error)
                })?;
                let list = certificates(&of_certificate, certificate)?;
                builder.with_client_auth_cert(list, key_der).map_err(|error| {
                    let what = format!("the certificate {}", certificate.display());
                    refused(&of_certificate, &what).caused_by(error)
                })?
            }
        };
        Ok(Some(Self { config: Arc::new(config) }))
    }

    /// The client's side of a connection to `host`, whose certificate must be for that name.
    pub(super) fn connect(&self, host: &str) -> io::Result<ClientConnection> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)
    }
}

fn roots(settings: &RedisSettings, tls: &RedisTls) -> Result<RootCertStore> {
    let place = settings.place(&["tls_ca"]);
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        Some(file) => {
            for certificate in certificates(&place, file)? {
                roots.add(certificate).map_err(|error| {
                    let what = format!("the authority in {}", file.display());
                    refused(&place, &what).caused_by(error)
                })?;
            }
        }
        None => {
            // Single files of the system that cannot be read or understood harm nobody.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        let what = "the list of authorities, which is empty; write tls_ca = FILE";
        return Err(refused(&place, what));
    }
    Ok(roots)
}

fn certificates(place: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable =
        |error| refused(place, &format!("the certificates {}", file.display())).caused_by(error);
    let list: Vec<_> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(unreadable)?;
    Ok(list)
}

fn refused(place: &str, what: &str) -> Error {
    Error::new(ErrorKind::Start, format!("{place}: TLS to redis cannot use {what}"))
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsSettings")
    }
}
