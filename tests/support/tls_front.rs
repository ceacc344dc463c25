//! A provider that speaks TLS and takes its time to open a connection, in front of the simulator.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Ends with the runtime it was opened on.
pub struct TlsFront {
    pub address: SocketAddr,
    /// What clients must trust.
    pub certificate: PathBuf,
    opened: Arc<AtomicUsize>,
}

impl TlsFront {
    /// Passes everything on to `behind`, once a handshake is done that takes `handshake` more than it must.
    pub async fn open(folder: &Path, behind: SocketAddr, handshake: Duration) -> TlsFront {
        let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = folder.join("front.pem");
        std::fs::write(&certificate, pair.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
        let config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![pair.cert.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let opened = Arc::new(AtomicUsize::new(0));
        let counted = opened.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, opened) = (acceptor.clone(), counted.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(handshake).await;
                    stream.set_nodelay(true).unwrap();
                    // A client that is killed meanwhile is none of this front's business.
                    let Ok(mut outside) = acceptor.accept(stream).await else { return };
                    opened.fetch_add(1, Ordering::SeqCst);
                    let mut inside = TcpStream::connect(behind).await.unwrap();
                    inside.set_nodelay(true).unwrap();
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        TlsFront { address, certificate, opened }
    }

    /// Connections whose handshake was completed.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }
}
