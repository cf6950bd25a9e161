// @huggingface/hub, driven line by line (support/offers/driven.py).
import { writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import * as hub from "@huggingface/hub";
import { serve } from "./lines.mjs";

const at = (given) => ({
  repo: { type: "bucket", name: given.bucket },
  hubUrl: process.env.HF_ENDPOINT,
  accessToken: process.env.HF_TOKEN,
});
const file = async (given) => {
  const blob = await hub.downloadFile({ ...at(given), path: given.path });
  if (blob === null) throw new Error(`${given.path} is not there`);
  return blob;
};

await serve({
  make_private: async (given) => void (await hub.createRepo({ ...at(given), private: true })),
  upload: async (given) => {
    await hub.uploadFile({ ...at(given), file: { path: given.path, content: pathToFileURL(given.local) } });
  },
  download: async (given) => writeFile(given.local, (await file(given)).stream()),
  names: async (given) => {
    const found = [];
    for await (const entry of hub.listFiles({ ...at(given), path: `${given.prefix}/`, recursive: true }))
      if (entry.type === "file") found.push(entry.path);
    return found;
  },
  size: async (given) => (await hub.pathsInfo({ ...at(given), paths: [given.path] }))[0]?.size,
  read_range: async (given) => {
    const slice = (await file(given)).slice(given.first, given.last + 1);
    return Buffer.from(await slice.arrayBuffer()).toString("base64");
  },
  delete: async (given) => void (await hub.deleteFiles({ ...at(given), paths: given.paths })),
});
