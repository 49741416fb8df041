//! The port of the simulated engine.

use std::io;
use std::net::{SocketAddr, TcpListener};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use socket2::{Domain, Socket, Type};

use crate::serve::ServeError;

/// Connections that may wait for `accept`.
const BACKLOG: i32 = 4096;

/// Opens the port.
///
/// # Errors
/// [`ServeError::Bind`] if the port cannot be opened.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Accepted sockets inherit both options.
        socket.set_tcp_nodelay(true)?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|source| ServeError::Bind { address, source })
}
