"""inspect-ai against a server: URL PROMPT FILE, whose lines are samples with their targets; prints the accuracy and the answers as JSON."""

import json
import sys
import tempfile
from pathlib import Path

from inspect_ai import Task, eval  # noqa: A004
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import exact
from inspect_ai.solver import generate

url, prompt, file = sys.argv[1:]
rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
samples = [Sample(input=row["input"], target=row["target"], id=place) for place, row in enumerate(rows)]
config = GenerateConfig(max_tokens=12, temperature=0, max_retries=0)
model = get_model(f"openai-api/foreword/{prompt}", base_url=f"{url}/v1", api_key="none", config=config)
task = Task(dataset=samples, solver=generate(), scorer=exact())
(log,) = eval(task, model=model, display="none", log_dir=tempfile.mkdtemp())
assert log.status == "success", log.error
answers = [sample.output.completion for sample in sorted(log.samples, key=lambda sample: sample.id)]
print(json.dumps({"accuracy": log.results.scores[0].metrics["mean"].value, "answers": answers}))
