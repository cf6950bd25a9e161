//! What tokens and addresses reach: what is open to their caller now, and no more than objects hold.

use super::*;
use crate::bucket::DeleteBucket;

impl House {
    fn read_token(&self, caller: &Caller) -> String {
        self.signer.issue(self.mine.uid, CasScope::Read, caller).text
    }

    async fn status(&self, token: &str, method: Method, path: &str) -> u16 {
        self.ask_with(token, method, path, Body::empty(), None).await.status.as_u16()
    }

    async fn publish(&self, visibility: Visibility) {
        self.buckets.set_visibility(&self.mine.id, visibility).await.unwrap();
    }
}

#[tokio::test]
async fn a_deleted_file_is_nobodys_but_who_proves_to_hold_it() {
    let house = house().await;
    let file = house.file(&xorb(1, &[10_000])).await;
    house.publish(Visibility::Public).await;
    let readers = [house.read_token(&house.caller), house.read_token(&Caller::Anonymous)];
    let writer = house.token(&house.mine, CasScope::Write);
    let asks = [
        (Method::GET, format!("/v1/reconstructions/{file}")),
        (Method::GET, format!("/v2/reconstructions/{file}")),
        (Method::GET, format!("/v1/reconstructions?file_id={file}")),
        (Method::HEAD, format!("/v1/files/{file}")),
    ];
    let all = async |of_readers: u16, of_writer: u16| {
        for (method, path) in &asks {
            for reader in &readers {
                assert_eq!(house.status(reader, method.clone(), path).await, of_readers, "{path}");
            }
            assert_eq!(house.status(&writer, method.clone(), path).await, of_writer, "{path}");
        }
    };
    all(404, 200).await;
    house.add("k", file).await;
    all(200, 200).await;
    house.delete("k").await;
    all(404, 200).await;

    let named = |proved_by: Option<&str>| BatchChange::Add {
        key: ObjectKey::new("again").unwrap(),
        file,
        size: None,
        proved_by: proved_by.map(ToOwned::to_owned),
        attributes: Attributes::default(),
    };
    let copy = BatchChange::Copy {
        key: ObjectKey::new("copy").unwrap(),
        file,
        size: None,
        source: house.mine.id.clone(),
        attributes: Attributes::default(),
    };
    let changes = vec![named(None), named(Some("AKBOB")), copy];
    for refused in house.buckets.batch(&house.mine.id, changes).await.unwrap() {
        assert!(matches!(refused, Err(crate::bucket::BucketError::NoSuchFile(_))), "{refused:?}");
    }
    house.add("again", file).await;
}

#[tokio::test]
async fn tokens_and_addresses_end_when_their_caller_may_no_longer_read() {
    let house = house().await;
    let file = house.file(&xorb(1, &[10_000])).await;
    house.add("k", file).await;
    house.publish(Visibility::Public).await;
    let path = format!("/v1/reconstructions/{file}");
    let addresses = async |token: &str| {
        let answer = house.ask_with(token, Method::GET, &path, Body::empty(), None).await.json();
        let fetches = answer["fetch_info"].as_object().unwrap().values().next().unwrap().clone();
        fetches[0]["url"].as_str().unwrap().to_owned()
    };
    let (anyones, owners) = (house.read_token(&Caller::Anonymous), house.read_token(&house.caller));
    let (any_address, own_address) = (addresses(&anyones).await, addresses(&owners).await);
    let answers = async || {
        [
            house.status(&anyones, Method::GET, &path).await,
            house.fetch(&any_address, None).await.status.as_u16(),
            house.status(&owners, Method::GET, &path).await,
            house.fetch(&own_address, None).await.status.as_u16(),
        ]
    };
    assert_eq!(answers().await, [200, 206, 200, 206]);
    house.publish(Visibility::Private).await;
    assert_eq!(answers().await, [401, 403, 200, 206]);
    house.publish(Visibility::Public).await;
    assert_eq!(answers().await, [200, 206, 200, 206]);

    // A rename changes nothing; a move to another account takes the owner's reach.
    let renamed = BucketId { name: BucketName::new("renamed").unwrap(), ..house.mine.id.clone() };
    house.buckets.move_bucket(&house.mine.id, &renamed).await.unwrap();
    house.buckets.set_visibility(&renamed, Visibility::Private).await.unwrap();
    assert_eq!(answers().await, [401, 403, 200, 206]);
    let away = BucketId { namespace: Namespace::new("bob").unwrap(), ..renamed.clone() };
    house.buckets.move_bucket(&renamed, &away).await.unwrap();
    assert_eq!(answers().await, [401, 403, 401, 403]);
    house.buckets.move_bucket(&away, &renamed).await.unwrap();
    house.buckets.delete_bucket(&renamed, DeleteBucket::WithContents).await.unwrap();
    // Another bucket of the name is another bucket.
    house.buckets.create_bucket(&renamed, Visibility::Public).await.unwrap();
    assert_eq!(answers().await, [401, 403, 401, 403]);
}

#[tokio::test]
async fn only_writers_ask_what_is_here() {
    let house = house().await;
    let xorb = xorb(1, &[10_000, 20_000]);
    let file = house.file(&xorb).await;
    house.add("k", file).await;
    house.publish(Visibility::Public).await;
    let writer = house.token(&house.mine, CasScope::Write);
    for (method, path) in [
        (Method::GET, format!("/v1/chunks/default/{}", xorb.table.hash(0).unwrap())),
        (Method::GET, format!("/v1/chunks/default/{}", ChunkHash::of(b"unknown"))),
        (Method::HEAD, format!("/v1/xorbs/default/{}", xorb.hash)),
        (Method::HEAD, format!("/v1/xorbs/default/{}", "1".repeat(64))),
    ] {
        for reader in [house.read_token(&house.caller), house.read_token(&Caller::Anonymous)] {
            assert_eq!(house.status(&reader, method.clone(), &path).await, 403, "{method} {path}");
        }
        assert_ne!(house.status(&writer, method.clone(), &path).await, 403, "{method} {path}");
    }
}
