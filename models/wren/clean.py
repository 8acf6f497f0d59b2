# SPDX-License-Identifier: Apache-2.0
"""Old books and web pages to plain paragraphs: one line a paragraph, a blank line between two.

What goes: title pages, contents, advertisements, marks of illustrations and footnotes, headings in capitals, tables.
What is made the same everywhere: quotation marks ("double", straight), apostrophes, dashes, white space.
"""
import re

SEPARATOR = "<|endoftext|>"

PLAIN = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "´": "'", "`": "'",
                       "\u00a0": " ", "\u2009": " ", "\u200b": "", "\ufeff": "", "\u00ad": "", "…": "...",
                       "–": "-", "―": "—", "ſ": "s", "\r": "", "\t": " ", "_": "", "~": ""})

# A line with one of these is about a book, not in it.
ABOUT_BOOKS = re.compile(
    r"project gutenberg|transcriber|proofread|copyright|all rights reserved|\b(?:16|12|8)mo\b|printed (?:by|in)|"
    r"publish(?:ed|ers) |illustrated by|with illustrations|\[illustration|\billus\.|frontispiece|footnote|"
    r"table of contents|\bpp?\. \d|https?:|www\.|e-?text|\bISBN\b|\bvol\. [ivx\d]", re.IGNORECASE)

# Old books call people names.  A paragraph with one of these words is left out.
INSULTS = re.compile(r"\b(?:nigg\w*|dark(?:y|ie|ies|eys?)|piccaninn\w*|pickaninn\w*|chinam[ae]n|chinks?|coons?|squaws?|half-breeds?|"
                     r"kaff?irs?|hottentots?|redskins?|sambo|mulatto\w*|japs?|wops?|dagos?|sheen(?:y|ies))\b", re.IGNORECASE)

# Words that begin with an apostrophe: no speech begins there.
CLIPPED = r"(?!(?:tis|twas|twere|twill|em|un|ee|bout|cause|til|neath|mid|gainst|ll|re|ve|s|d|t|m|way|cos|ere)\b)"
OPENS_SINGLE = re.compile(r"(^|[\s(\[—\-\"])'" + CLIPPED + r"(?=[A-Za-z—])")
CLOSES_SINGLE = re.compile(r"(?<=[.,!?;:—\-])'(?=$|[\s)\]—\-\"])")


def quotes(paragraphs):
    """Speech in 'single' quotation marks, if that is how this book has it, gets "double" ones."""
    text = "\n".join(paragraphs)
    if len(OPENS_SINGLE.findall(text)) <= 2 * text.count('"'):
        return paragraphs
    swapped = [p.replace('"', "\0") for p in paragraphs]
    swapped = [CLOSES_SINGLE.sub('"', OPENS_SINGLE.sub(r'\1"', p)) for p in swapped]
    swapped = [re.sub(r"\"([A-Za-z][\w -]{0,40})'(?!\w)", r'"\1"', p) for p in swapped]
    return [p.replace("\0", "'") for p in swapped]


def tidy_line(text):
    text = re.sub(r"\[(?:\d+|[A-Z*]|Illustration[^\]]*)\]", "", text)       # notes, pictures
    text = re.sub(r"\s*-{2,}\s*", "—", text)
    text = re.sub(r"\s*—\s*", "—", text)
    text = re.sub(r"\*+|\{[^}]*\}|\^", "", text)
    text = re.sub(r"(?:\. ?){3,}", "...", text)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r" ([,.;!?])", r"\1", text).strip()


def is_prose(line):
    """Sentences, not a heading, a list, a table or a price."""
    letters = sum(c.isalpha() for c in line)
    if len(line) < 3 or letters < 0.6 * len(line) or "|" in line or ABOUT_BOOKS.search(line):
        return False
    words = line.split()
    if sum(w.isupper() and len(w) > 1 for w in words) > 0.5 * len(words):
        return False
    ends = line.rstrip('"\')')[-1:] in ".!?:—,;"
    return ends or len(line) > 150


def is_verse(lines):
    return len(lines) >= 3 and all(len(l) < 60 for l in lines) and sum(l[:1].isupper() for l in lines) >= 0.7 * len(lines)


def paragraphs(text):
    """The prose of a text.  Lines that a narrow page broke are joined; verse keeps no lines either, it is left out."""
    out = []
    for block in re.split(r"\n\s*\n", text.translate(PLAIN)):
        lines = [l.strip() for l in block.split("\n") if l.strip()]
        if not lines or is_verse(lines):
            continue
        line = tidy_line(" ".join(lines))
        if line and is_prose(line) and not INSULTS.search(line):
            out.append(line)
    return quotes(out)


def short_lines(text):
    """Picture books: every line is a sentence of its own and stays; lines of a page make a paragraph."""
    lines = [tidy_line(l) for l in text.translate(PLAIN).split("\n")]
    lines = [l for l in lines if l and sum(c.isascii() for c in l) > 0.95 * len(l) and not ABOUT_BOOKS.search(l)]
    out = []
    for line in lines:
        broken = out and out[-1][-1] not in ".!?\":;"         # a narrow page, not the end of a sentence
        if out and len(out[-1]) + len(line) < (900 if broken else 240):
            out[-1] += " " + line
        else:
            out.append(line)
    return quotes(out)


def pieces(paras, most, least=200):
    """Runs of whole paragraphs of at most `most` bytes, where one paragraph alone is not longer."""
    out, run, size = [], [], 0
    for p in paras:
        n = len(p.encode()) + 2
        if run and size + n > most:
            out.append(run)
            run, size = [], 0
        run.append(p)
        size += n
    if run:
        out.append(run)
    return [r for r in out if sum(len(p) for p in r) >= least]
