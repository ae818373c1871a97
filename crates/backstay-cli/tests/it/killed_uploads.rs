//! A program that is killed while it uploads, whatever the kind of store.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use backstay_testkit::tcp_proxy::Direction::ToServer;
use backstay_testkit::tcp_proxy::{Connections, Harm, TcpProxy};

use crate::support::{Run, Sandbox};

/// Thirteen megabytes when they are packed: more than one part for every kind of store.
const BULK: &str = "
    CREATE TABLE public.bulk AS SELECT i, (
        SELECT string_agg(encode(decode(md5(i::text || j), 'hex'), 'base64'), '') FROM generate_series(1, 20) j
    ) AS filler FROM generate_series(1, 36000) i;
";

/// In the first part, and behind it.
const PLACES: [u64; 2] = [2_000_000, 9_000_000];

/// A kind of store to kill over.
pub(crate) struct Upload<'a> {
    pub(crate) sandbox: &'a Sandbox,
    /// URL of the server, without a path.
    pub(crate) endpoint: String,
    /// The program with the store on the server at a URL.
    pub(crate) command: &'a dyn Fn(&str, &[&str]) -> Command,
    /// How many uploads the server knows that have not ended.
    pub(crate) open_uploads: &'a dyn Fn() -> usize,
}

impl Upload<'_> {
    fn succeed(&self, arguments: &[&str]) -> Run {
        let run = Run::of(&mut (self.command)(&self.endpoint, arguments));
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        run
    }

    fn listed(&self) -> usize {
        let listed = self.succeed(&["list", "--json"]).json();
        listed["backups"].as_array().unwrap().len()
    }

    /// Kills backups when so many bytes of them were sent: what is there is no backup, the next one is made and sound, and
    /// nothing that can be seen stays behind. Gives how many uploads were open after the last of them.
    pub(crate) fn assert_sound_after_kills(&self) -> usize {
        self.sandbox.sql("kulti", BULK);
        let mut open = 0;
        for (number, at) in PLACES.into_iter().enumerate() {
            let proxy = TcpProxy::to_endpoint(&self.endpoint);
            // Time to see where it is.
            proxy.harm(Connections::Each, ToServer, Harm::Slow(8_000_000));
            let mut child = (self.command)(&proxy.endpoint(), &["backup", "--jobs", "1", "--compress", "gzip:1"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            while proxy.bytes(ToServer) < at {
                assert!(
                    child.try_wait().unwrap().is_none(),
                    "it ended before {at} bytes were sent"
                );
                thread::sleep(Duration::from_millis(2));
            }
            child.kill().unwrap();
            child.wait().unwrap();
            drop(proxy);
            assert_eq!(self.listed(), number, "killed after {at} bytes");
            open = (self.open_uploads)();
            let made = self.succeed(&["backup", "--compress", "gzip:1", "--json"]).json();
            self.succeed(&["prune", "--litter", "--grace", "0"]);
            let left = self.succeed(&["prune", "--litter", "--grace", "0", "--json"]).json();
            for kind in ["temporary", "half_deleted", "half_written"] {
                assert_eq!(left[kind], serde_json::json!([]), "{left}");
            }
            assert_eq!(self.listed(), number + 1);
            self.succeed(&["verify", made["id"].as_str().unwrap()]);
            // The id has the time to the second.
            thread::sleep(Duration::from_millis(1100));
        }
        open
    }
}
