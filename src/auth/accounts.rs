//! [`Accounts`]: accounts and credentials that are made and changed while the deployment runs.
//!
//! Every change is a transaction of the metadata store, after which the [`Directory`] takes what is stored then; so a
//! change holds when it is answered, for every API and without a restart. Changes are made one after the other.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::seal::MasterKey;
use super::{AccessKeyId, Account, AccountKind, AuthError, Credential, Directory, Permission, generate};
use crate::model::bucket::Visibility;
use crate::model::clock::{Ambient, Timestamp};
use crate::model::names::{BucketName, Namespace};
use crate::store::meta::{AccountStore, MetaError};

/// Looks after accounts.
pub struct Accounts {
    store: Arc<dyn AccountStore>,
    directory: Arc<Directory>,
    key: MasterKey,
    ambient: Ambient,
    changing: Mutex<()>,
}

/// A credential to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// The account it is to belong to.
    pub account: Namespace,
    /// How far it is to reach.
    pub permission: Permission,
    /// The only buckets it is to reach.
    pub buckets: Option<Vec<BucketName>>,
    /// From when on it is to be worth nothing.
    pub expires_at: Option<Timestamp>,
}

impl Accounts {
    /// Takes what is stored into the directory. A credential that cannot be unsealed is an error: a lost master key
    /// must be noticed.
    pub async fn open(
        store: Arc<dyn AccountStore>,
        directory: Arc<Directory>,
        key: MasterKey,
        ambient: Ambient,
    ) -> Result<Self, AuthError> {
        let accounts = Self { store, directory, key, ambient, changing: Mutex::new(()) };
        accounts.seal_again().await?;
        accounts.reload().await?;
        Ok(accounts)
    }

    /// Seals the credentials again that an earlier build has sealed. Those builds do not open them any more.
    async fn seal_again(&self) -> Result<(), AuthError> {
        let (_, stored) = self.store.accounts().await.map_err(AuthError::Store)?;
        for row in stored {
            let created_at = row.created_at;
            let (credential, is_old) = self.key.unseal(row)?;
            if is_old {
                let sealed = self.key.seal(&credential, created_at, &self.ambient)?;
                self.store.change_credential(sealed).await.map_err(AuthError::Store)?;
            }
        }
        Ok(())
    }

    /// Who there is.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Takes over what others have changed.
    pub async fn follow(&self) -> Result<(), AuthError> {
        let _changing = self.changing.lock().await;
        self.reload().await
    }

    async fn reload(&self) -> Result<(), AuthError> {
        let (accounts, sealed) = self.store.accounts().await.map_err(AuthError::Store)?;
        let credentials = sealed.into_iter().map(|sealed| Ok(self.key.unseal(sealed)?.0));
        self.directory.replace(accounts, credentials.collect::<Result<_, AuthError>>()?);
        Ok(())
    }

    /// Makes an account.
    pub async fn create_account(&self, account: Account) -> Result<(), AuthError> {
        let _changing = self.changing.lock().await;
        let name = account.name.clone();
        if self.directory.account(&name).is_some() {
            return Err(AuthError::AccountExists(name));
        }
        check_members(&account)?;
        self.store.create_account(account).await.map_err(|error| match error {
            MetaError::AccountInUse => AuthError::NameLeft(name),
            error => account_error(error, &name),
        })?;
        self.reload().await
    }

    /// Gives an organisation other members.
    pub async fn set_members(&self, name: &Namespace, members: Vec<Namespace>) -> Result<Account, AuthError> {
        self.change_account(name, |account| account.members = members).await
    }

    /// Says who may read the buckets that an account creates without saying.
    pub async fn set_new_buckets(
        &self,
        name: &Namespace,
        new_buckets: Option<Visibility>,
    ) -> Result<Account, AuthError> {
        self.change_account(name, |account| account.new_buckets = new_buckets).await
    }

    async fn change_account(
        &self,
        name: &Namespace,
        change: impl FnOnce(&mut Account),
    ) -> Result<Account, AuthError> {
        let _changing = self.changing.lock().await;
        let mut account = self.changeable(name)?;
        change(&mut account);
        check_members(&account)?;
        let changed = self.store.change_account(account.clone()).await;
        changed.map_err(|error| account_error(error, name))?;
        self.reload().await?;
        Ok(account)
    }

    /// Removes an account without buckets and credentials.
    pub async fn remove_account(&self, name: &Namespace) -> Result<(), AuthError> {
        let _changing = self.changing.lock().await;
        self.changeable(name)?;
        // What is declared cannot be changed here, and would make the next account of the name a member.
        if let Some(organisation) = self.directory.declared_organisation_of(name) {
            return Err(AuthError::DeclaredMember { name: name.clone(), organisation });
        }
        self.store.remove_account(name).await.map_err(|error| account_error(error, name))?;
        self.reload().await
    }

    /// Makes a credential. Nobody else ever learns its secrets.
    pub async fn create_key(&self, new: NewKey) -> Result<Credential, AuthError> {
        let _changing = self.changing.lock().await;
        if self.directory.account(&new.account).is_none() {
            return Err(AuthError::NoSuchAccount(new.account));
        }
        let created_at = self.ambient.clock.now();
        let credential = Credential {
            account: new.account,
            access_key_id: generate::access_key_id(&self.ambient)?,
            secret_access_key: generate::secret_access_key(&self.ambient)?,
            token: Some(generate::token(&self.ambient)?),
            permission: new.permission,
            buckets: new.buckets,
            created_at: Some(created_at),
            expires_at: new.expires_at,
        };
        let sealed = self.key.seal(&credential, created_at, &self.ambient)?;
        self.store.create_credential(sealed).await.map_err(|error| match error {
            MetaError::NameTaken => AuthError::DuplicateAccessKeyId(credential.access_key_id.clone()),
            error => AuthError::Store(error),
        })?;
        self.reload().await?;
        Ok(credential)
    }

    /// Gives a credential new secrets; the old ones are worth nothing from now on.
    pub async fn rotate_key(&self, id: &AccessKeyId) -> Result<Credential, AuthError> {
        let _changing = self.changing.lock().await;
        let old = self.changeable_key(id)?;
        let credential = Credential {
            secret_access_key: generate::secret_access_key(&self.ambient)?,
            token: Some(generate::token(&self.ambient)?),
            ..(*old).clone()
        };
        let created_at = old.created_at.unwrap_or(self.ambient.clock.now());
        let sealed = self.key.seal(&credential, created_at, &self.ambient)?;
        if !self.store.change_credential(sealed).await.map_err(AuthError::Store)? {
            return Err(AuthError::NoSuchCredential(id.clone()));
        }
        self.reload().await?;
        Ok(credential)
    }

    /// Ends a credential.
    pub async fn revoke_key(&self, id: &AccessKeyId) -> Result<(), AuthError> {
        let _changing = self.changing.lock().await;
        self.changeable_key(id)?;
        if !self.store.remove_credential(id.as_str()).await.map_err(AuthError::Store)? {
            return Err(AuthError::NoSuchCredential(id.clone()));
        }
        self.reload().await
    }

    fn changeable(&self, name: &Namespace) -> Result<Account, AuthError> {
        if self.directory.is_declared(name) {
            return Err(AuthError::Declared(format!("account {name}")));
        }
        self.directory.account(name).ok_or_else(|| AuthError::NoSuchAccount(name.clone()))
    }

    fn changeable_key(&self, id: &AccessKeyId) -> Result<Arc<Credential>, AuthError> {
        let all = self.directory.credentials();
        let found = all.into_iter().find(|credential| credential.access_key_id == *id);
        let found = found.ok_or_else(|| AuthError::NoSuchCredential(id.clone()))?;
        match found.created_at {
            Some(_) => Ok(found),
            None => Err(AuthError::Declared(format!("access key id {id}"))),
        }
    }
}

fn check_members(account: &Account) -> Result<(), AuthError> {
    match account.kind {
        AccountKind::User if !account.members.is_empty() => {
            Err(AuthError::NotAnOrganisation(account.name.clone()))
        }
        _ => Ok(()),
    }
}

fn account_error(error: MetaError, name: &Namespace) -> AuthError {
    match error {
        MetaError::NameTaken => AuthError::AccountExists(name.clone()),
        MetaError::NoSuchAccount => AuthError::NoSuchAccount(name.clone()),
        MetaError::AccountInUse => AuthError::AccountInUse(name.clone()),
        error => AuthError::Store(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::TokenUse;
    use crate::store::meta::EmbeddedMeta;

    fn name(name: &str) -> Namespace {
        Namespace::new(name).unwrap()
    }

    fn user(name: Namespace) -> Account {
        Account { name, kind: AccountKind::User, members: Vec::new(), new_buckets: None }
    }

    async fn open(store: &Arc<EmbeddedMeta>, key: u8) -> Result<Accounts, AuthError> {
        let clock = Ambient::system().clock;
        let directory = Directory::declared([user(name("declared"))], [], TokenUse::Shown, clock).unwrap();
        let key = MasterKey::new(&[key; 32]);
        Accounts::open(Arc::clone(store) as _, Arc::new(directory), key, Ambient::system()).await
    }

    fn new_key(account: &str) -> NewKey {
        NewKey { account: name(account), permission: Permission::Write, buckets: None, expires_at: None }
    }

    #[tokio::test]
    async fn a_key_works_when_it_is_answered_and_after_a_restart_until_it_is_revoked() {
        let store = Arc::new(EmbeddedMeta::in_memory().unwrap());
        let accounts = open(&store, 1).await.unwrap();
        accounts.create_account(user(name("ada"))).await.unwrap();
        let key = accounts.create_key(new_key("ada")).await.unwrap();
        let (id, token) = (key.access_key_id.as_str(), key.token.as_ref().unwrap().expose());
        assert_eq!(accounts.directory().bearer(token).as_deref(), Some(&key));

        let again = open(&store, 1).await.unwrap();
        assert_eq!(again.directory().credential(id).as_deref(), Some(&key));
        assert!(open(&store, 2).await.is_err(), "with another master key nothing opens");

        let rotated = again.rotate_key(&key.access_key_id).await.unwrap();
        assert_eq!(again.directory().bearer(token), None);
        assert_eq!(again.directory().credential(id).as_deref(), Some(&rotated));
        again.revoke_key(&key.access_key_id).await.unwrap();
        assert_eq!(again.directory().credential(id), None);
        assert!(matches!(again.revoke_key(&key.access_key_id).await, Err(AuthError::NoSuchCredential(_))));
    }

    #[tokio::test]
    async fn accounts_are_made_once_and_go_when_nothing_is_theirs() {
        let store = Arc::new(EmbeddedMeta::in_memory().unwrap());
        let accounts = open(&store, 1).await.unwrap();
        let org =
            Account { name: name("team"), kind: AccountKind::Org, members: Vec::new(), new_buckets: None };
        accounts.create_account(org.clone()).await.unwrap();
        assert!(matches!(accounts.create_account(org).await, Err(AuthError::AccountExists(_))));
        accounts.set_members(&name("team"), vec![name("ada")]).await.unwrap();
        assert_eq!(accounts.directory().organisations_of(&name("ada")), [name("team")]);

        let key = accounts.create_key(new_key("team")).await.unwrap();
        assert!(matches!(accounts.remove_account(&name("team")).await, Err(AuthError::AccountInUse(_))));
        accounts.revoke_key(&key.access_key_id).await.unwrap();
        accounts.remove_account(&name("team")).await.unwrap();
        assert!(matches!(accounts.create_key(new_key("team")).await, Err(AuthError::NoSuchAccount(_))));
    }

    #[tokio::test]
    async fn what_new_buckets_are_is_kept_with_the_account_and_beside_its_members() {
        let store = Arc::new(EmbeddedMeta::in_memory().unwrap());
        let accounts = open(&store, 1).await.unwrap();
        let new_buckets = Some(Visibility::Private);
        let team = Account { new_buckets, kind: AccountKind::Org, ..user(name("team")) };
        accounts.create_account(team).await.unwrap();
        accounts.set_members(&name("team"), vec![name("ada")]).await.unwrap();
        let again = open(&store, 1).await.unwrap();
        assert_eq!(again.directory().new_buckets(&name("team")), new_buckets);
        again.set_new_buckets(&name("team"), None).await.unwrap();
        assert_eq!(again.directory().new_buckets(&name("team")), None);
        assert_eq!(again.directory().account(&name("team")).unwrap().members, [name("ada")]);
        let unknown = again.set_new_buckets(&name("none"), new_buckets).await;
        assert!(matches!(unknown, Err(AuthError::NoSuchAccount(_))));
        let declared = again.set_new_buckets(&name("declared"), new_buckets).await;
        assert!(matches!(declared, Err(AuthError::Declared(_))));
    }

    #[tokio::test]
    async fn what_was_declared_cannot_be_changed() {
        let store = Arc::new(EmbeddedMeta::in_memory().unwrap());
        let accounts = open(&store, 1).await.unwrap();
        let declared = name("declared");
        assert!(matches!(accounts.remove_account(&declared).await, Err(AuthError::Declared(_))));
        assert!(matches!(accounts.set_members(&declared, Vec::new()).await, Err(AuthError::Declared(_))));
        accounts.create_account(user(name("ada"))).await.unwrap();
        let members = accounts.set_members(&name("ada"), vec![declared]).await;
        assert!(matches!(members, Err(AuthError::NotAnOrganisation(_))));
    }

    #[tokio::test]
    async fn the_next_account_of_a_name_inherits_no_membership() {
        let store = Arc::new(EmbeddedMeta::in_memory().unwrap());
        let accounts = open(&store, 1).await.unwrap();
        accounts.create_account(user(name("ada"))).await.unwrap();
        let org = Account {
            name: name("team"),
            kind: AccountKind::Org,
            members: vec![name("ada")],
            new_buckets: None,
        };
        accounts.create_account(org).await.unwrap();
        accounts.remove_account(&name("ada")).await.unwrap();
        accounts.create_account(user(name("ada"))).await.unwrap();
        assert!(accounts.directory().organisations_of(&name("ada")).is_empty());
    }

    #[tokio::test]
    async fn a_member_of_a_declared_organisation_is_not_removed() {
        let store = Arc::new(EmbeddedMeta::in_memory().unwrap());
        let org = Account {
            name: name("crew"),
            kind: AccountKind::Org,
            members: vec![name("ada")],
            new_buckets: None,
        };
        let clock = Ambient::system().clock;
        let directory = Directory::declared([org], [], TokenUse::Shown, clock).unwrap();
        let key = MasterKey::new(&[1; 32]);
        let accounts = Accounts::open(store, Arc::new(directory), key, Ambient::system()).await.unwrap();
        accounts.create_account(user(name("ada"))).await.unwrap();
        let refused = accounts.remove_account(&name("ada")).await.unwrap_err();
        assert!(refused.to_string().contains("crew"), "{refused}");
        assert!(accounts.directory().account(&name("ada")).is_some());
    }
}
