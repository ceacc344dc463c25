//! An API server in memory for tests: objects by path, created, read, applied and deleted as the real one does where this
//! operator can tell the difference.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub body: Value,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    asked: Vec<Asked>,
    down: bool,
    review: Value,
}

#[derive(Clone, Default)]
pub struct FakeCluster(Arc<Mutex<State>>);

impl FakeCluster {
    pub fn client(&self) -> Client {
        let fake = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move { fake.answer(request).await }
        });
        Client::new(service, "default")
    }

    /// Puts an object at its path, e.g. `/api/v1/namespaces/a/pods/p`.
    pub fn put(&self, path: &str, object: Value) {
        self.0.lock().unwrap().objects.insert(path.to_owned(), object);
    }

    pub fn remove(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path);
    }

    pub fn set_down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    /// The status of every TokenReview from now on.
    pub fn set_review(&self, status: Value) {
        self.0.lock().unwrap().review = status;
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.0.lock().unwrap().asked.clone()
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let mut state = self.0.lock().unwrap();
        state.asked.push(Asked { body: body.clone() });
        let path = head.uri.path().to_owned();
        let (status, answer) =
            if state.down { failure(503, "ServiceUnavailable") } else { state.act(&head.method, &path, body) };
        let reply = Response::builder().status(status).header("content-type", "application/json");
        Ok(reply.body(Body::from(answer.to_string().into_bytes())).unwrap())
    }
}

fn failure(code: u16, reason: &str) -> (StatusCode, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
        "message": reason});
    (StatusCode::from_u16(code).unwrap(), status)
}

impl State {
    fn act(&mut self, method: &Method, path: &str, body: Value) -> (StatusCode, Value) {
        if path.ends_with("/tokenreviews") {
            let mut reviewed = body;
            reviewed["status"] = self.review.clone();
            return (StatusCode::CREATED, reviewed);
        }
        let owner = path.trim_end_matches("/status").to_owned();
        match *method {
            Method::GET => {
                self.objects.get(path).map_or_else(|| failure(404, "NotFound"), |found| (StatusCode::OK, found.clone()))
            }
            Method::POST => self.create(path, body),
            Method::PATCH => match self.objects.get_mut(&owner) {
                None => failure(404, "NotFound"),
                Some(found)
                    if body["metadata"]["uid"].is_string() && body["metadata"]["uid"] != found["metadata"]["uid"] =>
                {
                    failure(409, "Conflict")
                }
                Some(found) => {
                    for part in ["spec", "status"] {
                        if let Some(wanted) = body.get(part) {
                            found[part] = wanted.clone();
                        }
                    }
                    (StatusCode::OK, found.clone())
                }
            },
            Method::DELETE => match self.objects.get(path) {
                None => failure(404, "NotFound"),
                Some(found) if body["preconditions"]["uid"] != found["metadata"]["uid"] => failure(409, "Conflict"),
                Some(_) => (StatusCode::OK, self.objects.remove(path).unwrap()),
            },
            _ => failure(405, "MethodNotAllowed"),
        }
    }

    fn create(&mut self, path: &str, mut body: Value) -> (StatusCode, Value) {
        let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
        if self.objects.contains_key(&path) {
            return failure(409, "AlreadyExists");
        }
        if body["metadata"]["uid"].is_null() {
            body["metadata"]["uid"] = json!(format!("uid of {path}"));
        }
        self.objects.insert(path, body.clone());
        (StatusCode::CREATED, body)
    }
}
