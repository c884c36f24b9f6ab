//! `/openapi.json` is an OpenAPI document, says a validator that knows nothing of this server, and the server's answers are
//! those that it describes.

use std::path::Path;

use teamlog_tests::{Engine, Server, WAIT, python};
use tokio::process::Command;

#[tokio::test]
async fn the_description_is_valid_and_true() {
    let Some(python) = python() else {
        eprintln!("left out: TEAMLOG_TEST_VENV does not say where the validator is");
        return;
    };
    let server = Server::start(Engine::Embedded).await;
    let (ada, _) = server.team("described").await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/check_openapi.py");
    let checking = Command::new(&python).arg(script).args([server.url(), ada.token()]).kill_on_drop(true).output();
    let checked = tokio::time::timeout(WAIT, checking).await.expect("a check ends").unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
