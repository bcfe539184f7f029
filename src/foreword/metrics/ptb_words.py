"""The words and marks that the tokenizer of `ptb` treats as special, determined by running the original on them."""

from __future__ import annotations

# What the COCO caption code drops after tokenising; brackets escape it, for their names are lower-cased by then.
DROPPED = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", *[".", "?", "!", ",", ":", "-", "--", "...", ";"]]
)

# Marks that come out under another name.
UNJOINED = {
    "[": "-lsb-",
    "]": "-rsb-",
    "{": "-lcb-",
    "}": "-rcb-",
    '"': "''",
    "\u2013": "--",
    "\u2014": "--",
    "\u2015": "--",
    "\u2018": "`",
    "\u201b": "`",
    "\u2039": "`",
    "\u2019": "'",
    "\u203a": "'",
    "\u201c": "``",
    "\u00ab": "``",
    "\u201d": "''",
    "\u00bb": "''",
    "\u2026": "...",
    "\u00ad": "-",
}
CURRENCIES = {"\u00a3": "#", "\u20ac": "$", "\u00a4": "$", "\u20a0": "$", "\u00a2": "cents"}
FRACTIONS = {"\u00bc": "1/4", "\u00bd": "1/2", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3"}
ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&apos;": "'", "&nbsp;": ""}

# Words that come out as two or three.
JOINED = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "wanna": ("wan", "na"),
    "gotta": ("got", "ta"),
    "lemme": ("lem", "me"),
    "gimme": ("gim", "me"),
}

# Abbreviations that keep their stop; where a new sentence follows, the tokeniser adds a second stop, which is dropped.
_SHORT = """
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri ala ariz az ark calif colo
    conn ct dak del fla ga ill ind kan kans ky la mass md mich minn miss mo mont neb nev okla ore pa penn tenn
    tex va vt wash wis wisc wyo inc co cos corp pte pty ptys ltd plc rt bancorp bhd assn univ intl sys jr sr
    bros blvd rd esq etc al seq est tel ext sq bldg dept invt elec natl mfg mtg mr mrs ms dr drs prof profs
    sen sens rep reps atty attys lt col gen messrs gov govs adm rev maj sgt cpl pvt capt st ste ave pres lieut
    hon brig cmdr comdr pfc spc supt supts det mt ft adj adv asst assoc ens insp mlle mme msgr sfc ph vs cf
    alex wm jos cie treas
"""
SHORT = frozenset(_SHORT.split())
# Those of them that are words of their own when they start with a small letter.
CAPITALISED = frozenset(["az", "ark", "del", "ill", "la", "mass", "miss", "ore", "pa", "tex", "wash"])
# Abbreviations that keep their stop before a number only.
BEFORE_NUMBERS = frozenset(["no", "nos", "prop", "art", "ca", "fig", "figs", "pp", "op"])
# Words that show that the letter and stop before them end a sentence ("vitamin B. The ...").
_STARTERS = """
    A About According Additionally After An As At But Earlier He Her Here However If In It Last Many More Mr\\.
    Ms\\. Now Once One Other Our She Since So Some Such That The Their Then There These They This We When While
    What Yet You
"""
STARTERS = tuple(_STARTERS.split())
