//! `herald run` at an endpoint that throttles and says for how long.

use std::time::Duration;

use super::run_support::{Stage, broadcast, people};

fn channel(stage: &Stage) -> String {
    format!(
        "apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: page}}\nspec:\n  http: {{url: \"{}/send\"}}\n  rate: {{messages: 40}}\n---\n",
        stage.base_url
    )
}

/// The longest time between two requests.
fn longest_pause(stage: &Stage) -> Duration {
    let times: Vec<u64> = stage.requests().iter().map(|line| line.time_ns).collect();
    Duration::from_nanos(times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap())
}

#[test]
fn a_throttled_endpoint_is_left_alone_for_as_long_as_it_asks_in_whatever_form() {
    // A date has whole seconds: what is left of the first has passed when it is answered.
    for (wish, seconds) in [("3", 3.0), ("2.5", 2.5), ("4:date", 3.0)] {
        let stage = Stage::open(&["--rate-limit", "10", "--retry-after", wish]);
        let document = channel(&stage) + &broadcast("sale", &people(1, 20));
        stage.write("run.yaml", document);
        stage.run(&[]).exits(0);
        assert_eq!(stage.accepted().len(), 20);
        let throttled = stage.requests().iter().filter(|line| line.status == Some(429)).count();
        assert!(throttled > 0, "{wish}");
        let pause = longest_pause(&stage).as_secs_f64();
        assert!(pause >= seconds - 0.1, "{wish}: the longest pause was {pause} s");
    }
}
