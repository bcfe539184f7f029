"""A client script for a vLLM or an SGLang server with a soft prompt: it embeds the input and sends the vectors."""

from __future__ import annotations

import json

from foreword.data.template import Template
from foreword.prompts.soft_prompt import SoftPrompt

HEAD = '''\
"""Answers inputs with a soft prompt on a SERVER: python client.py URL MODEL 'an input'.

The whole input is sent as embeddings [soft prompt, start, text], CACHE.
Needs numpy, torch and transformers; the model's embedding table is read from MODEL, a folder or a hub id.
"""

import base64
import io
import json
import sys
import urllib.request
from pathlib import Path

import numpy
import torch
import transformers

HERE = Path(__file__).parent
SETTINGS = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))


def table(model):
    """What turns token ids into vectors as the first layer gets them, and the tokenizer."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    whole = transformers.AutoModelForCausalLM.from_pretrained(model, dtype="auto", use_safetensors=True)
    factor = whole.config.hidden_size**0.5 if whole.config.model_type in ("gemma", "gemma2") else 1.0
    layer = whole.get_input_embeddings()
    return (lambda ids: layer(torch.tensor(ids)) * factor), tokenizer


def worded(fields):
    """The input as the prompt was tuned with it."""
    return "".join(text if literal else fields[text] for text, literal in SETTINGS["question"])


def controls(tokenizer):
    """The texts of the tokenizer's control tokens."""
    added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return {*added, *tokenizer.all_special_tokens}


@torch.no_grad()
def embeddings(embed, tokenizer, text):
    """[P + T, H]: the soft prompt, then the text with the tokenizer's own start. What looks like a control token is text, unless the
    wording itself has one."""
    wording = "".join(part for part, literal in SETTINGS["question"] if literal)
    plain = not any(control in wording for control in controls(tokenizer))
    vectors = embed(tokenizer(text, split_special_tokens=plain).input_ids)
    soft = torch.from_numpy(numpy.load(HERE / "prompt.npy", allow_pickle=False)).to(vectors.dtype)
    return torch.cat([soft, vectors])


'''

VLLM = '''\
ROUTE = "/v1/completions"


def body(model, vectors, max_tokens=SETTINGS["max_tokens"]):
    """The body of /v1/completions."""
    stream = io.BytesIO()
    torch.save(vectors, stream)
    return {
        "model": model,
        "prompt_embeds": base64.b64encode(stream.getvalue()).decode(),
        "max_tokens": max_tokens,
        "temperature": 0,
        "stop": SETTINGS["stop"],
        "cache_salt": SETTINGS["cache_salt"],
    }


def text_of(answer):
    """What was generated."""
    return answer["choices"][0]["text"]


'''

SGLANG = '''\
ROUTE = "/generate"


def body(model, vectors, max_tokens=SETTINGS["max_tokens"]):
    """The body of /generate, whose server has one model."""
    return {
        "input_embeds": vectors.float().tolist(),
        "sampling_params": {"temperature": 0, "max_new_tokens": max_tokens, "stop": SETTINGS["stop"]},
    }


def text_of(answer):
    """What was generated."""
    return answer["text"]


'''

TAIL = '''\
def read(text):
    """The answer in what was generated: its wording taken off, cut at the first stop text behind its leading blanks."""
    before, after = SETTINGS["answer"].split("{target}")
    opening, led = before.strip(), text.lstrip()
    if opening and led.startswith(opening):
        following = led[len(opening) :]
        if not before[-1].isspace() or not following or following[0].isspace():
            text = following
    text = text if SETTINGS["empty_answers"] else text.lstrip()
    for stop in SETTINGS["stop"]:
        text = text.split(stop, 1)[0]
    return closed(text.strip(), after.strip()).strip()


def closed(text, end):
    """The text before the wording's closing words, where they stand before a blank or at its end, else where they stand first."""
    at = text.find(end) if end else -1
    while at >= 0:
        following = text[at + len(end) :]
        if not following or following[0].isspace():
            return text[:at]
        at = text.find(end, at + 1)
    return text.split(end, 1)[0] if end else text


def main():
    """Ask for one input; several fields come as JSON."""
    url, model, given = sys.argv[1:4]
    fields = json.loads(given) if given.startswith("{") else {"input": given}
    vectors = embeddings(*table(model), worded(fields))
    request = urllib.request.Request(
        url.rstrip("/") + ROUTE,
        json.dumps(body(model, vectors)).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        print(read(text_of(json.load(answer))))


if __name__ == "__main__":
    main()
'''

SERVERS = {  # the body of a request, the server's name and how it is started, and why no other prompt's cache is used
    "vllm": (
        VLLM,
        "vLLM server (started with --enable-prompt-embeds)",
        "by a salt of its own, so that no other prompt's cache is used for it",
    ),
    "sglang": (
        SGLANG,
        "SGLang server (started with --disable-radix-cache)",
        "which such a server takes only without a cache, so that no other prompt's is used",
    ),
}


def client_files(
    server: str, prompt: SoftPrompt, template: Template, name: str, salt: str, longest: int
) -> dict[str, str]:
    """The files beside the array: the client of a server and its settings. longest: tokens of an answer."""
    question: list[tuple[str, bool]] = []
    for literal, field in template.parts:
        question += [(literal, True)] if literal else []
        question += [(field, False)] if field is not None else []
    settings = {
        "name": name,
        "base_model": prompt.provenance.backbone,
        "fingerprint": prompt.provenance.fingerprint,
        "virtual_tokens": prompt.length,
        "question": question,
        "answer": template.answer,
        "empty_answers": template.empty_answers,
        "stop": list(template.stops),
        "max_tokens": longest,
        "cache_salt": salt,
    }
    body, started, cache = SERVERS[server]
    client = HEAD.replace("SERVER", started).replace("CACHE", cache) + body + TAIL
    return {"client.py": client, "settings.json": json.dumps(settings, indent=2, ensure_ascii=False) + "\n"}
