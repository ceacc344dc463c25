//! One file at a link, of whatever kind, as it comes: nothing of it is kept. The link is asked for as a source without headers
//! is: with nobody's credentials, and along redirects on the same server, or to TLS on its host.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::Stream;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, Url};

use super::exchange::{Answer, Exchange, FILE};
use super::limits::Limits;
use super::permission::{Permission, Reach, shown_origin};
use crate::audience::source_fault::{FaultKind, SourceFault};

/// A file whose server has begun to give it.
pub struct LinkedFile {
    exchange: Exchange,
    place: String,
    content_type: Option<String>,
    length: Option<u64>,
    rest: Option<Response>,
}

/// Why a file did not come to its end, known once its pieces are used up or dropped.
#[derive(Clone, Debug, Default)]
pub struct FileTrace(Arc<Mutex<Option<SourceFault>>>);

impl FileTrace {
    pub fn fault(&self) -> Option<SourceFault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fail(&self, fault: SourceFault) -> std::io::Error {
        let error = std::io::Error::other(fault.problem.clone());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        error
    }
}

impl LinkedFile {
    /// Asks for the file, several times where that may help, and waits for the head of the answer.
    ///
    /// # Errors
    /// The link is none, may not be asked, or is not answered with a file; or it is said to have more than `max_bytes`.
    pub async fn open(link: &str, max_bytes: u64, reach: Reach) -> Result<LinkedFile, SourceFault> {
        LinkedFile::within(Limits::of_a_file(max_bytes), link, reach).await
    }

    async fn within(limits: Limits, link: &str, reach: Reach) -> Result<LinkedFile, SourceFault> {
        let invalid = |place: &str, problem: &str, remedy: &'static str| {
            SourceFault::new(FaultKind::Invalid, place, problem, remedy)
        };
        let none = || invalid("a link", "it is no URL", "write it as https://HOST/PATH");
        let url = Url::parse(link).map_err(|_| none())?;
        let place = format!("{}{}", shown_origin(&url), url.path());
        // It is no link that anybody else could follow, as one that leads elsewhere may be.
        reach.allows(&url).map_err(|of_the_machine| {
            let problem = format!("the link leads to {}, {of_the_machine}", shown_origin(&url));
            invalid(&place, &problem, "name a link that anybody may follow")
        })?;
        let permission = Permission::File(url.clone(), reach);
        let exchange = Exchange::new(&url, permission, FILE, limits, &place)?;
        let Answer { headers, end_is_marked, is_gzip, rest, .. } = exchange.page(&url, &place, "the link").await?;
        if is_gzip {
            return Err(invalid(&place, "the file comes compressed, unasked", "let its server give it as it is"));
        }
        if !end_is_marked {
            let remedy = "let its server say its length";
            return Err(invalid(&place, "nothing says where the file ends", remedy));
        }
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let length = rest.as_ref().and_then(Response::content_length);
        Ok(LinkedFile { exchange, place, content_type, length, rest })
    }

    /// What its server says it is.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// How many bytes it has, where its server says so at the beginning.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Its bytes, at most `max_bytes`; the stream ends with an error where there are more, or where they break off.
    pub fn pieces(self, max_bytes: u64) -> (impl Stream<Item = std::io::Result<Bytes>> + Send + 'static, FileTrace) {
        let trace = FileTrace::default();
        let LinkedFile { exchange, place, rest, .. } = self;
        let reading = Reading { exchange, place, rest, read: 0, max_bytes, trace: trace.clone() };
        let pieces = futures::stream::unfold(reading, |mut reading| async move {
            let piece = reading.next().await.transpose()?;
            Some((piece, reading))
        });
        (pieces, trace)
    }
}

struct Reading {
    exchange: Exchange,
    place: String,
    rest: Option<Response>,
    read: u64,
    max_bytes: u64,
    trace: FileTrace,
}

impl Reading {
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        // Nothing is read after the end, nor after a fault.
        let Some(mut rest) = self.rest.take() else { return Ok(None) };
        let piece = self.exchange.piece(&mut rest, &self.place).await.map_err(|fault| self.trace.fail(fault))?;
        self.read += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if self.read > self.max_bytes {
            let problem = format!("the file has more than {} bytes", self.max_bytes);
            let fault = SourceFault::new(FaultKind::TooLarge, self.place.as_str(), problem, "give a smaller file");
            return Err(self.trace.fail(fault));
        }
        self.rest = Some(rest).filter(|_| piece.is_some());
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::TryStreamExt;

    use super::super::scripted_server::{Answer as Scripted, ScriptedServer, answer, head, with_tls_provider};
    use super::*;

    const MAX: u64 = 8;

    async fn read(server: &ScriptedServer, target: &str) -> Result<(Option<u64>, Vec<u8>), SourceFault> {
        read_within(Limits::of_a_file(MAX), server, target).await
    }

    async fn read_within(
        limits: Limits,
        server: &ScriptedServer,
        target: &str,
    ) -> Result<(Option<u64>, Vec<u8>), SourceFault> {
        with_tls_provider();
        let file = LinkedFile::within(limits, &server.url(target), Reach::ThisMachine).await?;
        let length = file.length();
        let (pieces, trace) = file.pieces(MAX);
        match pieces.try_collect::<Vec<Bytes>>().await {
            Ok(pieces) => Ok((length, pieces.concat())),
            Err(_) => Err(trace.fault().unwrap()),
        }
    }

    fn server() -> ScriptedServer {
        ScriptedServer::start(|asked, _| match asked.target.as_str() {
            "/8" => answer("200 OK", &["content-type: image/png".into()], "12345678"),
            "/moved" => answer("302 Found", &["location: /8".into()], ""),
            "/away" => answer("302 Found", &["location: http://169.254.169.254/".into()], ""),
            "/9" => answer("200 OK", &[], "123456789"),
            "/9-in-chunks" => {
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
                Scripted::Bytes(format!("{head}4\r\n1234\r\n5\r\n56789\r\n0\r\n\r\n").into_bytes())
            }
            "/gzip" => answer("200 OK", &["content-encoding: gzip".into()], "1234"),
            "/unmarked" => Scripted::Bytes(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n1234".to_vec()),
            "/half" => Scripted::Bytes(head("200 OK", &[], 8, "1234")),
            "/stalls" => Scripted::Stall(head("200 OK", &[], 8, "1234")),
            "/silent" => Scripted::Stall(Vec::new()),
            "/busy" => answer("503 Service Unavailable", &["retry-after: 0".into()], ""),
            _ => answer("404 Not Found", &[], ""),
        })
    }

    #[tokio::test]
    async fn a_file_comes_as_it_is_and_is_asked_for_with_nobodys_credentials() {
        let server = server();
        assert_eq!(read(&server, "/8").await.unwrap(), (Some(8), b"12345678".to_vec()));
        assert_eq!(read(&server, "/moved").await.unwrap(), (Some(8), b"12345678".to_vec()));
        let asked = &server.asked()[0];
        assert_eq!((asked.header("accept"), asked.header("accept-encoding")), (Some("*/*"), Some("identity")));
        assert_eq!(
            (asked.header("authorization"), asked.header("cookie"), asked.header("referer")),
            (None, None, None)
        );
    }

    #[tokio::test]
    async fn what_is_no_whole_file_of_this_server_within_the_bounds_is_a_fault() {
        let server = server();
        for (target, kind, problem) in [
            ("/none", FaultKind::Refused, "answered 404"),
            ("/away", FaultKind::NotAllowed, "link-local"),
            ("/9", FaultKind::TooLarge, "more than 8 bytes"),
            ("/9-in-chunks", FaultKind::TooLarge, "more than 8 bytes"),
            ("/gzip", FaultKind::Invalid, "compressed"),
            ("/half", FaultKind::BrokenOff, "the answer broke off"),
            ("/unmarked", FaultKind::Invalid, "nothing says where"),
            ("/busy", FaultKind::Unreachable, "answered 503 Service Unavailable, 3 times in a row"),
        ] {
            let fault = read(&server, target).await.unwrap_err();
            assert_eq!(fault.kind, kind, "{fault}");
            assert!(fault.problem.contains(problem), "{fault}");
        }
        for (link, reach) in [("a.png", Reach::ThisMachine), ("http://169.254.169.254/", Reach::ThisMachine)] {
            let fault = LinkedFile::open(link, MAX, reach).await.err().unwrap();
            assert_eq!(fault.kind, FaultKind::Invalid, "{fault}");
        }
    }

    #[tokio::test]
    async fn a_file_on_this_machine_is_not_asked_for_where_only_others_may_be() {
        with_tls_provider();
        let server = server();
        let by_name = server.url("/8").replace("127.0.0.1", "LOCALHOST");
        for link in [server.url("/8"), by_name] {
            let fault = LinkedFile::open(&link, MAX, Reach::Others).await.err().unwrap();
            assert_eq!(fault.kind, FaultKind::Invalid, "{fault}");
            assert!(fault.problem.contains("the machine that asks"), "{fault}");
        }
        assert_eq!(server.asked(), [], "nothing was asked");
    }

    #[tokio::test]
    async fn a_file_that_has_not_come_when_its_time_is_over_is_called_slow_and_not_large() {
        let server = server();
        let short = Limits { whole: Duration::from_millis(300), ..Limits::of_a_file(MAX) };
        for target in ["/stalls", "/silent"] {
            let fault = read_within(short, &server, target).await.unwrap_err();
            assert_eq!(fault.kind, FaultKind::TooSlow, "{target}: {fault}");
            assert!(!fault.remedy.contains("recipients"), "{fault}");
        }
        let mut slowly_taken = LinkedFile::open(&server.url("/8"), MAX, Reach::ThisMachine).await.unwrap();
        slowly_taken.exchange.limits.whole = Duration::ZERO;
        let (pieces, trace) = slowly_taken.pieces(MAX);
        assert!(pieces.try_collect::<Vec<Bytes>>().await.is_err());
        assert_eq!(trace.fault().map(|fault| fault.kind), Some(FaultKind::TooSlow));
    }
}
