//! Connects the two halves of the daemon: the refresh side publishes the leases of each
//! credential, the socket side reads them.
//!
//! Only the `LeaseWriter` can publish; readers hold a different type. A reader can notify the
//! refresh side of an event, but can never reach a source.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::refresh::{Held, RefreshOutcome};

/// Length of the queue to the refresh side, which handles each entry in microseconds. When the
/// queue is full, one more entry would add nothing.
const QUEUE: usize = 64;

/// The refresh side's half of one credential.
pub struct LeaseWriter {
    held: watch::Sender<Arc<Held>>,
    asks: mpsc::Receiver<RefreshAsk>,
}

/// The socket side's half of one credential.
#[derive(Clone)]
pub struct LeaseReader {
    held: watch::Receiver<Arc<Held>>,
    asks: mpsc::Sender<RefreshAsk>,
}

/// A message from a request to the refresh side.
#[derive(Debug)]
pub enum RefreshAsk {
    /// A caller has nothing live and waits.
    Demand,
    /// A host rejected the secret with this SHA-256.
    Rejected { sha256: [u8; 32] },
    /// A caller asked for a refresh explicitly and waits for its outcome. An operator's
    /// request isn't throttled.
    Refresh { operator: bool, outcome: oneshot::Sender<RefreshOutcome> },
}

/// Error for a refresh side that has ended: the daemon stops, or a reload removed the
/// credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Creates the two halves for one credential.
#[must_use]
pub fn lease_channel(first: Held) -> (LeaseWriter, LeaseReader) {
    let (held, readable) = watch::channel(Arc::new(first));
    let (sender, asks) = mpsc::channel(QUEUE);
    (LeaseWriter { held, asks }, LeaseReader { held: readable, asks: sender })
}

impl LeaseWriter {
    pub fn publish(&self, held: &Held) {
        self.held.send_replace(Arc::new(held.clone()));
    }

    /// Waits for the next message. Returns `None` once no reader is left.
    pub async fn next_ask(&mut self) -> Option<RefreshAsk> {
        self.asks.recv().await
    }
}

impl LeaseReader {
    #[must_use]
    pub fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.borrow())
    }

    /// Waits until leases are published that this reader hasn't seen.
    ///
    /// # Errors
    /// Returns [`Gone`] if the refresh side has ended.
    pub async fn changed(&mut self) -> Result<(), Gone> {
        self.held.changed().await.map_err(|_| Gone)
    }

    /// Sends a message to the refresh side without waiting. A full queue drops it: one more
    /// message would add nothing.
    pub fn tell(&self, ask: RefreshAsk) {
        let _ = self.asks.try_send(ask);
    }

    /// Asks for a refresh. The receiver gets its outcome.
    ///
    /// # Errors
    /// Returns [`Gone`] if the refresh side has ended.
    pub async fn refresh(&self, operator: bool) -> Result<oneshot::Receiver<RefreshOutcome>, Gone> {
        let (outcome, receiver) = oneshot::channel();
        self.asks.send(RefreshAsk::Refresh { operator, outcome }).await.map_err(|_| Gone)?;
        Ok(receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(generation: u64) -> Held {
        Held { generation, ..Held::default() }
    }

    #[tokio::test]
    async fn every_reader_sees_what_was_published() {
        let (writer, mut reader) = lease_channel(held(1));
        let other = reader.clone();
        writer.publish(&held(2));
        assert_eq!(reader.changed().await, Ok(()));
        assert_eq!((reader.held().generation, other.held().generation), (2, 2));
        drop(writer);
        assert_eq!(reader.changed().await, Err(Gone));
        assert_eq!(reader.held().generation, 2);
    }

    #[tokio::test]
    async fn a_readers_asks_reach_the_writer_in_order() {
        let (mut writer, reader) = lease_channel(held(1));
        reader.tell(RefreshAsk::Demand);
        let outcome = reader.refresh(true).await.unwrap();
        assert!(matches!(writer.next_ask().await, Some(RefreshAsk::Demand)));
        let Some(RefreshAsk::Refresh { outcome: answer, .. }) = writer.next_ask().await else {
            panic!("expected the refresh that was asked for")
        };
        answer.send(RefreshOutcome::SameToken).unwrap();
        assert_eq!(outcome.await, Ok(RefreshOutcome::SameToken));
        drop(reader);
        assert!(writer.next_ask().await.is_none(), "no reader is left");
    }

    #[tokio::test]
    async fn a_full_queue_blocks_no_reader() {
        let (mut writer, reader) = lease_channel(held(1));
        for _ in 0..=QUEUE {
            reader.tell(RefreshAsk::Demand);
        }
        drop(reader);
        let mut received = 0;
        while writer.next_ask().await.is_some() {
            received += 1;
        }
        assert_eq!(received, QUEUE);
    }
}
