// The AWS SDK for JavaScript, driven line by line (support/offers/driven.py).
import { createReadStream, createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import * as sdk from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

// The endpoint is an IP address, to which the SDK sends path style by itself.
const s3 = new sdk.S3Client({ endpoint: process.env.ENDPOINT });
const object = (given) => ({ Bucket: given.bucket, Key: given.key });

const calls = {
  make_bucket: ({ bucket }) => s3.send(new sdk.CreateBucketCommand({ Bucket: bucket })),
  list_buckets: async () => (await s3.send(new sdk.ListBucketsCommand({}))).Buckets.map((bucket) => bucket.Name),
  // Streams of any length, in parts from 5 MiB on.
  upload: (given) => new Upload({ client: s3, params: { ...object(given), Body: createReadStream(given.path) } }).done(),
  download: async (given) => {
    const got = await s3.send(new sdk.GetObjectCommand(object(given)));
    await pipeline(got.Body, createWriteStream(given.path));
  },
  names: async ({ bucket, prefix }) => {
    const found = [];
    for await (const page of sdk.paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket: bucket, Prefix: `${prefix}/` }))
      for (const each of page.Contents ?? []) found.push(each.Key.slice(prefix.length + 1));
    return found;
  },
  read_range: async (given) => {
    const range = `bytes=${given.first}-${given.last}`;
    const got = await s3.send(new sdk.GetObjectCommand({ ...object(given), Range: range }));
    return got.Body.transformToString("base64");
  },
  copy: (given) => {
    const source = `${given.bucket}/${encodeURIComponent(given.key)}`;
    return s3.send(new sdk.CopyObjectCommand({ Bucket: given.bucket, Key: given.to_key, CopySource: source }));
  },
  upload_with_metadata: async (given) => {
    const body = await readFile(given.path);
    return s3.send(new sdk.PutObjectCommand({ ...object(given), Body: body, Metadata: given.metadata }));
  },
  metadata: async (given) => (await s3.send(new sdk.HeadObjectCommand(object(given)))).Metadata,
  presign_get: (given) => getSignedUrl(s3, new sdk.GetObjectCommand(object(given)), { expiresIn: 600 }),
  delete: (given) => s3.send(new sdk.DeleteObjectCommand(object(given))),
};
const answered = new Set(["list_buckets", "names", "read_range", "metadata", "presign_get"]);

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let answer;
  try {
    const got = await calls[asked.call](asked.with);
    answer = { got: answered.has(asked.call) ? got : null };
  } catch (error) {
    answer = { failed: error.stack };
  }
  console.log(JSON.stringify(answer));
}
