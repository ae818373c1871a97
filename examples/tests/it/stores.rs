#[test]
fn a_store_of_ones_own_keeps_what_a_store_promises() {
    crate::own_store::main().unwrap();
    let lines = include_str!("../../own_store.rs").lines().count();
    assert!(lines < 100, "{lines}");
}
