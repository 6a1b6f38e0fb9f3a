//! Pauses: CLIENT PAUSE, and the cluster's pause of writes during a hand-over.
//!
//! Both can be on at the same time; the longer and the stronger one wins. Not known here: which
//! clients wait, and for what.

/// What a pause stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stops {
    /// Commands that may write.
    Writes,
    /// All commands.
    All,
}

/// The pauses in force.
#[derive(Debug, Default)]
pub struct Pauses {
    by_client: Option<(Stops, i64)>,
    by_cluster: Option<i64>,
}

impl Pauses {
    /// CLIENT PAUSE. A pause in force is only ever made longer and stronger by another one.
    pub fn pause(&mut self, stops: Stops, until_ms: i64, now_ms: i64) {
        let (old_stops, old_until) =
            self.by_client.filter(|(_, until)| *until > now_ms).unwrap_or((stops, until_ms));
        self.by_client = Some((stops.max(old_stops), until_ms.max(old_until)));
    }

    /// CLIENT UNPAUSE.
    pub fn unpause(&mut self) {
        self.by_client = None;
    }

    /// The cluster stops writes until then, or (with `None`) no longer.
    pub fn set_cluster(&mut self, until_ms: Option<i64>) {
        self.by_cluster = until_ms;
    }

    /// What is stopped now.
    pub fn stops(&self, now_ms: i64) -> Option<Stops> {
        let client = self.by_client.filter(|(_, until)| *until > now_ms).map(|(stops, _)| stops);
        let cluster = self.by_cluster.filter(|until| *until > now_ms).map(|_| Stops::Writes);
        client.max(cluster)
    }

    /// True when writes are stopped.
    pub fn writes_paused(&self, now_ms: i64) -> bool {
        self.stops(now_ms).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_never_shortened_or_weakened_by_another() {
        let mut pauses = Pauses::default();
        pauses.pause(Stops::All, 100, 0);
        pauses.pause(Stops::Writes, 50, 0);
        assert_eq!(pauses.stops(60), Some(Stops::All));
        assert_eq!(pauses.stops(100), None);
        pauses.pause(Stops::Writes, 200, 150);
        assert_eq!(pauses.stops(160), Some(Stops::Writes));
    }

    #[test]
    fn the_clusters_pause_outlives_unpause() {
        let mut pauses = Pauses::default();
        pauses.pause(Stops::All, 100, 0);
        pauses.set_cluster(Some(80));
        pauses.unpause();
        assert_eq!(pauses.stops(10), Some(Stops::Writes));
        assert_eq!(pauses.stops(80), None);
    }
}
