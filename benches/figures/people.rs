//! Recipients that are alike in every run, and the provider they are reached through.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use herald::api::Content;
use herald::audience::{MaterialError, MaterialKind, Materials, Source};
use herald::content::MessageTemplate;
use herald::delivery::backoff::RetryPolicy;
use herald::delivery::pacing::NORMAL_WEIGHT;
use herald::delivery::quiet_hours::QuietHours;
use herald::delivery::rate::Rate;
use herald::delivery::time::Span;
use herald::ledger::{AccountKey, Declaration};
use herald::provider::Provider;
use herald::provider::messenger::{Messenger, MessengerAccount};
use herald::sender::PlanSpec;
use herald::sender::assembly::Part;

const FIRST_NAMES: [&str; 8] = ["Ana", "José", "Zoë", "Olena", "Nguyễn", "Mary Ann", "Łukasz", "Ivy"];
const CITIES: [&str; 5] = ["Portland", "Kyiv", "São Paulo", "Graz", "Hà Nội"];

pub const TEXT: &str = "Hi {{ first_name }}! Our spring sale has begun: everything in {{ city }} is 20 % off until \
    Sunday. Show this message at the till, or order at https://example.com/spring.";

pub struct Person {
    pub id: String,
    pub first_name: &'static str,
    pub city: &'static str,
}

pub fn person(number: u32) -> Person {
    Person {
        id: format!("24005{number:011}"),
        first_name: FIRST_NAMES[number as usize % FIRST_NAMES.len()],
        city: CITIES[number as usize % CITIES.len()],
    }
}

pub fn write_csv(path: &Path, count: u32) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "id,first_name,city")?;
    for number in 0..count {
        let person = person(number);
        writeln!(file, "{},{},{}", person.id, person.first_name, person.city)?;
    }
    file.flush()
}

pub fn messenger(base_url: &str) -> anyhow::Result<Messenger> {
    Ok(Messenger::new(MessengerAccount {
        page_id: "1029384756".to_owned(),
        api_version: "v25.0".to_owned(),
        base_url: base_url.to_owned(),
        access_token: "a-token-for-the-simulator".to_owned().into(),
        app_secret: None,
    })?)
}

pub fn declaration(rate: u32) -> Declaration {
    Declaration {
        namespace: "default".to_owned(),
        name: "figures".to_owned(),
        idempotency_key: "figures".to_owned(),
        key_is_given: true,
        owner_uid: String::new(),
        generation: 1,
        account: AccountKey {
            namespace: "default".to_owned(),
            provider: "messenger".to_owned(),
            account: "1029384756".to_owned(),
            host: "127.0.0.1".to_owned(),
        },
        account_rate: Rate::new(rate, 1),
        identity_hash: "figures".to_owned(),
        audience_hash: String::new(),
        content: Content { text: TEXT.to_owned(), ..Content::default() },
        orders: None,
        sent_tags: Vec::new(),
        reply_window: None,
        request_timeout: Span::from_secs(10),
        rate: None,
        weight: NORMAL_WEIGHT,
        retry: RetryPolicy::default(),
        batch_size: None,
        plan_limit: None,
        start_at: None,
        end_at: None,
        start_by: None,
        quiet_hours: QuietHours::default(),
        notifications: Vec::new(),
        write_backs: Vec::new(),
        suspended: false,
        cancelled: false,
        recollection: Default::default(),
    }
}

pub fn plan_spec(csv: &Path, provider: Arc<dyn Provider>) -> anyhow::Result<PlanSpec> {
    let content = Content { text: TEXT.to_owned(), ..Content::default() };
    Ok(PlanSpec {
        sources: vec![Part::Read(Source::Material {
            kind: MaterialKind::ConfigMap,
            name: "people".to_owned(),
            key: "people.csv".to_owned(),
        })],
        exclude: Vec::new(),
        suppressed: Vec::new(),
        materials: Arc::new(OneFile(csv.to_owned())),
        template: Arc::new(MessageTemplate::compile(&content, provider.channel())?),
        provider,
    })
}

struct OneFile(PathBuf);

impl Materials for OneFile {
    fn keys(&self, _: MaterialKind, _: &str) -> Result<Vec<String>, MaterialError> {
        Ok(Vec::new())
    }

    fn open(&self, kind: MaterialKind, name: &str, key: &str) -> Result<Box<dyn Read + Send>, MaterialError> {
        match File::open(&self.0) {
            Ok(file) => Ok(Box::new(BufReader::new(file))),
            Err(source) => Err(MaterialError::Unreadable { kind, name: name.to_owned(), key: key.to_owned(), source }),
        }
    }
}
