//! A service on tokio that backs its database up, shows how far it is, and stops when it is asked to.
//!
//! ```sh
//! DATABASE_URL=postgresql://app@localhost/app cargo run -p backstay-examples --example service -- ./backups
//! ```
//!
//! The library is synchronous and works on threads of its own. So `spawn_blocking` is the place for it, and the service
//! goes on answering meanwhile. Ctrl-C cancels the backup, which leaves nothing behind.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to people")]

use std::convert::Infallible;
use std::fmt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backstay::{
    BackupError, BackupOptions, BackupReport, CancelToken, ConnectionConfig, Phase, Progress, ProgressEvent,
    Repository, SearchPath,
};
use backstay_examples::{Failure, database, explain, programs, repository};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", explain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "./backups".to_owned());
    let backups = Backups::new(database()?, repository(&folder)?, programs());
    tokio::spawn(cancel_on_interrupt(backups.cancel.clone()));
    let answers = Arc::new(AtomicU64::new(0));
    tokio::spawn(serve(Arc::clone(&answers)));

    let report = tokio::select! {
        report = backups.back_up() => report?,
        never = show(&backups.meter) => match never {},
    };
    let published = report.published;
    println!("{} has {} bytes", published.manifest.id, published.bytes);
    println!("{} requests were answered meanwhile", answers.load(Ordering::Relaxed));
    Ok(())
}

/// What the service needs for its backups; clones share one meter and one wish to stop.
#[derive(Clone)]
pub(crate) struct Backups {
    source: ConnectionConfig,
    repository: Repository,
    programs: SearchPath,
    pub(crate) meter: Arc<Meter>,
    pub(crate) cancel: CancelToken,
}

impl Backups {
    pub(crate) fn new(source: ConnectionConfig, repository: Repository, programs: SearchPath) -> Self {
        Self {
            source,
            repository,
            programs,
            meter: Arc::default(),
            cancel: CancelToken::new(),
        }
    }

    /// Makes a backup without keeping the runtime from its other tasks.
    pub(crate) async fn back_up(&self) -> Result<BackupReport, Failure> {
        let this = self.clone();
        Ok(tokio::task::spawn_blocking(move || this.back_up_here()).await??)
    }

    /// Makes a backup on this very thread. That may be one of the runtime, whose other tasks then have to wait.
    pub(crate) fn back_up_here(&self) -> Result<BackupReport, BackupError> {
        backstay::back_up(
            &self.source,
            &self.repository,
            jiff::Timestamp::now(),
            &self.programs,
            &BackupOptions::default(),
            &*self.meter,
            &self.cancel,
        )
    }
}

/// How far a backup is. The library's threads write it, and whoever wants to shows it.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    phase: Mutex<Option<Phase>>,
    done: AtomicU64,
    total: AtomicU64,
}

impl Meter {
    pub(crate) fn phase(&self) -> Option<Phase> {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Meter {
    fn event(&self, event: ProgressEvent<'_>) {
        match event {
            ProgressEvent::Phase { phase, bytes_total } => {
                *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = Some(phase);
                self.done.store(0, Ordering::Relaxed);
                self.total.store(bytes_total, Ordering::Relaxed);
            }
            ProgressEvent::Advance { bytes, .. } => {
                self.done.fetch_add(bytes, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(phase) = self.phase() else {
            return f.write_str("not begun");
        };
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        match (done * 100).checked_div(total) {
            Some(percent) => write!(f, "{phase:?}: {percent} %"),
            None => write!(f, "{phase:?}"),
        }
    }
}

async fn show(meter: &Meter) -> Infallible {
    let mut every = tokio::time::interval(Duration::from_millis(200));
    loop {
        every.tick().await;
        println!("{meter}");
    }
}

async fn cancel_on_interrupt(cancel: CancelToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        cancel.cancel();
    }
}

/// Stands for what the service is there for.
pub(crate) async fn serve(answers: Arc<AtomicU64>) {
    let mut every = tokio::time::interval(Duration::from_millis(5));
    loop {
        every.tick().await;
        answers.fetch_add(1, Ordering::Relaxed);
    }
}
