//! How a person's tools find the ledger API of an operator: the contract between who serves it and who asks.

/// The ConfigMap in the operator's namespace that says how its ledger API is to be trusted. Nothing in it is secret.
pub const CONFIG_MAP: &str = "herald-ledger";
/// Its key with the certificate authority, as PEM.
pub const AUTHORITY_KEY: &str = "ca.crt";
/// Its key with the name that the certificate is for.
pub const SERVER_NAME_KEY: &str = "server-name";
/// Selects the pods of operators.
pub const OPERATOR_PODS: &str = "app.kubernetes.io/part-of=herald,app.kubernetes.io/component=operator";
/// The name of the port of such a pod that the ledger API is served on.
pub const LEDGER_PORT: &str = "ledger";
/// The service account that readers of results have a token made of, unless they name another: one for this alone,
/// since pods run under `default`.
pub const READER_ACCOUNT: &str = "herald-reader";
/// The service account for contacts, likewise: reading them needs the right to get the MessageChannel, changing them to update
/// it, which readers of results need not have.
pub const CONTACTS_ACCOUNT: &str = "herald-contacts";
/// The namespace of the operator, unless it is told otherwise.
pub const OPERATOR_NAMESPACE: &str = "herald-system";
