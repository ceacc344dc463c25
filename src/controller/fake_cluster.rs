//! An API server in memory for tests: objects by path, created, read, listed, watched, applied and deleted as the real one
//! does where this operator can tell the difference. Faults are put in its way by method and path.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body as Answer;
use bytes::Bytes;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

/// The content type of a server-side apply.
const APPLY: &str = "application/apply-patch+yaml";

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub body: Value,
}

/// What becomes of a call that a fault is in the way of.
#[derive(Clone, Debug)]
enum Fault {
    Refused { code: u16, reason: &'static str, message: &'static str },
    Unanswered,
}

/// A fault and the calls it is for: a method, and a part of the path.
#[derive(Clone, Debug)]
struct Obstacle {
    method: Method,
    part: &'static str,
    fault: Fault,
}

struct Watcher {
    collection: String,
    query: String,
    events: UnboundedSender<Result<Bytes, Infallible>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    /// What was applied last, by the path of its object.
    applied: BTreeMap<String, Value>,
    versions: u64,
    asked: Vec<Asked>,
    obstacles: Vec<Obstacle>,
    watchers: Vec<Watcher>,
    down: bool,
    review: Value,
    /// User, verb, namespace and name of each right.
    rights: Vec<[String; 5]>,
    /// The path where tokens are made, and how many were.
    tokens: (String, usize),
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
        let mut state = self.0.lock().unwrap();
        state.applied.remove(path);
        state.store(path, object);
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    /// The objects of a kind in a namespace.
    pub fn list(&self, collection: &str) -> Vec<Value> {
        let state = self.0.lock().unwrap();
        let inside = state.objects.iter().filter(|(path, _)| collection_of(path) == collection);
        inside.map(|(_, object)| object.clone()).collect()
    }

    pub fn remove(&self, path: &str) {
        self.0.lock().unwrap().take(path);
    }

    pub fn set_down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    /// The status of every TokenReview from now on.
    pub fn set_review(&self, status: Value) {
        self.0.lock().unwrap().review = status;
    }

    /// SubjectAccessReviews of this are a yes from now on.
    pub fn allow(&self, user: &str, verb: &str, namespace: &str, name: &str) {
        self.allow_of(user, verb, "broadcastmessages", namespace, name);
    }

    pub fn allow_of(&self, user: &str, verb: &str, resource: &str, namespace: &str, name: &str) {
        self.0.lock().unwrap().rights.push([user, verb, resource, namespace, name].map(str::to_owned));
    }

    /// Makes tokens for who asks at this path: `token-1` first.
    pub fn issue_tokens(&self, path: &str) {
        self.0.lock().unwrap().tokens.0 = path.to_owned();
    }

    pub fn forbid_all(&self) {
        self.0.lock().unwrap().rights.clear();
    }

    /// Refuses calls of a method whose path contains `part`, until [`FakeCluster::mend`].
    pub fn refuse(&self, method: Method, part: &'static str, code: u16, reason: &'static str, message: &'static str) {
        let fault = Fault::Refused { code, reason, message };
        self.0.lock().unwrap().obstacles.push(Obstacle { method, part, fault });
    }

    /// Lets such calls wait for an answer for ever, until [`FakeCluster::mend`].
    pub fn leave_unanswered(&self, method: Method, part: &'static str) {
        self.0.lock().unwrap().obstacles.push(Obstacle { method, part, fault: Fault::Unanswered });
    }

    pub fn mend(&self) {
        self.0.lock().unwrap().obstacles.clear();
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.0.lock().unwrap().asked.clone()
    }

    /// How often a method was called on paths that contain `part`.
    pub fn count(&self, method: &Method, part: &str) -> usize {
        let state = self.0.lock().unwrap();
        state.asked.iter().filter(|asked| asked.method == *method && asked.path.contains(part)).count()
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Answer>, Infallible> {
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let path = head.uri.path().to_owned();
        let query = head.uri.query().unwrap_or_default().replace("%2F", "/").replace("%3D", "=");
        let asked = Asked { method: head.method.clone(), path: path.clone(), query: query.clone(), body: body.clone() };
        let is_apply = head.headers.get("content-type").is_some_and(|type_| type_ == APPLY);
        let fault = self.0.lock().unwrap().note(asked);
        let (status, answer) = match fault {
            Some(Fault::Unanswered) => std::future::pending().await,
            Some(Fault::Refused { code, reason, message }) => failure(code, reason, message),
            None if query.contains("watch=true") => {
                return Ok(Response::new(self.0.lock().unwrap().watch(path, query)));
            }
            None if is_apply && !path.ends_with("/status") => {
                self.0.lock().unwrap().apply(&path, body, query.contains("force=true"))
            }
            None => self.0.lock().unwrap().act(&head.method, &path, &query, body),
        };
        let reply = Response::builder().status(status).header("content-type", "application/json");
        Ok(reply.body(Answer::from(answer.to_string())).unwrap())
    }
}

fn failure(code: u16, reason: &str, message: &str) -> (StatusCode, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
        "message": message});
    (StatusCode::from_u16(code).unwrap(), status)
}

fn missing() -> (StatusCode, Value) {
    failure(404, "NotFound", "there is no such object")
}

/// A path without a name at its end: that of a kind, in one namespace or over all.
fn is_collection(path: &str) -> bool {
    let version = if path.starts_with("/apis/") { 3 } else { 2 };
    matches!(path.trim_start_matches('/').split('/').count() - version, 1 | 3)
}

fn collection_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(collection, _)| collection)
}

/// As far as it is selected by: a label that must be there or have one value, and the object an event is about.
fn is_selected(object: &Value, query: &str) -> bool {
    let value = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    let labels = &object["metadata"]["labels"];
    let labelled = value("labelSelector").is_none_or(|label| match label.split_once('=') {
        Some((label, wanted)) => labels[label] == wanted,
        None => labels[label].is_string(),
    });
    let about = object["involvedObject"]["uid"].as_str().unwrap_or_default();
    labelled && value("fieldSelector").is_none_or(|fields| fields.contains(about))
}

/// Objects are merged, anything else is replaced, null removes.
fn merge(found: &mut Value, wanted: &Value) {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            for (key, value) in wanted {
                merge(found.entry(key).or_insert(Value::Null), value);
            }
            found.retain(|_, value| !value.is_null());
        }
        (found, wanted) => *found = wanted.clone(),
    }
}

/// Takes away what was applied before and is not any more.
fn withdraw(found: &mut Value, before: &Value, wanted: &Value) {
    let (Value::Object(found), Value::Object(before)) = (found, before) else { return };
    for (key, before) in before {
        match wanted.get(key) {
            Some(wanted) => found.get_mut(key).into_iter().for_each(|found| withdraw(found, before, wanted)),
            None => drop(found.remove(key)),
        }
    }
}

/// Whether somebody else has set a field otherwise than it is to be applied; `own` is what was applied before.
fn is_in_the_way(found: &Value, wanted: &Value, own: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .any(|(key, wanted)| found.get(key).is_some_and(|found| is_in_the_way(found, wanted, &own[key.as_str()]))),
        (found, wanted) => found != wanted && found != own,
    }
}

impl State {
    /// The fault that is in the way, if any.
    fn note(&mut self, asked: Asked) -> Option<Fault> {
        let stands = |obstacle: &&Obstacle| obstacle.method == asked.method && asked.path.contains(obstacle.part);
        let fault = self.obstacles.iter().find(stands).map(|obstacle| obstacle.fault.clone());
        self.asked.push(asked);
        let down = Fault::Refused { code: 503, reason: "ServiceUnavailable", message: "down" };
        fault.or(self.down.then_some(down))
    }

    fn act(&mut self, method: &Method, path: &str, query: &str, body: Value) -> (StatusCode, Value) {
        if path.ends_with("/tokenreviews") {
            let mut reviewed = body;
            reviewed["status"] = self.review.clone();
            return (StatusCode::CREATED, reviewed);
        }
        if path == self.tokens.0 {
            self.tokens.1 += 1;
            let (mut made, token) = (body, format!("token-{}", self.tokens.1));
            made["status"] = json!({"token": token, "expirationTimestamp": "2099-01-01T00:00:00Z"});
            return (StatusCode::CREATED, made);
        }
        if path.ends_with("/subjectaccessreviews") {
            let (spec, mut reviewed) = (&body["spec"], body.clone());
            let attributes = &spec["resourceAttributes"];
            let wanted = [
                &spec["user"],
                &attributes["verb"],
                &attributes["resource"],
                &attributes["namespace"],
                &attributes["name"],
            ];
            let allowed =
                self.rights.iter().any(|right| right.iter().eq(wanted.iter().map(|word| word.as_str().unwrap())));
            reviewed["status"] = json!({"allowed": allowed});
            return (StatusCode::CREATED, reviewed);
        }
        match *method {
            Method::GET if is_collection(path) => (StatusCode::OK, self.list(path, query)),
            Method::GET => self.objects.get(path).map_or_else(missing, |found| (StatusCode::OK, found.clone())),
            Method::POST => self.create(path, body),
            Method::PATCH => self.patch(path, &body),
            Method::PUT => match self.objects.get(path) {
                None => missing(),
                Some(found) if body["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"] => {
                    conflict()
                }
                Some(_) => (StatusCode::OK, self.store(path, body)),
            },
            Method::DELETE => match self.objects.get(path) {
                None => missing(),
                Some(found) if body["preconditions"]["uid"] != found["metadata"]["uid"] => conflict(),
                Some(_) => (StatusCode::OK, self.take(path).unwrap()),
            },
            _ => failure(405, "MethodNotAllowed", "no such method"),
        }
    }

    fn list(&self, path: &str, query: &str) -> Value {
        let inside = self.objects.iter().filter(|(object, _)| collection_of(object) == path);
        let items: Vec<&Value> = inside.map(|(_, object)| object).filter(|object| is_selected(object, query)).collect();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": self.version()}, "items": items})
    }

    fn version(&self) -> String {
        (self.versions + 1).to_string()
    }

    fn watch(&mut self, collection: String, query: String) -> Answer {
        let (events, body) = unbounded();
        self.watchers.push(Watcher { collection, query, events });
        Answer::from_stream(body)
    }

    fn publish(&mut self, type_: &str, path: &str, object: &Value) {
        let event = Bytes::from(format!("{}\n", json!({"type": type_, "object": object})));
        for watcher in &self.watchers {
            if watcher.collection == collection_of(path) && is_selected(object, &watcher.query) {
                let _ = watcher.events.unbounded_send(Ok(event.clone()));
            }
        }
    }

    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.versions += 1;
        object["metadata"]["resourceVersion"] = json!(self.versions.to_string());
        let before = self.objects.insert(path.to_owned(), object.clone());
        self.publish(if before.is_some() { "MODIFIED" } else { "ADDED" }, path, &object);
        object
    }

    fn take(&mut self, path: &str) -> Option<Value> {
        let mut object = self.objects.remove(path)?;
        self.applied.remove(path);
        self.versions += 1;
        object["metadata"]["resourceVersion"] = json!(self.versions.to_string());
        self.publish("DELETED", path, &object);
        Some(object)
    }

    fn create(&mut self, path: &str, mut body: Value) -> (StatusCode, Value) {
        let name = body["metadata"]["name"].as_str().map(str::to_owned);
        let path = format!("{path}/{}", name.unwrap_or_else(|| format!("generated-{}", self.versions)));
        if self.objects.contains_key(&path) {
            return failure(409, "AlreadyExists", "one of that name exists");
        }
        if body["metadata"]["uid"].is_null() {
            body["metadata"]["uid"] = json!(format!("uid-{}", self.versions));
        }
        (StatusCode::CREATED, self.store(&path, body))
    }

    /// A server-side apply by the one manager that there is: what it applied before and does not any more goes, what somebody
    /// else has set otherwise is a conflict unless it is forced, and what is not there is made.
    fn apply(&mut self, path: &str, wanted: Value, force: bool) -> (StatusCode, Value) {
        let uid = wanted["metadata"]["uid"].clone();
        let Some(mut found) = self.objects.get(path).cloned() else {
            if uid.is_string() {
                return conflict();
            }
            let made = self.create(collection_of(path), wanted.clone());
            self.applied.insert(path.to_owned(), wanted);
            return made;
        };
        let before = self.applied.get(path).cloned().unwrap_or_default();
        let is_another = uid.is_string() && uid != found["metadata"]["uid"];
        if is_another || (!force && is_in_the_way(&found, &wanted, &before)) {
            return conflict();
        }
        withdraw(&mut found, &before, &wanted);
        merge(&mut found, &wanted);
        self.applied.insert(path.to_owned(), wanted);
        (StatusCode::OK, self.store(path, found))
    }

    /// A status is applied as a whole, anything else merged.
    fn patch(&mut self, path: &str, body: &Value) -> (StatusCode, Value) {
        let owner = path.trim_end_matches("/status").to_owned();
        let Some(mut found) = self.objects.get(&owner).cloned() else { return missing() };
        let uid = &body["metadata"]["uid"];
        if uid.is_string() && *uid != found["metadata"]["uid"] {
            return conflict();
        }
        if owner == path {
            merge(&mut found, body);
        } else {
            found["status"] = body["status"].clone();
        }
        (StatusCode::OK, self.store(&owner, found))
    }
}

fn conflict() -> (StatusCode, Value) {
    failure(409, "Conflict", "it is another one")
}
