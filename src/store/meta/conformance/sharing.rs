//! What nodes tell each other of their chunks.

use super::*;
use crate::store::meta::{News, NewsRead, Node};
use crate::xet::hash::XorbHash;

pub(super) async fn all(open: &impl AsyncFn() -> Store) {
    news_reach_every_other_node_once(open().await).await;
}

async fn news_reach_every_other_node_once(store: Store) {
    for epoch in [1, 2] {
        let (name, version) = (epoch.to_string(), "1".to_owned());
        let node = Node { name, version, entered_at: Timestamp(1), key_mark: [0; 8] };
        store.enter_node(epoch, node).await.unwrap();
    }
    let xorb = |name: u8| XorbHash::from_bytes([name; 32]);
    let tell = async |epoch, number, name, forget_before| {
        store.tell(epoch, number, News(vec![xorb(name)]), forget_before).await.unwrap();
    };
    let mut read = NewsRead::new();
    assert_eq!(store.news(2, &mut read).await.unwrap(), []);
    tell(1, 1, 11, 0).await;
    tell(1, 2, 12, 0).await;
    tell(2, 1, 21, 0).await;
    assert_eq!(store.news(2, &mut read).await.unwrap(), [xorb(11), xorb(12)]);
    assert_eq!(store.news(2, &mut read).await.unwrap(), []);
    tell(1, 3, 13, 3).await;
    assert_eq!(store.news(2, &mut read).await.unwrap(), [xorb(13)]);
    assert_eq!(store.news(3, &mut NewsRead::new()).await.unwrap(), [xorb(13), xorb(21)]);
    store.end_nodes(vec![1]).await.unwrap();
    assert_eq!(store.news(3, &mut NewsRead::new()).await.unwrap(), [xorb(21)]);
}
