// The openai npm package against a server: URL PROMPT TEXT; prints what it was told as JSON.
import OpenAI from "openai";

const [url, prompt, text] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: text }];
const given = { model: prompt, max_tokens: 12 };
const completion = await client.completions.create({ ...given, prompt: text });
const chat = await client.chat.completions.create({ ...given, messages });
const pieces = [];
for await (const chunk of await client.chat.completions.create({ ...given, messages, stream: true })) {
  pieces.push(chunk.choices[0]?.delta?.content ?? "");
}
const told = {
  completion: completion.choices[0].text,
  chat: chat.choices[0].message.content,
  tokens: [chat.usage.prompt_tokens, chat.usage.completion_tokens],
  stream: pieces.join(""),
  models: (await client.models.list()).data.map((model) => model.id),
};
try {
  await client.completions.create({ ...given, model: "nobody", prompt: text });
} catch (error) {
  told.missing = [error.status, error.code, error.constructor.name];
}
console.log(JSON.stringify(told));
