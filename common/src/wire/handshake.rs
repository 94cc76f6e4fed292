//! Joining: who a worker is, and what it needs to know about the run.

use crate::config::RunConfig;
use crate::ids::{Digest, WorkerId};
use crate::layout::{Initialisation, Layout, Role};

use super::{PROTOCOL_VERSION, WireError, digest, digest_bytes, generated};

/// The longest name that a worker may have, in bytes.
const NAME_BYTES: usize = 255;
/// The most threads that a worker may say it has.
const THREADS: u32 = 1 << 16;

/// Who a worker is and what it can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// A name for people.
    pub name: String,
    /// How many episodes it computes at a time.
    pub threads: u32,
    /// What it computes with, for people.
    pub instruction_set: String,
}

/// What a worker needs to know about the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// Its number.
    pub worker: WorkerId,
    /// The run's configuration.
    pub config: RunConfig,
    /// What the meta-parameters consist of. Initialisations do not travel: they are the coordinator's affair.
    pub layout: Layout,
    /// The data pack, where the run has one.
    pub pack: Option<PackInfo>,
}

/// Which data pack a run draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackInfo {
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// The other side speaks another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the worker speaks version {worker} of the protocol, and the coordinator version {coordinator}"
)]
pub struct VersionMismatch {
    /// The worker's version.
    pub worker: u32,
    /// The coordinator's version.
    pub coordinator: u32,
}

/// Whether a worker of this version can join.
///
/// # Errors
/// Where it cannot.
pub fn check_version(worker: u32) -> Result<(), VersionMismatch> {
    if worker == PROTOCOL_VERSION {
        Ok(())
    } else {
        Err(VersionMismatch { worker, coordinator: PROTOCOL_VERSION })
    }
}

impl From<Hello> for generated::Hello {
    fn from(hello: Hello) -> Self {
        let Hello { name, threads, instruction_set } = hello;
        Self { protocol_version: PROTOCOL_VERSION, name, threads, instruction_set }
    }
}

impl TryFrom<generated::Hello> for Hello {
    type Error = WireError;

    fn try_from(hello: generated::Hello) -> Result<Self, WireError> {
        let generated::Hello { protocol_version: _, name, threads, instruction_set } = hello;
        for (field, text) in [("hello.name", &name), ("hello.instruction_set", &instruction_set)] {
            if text.len() > NAME_BYTES {
                return Err(WireError::new(field, format!("longer than {NAME_BYTES} bytes")));
            }
            // It is shown on terminals.
            if text.chars().any(char::is_control) {
                return Err(WireError::new(field, "holds a control character"));
            }
        }
        if !(1..=THREADS).contains(&threads) {
            return Err(WireError::new(
                "hello.threads",
                format!("{threads} is not in 1..={THREADS}"),
            ));
        }
        Ok(Self { name, threads, instruction_set })
    }
}

impl From<Welcome> for generated::Welcome {
    fn from(welcome: Welcome) -> Self {
        Self {
            protocol_version: PROTOCOL_VERSION,
            worker_id: welcome.worker.0,
            run_config: welcome.config.to_toml(),
            layout: Some((&welcome.layout).into()),
            pack: welcome.pack.map(|pack| generated::PackInfo {
                digest: digest_bytes(pack.digest),
                size: pack.size,
            }),
        }
    }
}

impl TryFrom<generated::Welcome> for Welcome {
    type Error = WireError;

    fn try_from(welcome: generated::Welcome) -> Result<Self, WireError> {
        let config = RunConfig::from_toml(&welcome.run_config)
            .map_err(|error| WireError::new("welcome.run_config", error.to_string()))?;
        let layout = welcome.layout.ok_or_else(|| WireError::missing("welcome.layout"))?;
        let pack = welcome.pack.map(|pack| {
            Ok(PackInfo { digest: digest(&pack.digest, "welcome.pack.digest")?, size: pack.size })
        });
        Ok(Self {
            worker: WorkerId(welcome.worker_id),
            config,
            layout: layout.try_into()?,
            pack: pack.transpose()?,
        })
    }
}

impl From<&Layout> for generated::Layout {
    fn from(layout: &Layout) -> Self {
        let entries = layout.entries().iter().map(|entry| generated::LayoutEntry {
            name: entry.name.clone(),
            shape: entry.shape.iter().map(|&extent| extent as u64).collect(),
            offset: entry.offset as u64,
            role: match entry.role {
                Role::Trained => generated::Role::Trained,
                Role::Buffer => generated::Role::Buffer,
            }
            .into(),
        });
        Self { entries: entries.collect() }
    }
}

impl TryFrom<generated::Layout> for Layout {
    type Error = WireError;

    fn try_from(layout: generated::Layout) -> Result<Self, WireError> {
        let mut converted = Self::new();
        let mut end: usize = 0;
        for entry in layout.entries {
            let field = "welcome.layout.entries.shape";
            let shape: Option<Vec<usize>> =
                entry.shape.iter().map(|&extent| usize::try_from(extent).ok()).collect();
            let shape =
                shape.ok_or_else(|| WireError::new(field, "an extent beyond this machine's"))?;
            let length =
                shape.iter().try_fold(1_usize, |length, &extent| length.checked_mul(extent));
            if entry.offset != end as u64 {
                let problem =
                    format!("`{}` starts at {} and not at {end}", entry.name, entry.offset);
                return Err(WireError::new("welcome.layout.entries.offset", problem));
            }
            end = length
                .and_then(|length| end.checked_add(length))
                .ok_or_else(|| WireError::new(field, "more numbers than this machine can hold"))?;
            let role = match generated::Role::try_from(entry.role) {
                Ok(generated::Role::Trained) => Role::Trained,
                Ok(generated::Role::Buffer) => Role::Buffer,
                Ok(generated::Role::Unspecified) | Err(_) => {
                    let problem = format!("{} is not a role", entry.role);
                    return Err(WireError::new("welcome.layout.entries.role", problem));
                }
            };
            converted.push(entry.name, &shape, role, Initialisation::Constant(0.0));
        }
        Ok(converted)
    }
}
