//! Nodes, what they say and what they are asked.

use super::*;
use crate::store::meta::{Beat, Doom, Epochs, Node, NodeState, Questions};
use crate::store::rows::PackId;
use crate::xet::hash::XorbHash;

pub(super) async fn all(open: &impl AsyncFn() -> Store) {
    a_node_is_known_until_it_is_ended(open().await).await;
    questions_reach_every_node_and_answers_the_one_who_asks(open().await).await;
    every_epoch_that_was_about_to_be_taken_is_known(open().await).await;
}

fn node(name: &str) -> Node {
    Node { name: name.to_owned(), version: "1.2.3".to_owned(), entered_at: Timestamp(5), key_mark: [7; 8] }
}

async fn a_node_is_known_until_it_is_ended(store: Store) {
    store.enter_node(1, node("one")).await.unwrap();
    store.enter_node(2, node("two")).await.unwrap();
    let beat = Beat { count: 3, ..Beat::default() };
    assert_eq!(store.beat(2, beat.clone()).await.unwrap(), Questions::default());
    let silent = NodeState { epoch: 1, node: node("one"), beat: Beat::default() };
    let heard = NodeState { epoch: 2, node: node("two"), beat: beat.clone() };
    assert_eq!(store.nodes().await.unwrap(), [silent.clone(), heard]);
    // Who has spoken since stays.
    store.end_silent(vec![(2, 2)]).await.unwrap();
    assert_eq!(store.nodes().await.unwrap().len(), 2);
    store.end_silent(vec![(2, 3)]).await.unwrap();
    store.end_nodes(vec![9]).await.unwrap();
    assert_eq!(store.nodes().await.unwrap(), [silent]);
    assert!(matches!(store.beat(2, beat).await, Err(MetaError::NodeEnded)));
}

async fn questions_reach_every_node_and_answers_the_one_who_asks(store: Store) {
    store.enter_node(4, node("four")).await.unwrap();
    let readers = store.ask_readers().await.unwrap();
    let doom = Doom { xorbs: vec![XorbHash::from_bytes([8; 32])], packs: vec![PackId(4 << 32 | 1)] };
    let doomed = store.ask_doom(doom.clone()).await.unwrap();
    assert!(doomed > readers, "questions are numbered in their order");
    let beat = Beat { count: 1, readers_left: readers, doomed, kept: doom.clone() };
    assert_eq!(store.beat(4, beat.clone()).await.unwrap(), Questions { readers, doomed, doom });
    assert_eq!(store.nodes().await.unwrap()[0].beat, beat);
    let over = store.ask_doom(Doom::default()).await.unwrap();
    let asked = store.beat(4, beat).await.unwrap();
    assert_eq!((asked.doomed, asked.doom), (over, Doom::default()));
}

async fn every_epoch_that_was_about_to_be_taken_is_known(store: Store) {
    let epochs = |tokens: &[&str], last| Epochs {
        tokens: tokens.iter().map(|token| (*token).to_owned()).collect(),
        last,
    };
    assert_eq!(store.note_epoch("b", Timestamp(1)).await.unwrap(), epochs(&["b"], 0));
    assert_eq!(store.note_epoch("a", Timestamp(2)).await.unwrap(), epochs(&["a", "b"], 0));
    store.enter_node(3, node("one")).await.unwrap();
    store.end_nodes(vec![3]).await.unwrap();
    assert_eq!(store.note_epoch("a", Timestamp(3)).await.unwrap(), epochs(&["a", "b"], 3));
    for taken in [1, 3] {
        assert!(!store.enter_node(taken, node("two")).await.unwrap());
    }
    assert!(store.enter_node(4, node("two")).await.unwrap());
}
