// A client driven line by line (support/offers/driven.py): reads calls, does them, answers.
import { createInterface } from "node:readline";

export async function serve(calls) {
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    let answer;
    try {
      answer = { got: (await calls[asked.call](asked.with)) ?? null };
    } catch (error) {
      answer = { failed: `${error.stack}\n${error.cause?.stack ?? ""}` };
    }
    console.log(JSON.stringify(answer));
  }
}
