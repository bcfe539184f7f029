"""The language models that foreword has made, a folder each: `medium` comes with every installation, all of them with the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from foreword.util.errors import ForewordError, unknown
from foreword.util.files import cache_folder

SOURCE = "src/foreword/models/reference"  # in the repository and in the source archive


@dataclass(frozen=True)
class Reference:
    """One of them. folder: its name below SOURCE. weights: how many numbers it has. digest: of its files, see `shipped.digest_of`. size:
    of them in bytes."""

    name: str
    folder: str
    summary: str
    weights: int
    digest: str
    size: int


REFERENCES: Mapping[str, Reference] = MappingProxyType(
    {
        model.folder: model
        for model in (
            Reference(
                "reference",
                "medium",
                "made by foreword of text that it generates, decoder-only",
                2_607_552,
                "074aae40198bf80724816ef0af650fc3fc38cb0c9327dacfac2d823d3a75d218",
                5_350_641,
            ),
            Reference(
                "reference-small",
                "small",
                "the same, smaller",
                750_816,
                "e2523fe99ce5edd3344d322b57edb33c819aaa5389878f5bb29bb5c91541d8c3",
                1_637_040,
            ),
            Reference(
                "reference-large",
                "large",
                "the same, larger",
                6_787_296,
                "9a4e5f14bde56db59752f9e99e80e6924f1e41d77610764e7c8c0d7a29b6535c",
                13_711_145,
            ),
            Reference(
                "reference-t5",
                "t5",
                "an encoder-decoder, by span corruption alone",
                3_001_792,
                "fe9b6ebe582a19bb921e932e984c368881cb5d9db37623c319c6a0dcb5626081",
                6_142_955,
            ),
            Reference(
                "reference-t5-adapted",
                "t5-adapted",
                "the same after LM adaptation",
                3_001_792,
                "213c264b74ec2315be798fc0a9ceb8e00fd420621d4c2544f9cba1a22a3fad2c",
                6_143_003,
            ),
        )
    }
)


def folder_name(name: str) -> str:
    """The folder of the reference model that --model takes by this name; empty where none has it."""
    own = "medium" if name == "reference" else name.removeprefix("reference-")
    return own if own != name and own in REFERENCES else ""


def kept_folder(model: Reference) -> Path:
    """Where one that was fetched lies."""
    return cache_folder() / "models" / model.name


def here(model: Reference) -> Path | None:
    """The folder of a reference model on this machine: beside this file, or where it was fetched to; None where there is none."""
    places = (Path(__file__).parent / model.folder, kept_folder(model))
    return next((place for place in places if (place / "config.json").is_file()), None)


def folder(name: str) -> Path:
    """The folder of a reference model, `medium` say. Raises ForewordError for a name that none has, and with the command where it is
    not on this machine."""
    if name not in REFERENCES:
        raise unknown("reference model", name, REFERENCES)
    model = REFERENCES[name]
    place = here(model)
    if place is None:
        raise ForewordError(
            f"The model '{model.name}' ({model.size / 1e6:,.0f} MB) does not come with the wheel, but with foreword's source, in "
            f"{SOURCE}/{name}; take it from a clone or a source archive once: foreword models get {model.name} --from PATH."
        )
    return place
