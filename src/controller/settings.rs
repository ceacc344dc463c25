//! The flags of `herald operator`.

use std::net::SocketAddr;

use k8s_openapi::api::core::v1::ResourceRequirements;

use crate::ledger::location::LedgerLocation;

/// Reconciles broadcasts in a Kubernetes cluster, and serves the ledger to their senders.
///
/// With the ledger in a file there is one process per ledger: a second one waits up to 60 s for the first to end. With the
/// ledger in PostgreSQL there may be several: all serve the ledger, one reconciles. The ledger is served over HTTPS with a
/// certificate of its own making, health and metrics over HTTP.
#[derive(Clone, Debug, clap::Args)]
pub struct OperatorOptions {
    /// Where the ledger is kept: what happened to each recipient. A file on a volume that outlives the pod, or a PostgreSQL
    /// database: then give it by the variable, since flags are seen by others.
    #[arg(
        long,
        value_name = "sqlite:PATH|postgres://…",
        env = "HERALD_LEDGER",
        hide_env_values = true,
        default_value = "sqlite:/var/lib/herald/ledger.db"
    )]
    pub ledger: LedgerLocation,

    /// The name of this process among several operators of one ledger, e.g. its pod's. By default a random one.
    #[arg(long, value_name = "NAME", env = "HERALD_IDENTITY")]
    pub identity: Option<String>,

    /// Takes over the ledger of another cluster, which has moved here for good: the uid of that cluster's namespace
    /// kube-system. Nobody may use it, or a copy of it, there any more.
    #[arg(long, value_name = "UID", env = "HERALD_LEDGER_FROM_CLUSTER")]
    pub ledger_from_cluster: Option<String>,

    /// Where the ledger is served to senders, over HTTPS.
    #[arg(long, value_name = "ADDRESS", env = "HERALD_LISTEN", default_value = "0.0.0.0:8443")]
    pub listen: SocketAddr,

    /// Where /livez, /readyz and /metrics are served, over HTTP.
    #[arg(long, value_name = "ADDRESS", env = "HERALD_HEALTH_LISTEN", default_value = "0.0.0.0:8080")]
    pub health_listen: SocketAddr,

    /// The operator's own namespace: its Secret with the certificate authority is kept there.
    #[arg(long, value_name = "NAMESPACE", env = "HERALD_NAMESPACE", default_value = "herald-system")]
    pub namespace: String,

    /// DNS names of the Service that leads to the ledger, for its certificate. Repeatable, or separated by commas; senders
    /// use the first, unless --ledger-url says otherwise.
    #[arg(
        long = "service-name",
        value_name = "NAME",
        env = "HERALD_SERVICE_NAMES",
        value_delimiter = ',',
        default_value = "herald.herald-system.svc"
    )]
    pub service_names: Vec<String>,

    /// The URL under which senders reach the ledger. By default https:// and the first service name, with the port of
    /// --listen.
    #[arg(long, value_name = "URL", env = "HERALD_LEDGER_URL")]
    pub ledger_url: Option<String>,

    /// The image of sender pods: this program.
    #[arg(long, value_name = "IMAGE", env = "HERALD_SENDER_IMAGE")]
    pub sender_image: String,

    /// When the image of sender pods is pulled: Always, IfNotPresent or Never.
    #[arg(
        long,
        value_name = "POLICY",
        env = "HERALD_SENDER_IMAGE_PULL_POLICY",
        default_value = "IfNotPresent",
        value_parser = ["Always", "IfNotPresent", "Never"]
    )]
    pub sender_image_pull_policy: String,

    /// What sender pods ask of a node where the channel does not say, as the JSON of a container's `resources`.
    #[arg(
        long,
        value_name = "JSON",
        env = "HERALD_SENDER_RESOURCES",
        default_value = r#"{"requests":{"cpu":"50m","memory":"64Mi"},"limits":{"memory":"512Mi"}}"#,
        value_parser = resources
    )]
    pub sender_resources: ResourceRequirements,

    /// A namespace to watch. Repeatable, or separated by commas. Without it all of them.
    #[arg(long = "watch-namespace", value_name = "NAMESPACE", env = "HERALD_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
}

fn resources(text: &str) -> Result<ResourceRequirements, String> {
    serde_json::from_str(text).map_err(|error| format!("not the JSON of a container's `resources`: {error}"))
}

impl OperatorOptions {
    /// Where senders find the ledger.
    pub fn ledger_url(&self) -> String {
        let name = self.service_names.first().map_or("localhost", String::as_str);
        self.ledger_url.clone().unwrap_or_else(|| format!("https://{name}:{}", self.listen.port()))
    }

    /// One scope per watched namespace; `None` is the whole cluster. An empty name, as from an empty variable, is none.
    pub fn scopes(&self) -> Vec<Option<String>> {
        let mut named: Vec<String> =
            self.watch_namespaces.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        named.sort();
        named.dedup();
        if named.is_empty() { vec![None] } else { named.into_iter().map(Some).collect() }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: OperatorOptions,
    }

    fn parse(arguments: &[&str]) -> OperatorOptions {
        let line = ["herald", "--sender-image", "herald:dev"].into_iter().chain(arguments.iter().copied());
        Line::try_parse_from(line).unwrap().options
    }

    #[test]
    fn senders_reach_the_ledger_by_the_first_service_name_unless_told_otherwise() {
        let options = parse(&["--service-name", "ledger.a.svc,ledger.a.svc.cluster.local", "--listen", "0.0.0.0:9443"]);
        assert_eq!(options.ledger_url(), "https://ledger.a.svc:9443");
        assert_eq!(parse(&["--ledger-url", "https://x"]).ledger_url(), "https://x");
    }

    #[test]
    fn no_namespace_is_the_whole_cluster_and_one_named_twice_is_watched_once() {
        assert_eq!(parse(&[]).scopes(), [None]);
        assert_eq!(parse(&["--watch-namespace", ""]).scopes(), [None]);
        let both = parse(&["--watch-namespace", "b,a", "--watch-namespace", "b"]).scopes();
        assert_eq!(both, [Some("a".to_owned()), Some("b".to_owned())]);
    }
}
