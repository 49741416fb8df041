//! The least that a client can do: opens streams, reads, counts the chunks, keeps nothing.
//!
//! It has no stamps, no records and no idea of what it reads; it is what the cost of the load
//! generator is held against. One thread, one epoll, one `read` per arrival.
//!
//! `cargo bench --bench raw_reader -- --url 127.0.0.1:8000 --streams 500 --requests 1000`
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program: measures time and prints what it measured"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Instant;

use clap::Parser;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

#[derive(Parser)]
struct Args {
    /// Address of the server.
    #[arg(long, default_value = "127.0.0.1:8000")]
    address: String,
    /// Streams at once.
    #[arg(long, default_value_t = 64)]
    streams: usize,
    /// Requests in all.
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    /// Tokens of each answer.
    #[arg(long, default_value_t = 128)]
    tokens: u32,
    /// Cargo passes it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let body = format!(
        "{{\"model\":\"sim\",\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}],\
         \"stream\":true,\"max_tokens\":{},\"ignore_eos\":true}}",
        args.tokens
    );
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        args.address,
        body.len()
    );
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut streams = Vec::new();
    for i in 0..args.streams {
        let stream = TcpStream::connect(&args.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(stream.as_fd(), EpollEvent::new(flags, i as u64))?;
        streams.push(stream);
    }
    let began = Instant::now();
    let cpu_before = cpu_s()?;
    let mut n_sent = 0;
    for stream in streams.iter_mut().take(args.requests) {
        stream.write_all(request.as_bytes())?;
        n_sent += 1;
    }
    let mut n_open = n_sent;
    let (mut n_chunks, mut n_reads, mut n_bytes) = (0_u64, 0_u64, 0_u64);
    let mut buffer = vec![0; 128 << 10];
    let mut events = vec![EpollEvent::empty(); 1024];
    while n_open > 0 {
        let n_events = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..n_events] {
            let stream = &mut streams[event.data() as usize];
            let n = match stream.read(&mut buffer) {
                Ok(0) => return Err(std::io::Error::other("the server closed a stream")),
                Ok(n) => n,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            let bytes = &buffer[..n];
            n_reads += 1;
            n_bytes += n as u64;
            n_chunks += memchr::memmem::find_iter(bytes, b"data: ").count() as u64;
            if bytes.ends_with(b"0\r\n\r\n") {
                if n_sent < args.requests {
                    stream.write_all(request.as_bytes())?;
                    n_sent += 1;
                } else {
                    n_open -= 1;
                }
            }
        }
    }
    let wall = began.elapsed().as_secs_f64();
    let cpu = cpu_s()? - cpu_before;
    println!(
        "raw-reader chunks {n_chunks} reads {n_reads} bytes {n_bytes} wall_s {wall:.3} cpu_s {cpu:.3} \
         chunks_per_s {:.0} cpu_s_per_million_chunks {:.2}",
        n_chunks as f64 / wall,
        cpu / n_chunks as f64 * 1e6
    );
    Ok(())
}

fn cpu_s() -> std::io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}
