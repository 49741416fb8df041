//! Sockets whose reads come with the time of arrival.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use nix::libc::{SCM_TIMESTAMPNS, SOL_SOCKET, SYS_recvmsg, cmsghdr, iovec, msghdr, syscall};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// Begins to open a connection. The connection is open when the socket becomes writable.
///
/// The kernel stamps arrivals on it, where it supports that.
pub(crate) fn begin_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Without kernel stamps bench stamps the reads itself, and the record says so.
    let _ = setsockopt(&socket, sockopt::ReceiveTimestampns, &true);
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

/// Room for the one control message that is requested.
pub(crate) type Control = [u8; 64];

/// The result of one read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Number of bytes; 0 at the end of the connection.
    pub(crate) n_bytes: usize,
    /// The kernel's wall-clock stamp of the last segment read, nanoseconds since the Unix epoch.
    pub(crate) unix_ns: Option<u64>,
}

/// Reads what has arrived, with the stamp of its arrival.
pub(crate) fn receive(
    stream: &impl AsRawFd,
    buffer: &mut [u8],
    control: &mut Control,
) -> io::Result<Received> {
    let (n_bytes, n_control) = recvmsg(stream, buffer, control)?;
    Ok(Received { n_bytes, unix_ns: stamp_of(&control[..n_control.min(control.len())]) })
}

/// Calls the system directly. The C library's wrapper is a cancellation point, which costs a
/// program of several threads 4 % of the cost of a chunk.
#[expect(unsafe_code, reason = "a system call without the C library's wrapper")]
fn recvmsg(
    stream: &impl AsRawFd,
    buffer: &mut [u8],
    control: &mut Control,
) -> io::Result<(usize, usize)> {
    let mut slice = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zero is a valid `msghdr`: null pointers of length 0.
    let mut header: msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut slice;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control.len();
    // SAFETY: the header, the buffer and the room for control messages live and are borrowed
    // mutably until the call returns; the kernel writes at most their lengths.
    let n_bytes = unsafe { syscall(SYS_recvmsg, stream.as_raw_fd(), &raw mut header, 0) };
    let n_bytes = usize::try_from(n_bytes).map_err(|_| io::Error::last_os_error())?;
    Ok((n_bytes, header.msg_controllen))
}

/// Finds the kernel's stamp among control messages: a header of length, level and type, then
/// seconds and nanoseconds (cmsg(3), socket(7)).
fn stamp_of(control: &[u8]) -> Option<u64> {
    const HEADER: usize = size_of::<cmsghdr>();
    let (header, data) = control.split_at_checked(HEADER)?;
    let kind = header.get(HEADER - 8..)?;
    let number = |bytes: &[u8]| Some(i32::from_ne_bytes(bytes.try_into().ok()?));
    if (number(&kind[..4])?, number(&kind[4..])?) != (SOL_SOCKET, SCM_TIMESTAMPNS) {
        return None;
    }
    let part = |at: usize| Some(u64::from_ne_bytes(data.get(at..at + 8)?.try_into().ok()?));
    Some(part(0)? * 1_000_000_000 + part(8)?)
}

/// Whether an error means that this machine lacks a resource, not that the engine failed.
pub(crate) fn is_our_shortage(error: &io::Error) -> bool {
    use nix::libc::{EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | EADDRNOTAVAIL | ENOBUFS | ENOMEM))
}

/// Returns a connection while which lives the kernel stamps what arrives. It begins to do so some time
/// after the first socket asked for it, and later on a busy machine.
#[cfg(test)]
pub(crate) fn stamping() -> (TcpStream, TcpStream) {
    use std::io::Write as _;
    use std::time::{Duration, Instant};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut one = TcpStream::connect(listener.local_addr().expect("its port")).expect("open");
    let (other, _) = listener.accept().expect("it is open");
    setsockopt(&other, sockopt::ReceiveTimestampns, &true).expect("the option is there");
    let begun = Instant::now();
    loop {
        one.write_all(b"x").expect("it is open");
        let received = receive(&other, &mut [0; 8], &mut [0; 64]).expect("it is open");
        if received.unix_ns.is_some() {
            return (one, other);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the kernel stamps nothing");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stamp_of_the_kernel_is_taken_for_one() {
        let message = |level: i32, kind: i32| {
            let mut control = vec![0; size_of::<cmsghdr>() - 8];
            control.extend(level.to_ne_bytes());
            control.extend(kind.to_ne_bytes());
            control.extend(1_700_000_000_u64.to_ne_bytes());
            control.extend(42_u64.to_ne_bytes());
            control
        };
        let stamp = message(SOL_SOCKET, SCM_TIMESTAMPNS);
        assert_eq!(stamp_of(&stamp), Some(1_700_000_000_000_000_042));
        assert_eq!(stamp_of(&message(SOL_SOCKET, 0)), None);
        for n_bytes in 0..stamp.len() {
            assert_eq!(stamp_of(&stamp[..n_bytes]), None);
        }
    }
}
