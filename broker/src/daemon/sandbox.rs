//! Restricts the daemon after its start: it can't execute a program, start a process, inspect
//! another process, or write to any file but its audit file. The runner process, which was
//! started before, starts all other programs for it (see [`crate::runner`]).
//!
//! Best effort: an old kernel restricts less, the log says so, and `status` names the level
//! reached. Reading files stays allowed, because a reload may name other files; the modes of
//! the files restrict it.

use std::collections::BTreeMap;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Compatible, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use nix::libc;
use nix::sys::prctl;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter, sock_filter,
};

use crate::config::{Config, MetricsListen};

/// Newest version of the landlock rules that is requested. An older kernel enforces the rules
/// that it knows.
const LANDLOCK_RULES: ABI = ABI::V6;

/// Closes the sandbox around this thread and all threads that it starts. Returns the level
/// reached, as `status` names it.
#[must_use]
pub fn close(config: &Config) -> String {
    let mut level = Vec::new();
    match prctl::get_dumpable() {
        Ok(false) => level.push("not dumpable"),
        _ => tracing::warn!("processes of the same user can inspect this one"),
    }
    match prctl::set_no_new_privs() {
        Ok(()) => level.push("no new privileges"),
        Err(error) => tracing::warn!("no_new_privs can't be set: {error}"),
    }
    match restrict_files(config) {
        Ok(RulesetStatus::FullyEnforced) => level.push("landlock"),
        Ok(RulesetStatus::PartiallyEnforced) => {
            level.push("landlock (partly)");
            tracing::warn!("this kernel's landlock is old: files, ports and signals aren't all restricted");
        }
        Ok(RulesetStatus::NotEnforced) => tracing::warn!("this kernel has no landlock: files aren't restricted"),
        Err(error) => tracing::warn!("landlock can't be set up, files aren't restricted: {error}"),
    }
    match restrict_calls() {
        Ok(()) => level.push("seccomp"),
        Err(error) => tracing::warn!("seccomp can't be set up, system calls aren't restricted: {error}"),
    }
    if level.is_empty() { "none".to_owned() } else { level.join(", ") }
}

fn restrict_files(config: &Config) -> Result<RulesetStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK_RULES))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(LANDLOCK_RULES))?
        .create()?;
    rules = allow_beneath(rules, Path::new("/"), AccessFs::ReadFile | AccessFs::ReadDir)?;
    if let Some(folder) = config.log.audit_file.as_deref().and_then(Path::parent) {
        rules = allow_beneath(rules, folder, AccessFs::WriteFile | AccessFs::MakeReg)?;
    }
    // Allows removing our own socket at the end. A socket that a supervisor passed isn't
    // removed by the daemon.
    if let Some(folder) = config.socket.path.parent() {
        rules = allow_beneath(rules, folder, AccessFs::RemoveFile.into())?;
    }
    match &config.metrics {
        Some(MetricsListen::Tcp(address)) => {
            rules = rules.add_rule(NetPort::new(address.port(), AccessNet::BindTcp))?
        }
        Some(MetricsListen::Unix(path)) => {
            if let Some(folder) = path.parent() {
                rules = allow_beneath(
                    rules,
                    folder,
                    AccessFs::MakeSock | AccessFs::RemoveFile | AccessFs::WriteFile | AccessFs::MakeReg,
                )?;
            }
        }
        None => {}
    }
    Ok(rules.restrict_self()?.ruleset)
}

/// Allows `access` to the files beneath `folder`. A folder that doesn't exist can't be in a
/// rule, and needs none.
fn allow_beneath(
    rules: RulesetCreated,
    folder: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(folder) {
        Ok(folder) => {
            rules.set_compatibility(landlock::CompatLevel::BestEffort).add_rule(PathBeneath::new(folder, access))
        }
        Err(_) => Ok(rules),
    }
}

/// Forbidden system calls: a compromised process would use them to take over more. It isn't a
/// list of allowed calls, because that would change with the C library.
const FORBIDDEN: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_personality,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

fn restrict_calls() -> Result<(), seccompiler::Error> {
    let architecture = std::env::consts::ARCH.try_into()?;
    let filter = |rules, errno: i32| -> Result<BpfProgram, seccompiler::Error> {
        let refuse = SeccompAction::Errno(errno.unsigned_abs());
        Ok(SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)?.try_into()?)
    };
    let threads = libc::CLONE_THREAD as u64;
    let no_thread = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(threads), 0)?;
    let mut forbidden: BTreeMap<i64, Vec<SeccompRule>> = FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    forbidden.insert(libc::SYS_clone, vec![SeccompRule::new(vec![no_thread])?]);
    // clone3 takes its flags by pointer, so a filter can't inspect them. ENOSYS makes the C
    // library fall back to clone.
    let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let (forbidden, unknown) = (filter(forbidden, libc::EPERM)?, filter(unknown, libc::ENOSYS)?);
    apply_filter(&forbidden)?;
    apply_filter(&unknown)?;
    if cfg!(target_arch = "x86_64") { apply_filter(&x32_filter()) } else { Ok(()) }
}

/// Returns a filter that refuses all x32 calls. They are the calls of x86-64 with other numbers,
/// which the other filters don't contain. For 32-bit calls no filter is needed here: the other
/// filters kill the process.
fn x32_filter() -> BpfProgram {
    /// `__X32_SYSCALL_BIT` of the kernel's `asm/unistd.h`.
    const X32: u32 = 0x4000_0000;
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const NOT_BELOW: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const ANSWER: u32 = libc::BPF_RET | libc::BPF_K;
    let step = |code: u32, jf, k| sock_filter { code: code as u16, jt: 0, jf, k };
    // The call's number is the first field (seccomp(2), `struct seccomp_data`).
    vec![
        step(LOAD, 0, 0),
        step(NOT_BELOW, 1, X32),
        step(ANSWER, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()),
        step(ANSWER, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
