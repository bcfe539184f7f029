"""lm-eval's local-completions against a server: URL PROMPT TOKENIZER FOLDER, where FOLDER holds tasks (*.yaml); prints each task's score
and its samples as JSON."""

import json
import sys
from pathlib import Path

import lm_eval
from lm_eval.tasks import TaskManager

url, prompt, tokenizer, folder = sys.argv[1:]
settings = {
    "model": prompt,
    "base_url": f"{url}/v1/completions",
    "tokenizer": tokenizer,
    "tokenizer_backend": "huggingface",
    "num_concurrent": 4,
    "max_retries": 1,
    "max_length": 120,
    "batch_size": 3,
}
evaluation = lm_eval.simple_evaluate(
    model="local-completions",
    model_args=settings,
    tasks=sorted(path.stem for path in Path(folder).glob("*.yaml")),
    task_manager=TaskManager(include_path=folder, include_defaults=False),
    bootstrap_iters=0,
)
scores = {
    task: {name: value for name, value in values.items() if isinstance(value, float)}
    for task, values in evaluation["results"].items()
}
samples = {
    task: [[each["doc_id"], each.get("acc", each.get("exact_match")), each["filtered_resps"]] for each in of_task]
    for task, of_task in evaluation["samples"].items()
}
print(json.dumps({"scores": scores, "samples": samples}))
