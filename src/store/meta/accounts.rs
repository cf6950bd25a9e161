//! [`AccountStore`]: accounts and credentials, beside the buckets they own.

use async_trait::async_trait;
use redb::StorageError;

use super::MetaError;
use super::kv::ReadableTable;
use super::table_meta::{TableEngine, TableMeta};
use super::tables::{self, Failure, Tables, decode, encode};
use crate::model::accounts::{Account, SealedCredential};
use crate::model::names::Namespace;

/// Accounts and credentials that were made at run time. Every write is one transaction.
#[async_trait]
pub trait AccountStore: Send + Sync + 'static {
    /// All of them, of one moment, by name and by access key id.
    async fn accounts(&self) -> Result<(Vec<Account>, Vec<SealedCredential>), MetaError>;

    /// Makes an account. [`MetaError::NameTaken`]; [`MetaError::AccountInUse`] if an earlier account has left buckets or
    /// credentials of this name, which must not pass to another.
    async fn create_account(&self, account: Account) -> Result<(), MetaError>;

    /// Changes an account. [`MetaError::NoSuchAccount`].
    async fn change_account(&self, account: Account) -> Result<(), MetaError>;

    /// Removes an account that has no buckets and no credentials, and takes its name out of every organisation: the next
    /// account of the name is no member. [`MetaError::AccountInUse`].
    async fn remove_account(&self, name: &Namespace) -> Result<(), MetaError>;

    /// Keeps a new credential. [`MetaError::NameTaken`].
    async fn create_credential(&self, credential: SealedCredential) -> Result<(), MetaError>;

    /// Puts a credential in place of the one with its access key id; answers whether there was one.
    async fn change_credential(&self, credential: SealedCredential) -> Result<bool, MetaError>;

    /// Forgets a credential; answers whether there was one.
    async fn remove_credential(&self, access_key_id: &str) -> Result<bool, MetaError>;
}

impl Tables<'_> {
    fn has_account(&self, name: &Namespace) -> Result<bool, StorageError> {
        Ok(self.accounts.get(name.as_str())?.is_some())
    }

    fn has_credential(&self, access_key_id: &str) -> Result<bool, StorageError> {
        Ok(self.credentials.get(access_key_id)?.is_some())
    }

    fn put_account(&mut self, account: &Account) -> Result<(), Failure> {
        self.accounts.insert(account.name.as_str(), encode(account)?.as_slice())?;
        Ok(())
    }

    /// Refuses while buckets or credentials are of this name.
    fn must_own_nothing(&self, name: &Namespace) -> Result<(), Failure> {
        let bucket = self.buckets.first_in((name.as_str(), "")..)?;
        let mut in_use = bucket.is_some_and(|(id, _)| id.value().0 == name.as_str());
        for entry in self.credentials.all()? {
            in_use |= decode::<SealedCredential>(entry?.1.value())?.account == *name;
        }
        if in_use { Err(MetaError::AccountInUse.into()) } else { Ok(()) }
    }

    fn create_account(&mut self, account: &Account) -> Result<(), Failure> {
        if self.has_account(&account.name)? {
            return Err(MetaError::NameTaken.into());
        }
        self.must_own_nothing(&account.name)?;
        self.put_account(account)
    }

    fn remove_account(&mut self, name: &Namespace) -> Result<(), Failure> {
        if !self.has_account(name)? {
            return Err(MetaError::NoSuchAccount.into());
        }
        self.must_own_nothing(name)?;
        self.accounts.remove(name.as_str())?;
        let all = self.accounts.all()?.map(|entry| decode(entry?.1.value()));
        let all = all.collect::<Result<Vec<Account>, StorageError>>()?;
        for mut organisation in all.into_iter().filter(|account| account.members.contains(name)) {
            organisation.members.retain(|member| member != name);
            self.put_account(&organisation)?;
        }
        Ok(())
    }

    fn put_credential(&mut self, credential: &SealedCredential) -> Result<(), Failure> {
        self.credentials.insert(credential.access_key_id.as_str(), encode(credential)?.as_slice())?;
        Ok(())
    }
}

#[async_trait]
impl<E: TableEngine> AccountStore for TableMeta<E> {
    async fn accounts(&self) -> Result<(Vec<Account>, Vec<SealedCredential>), MetaError> {
        self.engine
            .read(|snapshot| {
                let accounts = snapshot.open_table(tables::ACCOUNTS)?;
                let accounts =
                    accounts.all()?.map(|entry| decode(entry?.1.value())).collect::<Result<_, _>>()?;
                let credentials = snapshot.open_table(tables::CREDENTIALS)?;
                let credentials = credentials.all()?.map(|entry| decode(entry?.1.value()));
                Ok((accounts, credentials.collect::<Result<_, _>>()?))
            })
            .await
    }

    async fn create_account(&self, account: Account) -> Result<(), MetaError> {
        self.write(move |tables| tables.create_account(&account)).await
    }

    async fn change_account(&self, account: Account) -> Result<(), MetaError> {
        self.engine
            .write(move |tables| {
                if !tables.has_account(&account.name)? {
                    return Err(MetaError::NoSuchAccount.into());
                }
                tables.put_account(&account)
            })
            .await
    }

    async fn remove_account(&self, name: &Namespace) -> Result<(), MetaError> {
        let name = name.clone();
        self.write(move |tables| tables.remove_account(&name)).await
    }

    async fn create_credential(&self, credential: SealedCredential) -> Result<(), MetaError> {
        self.engine
            .write(move |tables| {
                if tables.has_credential(&credential.access_key_id)? {
                    return Err(MetaError::NameTaken.into());
                }
                tables.put_credential(&credential)
            })
            .await
    }

    async fn change_credential(&self, credential: SealedCredential) -> Result<bool, MetaError> {
        self.engine
            .write(move |tables| {
                let known = tables.has_credential(&credential.access_key_id)?;
                if known {
                    tables.put_credential(&credential)?;
                }
                Ok(known)
            })
            .await
    }

    async fn remove_credential(&self, access_key_id: &str) -> Result<bool, MetaError> {
        let id = access_key_id.to_owned();
        self.write(move |tables| Ok(tables.credentials.take(id.as_str())?.is_some())).await
    }
}
