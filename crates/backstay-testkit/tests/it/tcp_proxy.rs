//! The proxy harms what it is told to, where it is told to, and nothing else.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use backstay_testkit::tcp_proxy::{Connections, Direction, Harm, TcpProxy};

use Direction::{ToClient, ToServer};

const LONG: Duration = Duration::from_secs(20);

/// A server that sends back what comes until it hears no more; a proxy to it.
fn echo() -> TcpProxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the program, which costs nothing.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut reader = stream.try_clone().unwrap();
                drop(std::io::copy(&mut reader, &mut stream));
                drop(stream.shutdown(Shutdown::Write));
            });
        }
    });
    TcpProxy::to(address)
}

fn connect(proxy: &TcpProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn noise(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 7 % 251) as u8).collect()
}

/// Sends bytes, says that they are all, and reads what comes: until the end or until it fails.
fn exchange(proxy: &TcpProxy, bytes: &[u8]) -> (Vec<u8>, Option<ErrorKind>) {
    let stream = connect(proxy);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Whoever is cut off cannot send all of it.
            drop((&stream).write_all(bytes));
            drop(stream.shutdown(Shutdown::Write));
        });
        let mut found = Vec::new();
        let failure = (&stream).read_to_end(&mut found).err().map(|error| error.kind());
        (found, failure)
    })
}

#[test]
fn what_is_not_harmed_comes_through_and_is_counted() {
    let proxy = echo();
    let bytes = noise(3_000_000);
    for count in [0, 1, 100_000, bytes.len()] {
        let (found, failure) = exchange(&proxy, &bytes[..count]);
        assert!(found == bytes[..count], "{} of {count} bytes: {failure:?}", found.len());
        assert_eq!(failure, None);
    }
    assert_eq!(proxy.connections(), 4);
    for direction in [ToServer, ToClient] {
        assert_eq!(proxy.bytes(direction), 3_100_001);
    }
}

#[test]
fn a_connection_ends_at_the_byte() {
    let bytes = noise(300_000);
    for (harm, ended) in [
        (Harm::CloseAfter as fn(u64) -> Harm, None),
        (Harm::ResetAfter, Some(ErrorKind::ConnectionReset)),
    ] {
        for at in [0, 1, 32_768, 200_001] {
            let proxy = echo();
            proxy.harm(Connections::Each, ToClient, harm(at));
            let (found, failure) = exchange(&proxy, &bytes);
            // What was written before a reset may be lost with it.
            assert!(found.len() as u64 <= at && bytes.starts_with(&found), "{at}");
            assert_eq!(failure, ended, "{at}");
            if ended.is_none() {
                assert_eq!(found.len() as u64, at);
            }
            proxy.assert_all_befell();
            proxy.heal();
            assert!(exchange(&proxy, &bytes).0 == bytes, "the next one");
        }
    }
}

#[test]
fn what_a_client_sends_ends_at_the_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for (harm, ended) in [
        (Harm::CloseAfter(70_000), None),
        (Harm::ResetAfter(70_000), Some(ErrorKind::ConnectionReset)),
    ] {
        let proxy = TcpProxy::to(listener.local_addr().unwrap());
        proxy.harm(Connections::Each, ToServer, harm);
        let bytes = noise(100_000);
        let mut client = connect(&proxy);
        thread::scope(|scope| {
            scope.spawn(|| drop(client.write_all(&bytes)));
            let (mut server, _) = listener.accept().unwrap();
            server.set_read_timeout(Some(LONG)).unwrap();
            let mut found = Vec::new();
            let failure = server.read_to_end(&mut found).err().map(|error| error.kind());
            assert_eq!(failure, ended);
            assert!(found.len() <= 70_000 && bytes.starts_with(&found));
            assert!(ended.is_some() || found.len() == 70_000);
        });
    }
}

#[test]
fn only_the_connection_that_is_meant_is_harmed() {
    let bytes = noise(50_000);
    let proxy = echo();
    proxy.harm(Connections::Nth(2), ToClient, Harm::CloseAfter(10));
    let lengths = [(); 3].map(|()| exchange(&proxy, &bytes).0.len());
    assert_eq!(lengths, [50_000, 10, 50_000]);

    // Of all together, the byte is in the second one after the harm was set; after that there is none any more.
    let proxy = echo();
    assert_eq!(exchange(&proxy, &bytes).0.len(), 50_000);
    proxy.harm(Connections::Together, ToClient, Harm::CloseAfter(70_000));
    let lengths = [(); 3].map(|()| exchange(&proxy, &bytes).0.len());
    assert_eq!(lengths, [50_000, 20_000, 50_000]);
    assert_eq!(proxy.befallen(), 1);
}

#[test]
fn one_bit_is_wrong() {
    let bytes = noise(100_000);
    for (direction, byte, bit) in [(ToServer, 0, 0), (ToClient, 65_537, 7), (ToServer, 99_999, 3)] {
        let proxy = echo();
        proxy.harm(Connections::Each, direction, Harm::FlipBit { byte, bit });
        let (mut found, failure) = exchange(&proxy, &bytes);
        assert_eq!(failure, None);
        found[usize::try_from(byte).unwrap()] ^= 1 << bit;
        assert!(found == bytes, "{byte}");
        proxy.assert_all_befell();
    }
}

#[test]
fn one_bit_of_a_text_is_wrong_where_it_comes_first() {
    let proxy = echo();
    let (text, byte, bit) = (b"needle".as_slice(), 4, 0);
    proxy.harm(Connections::Each, ToClient, Harm::FlipBitOf { text, byte, bit });
    assert_eq!(exchange(&proxy, b"no nettle").0, b"no nettle");
    assert_eq!(exchange(&proxy, b"a needle, a needle").0, b"a needme, a needle");
    assert_eq!(exchange(&proxy, b"a needle").0, b"a needle");
    assert_eq!(proxy.befallen(), 1);
}

#[test]
fn a_stall_tells_nobody_and_ends_when_it_is_told_to() {
    let bytes = noise(100_000);
    let proxy = echo();
    proxy.harm(
        Connections::Nth(1),
        ToClient,
        Harm::StallAfter(40_000, Some(Duration::from_millis(400))),
    );
    let begun = Instant::now();
    assert!(exchange(&proxy, &bytes).0 == bytes);
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());

    proxy.harm(Connections::Nth(2), ToClient, Harm::StallAfter(40_000, None));
    let mut stream = connect(&proxy);
    stream.write_all(&bytes).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut found = Vec::new();
    let failure = stream.read_to_end(&mut found).unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::WouldBlock);
    assert_eq!(found.len(), 40_000);
    proxy.assert_all_befell();
    let begun = Instant::now();
    drop(proxy);
    assert!(begun.elapsed() < Duration::from_secs(2), "a stall ends with the proxy");
    assert_eq!(stream.read_to_end(&mut found).unwrap(), 0);
}

#[test]
fn a_slow_connection_is_as_slow_as_it_is_told_to_be() {
    let proxy = echo();
    proxy.harm(Connections::Each, ToServer, Harm::Slow(100_000));
    let bytes = noise(50_000);
    let begun = Instant::now();
    assert!(exchange(&proxy, &bytes).0 == bytes);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(450), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// A delay holds for each byte, not for one after the other: twenty megabytes come as one does.
#[test]
fn a_delay_makes_nothing_slower_but_later() {
    let proxy = echo();
    let delay = Duration::from_millis(100);
    for direction in [ToServer, ToClient] {
        proxy.harm(Connections::Each, direction, Harm::Delay(delay));
    }
    let begun = Instant::now();
    assert_eq!(exchange(&proxy, b"x").0, b"x");
    assert!(begun.elapsed() >= 2 * delay, "{:?}", begun.elapsed());
    assert!(begun.elapsed() < 6 * delay, "{:?}", begun.elapsed());
    let bytes = noise(20_000_000);
    let begun = Instant::now();
    assert!(exchange(&proxy, &bytes).0 == bytes);
    // One after the other, the 600 pieces of 32 KiB would take a minute each way.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(begun.elapsed() >= 2 * delay);
}

#[test]
fn all_connections_can_be_cut_at_once() {
    let proxy = echo();
    let mut streams = [(); 3].map(|()| connect(&proxy));
    for stream in &mut streams {
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    proxy.cut();
    for stream in &mut streams {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    assert_eq!(exchange(&proxy, b"next").0, b"next");
}

#[test]
fn a_network_that_is_down_stays_down_until_it_is_healed() {
    let bytes = noise(50_000);
    let proxy = echo();
    let mut idle = connect(&proxy);
    idle.write_all(b"x").unwrap();
    idle.read_exact(&mut [0]).unwrap();
    proxy.harm(Connections::Together, ToServer, Harm::DownAfter(20_000));
    assert!(exchange(&proxy, &bytes).0.len() <= 20_000);
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    assert_eq!(exchange(&proxy, b"next").0, b"");
    proxy.assert_all_befell();
    proxy.heal();
    assert!(exchange(&proxy, &bytes).0 == bytes);
}

#[test]
fn where_nobody_listens_the_connection_is_closed() {
    let nobody: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = TcpProxy::to(nobody);
    assert_eq!(exchange(&proxy, b"").0, b"");
    assert_eq!(proxy.connections(), 1);
}

#[test]
#[should_panic(expected = "never befell: [Rule")]
fn a_harm_that_did_not_befall_is_told() {
    let proxy = echo();
    proxy.harm(Connections::Each, ToClient, Harm::CloseAfter(10));
    exchange(&proxy, b"short");
    proxy.assert_all_befell();
}
