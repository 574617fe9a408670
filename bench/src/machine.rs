//! Processes and what they cost, from /proc.

use std::collections::HashMap;
use std::fs;

/// What a process and those below it have used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu_seconds: f64,
    pub memory_mb: f64,
}

/// CPU time of a process, of the living below it, and of those that it has waited for; resident memory of the living.
pub fn usage(pid: u32) -> Usage {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            && let Ok(stat) = fs::read_to_string(entry.path().join("stat"))
            // the name, in parentheses, may hold anything
            && let Some((_, rest)) = stat.rsplit_once(')')
        {
            let fields: Vec<i64> = rest
                .split_whitespace()
                .skip(1)
                .map(|field| field.parse().unwrap_or_default())
                .collect();
            processes.insert(pid, fields);
        }
    }
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        family.extend(
            processes
                .iter()
                .filter(|(_, fields)| fields.first() == Some(&i64::from(parent)))
                .map(|(child, _)| *child),
        );
        at += 1;
    }
    // SAFETY: sysconf only reads
    let (ticks, page) = unsafe { (libc::sysconf(libc::_SC_CLK_TCK) as f64, libc::sysconf(libc::_SC_PAGESIZE) as f64) };
    let mut usage = Usage::default();
    for pid in family {
        // after the state: parent is field 0, utime 10, stime 11, cutime 12, cstime 13, rss 20
        if let Some(fields) = processes.get(&pid) {
            usage.cpu_seconds += fields[10..14].iter().sum::<i64>() as f64 / ticks;
            usage.memory_mb += fields[20] as f64 * page / 1_048_576.0;
        }
    }
    usage
}

/// The processor's name and the number of cores.
pub fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| {
        line.strip_prefix("model name")?
            .split_once(':')
            .map(|(_, name)| name.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores of {}", model.as_deref().unwrap_or("an unnamed processor"))
}
