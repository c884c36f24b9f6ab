//! Certificates are checked, against the name of the URL.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use teamlog_consumers::egress::{Egress, EgressConfig, EgressError, Surroundings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use url::Url;

use crate::site::{Names, PUBLIC, Site, get, judgement, ok, quick};

/// Serves one page by TLS as `name`; returns the port and the certificate.
async fn serve(name: &str) -> (u16, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind((PUBLIC, 0)).await.unwrap());
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(ok("text/plain", "by tls").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, cert.der().clone())
}

fn trusting(roots: Vec<CertificateDer<'static>>, config: EgressConfig) -> Egress {
    let names = Names::default().with("good.example", &[&[PUBLIC]]).with("other.example", &[&[PUBLIC]]);
    Egress::within(Surroundings { resolver: Arc::new(names), roots, reach: judgement }, config)
}

fn url(host: &str, port: u16) -> Url {
    Url::parse(&format!("https://{host}:{port}/")).unwrap()
}

#[tokio::test]
async fn a_page_comes_by_tls_from_whom_the_certificate_names() {
    let (port, certificate) = serve("good.example").await;
    let egress = trusting(vec![certificate], quick());
    assert_eq!(&get(&egress, &url("good.example", port)).await.unwrap().body[..], b"by tls");
    for host in ["other.example", PUBLIC] {
        assert_eq!(get(&egress, &url(host, port)).await.unwrap_err(), EgressError::TlsFailed, "{host}");
    }
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_wherever_it_is() {
    let (port, _) = serve("good.example").await;
    let egress = trusting(Vec::new(), quick());
    assert_eq!(get(&egress, &url("good.example", port)).await.unwrap_err(), EgressError::TlsFailed);
    let egress = trusting(Vec::new(), EgressConfig { allow_private_urls: true, ..quick() });
    assert_eq!(get(&egress, &url("good.example", port)).await.unwrap_err(), EgressError::TlsFailed);
    // It does not speak TLS.
    let plain = Site::serve(PUBLIC, |_, _| async {}).await;
    let error = get(&egress, &url("good.example", plain.address.port())).await.unwrap_err();
    assert!(matches!(error, EgressError::TlsFailed | EgressError::ConnectFailed), "{error}");
}
