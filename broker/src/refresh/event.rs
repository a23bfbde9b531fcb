//! Input and output of the machine.

use crate::credential::lease::{Class, Failure, Fresh, Lease};
use crate::system::time::Boot;

/// State of a credential when its machine starts.
#[derive(Default)]
pub struct InitialState {
    /// True if there is a source that can be asked. Without one (a persona, or an environment token
    /// alone) the machine never fetches and never wakes.
    pub refreshable: bool,
    /// The leases that the previous daemon left behind, in any order. Without a source: the only
    /// lease that there will ever be.
    pub leases: Vec<Lease>,
    /// [`Held::rejected`](super::Held::rejected) as it was saved with the leases.
    pub rejected: Vec<[u8; 32]>,
    /// The provision-time token, with the deadline that the caller has determined for it.
    pub fallback: Option<Lease>,
    /// Reason why the configured source can't be used, if it can't.
    pub failure: Option<Failure>,
}

/// Event that the driver reports to the machine.
pub enum Event {
    /// The timer fired, or the wall clock was set.
    Due,
    /// A caller found no live lease.
    Demand,
    /// A caller asked for a refresh explicitly. An operator's request reaches the source at once,
    /// except during a `Retry-After`. Other users' requests are throttled.
    RefreshRequested { operator: bool },
    /// A host rejected the token with this SHA-256.
    Rejected { sha256: [u8; 32] },
    /// The source's file changed: the bearer file of a platform, or the credential file itself.
    SourceChanged,
    /// The fetch in flight has ended.
    Fetched(Result<Fresh, Failure>),
}

/// Work that an event causes for the driver, and the event's outcome.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// True if the driver must start a fetch now. [`Event::Fetched`] must follow.
    pub fetch: bool,
    /// When to send [`Event::Due`]. `None` while a fetch is in flight, and always if there is no
    /// source.
    pub wake_at: Option<Boot>,
    pub outcome: RefreshOutcome,
}

/// Outcome of an event, for logs, metrics, sinks and waiting callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// Nothing to do: no fetch is due, the rejected token isn't held, a refresh has just
    /// succeeded, or a live lease can be served.
    Idle,
    /// A fetch has started.
    Asking,
    /// A fetch was in flight already. Its outcome answers this event too.
    Joined,
    /// A back-off or the source's `Retry-After` forbids a fetch until `wake_at`. The last error is
    /// the answer.
    BackingOff,
    /// There is no source to ask.
    NoSource,
    /// The source gave a new token, which is the current one now.
    Refreshed { generation: u64 },
    /// The source repeated the current token.
    SameToken,
    /// The source gave another token, but it expires before the current one and was discarded.
    ExpiresSooner,
    /// The fetch failed, or brought a token that has already expired.
    Failed(Class),
    /// The current token was rejected. [`Action::fetch`] tells whether that started a fetch.
    Rejected,
    /// The fallback was rejected and won't be served again.
    FallbackRejected,
    /// The current token was rejected, but it is so new that some of its host's servers may not
    /// know it yet.
    TooFresh,
    /// The current token was rejected again. [`Action::fetch`] tells whether that started a fetch.
    RejectedAgain,
}
