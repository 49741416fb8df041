//! Sockets that say when their bytes arrived.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// Begins to open a connection; it is open when the socket becomes writable.
///
/// The kernel stamps what arrives on it, where it can.
pub(super) fn begin_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Without kernel stamps the reads are stamped by us, and the record says so.
    let _ = setsockopt(&socket, sockopt::ReceiveTimestampns, &true);
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

/// Room for the one control message that is asked for.
pub(super) type Control = [u8; 64];

/// What one read brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    /// Bytes; 0 is the end of the connection.
    pub(super) n_bytes: usize,
    /// The kernel's wall-clock stamp of the last segment read, nanoseconds since the Unix epoch.
    pub(super) unix_ns: Option<u64>,
}

/// Reads what has arrived, with the stamp of its arrival.
pub(super) fn receive(
    stream: &TcpStream,
    buffer: &mut [u8],
    control: &mut Control,
) -> io::Result<Received> {
    let mut slices = [io::IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut slices, Some(control), MsgFlags::empty())?;
    let unix_ns = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(time) => {
            Some(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
        }
        _ => None,
    });
    Ok(Received { n_bytes: message.bytes, unix_ns })
}

/// Whether an error means that this machine ran out of something, not that the engine failed.
pub(super) fn is_our_shortage(error: &io::Error) -> bool {
    use nix::libc::{EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | EADDRNOTAVAIL | ENOBUFS | ENOMEM))
}
