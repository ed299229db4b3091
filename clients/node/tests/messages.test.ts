import { expect, test } from "vitest";
import { assistant, media, Role, system, toolResult, user } from "../src/index.js";
import { conversation, tool } from "../src/messages.js";

const PNG = Buffer.from("\x89PNG\r\n\x1a\n…", "latin1");

test("a bare text is one turn of the user's", () => {
  expect(conversation("Hi.")).toEqual([user("Hi.")]);
  expect(user("Hi.")).toMatchObject({ role: Role.USER, text: "Hi.", parts: [] });
});

test("object literals and messages may be mixed", () => {
  const turns = conversation([
    system("Be brief."),
    { role: "assistant", content: "Yes?", name: "a" },
  ]);
  expect(turns).toEqual([system("Be brief."), { ...assistant("Yes?"), name: "a" }]);
});

test("text and image become parts in order", () => {
  const contents = user("What is this?", PNG).parts.map((part) => part.content);
  expect(contents).toMatchObject([
    { $case: "text", value: "What is this?" },
    { $case: "media", value: { mimeType: "image/png", source: { $case: "data", value: PNG } } },
  ]);
});

test.each([
  ["\xff\xd8\xff\xe0", "image/jpeg"],
  ["GIF89a", "image/gif"],
  ["RIFF\n\0\0\0WEBPVP8 ", "image/webp"],
  ["%PDF-1.7", "application/pdf"],
])("the first bytes tell the type: %j", (bytes, mimeType) => {
  expect(media(Buffer.from(bytes, "latin1")).content?.value).toMatchObject({ mimeType });
});

test("bytes of unknown type are refused with what to do", () => {
  expect(() => media(Buffer.from("?"))).toThrow(/pass media\(data, \{ mimeType \}\)/);
});

test("an address is sent as such, and a cache breakpoint may be set", () => {
  const part = media("https://example.com/cat.png", { cached: true });
  expect(part.content?.value).toMatchObject({ source: { $case: "url" }, mimeType: "" });
  expect(part.cacheBreakpoint).toEqual({ ttlSeconds: 0 });
});

test("a tool's result answers its call, with text or an image", () => {
  const call = { id: "c1", name: "look", argumentsJson: "{}" };
  const said = toolResult(call, "It failed.", { isError: true });
  const shown = toolResult("c2", ["Here:", PNG]);
  expect(said).toMatchObject({ role: Role.TOOL, parts: [{ content: { $case: "toolResult" } }] });
  expect(said.parts[0]?.content?.value).toMatchObject({
    toolCallId: "c1",
    text: "It failed.",
    isError: true,
  });
  expect(shown.parts[0]?.content?.value).toMatchObject({ toolCallId: "c2", text: "" });
});

test("a tool's schema is written as JSON text", () => {
  expect(tool({ name: "add", parameters: { type: "object" } })).toEqual({
    name: "add",
    parametersJsonSchema: '{"type":"object"}',
  });
});
