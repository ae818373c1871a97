use std::time::Instant;

use backstay_testkit::http_server::{Fault, HttpServer, Request, Response};
use backstay_testkit::tcp_proxy::{Connections, Direction, Harm, TcpProxy};

use super::*;

const SHORT: Duration = Duration::from_millis(400);

/// A server that answers with a hundred thousand bytes, and a client that does not wait long.
fn scene() -> (HttpServer, TcpProxy, Http) {
    let answer = |_: &Request| Response::new(200, vec![7; 100_000]);
    let server = HttpServer::start(answer, |status, word| Response::new(status, word));
    let proxy = TcpProxy::to_endpoint(&server.endpoint());
    let times = Times {
        connect: SHORT,
        answer: SHORT,
        body: SHORT,
        send: SHORT,
    };
    (server, proxy, Http::with_times(None, times, None).unwrap())
}

/// Asks, and reads the answer to its end.
fn ask(http: &Http, proxy: &TcpProxy, body: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
    let told = |body: &[u8]| (String::from_utf8_lossy(body).into_owned(), String::new());
    let method = if body.is_some() { "PUT" } else { "GET" };
    let answer = http.send(method, &proxy.endpoint(), &[], body)?;
    answer.succeeded(told)?.bytes(1 << 20)
}

#[test]
fn a_connection_on_which_nothing_comes_is_given_up_and_may_be_tried_again() {
    let large = vec![1; 60_000];
    for (direction, at, body) in [
        // No answer; an answer that stops; a request that stops.
        (Direction::ToClient, 0, None),
        (Direction::ToClient, 50_000, None),
        (Direction::ToServer, 20_000, Some(large.as_slice())),
    ] {
        let (_server, proxy, http) = scene();
        proxy.harm(Connections::Together, direction, Harm::StallAfter(at, None));
        let begun = Instant::now();
        let failure = ask(&http, &proxy, body).unwrap_err();
        assert!(failure.is_transient(&[]), "{direction:?} {at}: {failure:?}");
        assert!(!failure.is_definite(&[]), "{direction:?} {at}: {failure:?}");
        let took = begun.elapsed();
        assert!(
            took >= SHORT && took < Duration::from_secs(15),
            "{direction:?} {at}: {took:?}"
        );
        proxy.assert_all_befell();
        assert_eq!(ask(&http, &proxy, body).unwrap().len(), 100_000);
    }
}

#[test]
fn a_refusal_that_broke_off_is_not_taken_for_one_without_a_word() {
    let (server, proxy, http) = scene();
    server.fail("GET", "", Fault::Refuse(404, "no such object"));
    match ask(&http, &proxy, None).unwrap_err() {
        Failure::Refused { code, .. } => assert_eq!(code, "no such object"),
        other => panic!("{other:?}"),
    }
    server.fail("GET", "", Fault::Refuse(404, "no such object"));
    // Within the word.
    let cut = proxy.bytes(Direction::ToClient) - 5;
    drop(proxy);
    let proxy = TcpProxy::to_endpoint(&server.endpoint());
    proxy.harm(Connections::Together, Direction::ToClient, Harm::CloseAfter(cut));
    let failure = ask(&http, &proxy, None).unwrap_err();
    assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");
    assert!(failure.is_transient(&[]));
    proxy.assert_all_befell();
}
