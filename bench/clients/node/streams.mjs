/** Streams through the TypeScript client: ADDRESS MODEL STREAMS AT_ONCE; prints how they ended. */
import { TurnoutClient, TurnoutError } from "../../../clients/node/dist/index.js";

const [address, model, streams, atOnce] = process.argv.slice(2);
const client = new TurnoutClient(address);
const ended = {};
let left = Number(streams);
let characters = 0;

async function call() {
  try {
    for await (const text of client.chat({ model, messages: "Hello" })) {
      for (const _ of text) characters += 1;
    }
    return "OK";
  } catch (error) {
    if (error instanceof TurnoutError) return error.reason;
    throw error;
  }
}

async function caller() {
  while (left-- > 0) {
    const reason = await call();
    ended[reason] = (ended[reason] ?? 0) + 1;
  }
}

await Promise.all(Array.from({ length: Number(atOnce) }, caller));
client.close();
console.log(JSON.stringify({ ended, characters }));
