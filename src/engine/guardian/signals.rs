//! Signals of the guardian. It catches them, so it survives them and its engine starts with the
//! defaults.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Set when a signal asks the guardian to end.
static END: AtomicBool = AtomicBool::new(false);

/// Installs handlers for every signal whose default would end or stop the guardian.
///
/// Executing the engine resets a *caught* signal to its default. The engine would inherit an
/// *ignored* one (as under `nohup`) or a blocked one, and would then not react to the SIGTERM that
/// stops it.
pub(super) fn catch_all() {
    let _ = SigSet::empty().thread_set_mask();
    for signal in Signal::iterator() {
        let handler = match signal {
            Signal::SIGKILL | Signal::SIGSTOP => continue,
            Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT => SigHandler::Handler(ask_to_end),
            // The guardian's own faults must end it. The runner then sees the pipe close.
            Signal::SIGSEGV
            | Signal::SIGBUS
            | Signal::SIGILL
            | Signal::SIGFPE
            | Signal::SIGABRT
            | Signal::SIGTRAP
            | Signal::SIGSYS => SigHandler::SigDfl,
            _ => SigHandler::Handler(do_nothing),
        };
        set(signal, handler);
    }
}

/// Whether a signal has asked the guardian to end.
pub(super) fn end_is_asked() -> bool {
    END.load(Ordering::SeqCst)
}

#[expect(unsafe_code, reason = "std has no way to catch a signal")]
fn set(signal: Signal, handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: both handlers are async-signal-safe: one stores to an atomic, one does nothing.
    let _ = unsafe { sigaction(signal, &action) };
}

extern "C" fn ask_to_end(_signal: libc::c_int) {
    END.store(true, Ordering::SeqCst);
}

extern "C" fn do_nothing(_signal: libc::c_int) {}
