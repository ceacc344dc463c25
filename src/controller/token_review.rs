//! Whose a token is, by the cluster's own word.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};

use super::cluster::{CallError, call};
use crate::api::mount::TOKEN_AUDIENCE;

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Whom the cluster vouches for: a service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// The account's.
    pub namespace: String,
    /// As Kubernetes' access rules name it.
    pub username: String,
    pub uid: Option<String>,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
    /// What the token is bound to, if it is a pod.
    pub pod: Option<TokenPod>,
}

/// A pod as a token names it; one of both may be missing where the cluster is older than it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPod {
    pub name: Option<String>,
    pub uid: Option<String>,
}

#[derive(Debug)]
pub enum ReviewError {
    /// A definite no: what is missing for a yes is told, since a token for another audience is the usual mistake.
    NotVouched(String),
    Call(CallError),
}

/// Asks the cluster whose a token is.
pub async fn review(client: &Client, token: &str) -> Result<Vouched, ReviewError> {
    let api: Api<TokenReview> = Api::all(client.clone());
    let wanted = TokenReview {
        spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![TOKEN_AUDIENCE.to_owned()]) },
        ..TokenReview::default()
    };
    let created = call("review a token", api.create(&PostParams::default(), &wanted)).await;
    let reviewed = created.map_err(ReviewError::Call)?;
    vouched(reviewed.status.unwrap_or_default()).map_err(ReviewError::NotVouched)
}

fn vouched(status: TokenReviewStatus) -> Result<Vouched, String> {
    if status.authenticated != Some(true) {
        return Err("the cluster does not know this token, or its pod is gone".to_owned());
    }
    let audience = status.audiences.as_ref().is_some_and(|all| all.iter().any(|one| one == TOKEN_AUDIENCE));
    if !audience {
        return Err(format!("the token is not for the audience `{TOKEN_AUDIENCE}`"));
    }
    let user = status.user.unwrap_or_default();
    let username = user.username.unwrap_or_default();
    let account = username.strip_prefix(SERVICE_ACCOUNT).and_then(|account| account.split_once(':'));
    let Some((namespace, _)) = account else {
        return Err("the token is not of a service account".to_owned());
    };
    let namespace = namespace.to_owned();
    let extra = user.extra.unwrap_or_default();
    let first = |key: &str| extra.get(key)?.first().filter(|value| !value.is_empty()).cloned();
    let is_bound = extra.contains_key(POD_NAME) || extra.contains_key(POD_UID);
    let pod = is_bound.then(|| TokenPod { name: first(POD_NAME), uid: first(POD_UID) });
    Ok(Vouched { namespace, username, uid: user.uid, groups: user.groups.unwrap_or_default(), extra, pod })
}
