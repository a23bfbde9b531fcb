//! The data that the kernel leaves on a new process's stack: arguments,
//! environment, and the auxiliary vector (getauxval(3)).

use core::marker::PhantomData;
use core::ptr::NonNull;

use crate::protocol::limits::MAX_COMMAND;
use crate::protocol::line::is_control;

/// A text that ends with NUL. `Option<Arg>` is one pointer, as `execve` expects it.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Arg<'a>(NonNull<u8>, PhantomData<&'a [u8]>);

/// The arguments, the environment and the other start data of a process.
#[derive(Clone, Copy)]
pub struct ProcessStart<'a> {
    /// Ends with `None`.
    pub argv: &'a [Option<Arg<'a>>],
    /// Ends with `None`.
    pub envp: &'a [Option<Arg<'a>>],
    /// The path by which this process was started.
    pub path: Option<Arg<'a>>,
    pub euid: u32,
}

impl<'a> Arg<'a> {
    /// Returns the text up to the first NUL, or `None` if there is no NUL.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.contains(&0).then(|| Self(NonNull::from(bytes).cast(), PhantomData))
    }

    /// Returns the text without its NUL.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        let mut length = 0;
        // SAFETY: an `Arg` points to bytes that end with NUL and live for 'a;
        // only those up to the NUL are read.
        unsafe {
            while *self.0.as_ptr().add(length) != 0 {
                length += 1;
            }
            core::slice::from_raw_parts(self.0.as_ptr(), length)
        }
    }

    /// Returns the text after `NAME=` if this is the entry of that variable.
    #[must_use]
    pub fn value_of(self, name: &[u8]) -> Option<&'a [u8]> {
        // SAFETY: a byte is read only if all bytes before it were equal to those of
        // `name`, so none of them was the NUL.
        let named = unsafe { name.iter().enumerate().all(|(at, &byte)| byte != 0 && *self.0.as_ptr().add(at) == byte) };
        if !named {
            return None;
        }
        self.bytes()[name.len()..].strip_prefix(b"=")
    }

    pub(super) fn address(self) -> usize {
        self.0.as_ptr() as usize
    }
}

impl ProcessStart<'static> {
    /// Reads the data from the stack of a new process.
    ///
    /// # Safety
    /// `stack` is the stack pointer that the kernel started this process with.
    #[must_use]
    pub unsafe fn from_stack(stack: *const usize) -> Self {
        const AT_EUID: usize = 12;
        const AT_EXECFN: usize = 31;
        // SAFETY: the layout of a new stack (System V ABI, "process initialization") is
        // the count, that many pointers and a null, pointers to the environment and a
        // null, pairs that end with a zero. It doesn't change until the process ends.
        unsafe {
            let argv_length = *stack + 1;
            let argv: *const Option<Arg<'static>> = stack.add(1).cast();
            let envp = argv.add(argv_length);
            let mut envp_length = 1;
            while (*envp.add(envp_length - 1)).is_some() {
                envp_length += 1;
            }
            let mut pair = envp.add(envp_length).cast::<usize>();
            let (mut path, mut euid) = (None, u32::MAX);
            while *pair != 0 {
                match *pair {
                    AT_EUID => euid = *pair.add(1) as u32,
                    AT_EXECFN => path = NonNull::new(*pair.add(1) as *mut u8).map(|p| Arg(p, PhantomData)),
                    _ => {}
                }
                pair = pair.add(2);
            }
            Self {
                argv: core::slice::from_raw_parts(argv, argv_length),
                envp: core::slice::from_raw_parts(envp, envp_length),
                path,
                euid,
            }
        }
    }
}

impl<'a> ProcessStart<'a> {
    /// Returns a variable's value, which may be empty.
    #[must_use]
    pub fn variable(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.envp.iter().flatten().find_map(|entry| entry.value_of(name))
    }

    /// Returns a variable's value unless it is empty.
    #[must_use]
    pub fn setting(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.variable(name).filter(|value| !value.is_empty())
    }

    /// Returns the last part of the name by which this process was called.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        let whole = self.argv.iter().flatten().next().map_or(&b""[..], |arg| arg.bytes());
        whole.rsplit(|&b| b == b'/').next().unwrap_or(whole)
    }

    /// Returns the name for the daemon, unless it is too long or can't be in a line.
    #[must_use]
    pub fn command(&self) -> Option<&'a [u8]> {
        let name = self.name();
        let fits = (1..=MAX_COMMAND).contains(&name.len()) && !name.iter().copied().any(is_control);
        fits.then_some(name)
    }

    /// Returns the arguments after the name.
    pub fn arguments(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        self.argv.iter().flatten().skip(1).map(|arg| arg.bytes())
    }
}
