//! `herald run` against a provider that breaks HTTP itself: wrong lengths, endless headers, answers that never end, other
//! protocols. Whoever it was asked for is unknown after one request, memory is bounded, and the run ends by itself.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use herald::delivery::recipient::RecipientState;

use super::support::bad_peer::{Answer, BadPeer, hang_up};
use super::support::campaign::Campaign;
use super::support::judge::Judgement;
use super::support::stage::Stage;
use super::support::{machine, memory};

const A_FEW: usize = 12;
/// Of those that are waited for until a timeout, one at a time.
const VERY_FEW: usize = 2;
const TAKEN: &str = "{\"recipient_id\":\"24005550001\",\"message_id\":\"m_1\"}";

/// Runs to the end; how often the provider was asked, and how many stand where.
fn answered(name: &str, recipients: usize, answer: Answer) -> (usize, Judgement) {
    let _machine = machine::among_others();
    let stage = Stage::without_provider();
    let peer = BadPeer::listen(stage.address(), answer);
    let campaign = Campaign { request_timeout_seconds: 1, ..Campaign::new(name, recipients, 40) };
    let ended = stage.run(&[campaign]);
    assert!(ended.peak_kib > 0 && ended.peak_kib < memory::most_kib(), "{} KiB", ended.peak_kib);
    assert!(!ended.messages.contains("panicked"), "{}", ended.messages);
    // The provider keeps no record here: who is sent is not looked for in it.
    (peer.requests(), Judgement::without_record(&stage))
}

#[track_caller]
fn all_unknown_after_one_request_each(name: &str, recipients: usize, answer: Answer) {
    let (requests, judgement) = answered(name, recipients, answer);
    assert_eq!(judgement.sums(), [0, 0, 0, recipients, 0, 0]);
    assert_eq!(requests, recipients, "one request each");
}

fn respond(peer: &mut TcpStream, length: usize, body: &str) -> io::Result<()> {
    write!(peer, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[test]
fn an_answer_as_it_should_be_counts() {
    let (requests, judgement) = answered("proper", A_FEW, |peer| respond(peer, TAKEN.len(), TAKEN));
    assert_eq!((requests, judgement.count(RecipientState::Sent)), (A_FEW, A_FEW));
}

#[test]
fn a_length_that_is_too_short_is_not_read_as_an_answer_nor_its_rest_as_the_next() {
    all_unknown_after_one_request_each("short-length", A_FEW, |peer| respond(peer, TAKEN.len() / 2, TAKEN));
}

#[test]
fn a_second_answer_is_not_taken_for_that_to_the_next_request() {
    all_unknown_after_one_request_each("two-answers", A_FEW, |peer| {
        respond(peer, 4, "none")?;
        respond(peer, TAKEN.len(), TAKEN)
    });
}

#[test]
fn a_length_that_is_too_long_is_waited_for_no_longer_than_the_timeout() {
    all_unknown_after_one_request_each("long-length", VERY_FEW, |peer| respond(peer, TAKEN.len() + 100, TAKEN));
}

#[test]
fn two_lengths_are_unknown() {
    all_unknown_after_one_request_each("two-lengths", A_FEW, |peer| {
        write!(peer, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-length: 2\r\n\r\n{TAKEN}", TAKEN.len())
    });
}

#[test]
fn chunks_that_are_none_are_unknown() {
    all_unknown_after_one_request_each("no-chunks", A_FEW, |peer| {
        write!(peer, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{TAKEN}\r\n0\r\n\r\n")
    });
}

#[test]
fn another_protocol_is_unknown() {
    all_unknown_after_one_request_each("not-http", A_FEW, |peer| {
        write!(peer, "SSH-2.0-OpenSSH_9.9\r\n")?;
        hang_up()
    });
}

#[test]
fn headers_without_end_do_not_fill_the_memory() {
    all_unknown_after_one_request_each("endless-headers", A_FEW, |peer| {
        write!(peer, "HTTP/1.1 200 OK\r\n")?;
        loop {
            write!(peer, "x-more: {}\r\n", "x".repeat(8_000))?;
        }
    });
}

#[test]
fn a_body_without_end_does_not_fill_the_memory() {
    all_unknown_after_one_request_each("endless-body", A_FEW, |peer| {
        write!(peer, "HTTP/1.1 200 OK\r\n\r\n{{\"padding\":\"")?;
        loop {
            peer.write_all(&[b'x'; 8_000])?;
        }
    });
}

#[test]
fn an_answer_that_takes_longer_than_the_timeout_byte_by_byte_is_unknown() {
    all_unknown_after_one_request_each("byte-by-byte", VERY_FEW, |peer| {
        write!(peer, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", TAKEN.len())?;
        for byte in TAKEN.bytes() {
            std::thread::sleep(Duration::from_millis(300));
            peer.write_all(&[byte])?;
        }
        Ok(())
    });
}
