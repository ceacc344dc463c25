//! The certificate authority of the ledger API, kept in a Secret, and the serving certificates it signs, which are not
//! kept. Running senders hold the authority, so it outlives every restart.

use std::collections::BTreeMap;

use axum_server::tls_rustls::RustlsConfig;
use jiff::{Timestamp as Instant, ToSpan};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};

use super::cluster::{CallError, call};
use crate::ledger::clock::{Clock, SystemClock};

/// The Secret that keeps the authority, in the operator's namespace.
pub const SECRET: &str = "herald-ca";
const CERTIFICATE_KEY: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";
/// Years an authority is good for: no broadcast outlives it.
const AUTHORITY_YEARS: i64 = 10;
/// An authority that ends sooner is refused: its senders would fail in mid-run.
const AUTHORITY_DAYS_LEFT: i64 = 30;
/// Days a serving certificate is good for.
const SERVING_DAYS: i64 = 90;
/// How long before its end a serving certificate is made anew. Looked at every [`RENEWAL_INTERVAL`].
const RENEWAL_DAYS: i64 = 30;
const RENEWAL_INTERVAL: std::time::Duration = std::time::Duration::from_secs(3_600);

/// Why the ledger cannot be served over TLS.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(
        "the Secret {SECRET} holds no usable certificate authority: {message}; delete it to have a new one made: senders that run then end and are replaced"
    )]
    Unusable { message: String },
    #[error("failed to make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error("failed to serve a certificate: {0}")]
    Serve(#[from] std::io::Error),
}

/// A certificate authority with its key.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The one of the Secret; made when there is none.
    ///
    /// # Errors
    /// [`CertificateError::Unusable`] for a Secret that holds something else: it is not overwritten.
    pub async fn load(client: &Client, namespace: &str) -> Result<Authority, CertificateError> {
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        const READ: &str = "read the Secret herald-ca";
        if let Some(secret) = call(READ, api.get_opt(SECRET)).await? {
            return Authority::read(&secret, now());
        }
        let secret = Authority::make(namespace, now())?;
        match call("create the Secret herald-ca", api.create(&PostParams::default(), &secret)).await {
            Ok(secret) => Authority::read(&secret, now()),
            // Another operator was faster; its senders know that one.
            Err(error) if error.is_conflict() => Authority::read(&call(READ, api.get(SECRET)).await?, now()),
            Err(error) => Err(error.into()),
        }
    }

    fn make(namespace: &str, now: Instant) -> Result<Secret, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Herald ledger authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        last(&mut params, now, AUTHORITY_YEARS * 365);
        let certificate = params.self_signed(&key)?;
        let data = BTreeMap::from([
            (CERTIFICATE_KEY.to_owned(), ByteString(certificate.pem().into_bytes())),
            (PRIVATE_KEY.to_owned(), ByteString(key.serialize_pem().into_bytes())),
        ]);
        let labels = BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), "herald".to_owned())]);
        Ok(Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                namespace: Some(namespace.to_owned()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(data),
            ..Secret::default()
        })
    }

    fn read(secret: &Secret, now: Instant) -> Result<Authority, CertificateError> {
        let unusable = |message: &str| CertificateError::Unusable { message: message.to_owned() };
        let text = |name: &str| {
            let bytes =
                secret.data.as_ref().and_then(|data| data.get(name)).ok_or_else(|| format!("{name} is missing"))?;
            String::from_utf8(bytes.0.clone()).map_err(|_| format!("{name} is no text"))
        };
        let certificate_pem = text(CERTIFICATE_KEY).map_err(|message| CertificateError::Unusable { message })?;
        let key_pem = text(PRIVATE_KEY).map_err(|message| CertificateError::Unusable { message })?;
        let key = KeyPair::from_pem(&key_pem).map_err(|_| unusable("tls.key is no private key"))?;
        let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes())
            .map_err(|_| unusable("tls.crt is no certificate"))?;
        let certificate = pem.parse_x509().map_err(|_| unusable("tls.crt is no certificate"))?;
        if !certificate.is_ca() {
            return Err(unusable("tls.crt is not the certificate of an authority"));
        }
        if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(unusable("tls.key does not belong to tls.crt"));
        }
        if certificate.validity().not_after.timestamp() < now.as_second() + AUTHORITY_DAYS_LEFT * 86_400 {
            return Err(unusable("it has ended, or does within 30 days"));
        }
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)?;
        Ok(Authority { certificate_pem, issuer })
    }

    /// What senders trust. Not secret.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    fn sign(&self, names: &[String], now: Instant) -> Result<Serving, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "Herald ledger");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        last(&mut params, now, SERVING_DAYS);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let renew_at = now + ((SERVING_DAYS - RENEWAL_DAYS) * 24).hours();
        Ok(Serving { certificate_pem: certificate.pem(), key_pem: key.serialize_pem(), renew_at })
    }
}

/// A certificate of the ledger API, in memory only.
struct Serving {
    certificate_pem: String,
    key_pem: String,
    renew_at: Instant,
}

/// What the ledger API is served with, kept fresh.
pub struct Served {
    authority: Authority,
    names: Vec<String>,
    config: RustlsConfig,
    renew_at: Instant,
}

impl Served {
    pub async fn new(authority: Authority, names: Vec<String>) -> Result<Served, CertificateError> {
        Served::made_at(authority, names, now()).await
    }

    async fn made_at(authority: Authority, names: Vec<String>, now: Instant) -> Result<Served, CertificateError> {
        let serving = authority.sign(&names, now)?;
        let (certificate, key) = (serving.certificate_pem.into_bytes(), serving.key_pem.into_bytes());
        let config = RustlsConfig::from_pem(certificate, key).await?;
        Ok(Served { authority, names, config, renew_at: serving.renew_at })
    }

    pub fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Renews the certificate before it ends, until it is dropped.
    pub async fn renew(mut self) {
        loop {
            tokio::time::sleep(RENEWAL_INTERVAL).await;
            if let Err(error) = self.renew_if_due(now()).await {
                tracing::error!(%error, "the certificate of the ledger API was not renewed; tried again in an hour");
            }
        }
    }

    /// Connections that are open stay as they are.
    async fn renew_if_due(&mut self, now: Instant) -> Result<(), CertificateError> {
        if now < self.renew_at {
            return Ok(());
        }
        let serving = self.authority.sign(&self.names, now)?;
        let (certificate, key) = (serving.certificate_pem.into_bytes(), serving.key_pem.into_bytes());
        self.config.reload_from_pem(certificate, key).await?;
        self.renew_at = serving.renew_at;
        Ok(())
    }
}

/// From yesterday on, for clocks that are behind, for so many days; whole days are exact enough.
fn last(params: &mut CertificateParams, now: Instant, days: i64) {
    let day = |offset: i64| {
        let date = (now + (offset * 24).hours()).to_zoned(jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = day(-1);
    params.not_after = day(days);
}

fn now() -> Instant {
    Instant::from_nanosecond(i128::from(SystemClock.now().0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use axum::Router;
    use axum_server::tls_rustls::RustlsAcceptor;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const NAME: &str = "herald.herald-system.svc";

    fn der(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    fn provider() -> Arc<rustls::crypto::CryptoProvider> {
        Arc::new(rustls::crypto::ring::default_provider())
    }

    fn is_trusted(authority_pem: &str, certificate: &CertificateDer<'_>, at: Instant) -> bool {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der(authority_pem)).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build().unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.as_second().unsigned_abs()));
        verifier.verify_server_cert(certificate, &[], &name, &[], at).is_ok()
    }

    fn chain_is_good(authority: &Authority, serving: &Serving) -> bool {
        is_trusted(authority.certificate_pem(), &der(&serving.certificate_pem), now())
    }

    #[test]
    fn what_an_authority_signs_is_trusted_by_who_holds_it_also_after_a_restart() {
        let secret = Authority::make("herald-system", now()).unwrap();
        let before = Authority::read(&secret, now()).unwrap();
        let after = Authority::read(&secret, now()).unwrap();
        let serving = after.sign(&[NAME.to_owned()], now()).unwrap();
        assert!(chain_is_good(&before, &serving));
        let stranger = Authority::read(&Authority::make("herald-system", now()).unwrap(), now()).unwrap();
        assert!(!chain_is_good(&stranger, &serving));
        let other = after.sign(&["other.svc".to_owned()], now()).unwrap();
        assert!(!chain_is_good(&before, &other));
    }

    #[test]
    fn a_secret_that_holds_no_authority_is_refused_with_the_remedy() {
        let good = Authority::make("herald-system", now()).unwrap();
        let other = Authority::make("herald-system", now()).unwrap();
        let refused = |secret: &Secret, at: Instant, words: &str| {
            let error = Authority::read(secret, at).err().expect("refused").to_string();
            assert!(error.contains(words) && error.contains("delete it"), "{error}");
        };
        refused(&Secret::default(), now(), "tls.crt is missing");
        let mut mixed = good.clone();
        let key = other.data.as_ref().unwrap()[PRIVATE_KEY].clone();
        mixed.data.as_mut().unwrap().insert(PRIVATE_KEY.to_owned(), key);
        refused(&mixed, now(), "does not belong");
        refused(&good, now() + (AUTHORITY_YEARS * 365 * 24).hours(), "has ended");
        let mut leaf = good.clone();
        let serving = Authority::read(&good, now()).unwrap().sign(&[NAME.to_owned()], now()).unwrap();
        let data = leaf.data.as_mut().unwrap();
        data.insert(CERTIFICATE_KEY.to_owned(), ByteString(serving.certificate_pem.into_bytes()));
        data.insert(PRIVATE_KEY.to_owned(), ByteString(serving.key_pem.into_bytes()));
        refused(&leaf, now(), "not the certificate of an authority");
    }

    /// A sender that runs: it trusts the authority and nothing else.
    struct Connection(tokio_rustls::client::TlsStream<tokio::net::TcpStream>);

    impl Connection {
        async fn open(authority_pem: &str, address: SocketAddr) -> std::io::Result<Connection> {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(der(authority_pem)).unwrap();
            let config = rustls::ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let stream = tokio::net::TcpStream::connect(address).await?;
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            connector.connect(ServerName::try_from(NAME).unwrap(), stream).await.map(Connection)
        }

        fn certificate(&self) -> CertificateDer<'static> {
            self.0.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
        }

        /// Asks, and is answered on the same connection.
        async fn ask(&mut self) {
            self.0.write_all(b"GET / HTTP/1.1\r\nhost: herald\r\n\r\n").await.unwrap();
            let mut answer = [0; 12];
            self.0.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
            // The rest of the head; the body is empty.
            let mut rest = Vec::new();
            while !rest.ends_with(b"\r\n\r\n") {
                rest.push(self.0.read_u8().await.unwrap());
            }
        }
    }

    /// Serves what was made so many days ago, as the operator does.
    async fn serve(days_ago: i64) -> (Served, SocketAddr) {
        let authority = Authority::read(&Authority::make("herald-system", now()).unwrap(), now()).unwrap();
        let made_at = now() - (days_ago * 24).hours();
        let served = Served::made_at(authority, vec![NAME.to_owned()], made_at).await.unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let server = axum_server::from_tcp(listener).unwrap().acceptor(RustlsAcceptor::new(served.config()));
        let router = Router::new().route("/", axum::routing::get(async || ()));
        tokio::spawn(server.serve(router.into_make_service()));
        (served, address)
    }

    #[tokio::test]
    async fn a_certificate_near_its_end_is_renewed_and_running_senders_notice_nothing() {
        let (mut served, address) = serve(SERVING_DAYS - RENEWAL_DAYS).await;
        let trusted = served.authority.certificate_pem().to_owned();
        let mut running = Connection::open(&trusted, address).await.unwrap();
        running.ask().await;

        served.renew_if_due(now() - 1.hour()).await.unwrap();
        let before = Connection::open(&trusted, address).await.unwrap();
        assert_eq!(before.certificate(), running.certificate(), "it is not due");
        served.renew_if_due(now()).await.unwrap();
        let mut after = Connection::open(&trusted, address).await.unwrap();
        assert_ne!(after.certificate(), running.certificate());
        assert!(is_trusted(&trusted, &after.certificate(), now() + ((SERVING_DAYS - 1) * 24).hours()));
        assert!(!is_trusted(&trusted, &running.certificate(), now() + ((SERVING_DAYS - 1) * 24).hours()));
        after.ask().await;
        running.ask().await;

        served.renew_if_due(now() + 1.hour()).await.unwrap();
        let again = Connection::open(&trusted, address).await.unwrap();
        assert_eq!(again.certificate(), after.certificate(), "the new one is good for as long as the first was");
    }

    #[tokio::test]
    async fn a_certificate_that_has_ended_is_refused_until_it_is_renewed() {
        let (mut served, address) = serve(SERVING_DAYS + 2).await;
        let trusted = served.authority.certificate_pem().to_owned();
        let refused = Connection::open(&trusted, address).await.err().expect("refused").to_string();
        assert!(refused.contains("expired"), "{refused}");
        served.renew_if_due(now()).await.unwrap();
        Connection::open(&trusted, address).await.unwrap().ask().await;
    }
}
