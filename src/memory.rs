//! What the allocator keeps, so that an instance fits into 64 MB (docs/PERFORMANCE.md).
//!
//! glibc gives each thread an arena of its own, up to eight for a core, and keeps in it what was freed. There are more threads than
//! cores here, and starting takes twice the memory that serving does: the document is made, read and let go.

use std::time::Duration;

/// As many arenas as cores. To be called before the first thread starts.
#[cfg(target_env = "gnu")]
pub fn share_arenas(cores: usize) {
    let most = libc::c_int::try_from(cores).unwrap_or(libc::c_int::MAX);
    // SAFETY: mallopt takes two numbers, and no other thread runs yet.
    #[allow(
        unsafe_code,
        reason = "glibc is told by this call or by the environment of who starts the program"
    )]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, most);
    }
}

#[cfg(not(target_env = "gnu"))]
pub fn share_arenas(_: usize) {}

/// Gives back to the system what starting took, once the workers stand.
pub async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
    // SAFETY: malloc_trim takes a number and locks what it looks at.
    #[cfg(target_env = "gnu")]
    #[allow(
        unsafe_code,
        reason = "nothing else gives free pages of other threads back"
    )]
    unsafe {
        libc::malloc_trim(0);
    }
}
