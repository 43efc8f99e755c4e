//! The time that the processor spends, and not the time that goes by: a machine is shared, and what others do on it in
//! between is nobody's here. On an idle machine the two are the same, since nothing here waits.

use std::time::Duration;

/// What this thread has spent.
pub fn this_thread() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to the place it is given. It fails for an unknown clock alone, and then leaves the zeros.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What the processes have spent that this one started, and that have ended.
pub fn children() -> Duration {
    // SAFETY: a `rusage` is numbers, for which zeros are a value, and it is written to as above.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|time| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000))
        .sum()
}
