//! Choosing an instruction set, and running a kernel with it.

use std::fmt;
use std::str::FromStr;

use super::lanes::Lanes;
use super::portable::Portable;
use super::real::Real;

/// An algorithm over sixteen lanes, with its arguments.
///
/// `run` and all that it calls are `#[inline(always)]`, so that they are compiled anew inside the one function of each
/// instruction set that enables its features.
#[doc(hidden)]
pub trait Kernel<T: Real> {
    /// What it returns.
    type Output;

    /// Runs with lanes of type `L`.
    ///
    /// # Safety
    /// The machine has the instructions of `L`.
    #[expect(private_bounds, reason = "only this folder writes kernels")]
    unsafe fn run<L: Lanes<Scalar = T>>(self) -> Self::Output;
}

/// A set of vector instructions that this machine has.
///
/// Only [`InstructionSet::available`] makes values, so one that is there can be used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InstructionSet(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl InstructionSet {
    /// Plain Rust, on every machine.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// All that this machine has, the slowest first.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        let mut sets = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                sets.push(Self(Kind::Avx2));
            }
            if is_x86_feature_detected!("avx512f") {
                sets.push(Self(Kind::Avx512));
            }
        }
        #[cfg(target_arch = "aarch64")]
        sets.push(Self(Kind::Neon));
        sets.into_iter()
    }

    /// The fastest that this machine has.
    #[must_use]
    pub fn best() -> Self {
        Self::available().next_back().unwrap_or(Self::PORTABLE)
    }

    /// Its name: `portable`, `avx2`, `avx512` or `neon`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "neon",
        }
    }

    /// Whether it multiplies pairs of bfloat16 at once.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(super) fn has_bfloat16(self) -> bool {
        self.0 == Kind::Avx512
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
    }

    /// Runs a kernel on f32.
    #[inline]
    pub(super) fn run_f32<K: Kernel<f32>>(self, kernel: K) -> K::Output {
        match self.0 {
            // SAFETY: plain Rust.
            Kind::Portable => unsafe { kernel.run::<Portable<f32>>() },
            // SAFETY: a value of this kind is made only where the machine was asked and has AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { with_avx2(kernel) },
            // SAFETY: likewise AVX-512F.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { with_avx512(kernel) },
            // SAFETY: every AArch64 machine has NEON.
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => unsafe { kernel.run::<super::aarch64::Neon>() },
        }
    }
}

/// # Safety
/// The machine has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn with_avx2<K: Kernel<f32>>(kernel: K) -> K::Output {
    // SAFETY: the features are enabled here.
    unsafe { kernel.run::<super::x86_64::Avx2>() }
}

/// # Safety
/// The machine has AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn with_avx512<K: Kernel<f32>>(kernel: K) -> K::Output {
    // SAFETY: the features are enabled here.
    unsafe { kernel.run::<super::x86_64::Avx512>() }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const ROUND: f64 = 12_582_912.0;
    // The smallest relative error of any polynomial of degree 5: 1.1e-8.
    const EXP_SERIES: &'static [f64] = &[
        1.000_000_010_629_145_6,
        0.499_999_981_245_872_97,
        0.166_665_062_077_184_5,
        0.041_667_136_245_577_89,
        0.008_369_069_884_128_18,
        0.001_388_887_263_492_76,
    ];
    const LN_TERMS: usize = 4;
    const EXP_LIMIT: f64 = 87.0;
    const TANH_LIMIT: f64 = 10.0;

    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }

    #[inline]
    fn dispatch<K: Kernel<Self>>(instruction_set: InstructionSet, kernel: K) -> K::Output {
        instruction_set.run_f32(kernel)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const ROUND: Self = 6_755_399_441_055_744.0;
    // Taylor's.
    const EXP_SERIES: &'static [Self] = &[
        1.0,
        1.0 / 2.0,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
        1.0 / 5_040.0,
        1.0 / 40_320.0,
        1.0 / 362_880.0,
        1.0 / 3_628_800.0,
        1.0 / 39_916_800.0,
        1.0 / 479_001_600.0,
        1.0 / 6_227_020_800.0,
    ];
    const LN_TERMS: usize = 10;
    const EXP_LIMIT: Self = 708.0;
    const TANH_LIMIT: Self = 20.0;

    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }

    #[inline]
    fn dispatch<K: Kernel<Self>>(_: InstructionSet, kernel: K) -> K::Output {
        // SAFETY: plain Rust.
        unsafe { kernel.run::<Portable<Self>>() }
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a name stands for no instruction set of this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this machine has no instruction set `{name}`; it has {}", available.join(", "))]
pub struct UnknownInstructionSet {
    /// The name given.
    pub name: String,
    /// The names that would do.
    pub available: Vec<&'static str>,
}

impl FromStr for InstructionSet {
    type Err = UnknownInstructionSet;

    fn from_str(name: &str) -> Result<Self, UnknownInstructionSet> {
        Self::available().find(|set| set.name() == name).ok_or_else(|| UnknownInstructionSet {
            name: name.to_owned(),
            available: Self::available().map(Self::name).collect(),
        })
    }
}
