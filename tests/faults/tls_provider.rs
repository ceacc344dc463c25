//! `herald run` against a provider whose connections take long to open, as those of real ones do.

use std::time::Duration;

use super::support::campaign::Campaign;
use super::support::judge::Judgement;
use super::support::machine;
use super::support::pace::Watcher;
use super::support::stage::Stage;

const RATE: u32 = 100;
const LATENCY: Duration = Duration::from_millis(400);
/// Were connections opened for the messages, this would let a second hold so much more than a second's messages.
const HANDSHAKE: Duration = Duration::from_millis(400);

#[test]
fn the_rate_is_kept_from_the_first_message_on_though_connections_take_long_to_open() {
    let _machine = machine::among_few();
    for senders in [1, 4] {
        let mut stage = Stage::open(&["--latency", &LATENCY.as_millis().to_string()]);
        stage.put_behind_tls(HANDSHAKE);
        let watcher = Watcher::start();
        let name = format!("tls-{senders}");
        let recipients = 400;
        let campaign = Campaign { senders, batch_size: Some(100), ..Campaign::new(&name, recipients, RATE) };
        let ended = stage.run(&[campaign]);
        let waits = watcher.stop();
        ended.expect(0);
        let judgement = Judgement::of(&stage);
        assert_eq!(judgement.sums(), [recipients, 0, 0, 0, 0, 0]);
        assert_eq!(judgement.lines.len(), recipients, "nothing but messages was sent");
        waits.assert_pace(&name, &judgement.lines, &stage.handed_over(), RATE);
        let opened = stage.tls_connections();
        eprintln!("{name}: {opened} connections");
        // 40 on the wire and one, and half as many again; of several senders each may be the last one at work, which
        // sends at the rate alone.
        assert!(opened <= 70 * senders as usize, "{opened} connections");
    }
}
