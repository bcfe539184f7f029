"""litellm against a server: URL PROMPT TEXT; prints what it was told as JSON."""

import asyncio
import json
import sys

import litellm

url, prompt, text = sys.argv[1:]
litellm.suppress_debug_info = True
options = {"api_base": f"{url}/v1", "api_key": "none", "max_tokens": 12, "num_retries": 0, "max_retries": 0}
messages = [{"role": "user", "content": text}]
chat = options | {"model": f"openai/{prompt}", "messages": messages}
whole = litellm.completion(**chat)
stream = litellm.completion(**chat, stream=True, stream_options={"include_usage": True})
pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
results = {
    "chat": whole.choices[0].message.content,
    "tokens": [whole.usage.prompt_tokens, whole.usage.completion_tokens],
    "stream": "".join(pieces),
    "async": asyncio.run(litellm.acompletion(**chat)).choices[0].message.content,
    "completion": litellm.text_completion(**options, model=f"text-completion-openai/{prompt}", prompt=text)
    .choices[0]
    .text,
}
for name, more in (("missing", {"model": "openai/nobody"}), ("wrong", {"presence_penalty": 1.0})):
    try:
        litellm.completion(**(chat | more))
    except Exception as error:
        results[name] = type(error).__name__
print(json.dumps(results))
