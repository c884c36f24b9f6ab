//! A web site whose every page says of itself what its address asks for.

use axum::{
    Router,
    extract::Path,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
    serve::ListenerExt,
};
use tokio::task::JoinHandle;

use super::send_at_once;
use crate::BenchError;

/// A running site. Dropping it shuts it down.
pub(crate) struct Pages {
    serving: JoinHandle<()>,
    address: String,
}

impl Pages {
    /// Starts the site on a free port of this machine.
    ///
    /// # Errors
    /// [`BenchError::Away`] if no port is free.
    pub(crate) async fn start() -> Result<Pages, BenchError> {
        let failed = |why: std::io::Error| BenchError::Away { at: "a web site".to_owned(), why: why.to_string() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?.to_string();
        let app = Router::new().route("/{title}/{number}", get(page));
        let serving = tokio::spawn(async move { drop(axum::serve(listener.tap_io(send_at_once), app).await) });
        Ok(Pages { serving, address })
    }

    /// Returns the address of a page with a title; each `number` is a page of its own.
    pub(crate) fn url(&self, title: &str, number: u64) -> String {
        format!("http://{}/{title}/{number}", self.address)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The page: a title and a description, as most pages of news have them.
async fn page(Path((title, number)): Path<(String, u64)>) -> Response {
    let body = format!(
        "<!doctype html><html><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta property=\"og:title\" content=\"{title}\">\
         <meta property=\"og:site_name\" content=\"bench\">\
         <meta property=\"og:description\" content=\"Page {number} of a site that is linked to.\">\
         </head><body><p>Page {number}.</p></body></html>"
    );
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response()
}
