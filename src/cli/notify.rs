//! Tells the service manager how it stands, where one asks for it (systemd's `Type=notify`): one datagram
//! to the socket that `NOTIFY_SOCKET` names. Never a reason to fail: who started it by hand asked nothing.

use std::{
    env,
    os::unix::net::{SocketAddr, UnixDatagram},
};

/// It answers.
pub(crate) const READY: &str = "READY=1";
/// It is stopping in order.
pub(crate) const STOPPING: &str = "STOPPING=1";

pub(crate) fn notify(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else {
        return;
    };
    let said = address(&path).and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold us up.
        socket.set_nonblocking(true)?;
        socket.send_to_addr(state.as_bytes(), &address)
    });
    if let Err(error) = said {
        tracing::warn!(state, %error, "failed to tell the service manager");
    }
}

/// A path, or on Linux an abstract name, which is written with `@` in front.
fn address(path: &std::ffi::OsStr) -> std::io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    {
        use std::os::{linux::net::SocketAddrExt, unix::ffi::OsStrExt};
        if let [b'@', name @ ..] = path.as_bytes() {
            return SocketAddr::from_abstract_name(name);
        }
    }
    SocketAddr::from_pathname(path)
}
