use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use super::ThrowawayError;

/// Where the accounts of a machine stand; those of the packages of PostgreSQL and `nobody` are always local.
const ACCOUNTS: &str = "/etc/passwd";

/// Users to run a server as when the caller is root, best first. `_postgres` is the name on macOS.
const CANDIDATES: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// The user that the programs of a server run as in place of root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// Who servers run as: `None` is the caller, who is not root.
    pub(super) fn for_servers() -> Result<Option<Self>, ThrowawayError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string(ACCOUNTS).map_err(ThrowawayError::io("read", Path::new(ACCOUNTS)))?;
        let account = CANDIDATES.iter().find_map(|name| Self::named(name, &accounts));
        account.map(Some).ok_or_else(|| ThrowawayError::NoAccount {
            candidates: CANDIDATES.join(", "),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    pub(super) fn gid(&self) -> u32 {
        self.gid
    }

    /// Makes the account the owner of a file or folder, with no rights for others.
    pub(super) fn own(&self, path: &Path) -> Result<(), ThrowawayError> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(ThrowawayError::io("change the owner of", path))
    }

    /// Lets the account pass through `folder`, and checks that it can pass through all the folders above.
    pub(super) fn let_through(&self, folder: &Path) -> Result<(), ThrowawayError> {
        for path in folder.ancestors() {
            let metadata = fs::metadata(path).map_err(ThrowawayError::io("examine", path))?;
            if self.passes(metadata.uid(), metadata.gid(), metadata.mode()) {
                continue;
            }
            if path != folder {
                return Err(ThrowawayError::NotTraversable {
                    path: path.to_owned(),
                    account: self.name.clone(),
                });
            }
            let mut permissions = metadata.permissions();
            permissions.set_mode(metadata.mode() | 0o111);
            fs::set_permissions(path, permissions).map_err(ThrowawayError::io("change the mode of", path))?;
        }
        Ok(())
    }

    /// Looks one line of `passwd(5)` up.
    fn named(name: &str, accounts: &str) -> Option<Self> {
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next().filter(|found| *found == name)?;
            Some(Self {
                name: found.to_owned(),
                uid: fields.nth(1)?.parse().ok()?,
                gid: fields.next()?.parse().ok()?,
            })
        })
    }

    fn passes(&self, uid: u32, gid: u32, mode: u32) -> bool {
        let bit = if uid == self.uid {
            0o100
        } else if gid == self.gid {
            0o010
        } else {
            0o001
        };
        mode & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    const ACCOUNTS: &str = "root:x:0:0:root:/root:/bin/bash\n\
        nobody:*:-2:-2:Unprivileged User:/var/empty:/usr/bin/false\n\
        postgresql:x:1:1::/:/bin/sh\n\
        postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let postgres = Account::named("postgres", ACCOUNTS).expect("it is there");
        assert_eq!(
            (postgres.name(), postgres.uid(), postgres.gid()),
            ("postgres", 101, 104)
        );
    }

    #[test]
    fn an_account_that_is_absent_or_has_no_usable_id_is_none() {
        assert_eq!(Account::named("_postgres", ACCOUNTS), None);
        assert_eq!(Account::named("nobody", ACCOUNTS), None);
    }

    #[test]
    fn the_first_class_that_fits_decides_who_passes() {
        let account = Account {
            name: "postgres".to_owned(),
            uid: 101,
            gid: 104,
        };
        let check = |uid, gid, mode, expected| assert_eq!(account.passes(uid, gid, mode), expected, "{mode:o}");
        check(101, 0, 0o40100, true);
        check(101, 104, 0o40077, false);
        check(0, 104, 0o40010, true);
        check(0, 104, 0o40701, false);
        check(0, 0, 0o40701, true);
        check(0, 0, 0o40770, false);
    }
}
