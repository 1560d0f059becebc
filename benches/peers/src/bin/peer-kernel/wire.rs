//! A connection to the broker: requests out, answers in.

use crate::request::metadata;
use forebay_peer_driver::Job;
use std::error::Error;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;

/// Forebay's default of `max.in.flight.requests.per.connection`.
const IN_FLIGHT: u64 = 5;
/// Slices that a system call takes.
const IOV_MAX: usize = 1_024;

/// One connection, which blocks.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    answer: Vec<u8>,
}

impl Wire {
    /// Connects, and makes the broker create the topic.
    pub(crate) fn to_broker(job: &Job) -> Result<Self, Box<dyn Error>> {
        let mut stream = TcpStream::connect(&job.bootstrap)?;
        stream.set_nodelay(true)?;
        stream.write_all(&metadata(job)?)?;
        let mut wire = Self { stream, answer: Vec::new() };
        wire.read()?;
        Ok(wire)
    }

    /// Reads an answer.
    pub(crate) fn read(&mut self) -> io::Result<()> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        self.answer.resize(u32::from_be_bytes(size) as usize, 0);
        self.stream.read_exact(&mut self.answer)
    }

    /// Writes so many requests, some of them in flight, and reads their answers.
    pub(crate) fn pump(
        &mut self,
        times: u64,
        mut write: impl FnMut(&mut TcpStream) -> io::Result<()>,
    ) -> io::Result<()> {
        for sent in 0..times {
            write(&mut self.stream)?;
            if sent >= IN_FLIGHT - 1 {
                self.read()?;
            }
        }
        (0..times.min(IN_FLIGHT - 1)).try_for_each(|_| self.read())
    }
}

/// Writes all of it, in as many calls as that takes.
pub(crate) fn write_all(to: &mut impl Write, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        let most = slices.len().min(IOV_MAX);
        let written = to.write_vectored(&slices[..most])?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut slices, written);
    }
    Ok(())
}
