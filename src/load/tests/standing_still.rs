//! A load thread that stands still between the kernel's answer and its reads, or after a write.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::socket::{setsockopt, sockopt};

use crate::load::clock::Epoch;
use crate::load::transport::client::{Client as _, Ending, Head, Inbox, Key, Stamp};
use crate::load::transport::epoll::EpollClient;
use crate::load::transport::socket::{receive, stamping};
use crate::units::Nanos;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const CHUNK: &[u8] = b"3\r\none\r\n";

fn key(slot: u32) -> Key {
    Key { slot, generation: 0 }
}

/// Keeps what came of each read, and does something once when a connection is ready.
struct Keeper<F> {
    at_connection: Option<F>,
    reads: Vec<(Key, Stamp)>,
}

impl<F: FnOnce()> Inbox for Keeper<F> {
    fn connected(&mut self, _key: Key, _at: Nanos) {
        if let Some(act) = self.at_connection.take() {
            act();
        }
    }
    fn sent(&mut self, _key: Key, _at: Nanos) {}
    fn written(&mut self, _key: Key, _at: Nanos, _cpu: Option<Nanos>) {}
    fn head(&mut self, _key: Key, _head: Head, _first_byte: Stamp) {}
    fn body(&mut self, key: Key, _bytes: &[u8], stamp: Stamp) {
        self.reads.push((key, stamp));
    }
    fn end(&mut self, _key: Key, _at: Nanos, ending: Ending) {
        panic!("{ending:?}");
    }
}

/// Sends a request on a new connection, and reads the head of the answer.
fn begun(client: &mut EpollClient, listener: &TcpListener, slot: u32) -> TcpStream {
    let mut keeper = Keeper { at_connection: None::<fn()>, reads: Vec::new() };
    client.send(key(slot), Bytes::from_static(b"{}"), &mut keeper);
    let (mut server, _) = listener.accept().unwrap();
    look(client, &mut keeper);
    assert!(server.read(&mut [0; 1024]).unwrap() > 0);
    server.write_all(HEAD).unwrap();
    look(client, &mut keeper);
    server
}

/// Lets the client ask once.
fn look(client: &mut EpollClient, inbox: &mut impl Inbox) {
    let soon = client.now() + Nanos(1_000_000_000);
    client.wait(soon, inbox);
}

/// Stands still when it hears that a request was sent.
#[derive(Default)]
struct Slow {
    sent: Option<Nanos>,
}

impl Inbox for Slow {
    fn connected(&mut self, _key: Key, _at: Nanos) {}
    fn sent(&mut self, _key: Key, at: Nanos) {
        self.sent = Some(at);
        sleep(STANDS_STILL);
    }
    fn written(&mut self, _key: Key, _at: Nanos, _cpu: Option<Nanos>) {}
    fn head(&mut self, _key: Key, _head: Head, _first_byte: Stamp) {}
    fn body(&mut self, _key: Key, _bytes: &[u8], _stamp: Stamp) {}
    fn end(&mut self, _key: Key, _at: Nanos, ending: Ending) {
        panic!("{ending:?}");
    }
}

const STANDS_STILL: Duration = Duration::from_millis(50);

/// What is done between the stamp of sending and the write would be added to every latency, and no
/// CPU time of the write would tell of it.
#[test]
fn nothing_is_done_between_the_stamp_of_sending_and_the_write() {
    let _stamping = stamping();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    setsockopt(&listener, sockopt::ReceiveTimestampns, &true).unwrap();
    let epoch = Epoch::now();
    let head = Bytes::from_static(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ");
    let address = listener.local_addr().unwrap();
    let mut client = EpollClient::new(epoch, address, head, true).unwrap();
    assert_eq!(client.warm(1, Nanos(1_000_000_000)), 1);
    let (server, _) = listener.accept().unwrap();
    let mut slow = Slow::default();
    client.send(key(0), Bytes::from_static(b"{}"), &mut slow);
    let stamp = receive(&server, &mut [0; 1024], &mut [0; 64]).unwrap().unix_ns.unwrap();
    let arrived = Nanos(stamp.saturating_sub(epoch.wall_offset_ns()));
    let sent = slow.sent.unwrap();
    assert!(arrived < sent + Nanos(STANDS_STILL.as_nanos() as u64), "{sent:?}, {arrived:?}");
}

#[test]
fn what_comes_while_the_thread_stands_still_does_not_make_other_arrivals_look_late() {
    let _stamping = stamping();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let epoch = Epoch::now();
    let head = Bytes::from_static(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ");
    let address = listener.local_addr().unwrap();
    let mut client = EpollClient::new(epoch, address, head, true).unwrap();
    let mut first = begun(&mut client, &listener, 0);
    let mut second = begun(&mut client, &listener, 1);

    // The kernel tells of a new connection and of a chunk of the second answer. The thread
    // stands still before it reads that, and a chunk of each answer comes meanwhile.
    let (mut to_first, mut to_second) = (first.try_clone().unwrap(), second.try_clone().unwrap());
    let (say, arrived) = std::sync::mpsc::channel();
    let stand_still = move || {
        to_first.write_all(CHUNK).unwrap();
        say.send(epoch.elapsed()).unwrap();
        sleep(Duration::from_millis(5));
        to_second.write_all(CHUNK).unwrap();
    };
    let mut keeper = Keeper { at_connection: Some(stand_still), reads: Vec::new() };
    client.send(key(2), Bytes::from_static(b"{}"), &mut keeper);
    let _third = listener.accept().unwrap();
    second.write_all(CHUNK).unwrap();
    look(&mut client, &mut keeper);
    let arrived = arrived.try_recv().expect("the thread stood still");
    assert!(keeper.reads.iter().all(|(key, _)| key.slot == 1), "{:?}", keeper.reads);
    assert!(keeper.reads.iter().any(|(_, stamp)| stamp.at > arrived), "{:?}", keeper.reads);

    first.write_all(CHUNK).unwrap();
    look(&mut client, &mut keeper);
    let (reader, stamp) = keeper.reads.last().unwrap();
    assert_eq!(reader.slot, 0);
    assert!(stamp.since < arrived && arrived < stamp.at, "{stamp:?}, one chunk at {arrived:?}");
}
