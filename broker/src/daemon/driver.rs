//! Performs the decisions of one credential's machine: starts its fetches, sets its alarm and
//! publishes the held leases.

use std::future::{Future, pending};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::credential::lease::{Class, Failure, Fresh, SourceKind};
use crate::daemon::store::{LeaseWriter, RefreshAsk};
use crate::refresh::{Action, Event, Held, Machine, RefreshOutcome};
use crate::source::{Source, Watch};
use crate::system::clock::{self, Alarm};

/// Callback for the outcome of each event. It runs after the outcome was published.
pub type Observer = Arc<dyn Fn(Observed<'_>) + Send + Sync>;

/// The state of one credential after an event.
pub struct Observed<'a> {
    pub credential: &'a str,
    /// Kind of the credential's source, if it has one.
    pub source: Option<SourceKind>,
    pub outcome: RefreshOutcome,
    pub held: &'a Held,
}

pub struct Driver {
    pub name: Arc<str>,
    pub machine: Machine,
    /// The action that the machine returned when it was created.
    pub first_action: Action,
    /// `None` if there is no source to ask. Then the driver only records rejections.
    pub source: Option<Arc<Source>>,
    pub writer: LeaseWriter,
    pub observer: Observer,
}

/// Time added to a source's own time limit, so that a timeout inside the source, whose error
/// says more, comes first. The limit itself may depend on a process that was stopped.
const GRACE: Duration = Duration::from_millis(500);

type Fetch = Pin<Box<dyn Future<Output = Result<Fresh, Failure>> + Send>>;

impl Driver {
    /// Runs until no reader is left, or until it is dropped.
    ///
    /// # Errors
    /// Returns an error if no descriptor is left for the alarm.
    pub async fn run(self) -> io::Result<()> {
        let Self { name, mut machine, first_action, source, mut writer, observer } = self;
        let alarm = Alarm::new()?;
        let kind = source.as_deref().map(Source::kind);
        let mut watch = source.as_deref().and_then(Source::watched).map(|path| Watch::new(PathBuf::from(path)));
        let mut fetch: Option<Fetch> = None;
        let mut waiting: Vec<oneshot::Sender<RefreshOutcome>> = Vec::new();
        let mut action = first_action;
        loop {
            if action.fetch
                && let Some(source) = source.clone()
            {
                if let Some(watch) = &mut watch {
                    watch.look();
                }
                fetch = Some(Box::pin(fetch_within(source, machine.attempt_timeout())));
            }
            alarm.set(action.wake_at)?;
            let event = tokio::select! {
                ask = writer.next_ask() => match ask {
                    None => return Ok(()),
                    Some(RefreshAsk::Demand) => Event::Demand,
                    Some(RefreshAsk::Rejected { sha256 }) => Event::Rejected { sha256 },
                    Some(RefreshAsk::Refresh { operator, outcome }) => {
                        waiting.push(outcome);
                        Event::RefreshRequested { operator }
                    }
                },
                result = await_fetch(&mut fetch) => {
                    fetch = None;
                    Event::Fetched(result)
                }
                rang = alarm.ring() => rang.map(|()| Event::Due)?,
                () = await_change(&mut watch) => Event::SourceChanged,
            };
            action = machine.on(clock::now(), clock::jitter(), event);
            writer.publish(machine.held());
            let (outcome, held) = (action.outcome, machine.held());
            observer(Observed { credential: &name, source: kind, outcome, held });
            if fetch.is_none() && !action.fetch {
                for answer in waiting.drain(..) {
                    // The caller may have gone away.
                    let _ = answer.send(action.outcome);
                }
            }
        }
    }
}

async fn fetch_within(source: Arc<Source>, limit: Duration) -> Result<Fresh, Failure> {
    timeout(limit + GRACE, source.fetch()).await.unwrap_or_else(|_| {
        Err(Failure::new(
            Class::Timeout,
            format!("its source gave no answer within {limit:?}; is its process stopped?"),
        ))
    })
}

async fn await_fetch(fetch: &mut Option<Fetch>) -> Result<Fresh, Failure> {
    match fetch {
        Some(fetch) => fetch.await,
        None => pending().await,
    }
}

async fn await_change(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => pending().await,
    }
}
