//! One connection to the ledger API: TLS to the operator itself, whatever carries it, and HTTP in it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::failure::PluginError;

/// How long a handshake and how long an answer may take: a page is read within milliseconds, but may wait for its turn.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// By what the ledger API is known.
#[derive(Clone)]
pub struct Trust {
    server_name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// The one authority, and the name that its certificate must be for.
    pub fn new(authority_pem: &str, server_name: &str) -> Result<Trust, PluginError> {
        let unusable = |why: String| {
            PluginError::Refused(format!("the certificate authority of the ledger cannot be used: {why}"))
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority_pem.as_bytes()) {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unusable("it holds no certificate in PEM".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(server_name.to_owned()).map_err(|error| unusable(error.to_string()))?;
        Ok(Trust { server_name: name, config: Arc::new(config) })
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// To be opened anew.
    #[error("the connection to the ledger was lost: {0}")]
    Lost(String),
    /// It is not the operator whose authority was published. It was told nothing.
    #[error("whoever answers for the ledger has no certificate of the authority that the operator has published: {0}")]
    Untrusted(String),
}

/// An open connection.
pub struct Connection<K> {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    driver: JoinHandle<()>,
    _keeper: K,
}

impl<K> Drop for Connection<K> {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl<K> Connection<K> {
    pub async fn open<S>(stream: S, keeper: K, trust: &Trust) -> Result<Connection<K>, NoAnswer>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let opening = async {
            let connector = TlsConnector::from(trust.config.clone());
            let stream = connector.connect(trust.server_name.clone(), stream).await.map_err(not_opened)?;
            http1::handshake(TokioIo::new(stream)).await.map_err(lost)
        };
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, opening).await;
        let (sender, connection) = opened.map_err(|_| NoAnswer::Lost("it did not open in time".to_owned()))??;
        // An end of it shows in the next request.
        let driver = tokio::spawn(async move { drop(connection.await) });
        let host = trust.server_name.to_str().into_owned();
        Ok(Connection { sender, host, driver, _keeper: keeper })
    }

    /// The status and the body of the answer, which has at most so many bytes.
    pub async fn post(
        &mut self,
        path: &str,
        token: &SecretString,
        body: Vec<u8>,
        most: usize,
    ) -> Result<(StatusCode, Bytes), NoAnswer> {
        let request = Request::post(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()))
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, body.len())
            .body(Full::from(body))
            .map_err(lost)?;
        let answering = async {
            self.sender.ready().await.map_err(lost)?;
            let answer = self.sender.send_request(request).await.map_err(lost)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), most)
                .collect()
                .await
                .map_err(|error| NoAnswer::Lost(error.to_string()))?;
            Ok((status, body.to_bytes()))
        };
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, answering).await;
        answered.map_err(|_| NoAnswer::Lost("no answer came in time".to_owned()))?
    }
}

fn lost(error: impl std::error::Error) -> NoAnswer {
    NoAnswer::Lost(super::cluster::chain(&error))
}

fn not_opened(error: std::io::Error) -> NoAnswer {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(_)) => NoAnswer::Untrusted(error.to_string()),
        _ => lost(error),
    }
}
