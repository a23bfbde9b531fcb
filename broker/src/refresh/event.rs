//! What the machine is told, and what it answers.

use crate::credential::lease::{Class, Failure, Fresh, Lease};
use crate::system::time::Boot;

/// What there is when the machine starts.
#[derive(Default)]
pub struct InitialState {
    /// Whether there is a source that can be asked. Without one (a persona, or
    /// an environment token alone) the machine never fetches and never wakes.
    pub refreshable: bool,
    /// What the one before left behind, in any order; or the one lease there
    /// will ever be.
    pub leases: Vec<Lease>,
    /// [`Held::rejected`](super::Held::rejected) as it was kept with them.
    pub rejected: Vec<[u8; 32]>,
    /// The provision-time token. Its deadline is for its giver to set.
    pub fallback: Option<Lease>,
    /// Why there is no source, where one was configured and can't be used.
    pub failure: Option<Failure>,
}

pub enum Event {
    /// The timer fired, or the time jumped.
    Due,
    /// A caller found nothing live.
    Demand,
    /// A caller asked for a refresh explicitly. An operator's request reaches
    /// the source at once; another user's is throttled.
    RefreshRequested { operator: bool },
    /// A host rejected the token with this SHA-256.
    Rejected { sha256: [u8; 32] },
    /// The file behind the source changed: its bearer, or the credential itself.
    SourceChanged,
    /// The fetch in flight ended.
    Fetched(Result<Fresh, Failure>),
}

#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// InitialState a fetch now; [`Event::Fetched`] must follow.
    pub fetch: bool,
    /// When to send [`Event::Due`]. `None` while a fetch is in flight, and for
    /// ever where there is no source.
    pub wake_at: Option<Boot>,
    pub outcome: RefreshOutcome,
}

/// What came of the event, for logs, metrics, sinks and whoever waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// Nothing to do: not due yet, not ours, just done, or something live is in
    /// hand.
    Idle,
    /// A fetch started.
    Asking,
    /// One was in flight already, and this joins it.
    Joined,
    /// A back-off or the source's own wish holds until `wake_at`: the last
    /// error is the answer.
    BackingOff,
    /// There is no source to ask.
    NoSource,
    Refreshed {
        generation: u64,
    },
    /// The source repeated the token in hand.
    SameToken,
    /// Another token, which dies before the one in hand, was put aside.
    ExpiresSooner,
    Failed(Class),
    /// The token in hand was rejected; `Action::fetch` tells whether that
    /// started a fetch.
    Rejected,
    /// The fallback was rejected and won't be served again.
    FallbackRejected,
    /// A token so young was rejected that its host may not know it yet.
    TooFresh,
    /// A rejection that was known already; `Action::fetch` as for the first.
    RejectedAgain,
}
