//! Locks the daemon in after its start: from then on it executes nothing,
//! starts nothing, looks into no other process and writes nowhere but to its
//! audit file. Whatever it needs another program for is done by the helper
//! process, which was started before (see [`crate::runner`]).
//!
//! Best effort: an old kernel gives less, the log says so, and `status` names
//! the level reached. Reading stays as it was, since a reload may name other
//! files; who may read what is for the files' modes to say.

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

/// The newest rules that are asked for; a kernel without them enforces what it
/// knows.
const RULES: ABI = ABI::V6;

/// Closes the sandbox around this thread and all that it starts. The level
/// reached, as `status` names it.
#[must_use]
pub fn close(config: &Config) -> String {
    let mut level = Vec::new();
    match prctl::get_dumpable() {
        Ok(false) => level.push("not dumpable"),
        _ => tracing::warn!("processes of the same user can look into this one"),
    }
    match prctl::set_no_new_privs() {
        Ok(()) => level.push("no new privileges"),
        Err(error) => tracing::warn!("no_new_privs can't be set: {error}"),
    }
    match restrict_files(config) {
        Ok(RulesetStatus::FullyEnforced) => level.push("landlock"),
        Ok(RulesetStatus::PartiallyEnforced) => {
            level.push("landlock (partly)");
            tracing::warn!("this kernel's landlock is old: of files, ports and signals not all are restricted");
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
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(RULES))?
        .create()?;
    rules = beneath(rules, Path::new("/"), AccessFs::ReadFile | AccessFs::ReadDir)?;
    if let Some(folder) = config.log.audit_file.as_deref().and_then(Path::parent) {
        rules = beneath(rules, folder, AccessFs::WriteFile | AccessFs::MakeReg)?;
    }
    // Allows removing our own socket at the end. A supervisor's socket isn't ours to
    // remove.
    if let Some(folder) = config.socket.path.parent() {
        rules = beneath(rules, folder, AccessFs::RemoveFile.into())?;
    }
    match &config.metrics {
        Some(MetricsListen::Tcp(address)) => {
            rules = rules.add_rule(NetPort::new(address.port(), AccessNet::BindTcp))?
        }
        Some(MetricsListen::Unix(path)) => {
            if let Some(folder) = path.parent() {
                rules = beneath(
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

/// A folder that isn't there can't be given, and needn't.
fn beneath(rules: RulesetCreated, folder: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(folder) {
        Ok(folder) => {
            rules.set_compatibility(landlock::CompatLevel::BestEffort).add_rule(PathBeneath::new(folder, access))
        }
        Err(_) => Ok(rules),
    }
}

/// Calls by which a process that was taken over would spread. Not a list of
/// what is needed: that one changes with the C library.
const NEVER: &[libc::c_long] = &[
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
    let mut never: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    never.insert(libc::SYS_clone, vec![SeccompRule::new(vec![no_thread])?]);
    // Its flags are in memory, where no filter can look. Who is told that it
    // doesn't exist uses the other.
    let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let (never, unknown) = (filter(never, libc::EPERM)?, filter(unknown, libc::ENOSYS)?);
    apply_filter(&never)?;
    apply_filter(&unknown)?;
    if cfg!(target_arch = "x86_64") { apply_filter(&no_x32()) } else { Ok(()) }
}

/// The calls of x32 are those of x86-64 by other numbers, none of which is in
/// the other filters. A 32-bit call they end the process for.
fn no_x32() -> BpfProgram {
    /// `__X32_SYSCALL_BIT` of the kernel's `asm/unistd.h`.
    const X32: u32 = 0x4000_0000;
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const NOT_BELOW: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const ANSWER: u32 = libc::BPF_RET | libc::BPF_K;
    let step = |code: u32, jf, k| sock_filter { code: code as u16, jt: 0, jf, k };
    // A call's number stands first (seccomp(2), `struct seccomp_data`).
    vec![
        step(LOAD, 0, 0),
        step(NOT_BELOW, 1, X32),
        step(ANSWER, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()),
        step(ANSWER, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
