use backstay::Variables;
use backstay_config::ResolvedStore;

/// The variables for one store: those of the environment, but for what its section says.
pub(crate) fn variables_for(store: ResolvedStore, variables: &Variables) -> Variables {
    let said = store.variables.into_iter();
    said.fold(variables.clone(), |variables, (name, value)| {
        variables.with(name, value.expose())
    })
}
