//! Whom the ledger API lets in: the tokens of a real API server, and those that somebody made up.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::kubectl::{await_some, find, kubectl, list};
use super::stage::{SYSTEM, Stage};

const HOST: &str = "herald.herald-system.svc";

/// The ledger API as a sender finds it: by the name of its Service, trusting the operator's authority alone.
struct LedgerApi {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: String,
}

impl LedgerApi {
    fn open() -> LedgerApi {
        // Whoever comes second finds it done.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let service = find(SYSTEM, "service", "herald").unwrap();
        let ports = service["spec"]["ports"].as_array().unwrap();
        let port = ports.iter().find(|port| port["name"] == "ledger").unwrap()["port"].as_u64().unwrap();
        let address: SocketAddr = format!("{}:{port}", service["spec"]["clusterIP"].as_str().unwrap()).parse().unwrap();
        let authority = find(SYSTEM, "secret", "herald-ca").unwrap();
        let pem = STANDARD.decode(authority["data"]["tls.crt"].as_str().unwrap()).unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .resolve(HOST, address)
            .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
            .build()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LedgerApi { runtime, client, url: format!("https://{HOST}:{port}") }
    }

    /// The status and the body of the answer.
    fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(token).json(body);
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json().await.unwrap())
        })
    }

    /// Asks for the broadcast that the token stands for.
    fn brief(&self, token: &str) -> (u16, Value) {
        self.post("/v1/brief", token, &json!({"broadcast": null}))
    }

    #[track_caller]
    fn assert_refused(&self, token: &str, status: u16, words: &str) {
        let (found, body) = self.brief(token);
        let told = body["message"].as_str().unwrap_or_default();
        assert!(found == status && told.contains(words), "expected {status} {words:?}: {found} {body}");
    }
}

/// A token as the API server makes them; `more` are flags of `kubectl create token`.
fn token(namespace: &str, more: &[&str]) -> String {
    kubectl(&[&["-n", namespace, "create", "token", "default"], more].concat()).trim().to_owned()
}

fn token_of_pod(namespace: &str, pod: &str, audience: &str) -> String {
    token(namespace, &["--audience", audience, "--bound-object-kind=Pod", "--bound-object-name", pod])
}

/// Tokens can be bound to a pod that is never scheduled. The finalizer keeps it while the cluster clears away pods whose
/// owner it does not find. `owner` is in flow style.
fn apply_pod(stage: &Stage, name: &str, owner: &str) {
    let metadata = format!(", finalizers: [herald.dev/test], ownerReferences: [{owner}]");
    stage.apply(&stage.idle_pod(name, &metadata));
}

fn let_pod_go(stage: &Stage, name: &str) {
    let patch = r#"{"metadata": {"finalizers": null}}"#;
    kubectl(&["-n", &stage.namespace, "patch", "pod", name, "--type=merge", "-p", patch]);
}

/// The Job of a broadcast as an owner of pods.
fn job_as_owner(stage: &Stage, broadcast: &str, uid: Option<&str>) -> String {
    let job = await_some("the Job", || {
        list(&stage.namespace, "jobs", &format!("herald.dev/broadcast={broadcast}")).into_iter().next()
    });
    let metadata = &job["metadata"];
    let (name, own) = (metadata["name"].as_str().unwrap(), metadata["uid"].as_str().unwrap());
    format!("{{apiVersion: batch/v1, kind: Job, controller: true, name: {name}, uid: {}}}", uid.unwrap_or(own))
}

/// The token with another pod in its claims, and with the signature it had or none at all.
fn forged(token: &str, pod: &Value) -> [String; 2] {
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["kubernetes.io"]["pod"] = json!({"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]});
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    [format!("{}.{claims}.{}", parts[0], parts[2]), format!("{unsigned}.{claims}.")]
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_token_opens_the_broadcast_its_pod_belongs_to_and_nothing_else() {
    let stage = Stage::with_channel("tokens", &["--latency", "50-100"], 2);
    let elsewhere = Stage::open("elsewhere", &[]);
    stage.apply(&stage.broadcast("one", 400, ""));
    stage.apply(&stage.broadcast("two", 400, ""));
    let (one, two) = (stage.await_sender_pod("one"), stage.await_sender_pod("two"));
    stage.await_requests(2);
    let api = LedgerApi::open();
    let namespace = stage.namespace.as_str();

    // What each sender has: its own broadcast, and not the other's.
    let [own, other] = [&one, &two].map(|pod| {
        let (status, body) = api.brief(&token_of_pod(namespace, pod, "herald"));
        assert_eq!(status, 200, "{body}");
        body["broadcast"].clone()
    });
    assert!(own.is_i64() && other.is_i64() && own != other, "{own} {other}");
    let good = token_of_pod(namespace, &one, "herald");
    let (status, body) = api.post("/v1/brief", &good, &json!({"broadcast": other}));
    assert_eq!((status, &body["reason"]), (403, &json!("Forbidden")), "{body}");

    // Tokens of the cluster that are not a sender's.
    api.assert_refused(&token(namespace, &["--audience=herald"]), 401, "bound to no pod");
    api.assert_refused(&token_of_pod(namespace, &one, "https://kubernetes.default.svc"), 401, "token");
    api.assert_refused(&token(namespace, &[]), 401, "token");

    // A sender reads no results, though its account may get every broadcast; a reader needs no pod.
    let account = format!("--serviceaccount={namespace}:default");
    kubectl(&["-n", namespace, "create", "rolebinding", "everybody", "--clusterrole=herald-view", &account]);
    let results = json!({"namespace": namespace, "name": "one", "outcomes": ["Pending"]});
    for pod in [&one, &two] {
        let (status, body) = api.post("/v1/results", &token_of_pod(namespace, pod, "herald"), &results);
        assert!(status == 403 && body["rows"].is_null(), "{status} {body}");
    }
    let (status, body) = api.post("/v1/results", &token(namespace, &["--audience=herald"]), &results);
    assert!(status == 200 && body["rows"].is_array(), "{status} {body}");
    let (status, body) = api.post("/v1/results", &token(namespace, &[]), &results);
    assert!(status == 401 && body["rows"].is_null(), "{status} {body}");
    kubectl(&["-n", namespace, "delete", "rolebinding", "everybody"]);

    // Tokens of nobody.
    let other_pod = find(namespace, "pod", &two).unwrap();
    for forged in forged(&good, &other_pod) {
        api.assert_refused(&forged, 401, "the token is not valid");
    }
    api.assert_refused("a-guess", 401, "the token is not valid");

    refuses_pods_that_belong_to_nobody(&stage, &elsewhere, &api);

    // Whose broadcast is deleted is let in no more, even while its pod is still there.
    let late = token_of_pod(namespace, &one, "herald");
    kubectl(&["-n", namespace, "delete", "broadcastmessage", "one", "--cascade=orphan", "--wait=true"]);
    let (status, body) = api.brief(&late);
    assert!([401, 403, 410].contains(&status), "{status} {body}");
    stage.patch("broadcastmessage", "two", r#"{"cancel": true}"#);
    stage.await_end("two", "Cancelled");
    stage.judge("two", 400);
}

/// Pods that somebody made: of no Job, of a Job by its name alone, and in another namespace.
fn refuses_pods_that_belong_to_nobody(stage: &Stage, elsewhere: &Stage, api: &LedgerApi) {
    apply_pod(stage, "stray", "");
    api.assert_refused(&token_of_pod(&stage.namespace, "stray", "herald"), 403, "belongs to no Job");
    let not_its_uid = "11111111-2222-3333-4444-555555555555";
    apply_pod(stage, "impostor", &job_as_owner(stage, "two", Some(not_its_uid)));
    api.assert_refused(&token_of_pod(&stage.namespace, "impostor", "herald"), 410, "the Job");
    apply_pod(elsewhere, "foreign", &job_as_owner(stage, "two", None));
    api.assert_refused(&token_of_pod(&elsewhere.namespace, "foreign", "herald"), 410, "the Job");
    for (stage, pods) in [(stage, &["stray", "impostor"][..]), (elsewhere, &["foreign"][..])] {
        pods.iter().for_each(|pod| let_pod_go(stage, pod));
    }
}
