"""langchain-openai against a server: URL PROMPT TEXT; prints what it was told as JSON."""

import asyncio
import json
import sys

import openai
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel, Field


class Order(BaseModel):
    """An order."""

    item: str = Field(max_length=5)
    count: int = Field(ge=0, le=9)


url, prompt, text = sys.argv[1:]
options = {"base_url": f"{url}/v1", "api_key": "none", "model": prompt, "max_retries": 0, "temperature": 0}
chat = ChatOpenAI(**options, max_tokens=12)
whole = chat.invoke(text)
results = {
    "invoke": whole.content,
    "usage": whole.usage_metadata,
    "stream": "".join(chunk.content for chunk in chat.stream(text)),
    "batch": [answer.content for answer in chat.batch([text, text])],
    "async": asyncio.run(chat.ainvoke(text)).content,
    "completion": OpenAI(**options, max_tokens=12).invoke(text),
    "order": ChatOpenAI(**options, max_tokens=120)
    .with_structured_output(Order, method="json_schema")
    .invoke(text)
    .model_dump(),
}
try:
    ChatOpenAI(**(options | {"model": "nobody"})).invoke(text)
except openai.NotFoundError as error:
    results["missing"] = error.code
print(json.dumps(results))
