//! The ledger API in front of a SQLite ledger: what senders do goes over HTTP, what owners do does not. And what is
//! special to the API: tokens, versions, bounds.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use herald::api::broadcast_status::{MAX_PLAN_WARNING, MAX_PLAN_WARNINGS, MAX_SAMPLE, MAX_SAMPLES};
use herald::delivery::correlation::Correlation;
use herald::delivery::notification::Standing;
use herald::delivery::outcome::{Fault, MAX_FAULT_MESSAGE, Outcome};
use herald::delivery::provider_event::{News, ProviderEvent, Which};
use herald::delivery::time::Timestamp;
use herald::ledger::brief::MAX_TROUBLE_MESSAGE;
use herald::ledger::clock::ManualClock;
use herald::ledger::declaration::AccountKey;
use herald::ledger::exchange::{BroadcastId, ExchangeReply, ExchangeRequest, LastWords, Report};
use herald::ledger::plan::{PlanReceipt, PlanRow, PlanTicket, PlanWords, SealedPlan};
use herald::ledger::snapshot::{BatchSnapshot, BroadcastSnapshot, Outcomes};
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::wire::{
    Admitted, Denied, Gatekeeper, ReceiverGate, RemoteLedger, RemoteLedgerOptions, receive_router, router,
};
use herald::ledger::{
    AccountSnapshot, AttachmentStanding, AttachmentsRequest, AudienceList, AudiencePage, AudiencePosition,
    AudienceQuery, Brief, ContactRow, Contacts, ContactsFilter, ContactsPage, Declaration, DeliveryView, Figures,
    Imported, Inspect, Ledger, LedgerError, NotificationPage, NotificationTotals, OptedOut, Owner, Received,
    ReceiverLedger, ReportNotifications, ReportWriteBacks, ResultsPage, ResultsQuery, SenderLedger, TakeNotifications,
    TakeWriteBacks, Trouble, WriteBackPage, WriteBackTotals,
};
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;

use super::owners;
use super::world::*;

type Result<T> = std::result::Result<T, LedgerError>;

/// A token of these tests is `<broadcast>/<pod>`.
pub struct ByName;

impl Gatekeeper for ByName {
    async fn admit(&self, token: &SecretString) -> std::result::Result<Admitted, Denied> {
        match token.expose_secret() {
            "gone" => return Err(Denied::Gone("deleted".to_owned())),
            "busy" => return Err(Denied::Unavailable("no API server".to_owned())),
            _ => {}
        }
        let parsed = token.expose_secret().split_once('/').and_then(|(id, pod)| Some((id.parse().ok()?, pod)));
        let Some((id, pod)) = parsed else { return Err(Denied::Unauthorized("no such token".to_owned())) };
        Ok(Admitted { broadcast: BroadcastId(id), pod: pod.to_owned() })
    }
}

/// A receiver's token of these tests names its account, in parts between colons.
fn token_of_receiver(account: &AccountKey) -> String {
    let AccountKey { namespace, provider, account, host } = account;
    format!("{namespace}:{provider}:{account}:{host}")
}

impl ReceiverGate for ByName {
    async fn serves(&self, token: &SecretString) -> std::result::Result<AccountKey, Denied> {
        let parts: Vec<&str> = token.expose_secret().split(':').collect();
        let [namespace, provider, account, host] = parts[..] else {
            return Err(Denied::Forbidden("the token's pod belongs to no MessageChannel".to_owned()));
        };
        let [namespace, provider, account, host] = [namespace, provider, account, host].map(str::to_owned);
        Ok(AccountKey { namespace, provider, account, host })
    }
}

pub struct OverTheWire {
    behind: Arc<SqliteLedger>,
    pub url: String,
    tokens: TempDir,
    clients: Mutex<HashMap<String, Arc<RemoteLedger>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for OverTheWire {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// As the program does first of all; whoever comes second finds it done.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl OverTheWire {
    async fn before(behind: SqliteLedger) -> OverTheWire {
        install_crypto();
        let behind = Arc::new(behind);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let api = router(behind.clone(), Arc::new(ByName)).merge(receive_router(behind.clone(), Arc::new(ByName)));
        let server = tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });
        OverTheWire { behind, url, tokens: tempfile::tempdir().unwrap(), clients: Mutex::default(), server }
    }

    pub fn token_file(&self, name: &str, token: &str) -> PathBuf {
        let path = self.tokens.path().join(name.replace('/', "-"));
        std::fs::write(&path, format!("{token}\n")).unwrap();
        path
    }

    /// The ledger itself, for another API in front of it.
    pub fn behind(&self) -> Arc<SqliteLedger> {
        self.behind.clone()
    }

    fn with_token(&self, token: &str) -> Arc<RemoteLedger> {
        let client = || {
            let token_file = self.token_file(token, token);
            let url = self.url.clone();
            let options = RemoteLedgerOptions { url, certificate_authority: None, token_file };
            Arc::new(RemoteLedger::new(options).unwrap())
        };
        self.clients.lock().unwrap().entry(token.to_owned()).or_insert_with(client).clone()
    }

    pub fn of(&self, broadcast: BroadcastId) -> Arc<RemoteLedger> {
        self.with_token(&format!("{}/pod", broadcast.0))
    }
}

impl SenderLedger for OverTheWire {
    async fn brief(&self, broadcast: BroadcastId) -> Result<Brief> {
        self.of(broadcast).brief(broadcast).await
    }
    async fn begin_plan(&self, broadcast: BroadcastId) -> Result<PlanTicket> {
        self.of(broadcast).begin_plan(broadcast).await
    }
    async fn exclude(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        self.of(ticket.broadcast).exclude(ticket, chunk, recipients).await
    }
    async fn suppress(&self, ticket: PlanTicket, chunk: u64, recipients: &[String]) -> Result<()> {
        self.of(ticket.broadcast).suppress(ticket, chunk, recipients).await
    }

    async fn suppress_pending(&self, plan: PlanTicket, recipients: &[String]) -> Result<u64> {
        self.of(plan.broadcast).suppress_pending(plan, recipients).await
    }

    async fn append_plan(&self, ticket: PlanTicket, chunk: u64, rows: &[PlanRow]) -> Result<PlanReceipt> {
        self.of(ticket.broadcast).append_plan(ticket, chunk, rows).await
    }
    async fn audience_page(&self, query: &AudienceQuery) -> Result<AudiencePage> {
        self.of(query.ticket.broadcast).audience_page(query).await
    }

    async fn seal_plan(&self, ticket: PlanTicket, words: &PlanWords) -> Result<SealedPlan> {
        self.of(ticket.broadcast).seal_plan(ticket, words).await
    }
    async fn abandon_plan(&self, ticket: PlanTicket) -> Result<()> {
        self.of(ticket.broadcast).abandon_plan(ticket).await
    }
    async fn report_trouble(&self, plan: PlanTicket, trouble: &Trouble) -> Result<()> {
        self.of(plan.broadcast).report_trouble(plan, trouble).await
    }
    async fn attachments(&self, request: &AttachmentsRequest) -> Result<Vec<AttachmentStanding>> {
        self.of(request.broadcast).attachments(request).await
    }
    async fn exchange(&self, request: &ExchangeRequest) -> Result<ExchangeReply> {
        self.with_token(&format!("{}/{}", request.broadcast.0, request.display)).exchange(request).await
    }
    async fn take_notifications(&self, request: &TakeNotifications) -> Result<NotificationPage> {
        self.of(request.broadcast).take_notifications(request).await
    }
    async fn report_notifications(&self, told: &ReportNotifications) -> Result<()> {
        self.of(told.broadcast).report_notifications(told).await
    }
    async fn take_write_backs(&self, request: &TakeWriteBacks) -> Result<WriteBackPage> {
        self.of(request.broadcast).take_write_backs(request).await
    }
    async fn report_write_backs(&self, told: &ReportWriteBacks) -> Result<()> {
        self.of(told.broadcast).report_write_backs(told).await
    }
    async fn settle_dead_sender(&self, within: Option<BroadcastId>, words: &LastWords) -> Result<()> {
        // A token is always of one broadcast; a test that names none means the one of the sender.
        let within = match within {
            Some(within) => within,
            None => self.behind.broadcast_of(&words.holder).await?.unwrap_or(BroadcastId(0)),
        };
        self.of(within).settle_dead_sender(None, words).await
    }
}

impl Contacts for OverTheWire {
    async fn import_contacts(&self, account: &AccountKey, rows: &[ContactRow]) -> Result<Imported> {
        self.behind.import_contacts(account, rows).await
    }

    async fn tag(&self, account: &AccountKey, recipients: &[String], tags: &[String]) -> Result<u64> {
        self.behind.tag(account, recipients, tags).await
    }

    async fn untag(&self, account: &AccountKey, recipients: &[String], tags: &[String]) -> Result<u64> {
        self.behind.untag(account, recipients, tags).await
    }

    async fn opt_out(&self, account: &AccountKey, recipients: &[String], reason: &str) -> Result<OptedOut> {
        self.behind.opt_out(account, recipients, reason).await
    }

    async fn opt_in(&self, account: &AccountKey, recipients: &[String]) -> Result<u64> {
        self.behind.opt_in(account, recipients).await
    }

    async fn heard_from(&self, account: &AccountKey, heard: &[(String, Timestamp)]) -> Result<()> {
        self.behind.heard_from(account, heard).await
    }

    async fn contacts_page(
        &self,
        account: &AccountKey,
        after: Option<&str>,
        filter: &ContactsFilter,
    ) -> Result<ContactsPage> {
        self.behind.contacts_page(account, after, filter).await
    }
}

impl ReceiverLedger for OverTheWire {
    async fn receive(&self, account: &AccountKey, events: &[ProviderEvent]) -> Result<Received> {
        self.with_token(&token_of_receiver(account)).receive(account, events).await
    }
}

impl Ledger for OverTheWire {
    async fn declare(&self, declaration: &Declaration) -> Result<BroadcastSnapshot> {
        self.behind.declare(declaration).await
    }
    async fn cancel(&self, namespace: &str, idempotency_key: &str, owner_uid: &str) -> Result<Option<BroadcastId>> {
        self.behind.cancel(namespace, idempotency_key, owner_uid).await
    }
    async fn serve_cluster(&self, uid: &str, moved_from: Option<&str>) -> Result<()> {
        self.behind.serve_cluster(uid, moved_from).await
    }
    async fn release(&self, owner_uid: &str, generation: i64) -> Result<()> {
        self.behind.release(owner_uid, generation).await
    }
    async fn depart(&self, owner_uid: &str) -> Result<()> {
        self.behind.depart(owner_uid).await
    }
    async fn owners(&self) -> Result<Vec<Owner>> {
        self.behind.owners().await
    }
    async fn owned_by(&self, owner_uid: &str) -> Result<Vec<BroadcastId>> {
        self.behind.owned_by(owner_uid).await
    }
    async fn find(&self, owner_uid: &str) -> Result<Option<BroadcastId>> {
        self.behind.find(owner_uid).await
    }
    async fn lift_credential_stop(&self, broadcast: BroadcastId) -> Result<()> {
        self.behind.lift_credential_stop(broadcast).await
    }
    async fn lift_block(&self, broadcast: BroadcastId, generation: i64) -> Result<()> {
        self.behind.lift_block(broadcast, generation).await
    }
    async fn settle_all_senders_dead(&self) -> Result<u64> {
        self.behind.settle_all_senders_dead().await
    }
    fn was_out_of_reach(&self) {
        self.behind.was_out_of_reach();
    }

    async fn maintain(&self) -> Result<bool> {
        self.behind.maintain().await
    }
    async fn snapshot(&self, broadcast: BroadcastId) -> Result<BroadcastSnapshot> {
        self.behind.snapshot(broadcast).await
    }
    async fn batches(&self, broadcast: BroadcastId) -> Result<Vec<BatchSnapshot>> {
        self.behind.batches(broadcast).await
    }
    async fn results(&self, query: &ResultsQuery) -> Result<ResultsPage> {
        self.behind.results(query).await
    }
    async fn tell_standing(&self, broadcast: BroadcastId, standing: &Standing) -> Result<()> {
        self.behind.tell_standing(broadcast, standing).await
    }
    async fn notification_totals(&self) -> Result<NotificationTotals> {
        self.behind.notification_totals().await
    }
    async fn write_back_totals(&self) -> Result<WriteBackTotals> {
        self.behind.write_back_totals().await
    }

    async fn figures(&self, broadcast: BroadcastId) -> Result<Figures> {
        self.behind.figures(broadcast).await
    }
    async fn totals(&self) -> Result<Vec<Outcomes>> {
        self.behind.totals().await
    }
    async fn account(&self, account: &AccountKey) -> Result<Option<AccountSnapshot>> {
        self.behind.account(account).await
    }
}

impl Backend for OverTheWire {
    async fn empty(clock: Arc<ManualClock>) -> OverTheWire {
        OverTheWire::before(SqliteLedger::empty(clock).await).await
    }
    async fn broken(&self) -> Vec<String> {
        self.behind.broken().await
    }
    async fn everybody(&self, broadcast: BroadcastId) -> Vec<DeliveryView> {
        self.behind.everybody(broadcast).await
    }
}

pub type Api = World<OverTheWire>;

#[tokio::test]
async fn a_sender_touches_no_other_broadcast() {
    let world = Api::new().await;
    let own = world.planned(&declaration("own"), 3).await;
    let other = world.planned(&declaration("other"), 3).await;
    let client = world.ledger.of(own);
    let request = Sender::new("sender", other).request(vec![], 3);
    let ticket = PlanTicket { broadcast: other, epoch: 1 };
    let trouble = Trouble::new("SecretNotFound", "");
    let query =
        AudienceQuery { ticket, list: AudienceList::Included, source: "missed".into(), from: AudiencePosition::Start };
    let refused = [
        client.exchange(&request).await.unwrap_err(),
        client.begin_plan(other).await.unwrap_err(),
        client.append_plan(ticket, 1, &[]).await.unwrap_err(),
        client.exclude(ticket, 1, &[]).await.unwrap_err(),
        client.seal_plan(ticket, &Default::default()).await.unwrap_err(),
        client.abandon_plan(ticket).await.unwrap_err(),
        client.report_trouble(ticket, &trouble).await.unwrap_err(),
        client.audience_page(&query).await.unwrap_err(),
        client.brief(other).await.unwrap_err(),
    ];
    assert!(matches!(client.my_brief().await, Err(LedgerError::NoOrders)), "its own, which has none");
    for error in refused {
        assert!(matches!(error, LedgerError::Forbidden { .. }), "{error}");
        assert!(!error.is_transient());
    }
    assert_eq!(world.snapshot(other).await.trouble, None);
    assert_eq!(world.counts(other).await.pending, 3);
}

#[tokio::test]
async fn a_token_that_is_not_valid_opens_nothing() {
    let world = Api::new().await;
    let broadcast = world.planned(&declaration("one"), 3).await;
    let ask = async |token: &str| world.ledger.with_token(token).brief(broadcast).await.unwrap_err();
    assert!(matches!(ask("nonsense").await, LedgerError::Forbidden { .. }));
    assert!(matches!(ask("gone").await, LedgerError::UnknownBroadcast));
    assert!(ask("busy").await.is_transient());
    let missing = world.ledger.tokens.path().join("missing");
    let options =
        RemoteLedgerOptions { url: world.ledger.url.clone(), certificate_authority: None, token_file: missing };
    let error = RemoteLedger::new(options).unwrap().brief(broadcast).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn a_token_is_read_again_when_it_was_replaced() {
    let world = Api::new().await;
    let broadcast = world.planned(&declaration("one"), 3).await;
    let client = world.ledger.with_token("old");
    assert!(client.begin_plan(broadcast).await.is_err());
    world.ledger.token_file("old", &format!("{}/pod", broadcast.0));
    client.begin_plan(broadcast).await.unwrap();
}

#[tokio::test]
async fn a_sender_reads_its_brief_without_knowing_its_broadcast() {
    let world = Api::new().await;
    let declared = Declaration { orders: Some(owners::orders()), ..declaration("own") };
    let own = world.declare(&declared).await.id;
    let brief = world.ledger.of(own).my_brief().await.unwrap();
    assert_eq!(brief, world.ledger.brief(own).await.unwrap());
    assert_eq!((brief.broadcast, brief.orders), (own, owners::orders()));
}

#[tokio::test]
async fn what_a_sender_says_is_cut_to_what_a_status_holds() {
    let world = Api::new().await;
    let broadcast = world.declare(&declaration("one")).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    world.ledger.append_plan(ticket, 1, &people(0..2)).await.unwrap();
    let words = |length: usize, count: usize| vec!["x".repeat(length); count];
    let said = PlanWords {
        samples: words(MAX_SAMPLE + 1, MAX_SAMPLES + 1),
        warnings: words(MAX_PLAN_WARNING + 1, MAX_PLAN_WARNINGS + 1),
    };
    world.ledger.seal_plan(ticket, &said).await.unwrap();
    let cut = PlanWords {
        samples: vec![format!("{}…", "x".repeat(MAX_SAMPLE - 1)); MAX_SAMPLES],
        warnings: words(MAX_PLAN_WARNING, MAX_PLAN_WARNINGS),
    };
    assert_eq!(world.snapshot(broadcast).await.words, cut);

    let trouble = Trouble { reason: "not a reason".to_owned(), message: "x".repeat(MAX_TROUBLE_MESSAGE + 1) };
    world.ledger.report_trouble(ticket, &trouble).await.unwrap();
    let told = world.snapshot(broadcast).await.trouble.unwrap().trouble;
    assert_eq!((told.reason.as_str(), told.message.len()), ("SenderTrouble", MAX_TROUBLE_MESSAGE));

    let client = world.ledger.of(broadcast);
    let named = Sender::new(&"x".repeat(129), broadcast).request(vec![], 1);
    assert!(matches!(client.exchange(&named).await, Err(LedgerError::RequestRefused { .. })));
    let mut request = Sender::new("sender", broadcast).request(vec![], 1);
    request.display = "of my own choice".to_owned();
    client.exchange(&request).await.unwrap();
    assert_eq!(world.batch(broadcast, 0).await.holder.as_deref(), Some("pod"), "the token says who it is");

    let fault = Fault { reason: "no word".to_owned(), code: None, message: "x".repeat(MAX_FAULT_MESSAGE + 1) };
    let outcome = Outcome::Unknown { fault };
    request.number += 1;
    request.outcomes = vec![Report::new(0, 1, outcome)];
    client.exchange(&request).await.unwrap();
    let (fault, _) = world.batch(broadcast, 0).await.last_error.unwrap();
    assert_eq!((fault.reason.as_str(), fault.message.len()), ("SenderFault", MAX_FAULT_MESSAGE));
}

#[tokio::test]
async fn versions_paths_and_bodies_are_answered_by_their_kind() {
    let world = Api::new().await;
    let broadcast = world.planned(&declaration("one"), 3).await;
    let token = format!("{}/pod", broadcast.0);
    let client = reqwest::Client::builder().retry(reqwest::retry::never()).build().unwrap();
    let ask = async |path: &str, token: Option<&str>, body: String| {
        let mut request = client.post(format!("{}{path}", world.ledger.url)).body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap().status().as_u16()
    };
    // Fields of a newer version are ignored.
    let begin = format!(r#"{{"broadcast": {}, "of a newer version": true}}"#, broadcast.0);
    assert_eq!(ask("/v1/plan/begin", Some(&token), begin.clone()).await, 200);
    assert_eq!(ask("/v1/plan/begin", None, begin.clone()).await, 401);
    assert_eq!(ask("/v1/plan/begin", Some("nonsense"), begin.clone()).await, 401);
    assert_eq!(ask("/v2/plan/begin", Some(&token), begin.clone()).await, 426);
    assert_eq!(ask("/v1/nothing", Some(&token), begin.clone()).await, 404);
    let get = client.get(format!("{}/v1/plan/begin", world.ledger.url)).send().await.unwrap();
    assert_eq!(get.status(), 404);
    let refusal: serde_json::Value = get.json().await.unwrap();
    assert_eq!(refusal["reason"], "RequestRefused", "{refusal}");
    let pieces = futures::stream::iter([Ok::<_, std::io::Error>(begin)]);
    let unmeasured = client.post(format!("{}/v1/plan/begin", world.ledger.url)).bearer_auth(&token);
    let unmeasured = unmeasured.body(reqwest::Body::wrap_stream(pieces)).send().await.unwrap();
    assert_eq!(unmeasured.status(), 411);
    assert_eq!(ask("/v1/plan/begin", Some(&token), "{".to_owned()).await, 400);
    let huge = format!(r#"{{"broadcast": {}, "padding": "{}"}}"#, broadcast.0, "x".repeat(17 * 1024 * 1024));
    assert_eq!(ask("/v1/plan/begin", Some(&token), huge).await, 413);
}

#[tokio::test]
async fn the_largest_chunk_that_a_planner_makes_fits() {
    let world = Api::new().await;
    let broadcast = world.declare(&declaration("one")).await.id;
    let ticket = world.ledger.begin_plan(broadcast).await.unwrap();
    // Each of these bytes is written as six.
    let value = "\u{1}".repeat(herald::ledger::plan::MAX_CHUNK_BYTES / 2_000);
    let row = |mut row: PlanRow| {
        row.vars.insert("v".to_owned(), value.clone());
        row
    };
    let rows: Vec<PlanRow> = people(0..2_000).into_iter().map(row).collect();
    assert_eq!(world.ledger.append_plan(ticket, 1, &rows).await.unwrap().added, 2_000);
}

#[tokio::test]
async fn a_ledger_that_is_not_there_is_asked_again() {
    let world = Api::new().await;
    let token_file = world.ledger.token_file("any", "1/pod");
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let client = RemoteLedger::new(RemoteLedgerOptions { url, certificate_authority: None, token_file }).unwrap();
    let error = client.begin_plan(BroadcastId(1)).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[test]
fn a_url_or_certificate_authority_that_cannot_be_used_is_refused_at_once() {
    install_crypto();
    let of = |url: &str, authority: Option<&str>| {
        let made = RemoteLedger::new(RemoteLedgerOptions {
            url: url.to_owned(),
            certificate_authority: authority.map(str::to_owned),
            token_file: "/nowhere".into(),
        });
        made.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(of("http://herald:8443", None).contains("must be https://"));
    assert!(of("http://127.0.0.1:8443", Some("pem")).contains("must be https://"));
    assert!(of("https://herald:8443", Some("no certificate")).contains("no certificate in PEM"));
}

#[tokio::test]
async fn a_receiver_tells_of_the_account_of_its_token_whatever_it_says() {
    let world = World::<OverTheWire>::new().await;
    let account = declaration("one").account;
    let broadcast = world.planned(&declaration("one"), 2).await;
    let mut sender = Sender::proven(&world, "sender", broadcast).await;
    let rows = sender.take(&world, 1).await;
    sender.tell(&world, reports(&rows, &unknown())).await;
    let correlation = Correlation { broadcast: broadcast.0, seq: rows[0].seq, attempt: rows[0].attempt, part: 0 };
    let which = Which::One { correlation: Some(correlation), provider_id: None };
    let events = [ProviderEvent::Message { which, recipient: None, news: News::Accepted, at: world.now() }];

    let other = AccountKey { account: "other".to_owned(), ..account.clone() };
    let of_other = world.ledger.with_token(&token_of_receiver(&other));
    assert_eq!(of_other.receive(&account, &events).await.unwrap(), Received { nothing: 1, ..Received::default() });
    // A sender's token is of no channel.
    let refused = world.ledger.of(broadcast).receive(&account, &events).await.unwrap_err();
    assert_eq!(refused.reason(), "Forbidden", "{refused}");
    assert_eq!(world.counts(broadcast).await.unknown, 1);
    assert_eq!(world.ledger.receive(&account, &events).await.unwrap().resolved, 1);
}
