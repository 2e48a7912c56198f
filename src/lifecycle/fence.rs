//! The fence: at most one writer at a time, though Odoo knows no fencing token.
//!
//! A worker that has had no heartbeat accepted for [`SILENCE`] sends nothing more, and a call it has already sent is
//! over after [`CALL_TIMEOUT`]. So whoever has seen no new heartbeat for the sum of both may start a successor.

use jiff::{SignedDuration, Timestamp};

/// How long a worker may send after its last accepted heartbeat.
pub const SILENCE: SignedDuration = SignedDuration::from_secs(20);
/// How long a call to Odoo may take.
pub const CALL_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
/// How often a worker beats.
pub const BEAT_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// The worker's side: whether it may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    /// When the last heartbeat that was accepted had been *sent*.
    accepted: Option<Timestamp>,
    closed: bool,
}

impl Fence {
    /// A heartbeat that was sent at this time has been accepted. The time of sending counts: the answer may be late.
    pub fn accept(&mut self, sent: Timestamp) {
        self.accepted = self.accepted.max(Some(sent));
    }

    /// The attempt was superseded: never again.
    pub const fn close(&mut self) {
        self.closed = true;
    }

    /// Whether the attempt was superseded.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether a call may be sent now.
    #[must_use]
    pub fn may_send(&self, now: Timestamp) -> bool {
        !self.closed && self.accepted.is_some_and(|at| now.duration_since(at) < SILENCE)
    }
}

/// The operator's side: when no call of a worker can be under way any more, by the last sign of it that was seen.
#[must_use]
pub fn silent_at(last_sign: Timestamp) -> Timestamp {
    last_sign
        .saturating_add(SILENCE + CALL_TIMEOUT)
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn nothing_is_sent_before_the_first_accepted_beat_and_20_seconds_after_the_last() {
        let mut fence = Fence::default();
        assert!(!fence.may_send(at(0)));
        fence.accept(at(100));
        assert!(fence.may_send(at(119)));
        assert!(!fence.may_send(at(120)));
        fence.accept(at(110));
        fence.accept(at(105));
        assert!(fence.may_send(at(129)), "an answer that came late takes nothing back");
    }

    #[test]
    fn a_closed_fence_stays_closed() {
        let mut fence = Fence::default();
        fence.accept(at(1));
        fence.close();
        fence.accept(at(2));
        assert!(fence.is_closed() && !fence.may_send(at(2)));
    }

    #[test]
    fn a_successor_never_meets_a_call_of_the_one_before() {
        let mut fence = Fence::default();
        fence.accept(at(0));
        let last_call = (0..1000).rev().find(|second| fence.may_send(at(*second))).unwrap();
        assert!(at(last_call) + CALL_TIMEOUT < silent_at(at(0)));
    }
}
