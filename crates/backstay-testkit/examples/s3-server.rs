//! An S3 server for those who measure: `s3-server MILLISECONDS` says where it is, and ends when its input does.
//!
//! On lines of standard output: its URL; that of a way to it on which every answer comes so many milliseconds later; the
//! folder of its bucket; the access key and its secret.

#![expect(clippy::print_stdout, reason = "whoever starts it reads where it is")]

use std::io;
use std::time::Duration;

use backstay_testkit::S3Server;
use backstay_testkit::tcp_proxy::{Connections, Direction, Harm, TcpProxy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let delay = std::env::args().nth(1).ok_or("how many milliseconds?")?.parse()?;
    let server = S3Server::start();
    let detour = TcpProxy::to_endpoint(&server.endpoint());
    detour.harm(
        Connections::Each,
        Direction::ToClient,
        Harm::Delay(Duration::from_millis(delay)),
    );
    println!(
        "{}\n{}\n{}",
        server.endpoint(),
        detour.endpoint(),
        server.bucket_folder().display()
    );
    println!("{}\n{}", S3Server::ACCESS_KEY, S3Server::SECRET_KEY);
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
