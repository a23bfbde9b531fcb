//! A machine, a clock that moves only on command, and a source that answers as
//! the test says.

use std::sync::Arc;
use std::time::Duration;

use crate::credential::lease::{Class, Failure, Fresh, Lease, SourceKind};
use crate::credential::secret::Secret;
use crate::refresh::{
    CredentialState, Event, Held, InitialState, Machine, RefreshOutcome, RefreshPolicy, Serving, schedule,
};
use crate::system::time::{Boot, Deadline, Moment};

pub(super) type Answer = Result<Fresh, Failure>;

pub(super) struct Bench {
    pub machine: Machine,
    pub now: Moment,
    pub wake: Option<Boot>,
    /// Instants at which fetches started.
    pub asks: Vec<Boot>,
    drawn: f64,
}

/// An action that was performed.
pub(super) struct Done {
    pub fetch: bool,
    pub wake_at: Option<Boot>,
    pub outcome: RefreshOutcome,
}

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn mins(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// Returns an instant long after boot, in 2026.
pub(super) fn start() -> Moment {
    Moment { boot: secs(5_000), wall: secs(1_776_000_000) }
}

pub(super) fn token(now: Moment, name: &str, life: Duration) -> Answer {
    Ok(Fresh {
        username: None,
        secret: Secret::token(name).unwrap(),
        deadline: Some(Deadline::after(now, life)),
        source: SourceKind::Platform,
    })
}

pub(super) fn failure(class: Class) -> Answer {
    Err(Failure::new(class, "as scripted"))
}

pub(super) fn retry_after(class: Class, wait: Duration) -> Answer {
    Err(Failure { retry_after: Some(wait), ..Failure::new(class, "as scripted") })
}

pub(super) fn sha(name: &str) -> [u8; 32] {
    Secret::token(name).unwrap().sha256()
}

pub(super) fn lease(name: &str, deadline: Option<Deadline>, generation: u64, received: Moment) -> Lease {
    let secret = Secret::token(name).unwrap();
    Lease {
        username: None,
        sha256: secret.sha256(),
        secret: Arc::new(secret),
        deadline,
        generation,
        received,
        source: SourceKind::Platform,
    }
}

/// Returns the provision-time token, with `left` until its hour is over.
pub(super) fn env_token(now: Moment, left: Duration) -> Lease {
    let deadline = Deadline { boot: now.boot + left, wall: Duration::MAX };
    Lease { source: SourceKind::Env, ..lease("ghs_env", Some(deadline), 0, now) }
}

pub(super) fn from_platform() -> InitialState {
    InitialState { refreshable: true, ..InitialState::default() }
}

impl Bench {
    pub(super) fn new(start: InitialState) -> Self {
        Self::with(RefreshPolicy::default(), start, self::start(), 0.3)
    }

    pub(super) fn with(policy: RefreshPolicy, start: InitialState, now: Moment, jitter: f64) -> Self {
        let (machine, action) = Machine::new(policy, start, now, jitter);
        assert!(!action.fetch);
        Self { machine, now, wake: action.wake_at, asks: Vec::new(), drawn: jitter }
    }

    /// Creates a bench that has just got its first token, with an hour to live.
    pub(super) fn served() -> Self {
        let mut bench = Self::new(from_platform());
        bench.send(Event::Demand);
        let first = token(bench.now, "ghs_first", mins(60));
        bench.send(Event::Fetched(first));
        assert_eq!(bench.live(), Some("ghs_first"));
        bench.asks.clear();
        bench
    }

    pub(super) fn send(&mut self, event: Event) -> Done {
        self.drawn = schedule::nth_jitter(self.drawn, 7);
        let ended = matches!(event, Event::Fetched(_));
        let was_in_flight = self.held().in_flight && !ended;
        let action = self.machine.on(self.now, self.drawn, event);
        assert!(!(action.fetch && was_in_flight), "two fetches at once");
        if action.fetch {
            self.asks.push(self.now.boot);
        }
        let held = self.machine.held();
        assert_eq!(held.next_due, action.wake_at);
        assert_eq!(
            action.wake_at.is_none(),
            held.in_flight || !held.refreshable,
            "a wake-up is missing or superfluous"
        );
        self.wake = action.wake_at;
        Done { fetch: action.fetch, wake_at: action.wake_at, outcome: action.outcome }
    }

    pub(super) fn answer(&mut self, answer: Answer) -> RefreshOutcome {
        self.send(Event::Fetched(answer)).outcome
    }

    /// Sends an event that must start a fetch, which ends as given.
    pub(super) fn ask(&mut self, event: Event, answer: Answer) -> RefreshOutcome {
        assert!(self.send(event).fetch);
        self.answer(answer)
    }

    pub(super) fn reject(&mut self, name: &str) -> Done {
        self.send(Event::Rejected { sha256: sha(name) })
    }

    /// Lets time pass. Each time the timer fires, `source` answers the fetch.
    pub(super) fn run_for(&mut self, length: Duration, mut source: impl FnMut(Moment) -> Answer) {
        let end = self.now.plus(length);
        while let Some(wake) = self.wake.filter(|wake| *wake <= end.boot) {
            self.now = self.now.plus(wake.saturating_sub(self.now.boot));
            assert!(self.asks.len() < 100_000, "a hot loop");
            if self.send(Event::Due).fetch {
                let answer = source(self.now);
                self.answer(answer);
            }
        }
        self.now = end;
    }

    pub(super) fn wait(&mut self, length: Duration) {
        self.now = self.now.plus(length);
    }

    /// Time until the timer fires.
    pub(super) fn sleep(&self) -> Duration {
        self.wake.unwrap().saturating_sub(self.now.boot)
    }

    pub(super) fn held(&self) -> &Held {
        self.machine.held()
    }

    /// Returns the token that a caller gets now.
    pub(super) fn live(&self) -> Option<&str> {
        match self.held().serving(self.now) {
            Serving::Live(lease) => Some(lease.secret.expose()),
            Serving::Wait | Serving::Nothing(_) => None,
        }
    }

    pub(super) fn waits(&self) -> bool {
        matches!(self.held().serving(self.now), Serving::Wait)
    }

    pub(super) fn refused(&self) -> Option<CredentialState> {
        match self.held().serving(self.now) {
            Serving::Nothing(state) => Some(state),
            Serving::Live(_) | Serving::Wait => None,
        }
    }

    pub(super) fn state(&self) -> CredentialState {
        self.held().state(self.now)
    }
}

/// Returns a source that mints a token of an hour at each call.
pub(super) fn minting() -> impl FnMut(Moment) -> Answer {
    let mut minted = 0;
    move |now| {
        minted += 1;
        token(now, &format!("ghs_minted{minted}"), mins(60))
    }
}
