//! A database of people's own, beside the ledger: what audiences are read from and write-backs go to.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::postgres::fresh_database;

/// A database that nobody else has, which pods reach by the address in the Secret `crm-db`.
pub struct Crm {
    runtime: tokio::runtime::Runtime,
    url: String,
}

impl Crm {
    /// With this statement run in it.
    pub fn open(statement: &'static str) -> Crm {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = runtime.block_on(fresh_database());
        let crm = Crm { runtime, url };
        crm.run(statement);
        crm
    }

    /// The Secret `crm-db` with the address.
    pub fn secret(&self) -> String {
        format!("{{apiVersion: v1, kind: Secret, metadata: {{name: crm-db}}, stringData: {{url: \"{}\"}}}}", self.url)
    }

    /// The password in the address.
    pub fn password(&self) -> &str {
        let (login, _) = self.url.rsplit_once('@').unwrap();
        login.rsplit_once(':').unwrap().1
    }

    pub fn run(&self, statement: &'static str) {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            connection.execute(AssertSqlSafe(statement)).await.unwrap();
        });
    }

    /// One number that the database answers with.
    pub fn number(&self, query: &'static str) -> i64 {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap()
        })
    }

    /// The texts of a column.
    pub fn texts(&self, query: &'static str) -> Vec<String> {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap()
        })
    }
}
