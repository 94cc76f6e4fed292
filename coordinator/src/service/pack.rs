//! The data pack, served in chunks out of the mapped file.

use std::sync::Arc;

use bytes::Bytes;
use lyceum_common::pack::Pack;
use lyceum_common::wire::{chunks, pb};

struct Mapped(Arc<Pack>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// The chunks of a pack, in order, without a copy.
pub(super) fn stream(pack: Arc<Pack>) -> impl Iterator<Item = pb::Chunk> {
    chunks(Bytes::from_owner(Mapped(pack)))
}
