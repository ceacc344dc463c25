//! A person's access to the ledger: a token of a service account, made by the person's own right, for the ledger alone and
//! for ten minutes; the authority that the operator has published; and a connection, opened anew when it is lost.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::cluster::{Cluster, call};
use super::failure::PluginError;
use super::ledger_connection::{Connection, NoAnswer, Trust};
use super::ledger_route::Route;
use super::options::AccessOptions;
use crate::api::ledger_access::{AUTHORITY_KEY, CONFIG_MAP, SERVER_NAME_KEY};
use crate::api::mount::TOKEN_AUDIENCE;
use crate::ledger::wire::message::{
    FIGURES, FiguresRequest, MAX_FIGURES_ANSWER, MAX_RESULTS_ANSWER, RESULTS, ResultsRequest,
};
use crate::ledger::wire::refusal::{Cause, Refusal};
use crate::ledger::{Figures, ResultsPage};

/// The shortest life that Kubernetes gives a token.
const TOKEN_SECONDS: i64 = 600;
/// When it is made anew: well before it ends.
const TOKEN_RENEWAL: Duration = Duration::from_secs(480);
/// How often one page is asked for: an operator that is replaced is back within some 20 s.
const MAX_TRIES: u32 = 8;
/// The wait before the second try; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// What the ledger is reached for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Results,
    Contacts,
}

impl Purpose {
    /// The commands that give the account its right.
    fn remedy(self, namespace: &str, account: &str) -> String {
        let subject = format!("--serviceaccount={namespace}:{account}");
        match self {
            Purpose::Results => {
                format!("kubectl -n {namespace} create rolebinding {account} --clusterrole=herald-view {subject}")
            }
            Purpose::Contacts => format!(
                "kubectl -n {namespace} create role {account} --verb=get,update --resource=messagechannels.herald.dev; kubectl -n {namespace} create rolebinding {account} --role={account} {subject}"
            ),
        }
    }

    /// What the account is to be let do.
    fn right(self) -> &'static str {
        match self {
            Purpose::Results => "view broadcasts",
            Purpose::Contacts => "get channels, and update them to change contacts",
        }
    }
}

/// What made a try come to nothing.
enum Failed {
    /// The next try may succeed.
    ForNow(String),
    /// The token is not taken.
    Token(String),
    ForGood(PluginError),
}

impl From<NoAnswer> for Failed {
    fn from(error: NoAnswer) -> Failed {
        match error {
            NoAnswer::Lost(_) => Failed::ForNow(error.to_string()),
            NoAnswer::Untrusted(_) => refused(error.to_string()),
        }
    }
}

impl From<PluginError> for Failed {
    fn from(error: PluginError) -> Failed {
        match error {
            // The API server is away, or the pod was replaced a moment ago.
            PluginError::Call { code: None | Some(404 | 500..), .. } | PluginError::TimedOut { .. } => {
                Failed::ForNow(error.to_string())
            }
            error => Failed::ForGood(error),
        }
    }
}

/// See the [module](self).
pub struct LedgerAccess<R: Route> {
    client: Client,
    purpose: Purpose,
    /// The broadcast's, or channel's.
    namespace: String,
    account: String,
    route: R,
    trust: Trust,
    token: Option<(SecretString, Instant)>,
    connection: Option<Connection<R::Keeper>>,
}

impl<R: Route> LedgerAccess<R> {
    pub async fn new(
        cluster: &Cluster,
        purpose: Purpose,
        options: &AccessOptions,
        route: R,
    ) -> Result<LedgerAccess<R>, PluginError> {
        let trust = trust(&cluster.client, &options.operator_namespace).await?;
        Ok(LedgerAccess {
            client: cluster.client.clone(),
            purpose,
            namespace: cluster.namespace.clone(),
            account: options.service_account.clone(),
            route,
            trust,
            token: None,
            connection: None,
        })
    }

    /// One page.
    pub async fn results(&mut self, request: &ResultsRequest) -> Result<ResultsPage, PluginError> {
        self.call(RESULTS, request, MAX_RESULTS_ANSWER).await
    }

    /// The figures of a broadcast.
    pub async fn figures(&mut self, request: &FiguresRequest) -> Result<Figures, PluginError> {
        self.call(FIGURES, request, MAX_FIGURES_ANSWER).await
    }

    /// One call, answered in at most so many bytes. What is lost is asked for again, so a call must change nothing of what it
    /// has done before.
    pub async fn call<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        path: &str,
        question: &Q,
        most: usize,
    ) -> Result<A, PluginError> {
        let body = serde_json::to_vec(question).map_err(|error| PluginError::Refused(error.to_string()))?;
        let mut wait = FIRST_WAIT;
        let mut failed = String::new();
        let mut token_was_new = false;
        for attempt in 0..MAX_TRIES {
            if attempt > 0 {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            match self.ask(path, &body, most).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::ForGood(error)) => return Err(error),
                Err(Failed::Token(words)) if token_was_new => return Err(PluginError::Refused(words)),
                Err(Failed::Token(words)) => {
                    (self.token, token_was_new, failed) = (None, true, words);
                }
                Err(Failed::ForNow(words)) => {
                    self.connection = None;
                    failed = words;
                }
            }
        }
        Err(PluginError::Refused(format!("{failed}; tried {MAX_TRIES} times")))
    }

    async fn ask<A: DeserializeOwned>(&mut self, path: &str, body: &[u8], most: usize) -> Result<A, Failed> {
        let token = self.token().await?;
        if self.connection.is_none() {
            let (stream, keeper) = self.route.open().await?;
            self.connection = Some(Connection::open(stream, keeper, &self.trust).await?);
        }
        let Some(connection) = &mut self.connection else { return Err(Failed::ForNow("no connection".to_owned())) };
        let (status, answer) = connection.post(path, &token, body.to_vec(), most).await?;
        if status.is_success() {
            let place = |error: serde_json::Error| {
                refused(format!("the ledger's answer is not of this version, at column {}", error.column()))
            };
            return serde_json::from_slice(&answer).map_err(place);
        }
        let Ok(Refusal { cause, message }) = serde_json::from_slice::<Refusal>(&answer) else {
            return Err(refused(format!("the ledger answered {status}; is the operator of this version?")));
        };
        Err(match cause {
            Cause::Unavailable => Failed::ForNow(message),
            Cause::Unauthorized => Failed::Token(message),
            Cause::Forbidden => refused(self.forbidden(&message)),
            _ => refused(message),
        })
    }

    fn forbidden(&self, message: &str) -> String {
        let remedy = self.purpose.remedy(&self.namespace, &self.account);
        format!("{message}; let the service account {}: {remedy}", self.purpose.right())
    }

    async fn token(&mut self) -> Result<SecretString, PluginError> {
        if let Some((token, made)) = &self.token
            && made.elapsed() < TOKEN_RENEWAL
        {
            return Ok(token.clone());
        }
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.namespace);
        let wanted = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![TOKEN_AUDIENCE.to_owned()],
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let what = format!("make a token of the service account {} for the ledger", self.account);
        let made = Instant::now();
        let created = call(what, api.create_token_request(&self.account, &PostParams::default(), &wanted)).await;
        let created = match created {
            Err(error) if error.is_not_found() => return Err(self.no_account()),
            created => created?,
        };
        let token = created.status.map(|status| SecretString::from(status.token));
        let token = token.ok_or_else(|| PluginError::Refused("the cluster gave no token".to_owned()))?;
        self.token = Some((token.clone(), made));
        Ok(token)
    }

    fn no_account(&self) -> PluginError {
        let (namespace, account) = (&self.namespace, &self.account);
        let (right, remedy) = (self.purpose.right(), self.purpose.remedy(namespace, account));
        PluginError::Refused(format!(
            "there is no service account {account} in the namespace {namespace}; make it and let it {right} (kubectl -n {namespace} create serviceaccount {account}; {remedy}), or name another with --service-account"
        ))
    }
}

fn refused(words: String) -> Failed {
    Failed::ForGood(PluginError::Refused(words))
}

async fn trust(client: &Client, operator_namespace: &str) -> Result<Trust, PluginError> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), operator_namespace);
    let what = format!("get the ConfigMap {CONFIG_MAP} of the namespace {operator_namespace}");
    let found = call(what, api.get_opt(CONFIG_MAP)).await.map_err(|error| error.on_the_way(operator_namespace))?;
    let data = found.and_then(|found| found.data).unwrap_or_default();
    match (data.get(AUTHORITY_KEY), data.get(SERVER_NAME_KEY)) {
        (Some(authority), Some(name)) => Trust::new(authority, name),
        _ => Err(PluginError::Refused(format!(
            "the operator has published no authority of its ledger in the namespace {operator_namespace} (ConfigMap {CONFIG_MAP}); name its namespace with --operator-namespace"
        ))),
    }
}
