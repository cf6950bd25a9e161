//! [`Directory`]: who there is, and the one answer to "may this caller do that?".
//!
//! What was declared stays; what was made at run time is replaced as a whole whenever it changes, so that anyone who asks
//! sees the accounts of one moment. Where both name the same, the declared one holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use super::{AccessKeyId, Account, AccountKind, Action, AuthError, Caller, Credential, TokenUse};
use crate::model::bucket::Visibility;
use crate::model::clock::{Ambient, Clock};
use crate::model::names::{BucketId, Namespace};

/// All accounts and credentials of a deployment.
pub struct Directory {
    declared: State,
    all: RwLock<Arc<State>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone, Default)]
struct State {
    accounts: BTreeMap<Namespace, Account>,
    by_access_key_id: BTreeMap<AccessKeyId, Arc<Credential>>,
    /// By a digest, so that how long a look-up takes says nothing about tokens.
    by_token: HashMap<[u8; 32], Arc<Credential>>,
    tokens: TokenUse,
}

fn token_digest(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

impl State {
    /// Adds a credential, and the account it belongs to if nobody else names it.
    fn add(&mut self, credential: Credential) -> Result<(), AuthError> {
        let credential = Arc::new(credential);
        if self.by_access_key_id.contains_key(&credential.access_key_id) {
            return Err(AuthError::DuplicateAccessKeyId(credential.access_key_id.clone()));
        }
        if let (Some(token), TokenUse::Shown) = (&credential.token, self.tokens) {
            let digest = token_digest(token.expose());
            if self.by_token.contains_key(&digest) {
                return Err(AuthError::DuplicateToken(credential.access_key_id.clone()));
            }
            self.by_token.insert(digest, Arc::clone(&credential));
        }
        let name = &credential.account;
        self.accounts.entry(name.clone()).or_insert_with(|| Account {
            name: name.clone(),
            kind: AccountKind::User,
            members: Vec::new(),
            new_buckets: None,
        });
        self.by_access_key_id.insert(credential.access_key_id.clone(), credential);
        Ok(())
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("all", &self.now()).finish_non_exhaustive()
    }
}

impl Directory {
    /// A directory of these credentials and their accounts, all of them users'.
    pub fn new(credentials: impl IntoIterator<Item = Credential>) -> Result<Self, AuthError> {
        Self::declared([], credentials, TokenUse::Shown, Ambient::system().clock)
    }

    /// A directory of what was declared. Two credentials with one access key id are refused, because a signature would
    /// not tell them apart; two with one token, if that is shown here.
    pub fn declared(
        accounts: impl IntoIterator<Item = Account>,
        credentials: impl IntoIterator<Item = Credential>,
        tokens: TokenUse,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuthError> {
        let mut declared = State { tokens, ..State::default() };
        for account in accounts {
            if declared.accounts.insert(account.name.clone(), account.clone()).is_some() {
                return Err(AuthError::AccountExists(account.name));
            }
        }
        credentials.into_iter().try_for_each(|credential| declared.add(credential))?;
        let all = RwLock::new(Arc::new(declared.clone()));
        Ok(Self { declared, all, clock })
    }

    /// Takes what was made at run time in place of what was known of it.
    pub(super) fn replace(&self, accounts: Vec<Account>, credentials: Vec<Credential>) {
        let mut all = self.declared.clone();
        for account in accounts {
            if self.is_declared(&account.name) {
                tracing::warn!(account = %account.name, "the configuration declares an account of this name");
            } else {
                all.accounts.insert(account.name.clone(), account);
            }
        }
        for credential in credentials {
            if let Err(error) = all.add(credential) {
                tracing::warn!(%error, "a credential made at run time cannot be used");
            }
        }
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
    }

    fn now(&self) -> Arc<State> {
        Arc::clone(&self.all.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn unless_expired(&self, credential: &Arc<Credential>) -> Option<Arc<Credential>> {
        let expired = credential.expires_at.is_some_and(|at| at <= self.clock.now());
        (!expired).then(|| Arc::clone(credential))
    }

    /// The credential with this access key id, unless it has expired.
    pub fn credential(&self, id: &str) -> Option<Arc<Credential>> {
        self.unless_expired(self.now().by_access_key_id.get(&AccessKeyId::new(id).ok()?)?)
    }

    /// The credential with this token, unless it has expired.
    pub fn bearer(&self, token: &str) -> Option<Arc<Credential>> {
        self.unless_expired(self.now().by_token.get(&token_digest(token))?)
    }

    /// Whether the configuration declares an account, so that it cannot be changed.
    pub fn is_declared(&self, name: &Namespace) -> bool {
        self.declared.accounts.contains_key(name)
    }

    /// An organisation that the configuration declares and that this account is a member of, if there is one.
    pub(super) fn declared_organisation_of(&self, account: &Namespace) -> Option<Namespace> {
        let mut declared = self.declared.accounts.values();
        declared.find(|organisation| is_member(organisation, account)).map(|found| found.name.clone())
    }

    /// An account.
    pub fn account(&self, name: &Namespace) -> Option<Account> {
        self.now().accounts.get(name).cloned()
    }

    /// Who may read a bucket that is created in this namespace without that being said, if the account says so.
    pub fn new_buckets(&self, name: &Namespace) -> Option<Visibility> {
        self.now().accounts.get(name)?.new_buckets
    }

    /// All accounts, by name.
    pub fn accounts(&self) -> Vec<Account> {
        self.now().accounts.values().cloned().collect()
    }

    /// All credentials, expired ones too, by access key id.
    pub fn credentials(&self) -> Vec<Arc<Credential>> {
        self.now().by_access_key_id.values().cloned().collect()
    }

    /// The organisations that an account is a member of, by name.
    pub fn organisations_of(&self, account: &Namespace) -> Vec<Namespace> {
        let all = self.now();
        let of = all.accounts.values().filter(|org| is_member(org, account));
        of.map(|org| org.name.clone()).collect()
    }

    /// Whether a caller may do this to a bucket that everyone may read or not. (For a bucket that is yet to be made,
    /// say it is private.)
    pub fn may(&self, caller: &Caller, action: Action, bucket: &BucketId, visibility: Visibility) -> bool {
        if action == Action::ReadBucket && visibility == Visibility::Public {
            return true;
        }
        let Caller::Known(credential) = caller else { return false };
        credential.allows(action, Some(bucket)) || self.allows_as_member(credential, action, bucket)
    }

    /// A list of buckets names those of the credential's own namespace, so that it keeps out of organisations.
    fn allows_as_member(&self, credential: &Credential, action: Action, bucket: &BucketId) -> bool {
        credential.buckets.is_none()
            && credential.permission >= action.needs()
            && self
                .now()
                .accounts
                .get(&bucket.namespace)
                .is_some_and(|org| is_member(org, &credential.account))
    }
}

fn is_member(org: &Account, account: &Namespace) -> bool {
    org.kind == AccountKind::Org && org.members.contains(account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Permission, Secret};
    use crate::model::clock::{ManualClock, Timestamp};
    use crate::model::names::BucketName;

    fn credential(account: &str, id: &str, permission: Permission) -> Credential {
        Credential {
            account: Namespace::new(account).unwrap(),
            access_key_id: AccessKeyId::new(id).unwrap(),
            secret_access_key: Secret::new("not-for-eyes").unwrap(),
            token: Some(Secret::new(&format!("hf_token_of_{id}")).unwrap()),
            permission,
            buckets: None,
            created_at: None,
            expires_at: None,
        }
    }

    fn bucket(namespace: &str) -> BucketId {
        BucketId { namespace: Namespace::new(namespace).unwrap(), name: BucketName::new("b").unwrap() }
    }

    fn org(members: &[&str]) -> Account {
        let members = members.iter().map(|name| Namespace::new(name).unwrap()).collect();
        Account { name: Namespace::new("team").unwrap(), kind: AccountKind::Org, members, new_buckets: None }
    }

    #[test]
    fn membership_and_visibility_widen_what_a_credential_says() {
        use Action::{ManageBucket, ReadBucket, WriteBucket};
        use Permission::{Read, Write};
        use Visibility::{Private, Public};

        let clock = Ambient::system().clock;
        let directory = Directory::declared([org(&["ada"])], [], TokenUse::Shown, clock).unwrap();
        let known = |account, permission| Caller::Known(Arc::new(credential(account, "AK", permission)));
        let listed = |names: &[&str]| {
            let names = names.iter().map(|name| BucketName::new(name).unwrap()).collect();
            Caller::Known(Arc::new(Credential { buckets: Some(names), ..credential("ada", "AK", Write) }))
        };
        // caller, namespace, visibility, and whether read, write, manage are allowed
        let table = [
            (Caller::Anonymous, "ada", Private, [false; 3]),
            (Caller::Anonymous, "ada", Public, [true, false, false]),
            (known("ada", Write), "ada", Private, [true; 3]),
            (known("ada", Read), "ada", Private, [true, false, false]),
            (known("ada", Write), "team", Private, [true; 3]),
            (known("ada", Read), "team", Private, [true, false, false]),
            (known("bob", Write), "team", Private, [false; 3]),
            (known("bob", Write), "team", Public, [true, false, false]),
            (known("team", Write), "ada", Private, [false; 3]),
            (listed(&["b"]), "ada", Private, [true; 3]),
            (listed(&["b"]), "team", Private, [false; 3]),
            (listed(&["other"]), "ada", Private, [false; 3]),
            (listed(&["other"]), "ada", Public, [true, false, false]),
        ];
        for (caller, namespace, visibility, allowed) in table {
            let answers = [ReadBucket, WriteBucket, ManageBucket]
                .map(|action| directory.may(&caller, action, &bucket(namespace), visibility));
            assert_eq!(answers, allowed, "{caller:?} on {visibility:?} {namespace}");
        }
        let ada = Namespace::new("ada").unwrap();
        assert_eq!(directory.organisations_of(&ada), [org(&[]).name]);
    }

    #[test]
    fn what_would_not_tell_callers_apart_is_refused() {
        let one = credential("ada", "AKADA", Permission::Read);
        let error = Directory::new([one.clone(), one.clone()]).unwrap_err();
        assert_eq!(error.to_string(), "access key id AKADA is given twice");
        let same_token = Credential { access_key_id: AccessKeyId::new("AK2").unwrap(), ..one.clone() };
        let both = [one.clone(), same_token];
        let error = Directory::new(both.clone()).unwrap_err();
        assert_eq!(error.to_string(), "the token of access key id AK2 is another's too");
        // Where tokens are shown to somebody else, they tell nobody apart.
        let directory = Directory::declared([], both, TokenUse::Passed, Ambient::system().clock).unwrap();
        assert!(directory.credential("AKADA").is_some() && directory.credential("AK2").is_some());
        assert_eq!(directory.bearer("hf_token_of_AKADA"), None);

        let directory = Directory::new([one.clone()]).unwrap();
        assert_eq!(directory.credential("AKADA").as_deref(), Some(&one));
        assert_eq!(directory.bearer("hf_token_of_AKADA").as_deref(), Some(&one));
        assert_eq!((directory.credential("akada"), directory.bearer("hf_")), (None, None));
    }

    #[test]
    fn an_expired_credential_is_nobodys() {
        let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
        let one =
            Credential { expires_at: Some(Timestamp(2_000)), ..credential("ada", "AK", Permission::Read) };
        let directory = Directory::declared([], [one], TokenUse::Shown, Arc::clone(&clock) as _).unwrap();
        assert!(directory.credential("AK").is_some() && directory.bearer("hf_token_of_AK").is_some());
        clock.advance_ms(1_000);
        assert!(directory.credential("AK").is_none() && directory.bearer("hf_token_of_AK").is_none());
    }
}
