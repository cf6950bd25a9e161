//! What is done by hand beside the router: published clients and configured endpoints rely on it.

use super::*;

#[tokio::test]
async fn several_slashes_at_the_start_count_as_one() {
    let house = House::with_files(&["k"]).await;
    assert_eq!(house.get(ADA, "//api/whoami-v2").await.json()["name"], "ada");
    assert_eq!(house.get(ADA, "///buckets/ada/b/resolve/k").await.body, "content of k");
    assert_eq!(house.get(ADA, "//api/nothing").await.refusal(), (404, ""));
    assert_eq!(house.get(ADA, "//gpt2/resolve/main/config.json").await.refusal(), (404, "RepoNotFound"));
}

#[tokio::test]
async fn head_is_answered_for_files_only() {
    let house = House::with_files(&["k"]).await;
    for path in ["/api/whoami-v2", "/api/buckets/ada", "/api/buckets/ada/b", "/api/buckets/ada/b/tree"] {
        assert_eq!(house.call(ADA, "HEAD", path, "").await.status, 404, "{path}");
    }
    assert_eq!(house.call(ADA, "HEAD", "/buckets/ada/b/resolve/k", "").await.status, 200);
}

#[tokio::test]
async fn a_path_in_a_bucket_may_be_empty_or_missing() {
    let house = House::with_files(&["k"]).await;
    for path in ["/api/buckets/ada/b/tree", "/api/buckets/ada/b/tree/", "/api/buckets/ada/b/tree/k"] {
        let listed = house.get(ADA, path).await.json();
        assert_eq!(listed[0]["path"], "k", "{path}");
    }
    for path in ["/buckets/ada/b/resolve", "/buckets/ada/b/resolve/", "/buckets/ada/b/resolve//k"] {
        assert_eq!(house.get(ADA, path).await.refusal(), (404, "EntryNotFound"), "{path}");
    }
}

#[tokio::test]
async fn an_empty_name_is_a_bucket_that_does_not_exist() {
    let house = House::new();
    for path in ["/api/buckets/", "/api/buckets//b", "/api/buckets/ada/", "/api/buckets/ada//tree"] {
        assert_eq!(house.get(ADA, path).await.refusal(), (404, "RepoNotFound"), "{path}");
    }
}

#[tokio::test]
async fn names_are_decoded_and_an_encoded_slash_separates_nothing() {
    let house = House::with_files(&["k"]).await;
    assert_eq!(house.get(ADA, "/api/buckets/%61da/%62").await.json()["id"], "ada/b");
    assert_eq!(house.get(ADA, "/api/buckets/%6De/b").await.json()["id"], "ada/b");
    assert_eq!(house.get(ADA, "/api/buckets/ada%2Fb").await.refusal(), (404, "RepoNotFound"));
}

#[tokio::test]
async fn long_lists_are_compressed_for_clients_that_accept_it_and_files_are_not() {
    let names: Vec<_> = (0..50).map(|number| format!("file-{number}")).collect();
    let house = House::with_files(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let ask = async |path: &str, encodings: &str| {
        let request = Request::builder().uri(path).header(header::HOST, "h");
        let request = request.header(header::AUTHORIZATION, format!("Bearer {ADA}"));
        house.send(request.header(header::ACCEPT_ENCODING, encodings).body(Body::empty()).unwrap()).await
    };
    let list = "/api/buckets/ada/b/tree";
    let (plain, packed) = (ask(list, "identity").await, ask(list, "gzip, deflate").await);
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"));
    assert!(packed.body.len() * 3 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
    for path in ["/buckets/ada/b/resolve/file-1", "/api/buckets/ada/b/xet-read-token", "/api/whoami-v2"] {
        assert_eq!(ask(path, "gzip").await.header("content-encoding"), "", "{path}");
    }
}
