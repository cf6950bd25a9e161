//! [`Throttle`]: how fast upkeep may go, and when it is to stop.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Upkeep was told to stop; what it has done is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;

/// A rate limit and a way to stop.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    /// Bytes a second that may be read or written, or what else is counted in [`Self::spend`]; no limit if `None`.
    pub bytes_per_sec: Option<u64>,
    /// Cancelled when upkeep is to stop between two steps.
    pub stop: CancellationToken,
}

impl Throttle {
    /// Allows a step that reads or writes so many bytes; returns when the time that it may take has passed.
    pub async fn spend(&self, bytes: u64) -> Result<(), Stopped> {
        if self.stop.is_cancelled() {
            return Err(Stopped);
        }
        if let Some(rate) = self.bytes_per_sec {
            let time = Duration::from_millis(bytes.saturating_mul(1000) / rate.max(1));
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = self.stop.cancelled() => return Err(Stopped),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pace_ends_when_told() {
        let throttle = Throttle { bytes_per_sec: Some(1), ..Throttle::default() };
        let waiting = throttle.spend(1_000_000);
        let stop = throttle.stop.clone();
        let (spent, ()) = tokio::join!(waiting, async move { stop.cancel() });
        assert_eq!(spent, Err(Stopped));
        assert_eq!(Throttle::default().spend(u64::MAX).await, Ok(()));
    }
}
