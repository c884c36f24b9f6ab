//! The read-only part of the Schema Registry's API, so that stock deserializers find the schemas of the log.
//!
//! Paths, codes and the content type are those of Confluent's published API reference.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use teamlog_schemas::{NAMESPACE, SchemaVersion, schemas};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// The subject of a schema: its topic and its record's full name (`TopicRecordNameStrategy`). The topic goes without
/// a prefix, for the registry does not know how an operator calls the topics.
fn subject_of(schema: &SchemaVersion) -> String {
    format!("{}-{NAMESPACE}.{}", schema.topic, schema.name)
}

/// `/schemas/ids/{id}`
pub(super) async fn schema(Path(id): Path<String>) -> Response {
    match id.parse::<u32>().ok().and_then(|id| schemas().find(|schema| schema.id == id)) {
        Some(schema) => ok(json!({ "schema": schema.avsc })),
        None => error(40403, "Schema not found"),
    }
}

/// `/schemas/types`
pub(super) async fn types() -> Response {
    ok(json!(["AVRO"]))
}

/// `/subjects`
pub(super) async fn subjects() -> Response {
    let mut subjects: Vec<String> = schemas().map(subject_of).collect();
    subjects.dedup();
    ok(json!(subjects))
}

/// `/subjects/{subject}/versions`
pub(super) async fn versions(Path(subject): Path<String>) -> Response {
    let versions: Vec<u32> = of(&subject).map(|schema| schema.version).collect();
    if versions.is_empty() { error(40401, "Subject not found") } else { ok(json!(versions)) }
}

/// `/subjects/{subject}/versions/{version}`, where the version may be `latest`.
pub(super) async fn version(Path((subject, version)): Path<(String, String)>) -> Response {
    if of(&subject).next().is_none() {
        return error(40401, "Subject not found");
    }
    let wanted = match version.as_str() {
        "latest" | "-1" => of(&subject).max_by_key(|schema| schema.version),
        number => match number.parse::<u32>() {
            Ok(number) if number > 0 => of(&subject).find(|schema| schema.version == number),
            _ => return error(42202, "The specified version is not a valid version id"),
        },
    };
    match wanted {
        Some(schema) => ok(json!({
            "subject": subject,
            "id": schema.id,
            "version": schema.version,
            "schemaType": "AVRO",
            "schema": schema.avsc,
        })),
        None => error(40402, "Version not found"),
    }
}

fn of(subject: &str) -> impl Iterator<Item = &'static SchemaVersion> {
    schemas().filter(move |schema| subject_of(schema) == subject)
}

fn ok(body: Value) -> Response {
    respond(StatusCode::OK, &body)
}

/// The first three digits of an error's code are the HTTP status.
fn error(code: u16, message: &str) -> Response {
    let status = StatusCode::from_u16(code / 100).unwrap_or(StatusCode::NOT_FOUND);
    respond(status, &json!({ "error_code": code, "message": message }))
}

fn respond(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(response: Response, status: u16) -> Value {
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn a_schema_is_found_by_its_id() {
        let body = check(schema(Path("80".to_owned())).await, 200).await;
        let avro: Value = serde_json::from_str(body["schema"].as_str().unwrap()).unwrap();
        assert_eq!((&avro["name"], &avro["namespace"]), (&json!("MessagePosted"), &json!(NAMESPACE)));
        for unknown in ["9999", "-1", "x"] {
            let body = check(schema(Path(unknown.to_owned())).await, 404).await;
            assert_eq!(body["error_code"], 40403);
        }
    }

    #[tokio::test]
    async fn every_subject_has_its_versions() {
        let all = check(subjects().await, 200).await;
        let all: Vec<String> = serde_json::from_value(all).unwrap();
        assert!(all.contains(&"events-teamlog.MessagePosted".to_owned()), "{all:?}");
        for subject in all {
            let listed = check(versions(Path(subject.clone())).await, 200).await;
            assert!(!listed.as_array().unwrap().is_empty(), "{subject}");
            let latest = check(version(Path((subject.clone(), "latest".to_owned()))).await, 200).await;
            let first = check(version(Path((subject.clone(), "1".to_owned()))).await, 200).await;
            assert_eq!((&latest["subject"], &first["version"]), (&json!(subject), &json!(1)));
        }
    }

    #[tokio::test]
    async fn what_is_not_there_has_its_own_code() {
        let path = |subject: &str, number: &str| Path((subject.to_owned(), number.to_owned()));
        assert_eq!(check(versions(Path("nope".to_owned())).await, 404).await["error_code"], 40401);
        assert_eq!(check(version(path("nope", "1")).await, 404).await["error_code"], 40401);
        assert_eq!(check(version(path("events-teamlog.MessagePosted", "99")).await, 404).await["error_code"], 40402);
        assert_eq!(check(version(path("events-teamlog.MessagePosted", "0")).await, 422).await["error_code"], 42202);
    }
}
