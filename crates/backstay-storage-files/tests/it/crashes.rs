//! Each call to the store fails in turn: afterwards there is a whole backup, or none.

use std::sync::Arc;

use backstay_core::store::{ErrorKind, MemoryStore, Store};
use backstay_storage_files::{FilesId, FilesRepository, verify_files};
use backstay_testkit::{Fault, Faulty, When};

use crate::support::{back_up, project};

#[test]
fn whatever_call_fails_there_is_no_backup_or_a_whole_one() {
    let server = project();
    let sound = |repository: &FilesRepository, id: &FilesId| {
        let opened = repository.open(id).unwrap();
        verify_files(repository, &opened, &|| false).unwrap().is_sound()
    };
    let (mut failed, mut whole) = (0, 0);
    for kind in [Fault::Error(ErrorKind::Other), Fault::LoseAnswer] {
        for call in 1.. {
            let faulty = Arc::new(Faulty::new(MemoryStore::new()).with_fault(When::nth_call(call).and_after(), kind));
            let repository = FilesRepository::new(Arc::clone(&faulty) as Arc<dyn Store>);
            let report = back_up(&server, &repository, 0);
            let is_over = faulty.calls() < call;
            faulty.heal();
            let ids = repository.list().unwrap();
            assert!(report.is_err() || ids.len() == 1, "{kind:?} {call}: told to be there");
            assert!(ids.iter().all(|id| sound(&repository, id)), "{kind:?} {call}");
            failed += usize::from(report.is_err());
            whole += ids.len();
            // The next one takes up what is there.
            let next = back_up(&server, &repository, 1).unwrap();
            assert!(sound(&repository, &next.backup.id), "{kind:?} {call}");
            if is_over {
                break;
            }
        }
    }
    assert!(failed > 20 && whole > 2, "{failed} {whole}");
}
