//! [`Metrics`]: what the gateway counts, for Prometheus.
//!
//! Requests are counted here, by the listener's layer; what a store counts of itself ([`StoreFigures`] and its kin) is
//! read when it is asked for. Source: `OpenMetrics` 1.0, which Prometheus reads.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::instance::Instance;
use crate::cas::cache::{CacheMetrics, ChunkCache};
use crate::store::local::LocalStore;
use crate::store::metrics::{LifecycleMetrics, MetaMetrics, PackMetrics, Spread, StoreMetrics};

/// Bounds of request times in seconds: from a small read to a large upload.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfApi {
    door: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStatus {
    door: &'static str,
    operation: &'static str,
    status: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOperation {
    door: &'static str,
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfError {
    door: &'static str,
    code: String,
}

/// What is counted of a request that has ended.
pub(super) struct Ended<'a> {
    pub(super) api: &'static str,
    pub(super) operation: &'static str,
    pub(super) status: u16,
    /// Of an error.
    pub(super) code: Option<&'a str>,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) secs: f64,
}

/// All metrics.
pub struct Metrics {
    registry: Registry,
    requests: Family<OfStatus, Counter>,
    seconds: Family<OfOperation, Histogram, fn() -> Histogram>,
    received: Family<OfApi, Counter>,
    sent: Family<OfApi, Counter>,
    running: Family<OfApi, Gauge>,
    errors: Family<OfError, Counter>,
    slowed: Family<OfApi, Counter>,
}

impl Metrics {
    /// The metrics of a gateway and its store, and of the cache before that if it has one.
    pub fn of_store(instance: &Instance, store: Arc<LocalStore>, cache: Option<Arc<ChunkCache>>) -> Self {
        Self::with(
            instance,
            [Some(Box::new(StoreCollector(store)) as Box<dyn Collector>), cache.map(of_cache)],
        )
    }

    /// The metrics of a gateway in front of a Hub, and of its cache if it has one.
    pub fn of_cache(instance: &Instance, cache: Option<Arc<ChunkCache>>) -> Self {
        Self::with(instance, [cache.map(of_cache)])
    }

    fn with(instance: &Instance, beside: impl IntoIterator<Item = Option<Box<dyn Collector>>>) -> Self {
        let mut registry = Registry::with_prefix("xetgate");
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            received: Family::default(),
            sent: Family::default(),
            running: Family::default(),
            errors: Family::default(),
            slowed: Family::default(),
        };
        registry.register("requests", "Requests that have ended", metrics.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "From a request's head to the last byte of its answer",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register_with_unit(
            "received",
            "Bytes of bodies received",
            Unit::Bytes,
            metrics.received.clone(),
        );
        registry.register_with_unit("sent", "Bytes of bodies sent", Unit::Bytes, metrics.sent.clone());
        registry.register("requests_in_flight", "Requests under way", metrics.running.clone());
        registry.register("errors", "Answers that are errors, by their code", metrics.errors.clone());
        registry.register("slowed_down", "Requests refused over a limit", metrics.slowed.clone());
        let build = Family::<Instance, Gauge>::default();
        build.get_or_create(instance).set(1);
        registry.register("build", "Which build this is", build);
        for collector in beside.into_iter().flatten() {
            registry.register_collector(collector);
        }
        metrics.registry = registry;
        metrics
    }

    /// A request has begun.
    pub(super) fn request_begins(&self, api: &'static str) {
        self.running.get_or_create(&OfApi { door: api }).inc();
    }

    /// A request was refused over a limit.
    pub(super) fn request_slowed_down(&self, api: &'static str) {
        self.slowed.get_or_create(&OfApi { door: api }).inc();
    }

    /// A request has ended.
    pub(super) fn request_ends(&self, ended: &Ended<'_>) {
        let Ended { api, operation, status, .. } = *ended;
        self.running.get_or_create(&OfApi { door: api }).dec();
        self.requests.get_or_create(&OfStatus { door: api, operation, status }).inc();
        self.seconds.get_or_create(&OfOperation { door: api, operation }).observe(ended.secs);
        if ended.received_bytes > 0 {
            self.received.get_or_create(&OfApi { door: api }).inc_by(ended.received_bytes);
        }
        if ended.sent_bytes > 0 {
            self.sent.get_or_create(&OfApi { door: api }).inc_by(ended.sent_bytes);
        }
        if status >= 400 {
            let code = ended.code.map_or_else(|| status.to_string(), ToOwned::to_owned);
            self.errors.get_or_create(&OfError { door: api, code }).inc();
        }
    }

    /// The metrics as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// Reads a store's own counters.
struct StoreCollector(Arc<LocalStore>);

impl std::fmt::Debug for StoreCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreCollector")
    }
}

/// What a store holds at the moment.
#[derive(Default)]
struct Holdings {
    objects: u64,
    logical_bytes: u64,
    versions: u64,
    version_bytes: u64,
    packs: u64,
    pack_bytes: u64,
    live_bytes: u64,
}

impl StoreCollector {
    /// Read in one snapshot, from rows that are kept summed up: buckets and packs are few.
    fn holdings(&self) -> Option<Holdings> {
        // No runtime is needed: the embedded store answers at once.
        futures::executor::block_on(async {
            let (meta, mut holdings) = (&self.0.meta, Holdings::default());
            for bucket in meta.view().await.ok()?.buckets().await.ok()? {
                let stats = meta.bucket_stats(bucket.uid).await.ok()?;
                holdings.objects += stats.objects;
                holdings.logical_bytes += stats.bytes;
                let versions = meta.version_stats(bucket.uid).await.ok()?;
                holdings.versions += versions.objects;
                holdings.version_bytes += versions.bytes;
            }
            for pack in meta.packs().await.ok()? {
                holdings.packs += 1;
                holdings.pack_bytes += pack.committed_end;
                holdings.live_bytes += pack.live_bytes;
            }
            Some(holdings)
        })
    }
}

/// Shows counters and gauges.
struct Shown<'e, 'd>(&'e mut DescriptorEncoder<'d>);

impl Shown<'_, '_> {
    fn count(&mut self, name: &str, help: &str, value: u64) -> std::fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> std::fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    /// `scale` turns what was counted into what is shown.
    #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
    fn spread(&mut self, name: &str, help: &str, spread: &Spread, scale: f64) -> std::fmt::Result {
        let (sum, within) = spread.read();
        let histogram = Histogram::new([]);
        let kind = histogram.metric_type();
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        let buckets: Vec<_> = within
            .into_iter()
            .map(|(bound, count)| (bound.map_or(f64::MAX, |bound| bound as f64 * scale), count))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum as f64 * scale, count, &buckets, None)
    }
}

impl Collector for StoreCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut show = Shown(&mut encoder);
        if let Some(held) = self.holdings() {
            show.gauge("objects", "Current objects", held.objects)?;
            show.gauge("logical_bytes", "Bytes of current objects, as clients see them", held.logical_bytes)?;
            show.gauge("versions", "Objects that are versions and not current", held.versions)?;
            show.gauge("version_bytes", "Bytes of these, as clients see them", held.version_bytes)?;
            show.gauge("stored_bytes", "Bytes in packs that something uses", held.live_bytes)?;
            let saved = (held.logical_bytes + held.version_bytes).saturating_sub(held.live_bytes);
            show.gauge("saved_bytes", "What deduplication and compression save", saved)?;
            show.gauge("packs", "Packs", held.packs)?;
            show.gauge("pack_bytes", "Bytes of all packs", held.pack_bytes)?;
            let dead = held.pack_bytes.saturating_sub(held.live_bytes);
            show.gauge("dead_bytes", "Bytes in packs that nothing uses, for gc", dead)?;
        }
        show.gauge("index_bytes", "Bytes of the chunk index", self.0.index.bytes())?;
        if let Some(MetaMetrics { group, commit_micros }) = self.0.meta.metrics() {
            show.spread("commit_group_size", "Requests in one transaction of the metadata", group, 1.0)?;
            show.spread("commit_seconds", "Time of a transaction, its sync included", commit_micros, 1e-6)?;
        }
        let PackMetrics { group, sync_micros } = &self.0.packs.metrics;
        show.spread("pack_group_size", "Small frames that shared a sync", group, 1.0)?;
        show.spread("pack_sync_seconds", "Time of a sync of a pack", sync_micros, 1e-6)?;
        counts(&self.0.metrics, &mut show)
    }
}

fn of_cache(cache: Arc<ChunkCache>) -> Box<dyn Collector> {
    Box::new(CacheCollector(cache))
}

/// Reads a cache's own counters.
struct CacheCollector(Arc<ChunkCache>);

impl std::fmt::Debug for CacheCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheCollector")
    }
}

impl Collector for CacheCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut show = Shown(&mut encoder);
        let CacheMetrics { hits, misses, hit_bytes } = &self.0.metrics;
        show.count("chunk_cache_hits", "Runs of chunks that were in the cache", hits.get())?;
        show.count(
            "chunk_cache_misses",
            "Runs of chunks that the Hub or the object store was asked for",
            misses.get(),
        )?;
        show.count("chunk_cache_hit_bytes", "Bytes of chunks from the cache", hit_bytes.get())?;
        show.gauge("chunk_cache_bytes", "Bytes of the cache", self.0.bytes())
    }
}

fn counts(metrics: &StoreMetrics, show: &mut Shown<'_, '_>) -> std::fmt::Result {
    let all = [
        ("new_raw_bytes", "Uncompressed bytes of new chunks", &metrics.new_raw_bytes),
        ("new_stored_bytes", "What new chunks were compressed to", &metrics.new_stored_bytes),
        ("chunks_found", "Chunks that uploads looked for and found", &metrics.chunks_found),
        ("chunks_missed", "Chunks that uploads looked for and did not find", &metrics.chunks_missed),
        ("chunks_asked", "Chunks that the database of the cluster was asked for", &metrics.chunks_asked),
        ("chunks_shared", "Chunks that it knew another node to have", &metrics.chunks_shared),
        ("xorbs_heard", "Xorbs that other nodes have told of", &metrics.xorbs_heard),
        ("row_cache_hits", "Rows of xorbs found in memory", &metrics.rows_hit),
        ("row_cache_misses", "Rows of xorbs read from the metadata", &metrics.rows_missed),
        ("gc_passes", "Passes of garbage collection", &metrics.gc_passes),
        ("gc_failures", "Passes that failed", &metrics.gc_failures),
        ("gc_xorbs_removed", "Xorbs that nothing used", &metrics.gc_xorbs),
        ("gc_packs_deleted", "Packs deleted", &metrics.gc_packs),
        ("gc_moved_bytes", "Bytes copied out of packs", &metrics.gc_bytes_moved),
        ("scrubs", "Scrubs that came to their end", &metrics.scrubs),
        ("scrub_read_bytes", "Bytes read and hashed by scrub", &metrics.scrub_bytes),
        ("scrub_damages", "Damaged frames found by scrub", &metrics.scrub_damages),
    ];
    all.iter().try_for_each(|(name, help, count)| show.count(name, help, count.get()))?;
    of_lifecycle(&metrics.lifecycle, show)?;
    let distinct = "Bytes of distinct stored chunks, when gc last went over all of them";
    show.gauge("distinct_bytes", distinct, metrics.distinct_bytes.get())?;
    let duplicate = "Bytes of chunks stored more than once, when gc last went over all of them";
    show.gauge("duplicate_bytes", duplicate, metrics.duplicate_bytes.get())?;
    show.gauge("scrub_pack", "The pack that scrub goes on at; 0 between scrubs", metrics.scrub_pack.get())
}

fn of_lifecycle(metrics: &LifecycleMetrics, show: &mut Shown<'_, '_>) -> std::fmt::Result {
    let all = [
        ("lifecycle_passes", "Passes over lifecycle rules", &metrics.passes),
        (
            "lifecycle_failures",
            "Buckets that a pass left, and indexes not filled, for an error",
            &metrics.failures,
        ),
        ("lifecycle_objects", "Current objects that have expired", &metrics.objects),
        ("lifecycle_noncurrent_versions", "Noncurrent versions that have expired", &metrics.noncurrent),
        ("lifecycle_delete_markers", "Delete markers removed that were left alone", &metrics.markers),
        ("lifecycle_uploads", "Uploads aborted by a rule", &metrics.uploads),
    ];
    all.iter().try_for_each(|(name, help, count)| show.count(name, help, count.get()))?;
    show.gauge(
        "lifecycle_due",
        "What is due by a rule and not ended yet, when a pass looked last",
        metrics.due.get(),
    )?;
    let micros = "Microseconds that the last pass over lifecycle rules took";
    show.gauge("lifecycle_pass_micros", micros, metrics.pass_micros.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> Instance {
        Instance { version: "1", mode: "cluster", node: "a".to_owned() }
    }

    #[test]
    fn requests_and_the_store_are_counted_as_prometheus_reads_it() {
        let store = Arc::new(LocalStore::in_memory().unwrap());
        store.metrics.new_raw_bytes.add(7);
        store.metrics.lifecycle.objects.add(3);
        store.metrics.lifecycle.due.set(2);
        store.packs.metrics.sync_micros.add(1000);
        let metrics = Metrics::of_store(&instance(), store, None);
        metrics.request_begins("s3");
        metrics.request_begins("s3");
        let ended = Ended {
            api: "s3",
            operation: "GetObject",
            status: 404,
            code: Some("NoSuchKey"),
            received_bytes: 0,
            sent_bytes: 5,
            secs: 0.003,
        };
        metrics.request_ends(&ended);
        let text = metrics.text();
        for line in [
            r#"xetgate_requests_total{door="s3",operation="GetObject",status="404"} 1"#,
            r#"xetgate_requests_in_flight{door="s3"} 1"#,
            r#"xetgate_errors_total{door="s3",code="NoSuchKey"} 1"#,
            r#"xetgate_sent_bytes_total{door="s3"} 5"#,
            r#"xetgate_request_duration_seconds_bucket{le="0.0025",door="s3",operation="GetObject"} 0"#,
            r#"xetgate_request_duration_seconds_bucket{le="0.005",door="s3",operation="GetObject"} 1"#,
            "xetgate_new_raw_bytes_total 7",
            r#"xetgate_build{version="1",mode="cluster",node="a"} 1"#,
            "xetgate_lifecycle_objects_total 3",
            "xetgate_lifecycle_due 2",
            "xetgate_objects 0",
            r#"xetgate_pack_sync_seconds_bucket{le="0.001024"} 1"#,
            "xetgate_pack_sync_seconds_count 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_gateway_in_front_of_a_hub_counts_what_its_cache_does() {
        let folder = tempfile::tempdir().unwrap();
        let clock = crate::model::clock::Ambient::system().clock;
        let cache = Arc::new(ChunkCache::open(folder.path(), 1 << 20, clock).unwrap());
        cache.metrics.hits.add(3);
        cache.metrics.misses.add(2);
        cache.metrics.hit_bytes.add(7);
        let text = Metrics::of_cache(&instance(), Some(cache)).text();
        for line in [
            "xetgate_chunk_cache_hits_total 3",
            "xetgate_chunk_cache_misses_total 2",
            "xetgate_chunk_cache_hit_bytes_total 7",
            "xetgate_chunk_cache_bytes 0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
        assert!(!Metrics::of_cache(&instance(), None).text().contains("chunk_cache"));
    }
}
