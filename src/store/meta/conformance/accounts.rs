//! Accounts and credentials.

use super::{Store, bucket};
use crate::model::accounts::{Account, AccountKind, Permission, SealedCredential};
use crate::model::bucket::Visibility;
use crate::model::clock::Timestamp;
use crate::model::names::Namespace;
use crate::store::meta::MetaError;

/// The suite's share.
pub(super) async fn all(open: &impl AsyncFn() -> Store) {
    accounts_and_credentials_are_made_once_changed_and_removed(open().await).await;
    an_account_in_use_stays(open().await).await;
    nothing_passes_to_the_next_account_of_a_name(open().await).await;
}

fn account(name: &str) -> Account {
    Account {
        name: Namespace::new(name).unwrap(),
        kind: AccountKind::Org,
        members: Vec::new(),
        new_buckets: None,
    }
}

fn credential(id: &str, account: &str) -> SealedCredential {
    SealedCredential {
        access_key_id: id.to_owned(),
        account: Namespace::new(account).unwrap(),
        permission: Permission::Write,
        buckets: None,
        created_at: Timestamp(1),
        expires_at: None,
        sealed: vec![1, 2, 3],
    }
}

async fn accounts_and_credentials_are_made_once_changed_and_removed(store: Store) {
    store.create_account(account("ada")).await.unwrap();
    assert!(matches!(store.create_account(account("ada")).await, Err(MetaError::NameTaken)));
    let changed = Account {
        members: vec![Namespace::new("bob").unwrap()],
        new_buckets: Some(Visibility::Private),
        ..account("ada")
    };
    store.change_account(changed.clone()).await.unwrap();
    assert!(matches!(store.change_account(account("none")).await, Err(MetaError::NoSuchAccount)));

    store.create_credential(credential("AK", "ada")).await.unwrap();
    let taken = store.create_credential(credential("AK", "bob")).await;
    assert!(matches!(taken, Err(MetaError::NameTaken)));
    let rotated = SealedCredential { sealed: vec![4], ..credential("AK", "ada") };
    assert!(store.change_credential(rotated.clone()).await.unwrap());
    assert!(!store.change_credential(credential("none", "ada")).await.unwrap());
    assert_eq!(store.accounts().await.unwrap(), (vec![changed], vec![rotated]));
    assert!(store.remove_credential("AK").await.unwrap());
    assert!(!store.remove_credential("AK").await.unwrap());
    store.remove_account(&account("ada").name).await.unwrap();
    assert!(matches!(store.remove_account(&account("ada").name).await, Err(MetaError::NoSuchAccount)));
}

async fn an_account_in_use_stays(store: Store) {
    for name in ["ada", "adam"] {
        store.create_account(account(name)).await.unwrap();
    }
    let bucket = bucket(&store).await;
    let ada = &bucket.id.namespace;
    assert!(matches!(store.remove_account(ada).await, Err(MetaError::AccountInUse)));
    store.delete_bucket(&bucket.id, false, Timestamp(0)).await.unwrap();
    store.create_credential(credential("AK", "ada")).await.unwrap();
    assert!(matches!(store.remove_account(ada).await, Err(MetaError::AccountInUse)));
    store.remove_credential("AK").await.unwrap();
    store.remove_account(ada).await.unwrap();
}

async fn nothing_passes_to_the_next_account_of_a_name(store: Store) {
    let name = |name: &str| Namespace::new(name).unwrap();
    let with = |org: &str, members: &[&str]| Account {
        members: members.iter().map(|member| name(member)).collect(),
        ..account(org)
    };
    for made in [account("ada"), with("crew", &["ada"]), with("team", &["bob", "ada", "cy"])] {
        store.create_account(made).await.unwrap();
    }
    store.remove_account(&name("ada")).await.unwrap();
    store.create_account(account("ada")).await.unwrap();
    let left = vec![account("ada"), with("crew", &[]), with("team", &["bob", "cy"])];
    assert_eq!(store.accounts().await.unwrap().0, left);

    // What is left of an account that is no longer declared in the configuration.
    store.create_credential(credential("AK", "gone")).await.unwrap();
    assert!(matches!(store.create_account(account("gone")).await, Err(MetaError::AccountInUse)));
    store.remove_credential("AK").await.unwrap();
    store.remove_account(&name("ada")).await.unwrap();
    let bucket = bucket(&store).await;
    let owner = bucket.id.namespace.as_str();
    assert!(matches!(store.create_account(account(owner)).await, Err(MetaError::AccountInUse)));
    store.delete_bucket(&bucket.id, false, Timestamp(0)).await.unwrap();
    store.create_account(account(owner)).await.unwrap();
}
