//! The certificate that is shown to clients, read again when its files change. The only file that knows rustls.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::watched_file::WatchedFile;
use crate::{ServerError, ServerOptions};

/// The certificate with its key.
pub(crate) struct Certificate {
    chain: WatchedFile,
    key: WatchedFile,
    current: Arc<Current>,
    provider: Arc<CryptoProvider>,
}

/// What each new connection is shown.
#[derive(Debug, Default)]
struct Current(ArcSwapOption<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

impl Certificate {
    /// Reads the files that the options name; `None` if they name none.
    pub(crate) fn open(options: &ServerOptions) -> Result<Option<Self>, ServerError> {
        let (chain, key) = (&options.tls_certificate, &options.tls_key);
        if chain.as_os_str().is_empty() {
            return Ok(None);
        }
        let certificate = Self {
            chain: WatchedFile::new(chain.clone()),
            key: WatchedFile::new(key.clone()),
            current: Arc::default(),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
        };
        certificate.refresh().map_err(|(path, reason)| ServerError::Certificate { path, reason })?;
        Ok(Some(certificate))
    }

    /// Reads the files again if one has changed, and says whether the certificate is another one. What cannot be used leaves it
    /// as it was, and is said once with the file's path.
    pub(crate) fn refresh(&self) -> Result<bool, (PathBuf, String)> {
        let failed = |path: &Path, error: &dyn std::fmt::Display| (path.to_owned(), error.to_string());
        let (chain, key) = (self.chain.path(), self.key.path());
        let chain_news = self.chain.news().map_err(|error| failed(chain, &error))?;
        let key_news = self.key.news().map_err(|error| failed(key, &error))?;
        if chain_news.is_none() && key_news.is_none() {
            return Ok(false);
        }
        // Only together do they make sense: one that has not changed is read once more.
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(chain)
            .and_then(Iterator::collect)
            .map_err(|error| failed(chain, &error))?;
        if certificates.is_empty() {
            return Err(failed(chain, &"it has no certificate"));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, &error))?;
        let certified = CertifiedKey::from_der(certificates, private, &self.provider)
            .map_err(|error| failed(key, &format!("it does not fit the certificate: {error}")))?;
        self.current.0.store(Some(Arc::new(certified)));
        Ok(true)
    }

    /// What a listener needs. Clients are not asked for certificates.
    pub(crate) fn listener(&self) -> Result<rustls::ServerConfig, ServerError> {
        let path = self.chain.path().to_owned();
        let failed = |error: rustls::Error| ServerError::Certificate { path, reason: error.to_string() };
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&self.current) as _;
        Ok(rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_cert_resolver(resolver))
    }
}
