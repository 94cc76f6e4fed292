//! Memory in large pages, which costs fewer look-ups of addresses; and memory that was written past the caches.

/// What a large page is aligned to, in bytes.
pub(crate) const LARGE_PAGE: usize = 2 << 20;

/// Asks the system to keep `numbers` in large pages; a system that cannot is none the worse.
#[cfg(target_os = "linux")]
pub(crate) fn prefer_large_pages<T>(numbers: &mut [T]) {
    let start = numbers.as_mut_ptr();
    let bytes = size_of_val(numbers) / LARGE_PAGE * LARGE_PAGE;
    if bytes > 0 && start.align_offset(LARGE_PAGE) == 0 {
        // SAFETY: the range lies within `numbers`, and the advice changes no value.
        unsafe { libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE) };
    }
}

/// Asks the system to keep `numbers` in large pages; a system that cannot is none the worse.
#[cfg(not(target_os = "linux"))]
pub(crate) fn prefer_large_pages<T>(_: &mut [T]) {}

/// Waits until other threads can see what this one wrote past its caches.
#[cfg(target_arch = "x86_64")]
pub(crate) fn streamed() {
    // SAFETY: every x86-64 has it.
    unsafe { std::arch::x86_64::_mm_sfence() }
}

/// Nothing to wait for: no other machine's lanes write past the caches.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn streamed() {}
