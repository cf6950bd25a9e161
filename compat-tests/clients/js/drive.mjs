// The AWS SDK for JavaScript, and Node's own fetch with URLs that it signs, driven line by line
// (support/offers/driven.py).
import { createReadStream, createWriteStream } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import * as sdk from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { serve } from "./lines.mjs";

// The endpoint is an IP address, to which the SDK sends path style by itself.
const s3 = new sdk.S3Client({ endpoint: process.env.ENDPOINT });
const object = (given) => ({ Bucket: given.bucket, Key: given.key });
const signed = (Command, given) => getSignedUrl(s3, new Command(given), { expiresIn: 600 });

const fetched = async (url, how) => {
  const answer = await fetch(url, how);
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer;
};
const sent = async (path) => ({ method: "PUT", body: await readFile(path) });
const versions = async (given) => {
  const found = [];
  // The SDK has no paginator for this listing.
  let page = { IsTruncated: true };
  while (page.IsTruncated) {
    const from = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
    const asked = { Bucket: given.bucket, Prefix: given.key, MaxKeys: 2, ...from };
    page = await s3.send(new sdk.ListObjectVersionsCommand(asked));
    found.push(...(page.Versions ?? []));
  }
  return found;
};
const range = (given) => `bytes=${given.first}-${given.last}`;

await serve({
  make_bucket: async ({ bucket }) => void (await s3.send(new sdk.CreateBucketCommand({ Bucket: bucket }))),
  list_buckets: async () => (await s3.send(new sdk.ListBucketsCommand({}))).Buckets.map((bucket) => bucket.Name),
  // Streams of any length, in parts from 5 MiB on.
  upload: async (given) => {
    await new Upload({ client: s3, params: { ...object(given), Body: createReadStream(given.path) } }).done();
  },
  download: async (given) => {
    const got = await s3.send(new sdk.GetObjectCommand(object(given)));
    await pipeline(got.Body, createWriteStream(given.path));
  },
  names: async ({ bucket, prefix }) => {
    const found = [];
    const asked = { Bucket: bucket, Prefix: `${prefix}/` };
    for await (const page of sdk.paginateListObjectsV2({ client: s3, pageSize: 2 }, asked))
      for (const each of page.Contents ?? []) found.push(each.Key.slice(prefix.length + 1));
    return found;
  },
  read_range: async (given) => {
    const got = await s3.send(new sdk.GetObjectCommand({ ...object(given), Range: range(given) }));
    return got.Body.transformToString("base64");
  },
  copy: async (given) => {
    const source = `${given.bucket}/${encodeURIComponent(given.key)}`;
    await s3.send(new sdk.CopyObjectCommand({ Bucket: given.bucket, Key: given.to_key, CopySource: source }));
  },
  upload_with_metadata: async (given) => {
    const body = await readFile(given.path);
    await s3.send(new sdk.PutObjectCommand({ ...object(given), Body: body, Metadata: given.metadata }));
  },
  metadata: async (given) => (await s3.send(new sdk.HeadObjectCommand(object(given)))).Metadata,
  presign_get: (given) => signed(sdk.GetObjectCommand, object(given)),
  presign_put: (given) => signed(sdk.PutObjectCommand, object(given)),
  delete: async (given) => void (await s3.send(new sdk.DeleteObjectCommand(object(given)))),
  keep_versions: async ({ bucket }) => {
    const VersioningConfiguration = { Status: "Enabled" };
    await s3.send(new sdk.PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
  },
  contents_of_versions: async (given) => {
    const contents = [];
    for (const { VersionId } of await versions(given)) {
      const got = await s3.send(new sdk.GetObjectCommand({ ...object(given), VersionId }));
      contents.push(await got.Body.transformToString("base64"));
    }
    return contents;
  },
  forget_old_versions: async (given) => {
    const old = (await versions(given)).filter((version) => !version.IsLatest);
    const Objects = old.map(({ Key, VersionId }) => ({ Key, VersionId }));
    await s3.send(new sdk.DeleteObjectsCommand({ Bucket: given.bucket, Delete: { Objects } }));
  },

  fetch_put: async (given) => {
    await fetched(await signed(sdk.PutObjectCommand, object(given)), await sent(given.path));
  },
  fetch_get: async (given) => {
    const got = await fetched(await signed(sdk.GetObjectCommand, object(given)));
    await writeFile(given.path, got.body);
  },
  fetch_range: async (given) => {
    const got = await fetched(await signed(sdk.GetObjectCommand, object(given)), { headers: { Range: range(given) } });
    return Buffer.from(await got.arrayBuffer()).toString("base64");
  },
  fetch_parts: async (given) => {
    const { UploadId } = await s3.send(new sdk.CreateMultipartUploadCommand(object(given)));
    const Parts = [];
    for (const [at, path] of given.paths.entries()) {
      const part = { ...object(given), UploadId, PartNumber: at + 1 };
      const answer = await fetched(await signed(sdk.UploadPartCommand, part), await sent(path));
      Parts.push({ PartNumber: at + 1, ETag: answer.headers.get("etag") });
    }
    await s3.send(new sdk.CompleteMultipartUploadCommand({ ...object(given), UploadId, MultipartUpload: { Parts } }));
  },
  fetch_delete: async (given) => {
    await fetched(await signed(sdk.DeleteObjectCommand, object(given)), { method: "DELETE" });
  },
  fetch_status: async (given) => {
    const answer = await fetch(given.url, await sent(given.path));
    return [answer.status, await answer.text()];
  },
});
