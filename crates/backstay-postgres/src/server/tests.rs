use super::*;
use crate::SearchPath;

/// The server to test on: the first that the test command names, else the newest that is found.
pub(crate) fn installation() -> Installation {
    let named = std::env::var_os("BACKSTAY_TEST_PG_BINS").unwrap_or_default();
    match std::env::split_paths(&named)
        .next()
        .filter(|folder| folder.is_absolute())
    {
        Some(folder) => Installation::at(&folder).expect("BACKSTAY_TEST_PG_BINS names a folder without a server"),
        None => {
            let path = std::env::var_os("PATH");
            Installation::find(&SearchPath::with_usual_places(path.as_deref()))
                .expect("PostgreSQL is needed: run `cargo xtask test`")
        }
    }
}

fn start(parent: &Path) -> ThrowawayServer {
    let options = ServerOptions::new(Authentication::Trust);
    ThrowawayServer::start(&installation(), parent, &options).expect("the server starts")
}

#[test]
fn a_port_that_is_taken_is_told_from_other_failures() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let mut server = start(parent.path());
    server.shut_down(Shutdown::Fast).expect("an orderly end");

    let squatter = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    server.port = squatter.local_addr().expect("an address").port();
    let error = server.launch().expect_err("the port is taken");
    assert!(error.is_port_collision(), "{error}");
    assert!(server.running.is_none(), "nothing may run after a failed start");

    std::fs::remove_file(server.data_folder().join("PG_VERSION")).expect("a removal");
    drop(squatter);
    let error = server.launch().expect_err("the cluster is broken");
    assert!(!error.is_port_collision(), "{error}");
}

#[test]
fn a_leftover_is_what_nobody_holds_any_more() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let mut server = start(parent.path());
    let folder = server.folder.path().to_owned();
    let pid = process::pid(server.postmaster_pid().expect("it runs")).expect("a process id");
    assert_eq!(remove_leftovers(parent.path()).expect("a look"), Vec::<PathBuf>::new());
    assert!(
        server
            .running
            .as_mut()
            .is_some_and(|r| r.postmaster.try_wait().is_ok_and(|s| s.is_none()))
    );

    // As if this program and the watchdog had been killed.
    server._lock.unlock().expect("it was locked");
    assert_eq!(
        remove_leftovers(parent.path()).expect("a removal"),
        std::slice::from_ref(&folder)
    );
    assert!(!folder.exists());
    process::await_end(&[pid]).expect("the server was ended");
}

#[test]
fn a_process_that_took_over_the_number_of_a_server_is_spared() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let folder = parent
        .path()
        .canonicalize()
        .expect("a path")
        .join(format!("{FOLDER_PREFIX}old"));
    let data_folder = cluster::data_folder(&folder);
    std::fs::create_dir_all(&data_folder).expect("a folder");
    let mut other = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .expect("sleep runs");
    std::fs::write(data_folder.join("postmaster.pid"), format!("{}\n", other.id())).expect("a file");

    assert_eq!(remove_leftovers(parent.path()).expect("a removal"), [folder]);
    assert!(other.try_wait().expect("a look").is_none(), "it must still run");
    other.kill().expect("it runs");
    other.wait().expect("its end");
}
