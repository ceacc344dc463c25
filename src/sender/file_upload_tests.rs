use super::*;

fn fault(kind: FaultKind) -> SourceFault {
    let place = "https://a.example/canary.png".to_owned();
    SourceFault { kind, place, problem: "what is wrong".into(), remedy: "what to do".into() }
}

/// Whether the upload is tried again, and what is said.
fn tried_again(kind: FaultKind) -> (bool, Fault) {
    match not_had(&fault(kind)) {
        Upload::Failed(Outcome::NotSent { fault }) => (true, fault),
        Upload::Unusable { fault } => (false, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_is_slow_or_breaks_off_or_does_not_come_at_all_is_asked_for_again_and_one_that_is_too_large_is_not() {
    for (kind, again, reason) in [
        (FaultKind::TooSlow, true, BROKE_OFF),
        (FaultKind::BrokenOff, true, BROKE_OFF),
        (FaultKind::Unreachable, true, BROKE_OFF),
        (FaultKind::TooLarge, false, TOO_LARGE),
        (FaultKind::Refused, false, BROKE_OFF),
        (FaultKind::Invalid, false, BROKE_OFF),
    ] {
        let (is_again, fault) = tried_again(kind);
        assert_eq!((is_again, fault.reason.as_str()), (again, reason), "{kind:?}");
        assert_eq!(fault.message, "what is wrong; what to do", "{kind:?}");
    }
}

#[test]
fn a_file_that_may_not_be_asked_for_from_here_is_left_for_the_provider_to_fetch() {
    let Upload::Failed(Outcome::Permanent { fault, .. }) = not_had(&fault(FaultKind::NotAllowed)) else {
        panic!("it is refused, or tried again")
    };
    assert_eq!((fault.reason.as_str(), fault.message.as_str()), ("SourceNotAllowed", "what is wrong; what to do"));
}
