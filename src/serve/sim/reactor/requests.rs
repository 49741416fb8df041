//! Reads requests, queues them, and begins their answers.

use super::super::conn::{Whole, Work};
use super::super::engine::{Job, Reply};
use super::super::head::{BadHead, Head};
use super::super::slots::Admission;
use super::super::stream::End;
use super::super::timer_queue::EntryKind;
use super::super::truth::TruthRow;
use super::{MAX_REQUEST_BYTES, Reactor};
use crate::units::Nanos;

impl Reactor {
    /// Takes the next complete request from a connection that is free for it.
    pub(crate) fn read_requests(&mut self, slot: usize, arrived: Nanos, realtime: Nanos) {
        let responses = self.engine.responses();
        let Some(conn) = self.conns[slot].as_mut() else { return };
        if !matches!(conn.work, Work::Idle) || conn.inbox.is_empty() || conn.close {
            return;
        }
        let head = match Head::parse(&conn.inbox) {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(bad) => {
                let (status, message) = match bad {
                    BadHead::Malformed => (400, "this is not HTTP/1.1"),
                    BadHead::LengthRequired => (411, "a Content-Length is required"),
                    BadHead::TooLong => (431, "the head is too long"),
                };
                conn.close = true;
                return self.reply(
                    slot,
                    Reply::At(arrived, responses.error(status, message)),
                    arrived,
                );
            }
        };
        let n_bytes = head.n_bytes + head.body_bytes;
        if n_bytes > MAX_REQUEST_BYTES {
            conn.close = true;
            let response = responses.error(413, "the body is too long");
            return self.reply(slot, Reply::At(arrived, response), arrived);
        }
        if conn.inbox.len() < n_bytes {
            if head.expects_continue && !conn.continued {
                conn.continued = true;
                conn.outbox().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                self.flush(slot);
            }
            return;
        }
        conn.continued = false;
        conn.close = head.close;
        conn.n_requests += 1;
        let body: Vec<u8> = conn.inbox[head.n_bytes..n_bytes].to_vec();
        conn.inbox.drain(..n_bytes);
        let reply = self.engine.decide(&head, &body, arrived, realtime);
        self.reply(slot, reply, arrived);
    }

    fn reply(&mut self, slot: usize, reply: Reply, arrived: Nanos) {
        match reply {
            Reply::Die => self.must_die = true,
            Reply::At(due, bytes) => {
                if let Some(conn) = self.conns[slot].as_mut() {
                    conn.work = Work::Whole(Whole {
                        due,
                        bytes,
                        end: End::Complete,
                        n_tokens: 0,
                        truth: None,
                    });
                    self.plan(slot, due, EntryKind::Work);
                }
            }
            Reply::Generate(job) => {
                let Some(conn) = self.conns[slot].as_mut() else { return };
                let key = (slot, conn.id);
                match self.engine.slots.arrive(key) {
                    Admission::Served => {
                        let admitted = self.engine.timeline().after(arrived, Nanos::ZERO);
                        self.begin(slot, *job, admitted);
                    }
                    Admission::Queued => conn.work = Work::Queued(job),
                    Admission::Refused => {
                        let responses = self.engine.responses();
                        let response = responses.error(503, "the queue is full");
                        if let Some(log) = &self.truth {
                            log.push(&TruthRow { end: "refused", ..job.truth });
                        }
                        self.reply(slot, Reply::At(arrived, response), arrived);
                    }
                }
            }
        }
    }

    /// Gives a queued request the slot that became free.
    pub(crate) fn admit(&mut self, slot: usize, conn_id: u64, at: Nanos) {
        let Some(conn) = self.conns[slot].as_mut().filter(|conn| conn.id == conn_id) else {
            return;
        };
        if let Work::Queued(job) = std::mem::replace(&mut conn.work, Work::Idle) {
            self.begin(slot, *job, at);
        }
    }

    fn begin(&mut self, slot: usize, mut job: Job, admitted: Nanos) {
        let stream = self.engine.begin(&mut job, admitted);
        let (due, work) = if job.is_stream {
            (stream.due(), Work::Streaming(Box::new(stream), job.truth))
        } else {
            let end = stream.whole_end();
            let (due, body, n_tokens) = stream.into_whole();
            let (bytes, n_tokens) = match end {
                End::Complete => {
                    (self.engine.responses().whole(200, "application/json", &body), n_tokens)
                }
                End::Silence | End::Reset | End::Cut => (Vec::new(), 0),
            };
            (due, Work::Whole(Whole { due, bytes, end, n_tokens, truth: Some(job.truth) }))
        };
        if let Some(conn) = self.conns[slot].as_mut() {
            conn.work = work;
            self.plan(slot, due, EntryKind::Work);
            if let Some(every) = self.write_faults.heartbeat.filter(|_| job.is_stream) {
                self.plan(slot, due + every, EntryKind::Heartbeat);
            }
        }
    }
}
