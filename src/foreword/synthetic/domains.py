"""The dozen domains of the generated texts: what an entity is called, what is known of it and how that can be said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Attribute:
    """One thing known of an entity. keys: names it goes by in data. kind: what its values are. says: clauses with `{v}`."""

    keys: tuple[str, ...]
    kind: str
    says: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    """noun, plural: what its entities are. attributes: what is known of them."""

    noun: str
    plural: str
    attributes: tuple[Attribute, ...]


def _a(keys: str, kind: str, *says: str) -> Attribute:
    return Attribute(tuple(keys.split()), kind, says)


_WHERE = _a(
    "place city town location area where",
    "place",
    "is in {v}",
    "stands in {v}",
    "can be found in {v}",
    "lies near {v}",
    "has its home in {v}",
    "comes from {v}",
)
_WHEN = _a(
    "year founded since date start opened",
    "year",
    "was founded in {v}",
    "dates from {v}",
    "began in {v}",
    "opened in {v}",
    "goes back to {v}",
    "was first seen in {v}",
)
_OWNER = _a(
    "owner holder keeper belongs",
    "name",
    "belongs to {v}",
    "is owned by {v}",
    "is held by {v}",
    "is run by {v}",
    "is looked after by {v}",
)
_COLOUR = _a("colour paint", "colour", "is {v}", "is painted {v}", "is known by its {v} colour", "has a {v} front")
_SIZE = _a(
    "size number total members",
    "count",
    "has {v} members",
    "counts {v} people",
    "holds {v} seats",
    "has room for {v}",
)
_HEAD = _a(
    "leader head chief manager",
    "name",
    "is led by {v}",
    "has {v} as its head",
    "is managed by {v}",
    "follows {v}",
)

DOMAINS = (
    Domain(
        "player",
        "players",
        (
            _a("club team side", "name", "plays for {v}", "has joined {v}", "is with {v}", "signed for {v}"),
            _a(
                "born birth year",
                "year",
                "was born in {v}",
                "came into the world in {v}",
                "is from the year {v}",
            ),
            _a("goals points score", "count", "scored {v} goals", "has {v} points", "made {v} goals"),
            _a("home town place", "place", "comes from {v}", "lives in {v}", "grew up in {v}"),
        ),
    ),
    Domain("club", "clubs", (_WHERE, _WHEN, _HEAD, _COLOUR, _SIZE)),
    Domain(
        "river",
        "rivers",
        (
            _a("length miles long", "count", "is {v} miles long", "runs for {v} miles", "has a length of {v}"),
            _a("source start from", "place", "starts at {v}", "rises near {v}", "comes down from {v}"),
            _a("mouth end into", "place", "ends at {v}", "flows into {v}", "runs to {v}"),
            _a("bridges crossings", "count", "has {v} bridges", "is crossed by {v} bridges"),
        ),
    ),
    Domain(
        "book",
        "books",
        (
            _a(
                "author writer by",
                "name",
                "was written by {v}",
                "is a work of {v}",
                "is by {v}",
                "came from the hand of {v}",
            ),
            _a("year date printed", "year", "was printed in {v}", "came out in {v}", "is from {v}"),
            _a("pages length", "count", "has {v} pages", "runs to {v} pages"),
            _a("subject topic about", "subject", "is about {v}", "deals with {v}", "tells of {v}"),
        ),
    ),
    Domain(
        "film",
        "films",
        (
            _a("director maker by", "name", "was made by {v}", "was directed by {v}", "is a film of {v}"),
            _a("star actor lead", "name", "stars {v}", "has {v} in the lead", "made a star of {v}"),
            _a("year date release", "year", "came out in {v}", "was shown in {v}", "was released in {v}"),
            _a("place set where", "place", "is set in {v}", "takes place in {v}", "was filmed in {v}"),
        ),
    ),
    Domain(
        "inn",
        "inns",
        (
            _a("food serves menu", "food", "serves {v}", "is known for its {v}", "offers {v}"),
            _WHERE,
            _a("price cost", "count", "costs {v} a night", "asks {v} for a meal", "takes {v} from each guest"),
            _OWNER,
            _a("near beside next", "name", "is near {v}", "stands beside {v}", "is next to {v}"),
        ),
    ),
    Domain(
        "ship",
        "ships",
        (
            _a("captain master under", "name", "sails under {v}", "has {v} as captain", "is commanded by {v}"),
            _a("port harbour home", "place", "sails from {v}", "has its port at {v}", "is kept at {v}"),
            _a("built launched year", "year", "was built in {v}", "first sailed in {v}", "was launched in {v}"),
            _a("crew sailors hands", "count", "has a crew of {v}", "carries {v} sailors"),
        ),
    ),
    Domain(
        "school",
        "schools",
        (_WHERE, _WHEN, _HEAD, _SIZE, _a("subject teaches", "subject", "teaches {v}", "is known for {v}")),
    ),
    Domain(
        "band",
        "bands",
        (
            _a("style music genre", "style", "plays {v}", "is a {v} band", "is known for {v}"),
            _a("singer voice lead", "name", "has {v} as its singer", "is fronted by {v}", "sings with {v}"),
            _WHERE,
            _WHEN,
            _a("albums records", "count", "made {v} albums", "has {v} records"),
        ),
    ),
    Domain(
        "firm",
        "firms",
        (_WHERE, _WHEN, _OWNER, _HEAD, _a("staff workers", "count", "employs {v} people", "has {v} workers")),
    ),
    Domain(
        "animal",
        "animals",
        (
            _a("food eats diet", "food", "eats {v}", "lives on {v}", "likes {v}"),
            _a("age years", "count", "is {v} years old", "has lived for {v} years"),
            _COLOUR,
            _a("keeper owner friend", "name", "lives with {v}", "is fed by {v}", "belongs to {v}"),
        ),
    ),
    Domain(
        "house",
        "houses",
        (
            _WHERE,
            _a("material built", "material", "is made of {v}", "is built of {v}", "was put up in {v}"),
            _a("rooms size", "count", "has {v} rooms", "counts {v} rooms"),
            _OWNER,
            _COLOUR,
        ),
    ),
)
