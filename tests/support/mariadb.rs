//! A MariaDB of its own for one test, where it is installed.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that takes longer to start hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Ends with this value.
pub struct MariaDb {
    server: Child,
    _folder: tempfile::TempDir,
    /// Of a database that nobody else has; its password must not be told.
    pub url: String,
}

impl MariaDb {
    /// `None`, and says so, where MariaDB is not installed; in CI that is a failure.
    pub fn start() -> Option<MariaDb> {
        let is_there = |program: &str| {
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        };
        let program = ["mariadbd", "/usr/sbin/mariadbd"].into_iter().find(|program| is_there(program));
        let (Some(program), true) = (program, is_there("mariadb-install-db")) else {
            let word = "MySQL and MariaDB need mariadbd and mariadb-install-db (dev/mariadb-server.sh)";
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{word}");
            // Not by a macro: the test harness would keep it to itself.
            let _ = writeln!(std::io::stderr(), "SKIPPED: {word}");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let data = format!("--datadir={}", folder.path().join("data").display());
        // It refuses to run as root unless that is said.
        let user = "--user=root";
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", &data, user, "--auth-root-authentication-method=normal", "--skip-test-db"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let first = folder.path().join("first.sql");
        let statements = "CREATE DATABASE crm;\nCREATE USER 'herald'@'%' IDENTIFIED BY 'hunter2';\n\
                          GRANT ALL ON *.* TO 'herald'@'%';\nSET GLOBAL log_bin_trust_function_creators = 1;\n";
        std::fs::write(&first, statements).unwrap();
        // Free again when the listener is dropped.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut server = Command::new(program)
            .args(["--no-defaults", &data, user, "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .arg(format!("--port={port}"))
            .arg(format!("--socket={}", folder.path().join("socket").display()))
            .arg(format!("--init-file={}", first.display()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.try_wait().unwrap().is_some();
            if ended || began.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
                let _ = server.kill();
                panic!("MariaDB does not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(MariaDb { server, _folder: folder, url: format!("mysql://herald:hunter2@127.0.0.1:{port}/crm") })
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
