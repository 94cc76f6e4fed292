//! What both ends of a connection settle on.

use std::time::Duration;

/// A host that vanished without a word is noticed after twice this.
pub const KEEPALIVE: Duration = Duration::from_secs(5);
/// What may be on its way before the receiver has taken it, in bytes: more than a version of most networks.
pub const WINDOW: u32 = 8 << 20;
/// The bytes of a frame, and of a chunk that is sent: they pass through the processor's second-level cache on their way, and
/// most networks are one.
pub const FRAME: u32 = 1 << 19;
