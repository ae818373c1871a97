use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backstay::{BackupError, Phase};

use crate::service::{Backups, serve};
use crate::support::Shop;

fn backups(shop: &Shop) -> Backups {
    Backups::new(shop.database(), shop.repository(), shop.programs())
}

#[tokio::test(flavor = "current_thread")]
async fn a_service_answers_while_it_backs_up() {
    let shop = Shop::open();
    let answers = Arc::new(AtomicU64::new(0));
    tokio::spawn(serve(Arc::clone(&answers)));
    let backups = backups(&shop);
    let report = backups.back_up().await.unwrap();
    assert_eq!(report.published.manifest.row_count(), 20_100);
    assert!(
        answers.load(Ordering::Relaxed) > 0,
        "the runtime's only thread was held up"
    );
    assert_eq!(backups.meter.phase(), Some(Phase::Publish));
    assert_eq!(shop.repository().list().unwrap().backups.len(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_thread_of_the_runtime_may_be_used() {
    let shop = Shop::open();
    let report = backups(&shop).back_up_here().unwrap();
    assert_eq!(report.published.manifest.row_count(), 20_100);
}

#[tokio::test]
async fn a_cancelled_backup_leaves_nothing() {
    let shop = Shop::open();
    // The backup waits for this lock for longer than the test takes, so it can only end because it was cancelled.
    let locker = shop.lock_sales();
    let backups = backups(&shop);
    let running = tokio::spawn({
        let backups = backups.clone();
        async move { backups.back_up().await }
    });
    while backups.meter.phase() != Some(Phase::Schema) {
        assert!(!running.is_finished(), "it ended early: {:?}", running.await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    backups.cancel.cancel();
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(BackupError::Cancelled)), "{error}");
    drop(locker);
    let repository = shop.repository();
    let store = repository.store();
    assert!(store.list("").unwrap().is_empty() && store.list_leftovers().unwrap().is_empty());
}
