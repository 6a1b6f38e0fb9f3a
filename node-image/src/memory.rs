//! Whether memory is short.
//!
//! Counted is the data set as the store estimates it. Not known here: which command asks.

use crate::config::Name;
use crate::core::Core;

/// True when the data set is at `maxmemory` or above.
pub fn is_short(core: &Core) -> bool {
    let limit = core.config.size(Name::Maxmemory);
    let exempt = core.replication.is_replica() && core.config.yes(Name::ReplicaIgnoreMaxmemory);
    limit > 0 && !exempt && core.store.used_bytes() > limit
}
