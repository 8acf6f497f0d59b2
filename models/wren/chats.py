# SPDX-License-Identifier: Apache-2.0
"""Conversations made from the texts themselves: somebody asks for a story, and the answer is one.

A request names what the story is about (its title, its animals, its people), so that the model learns to stay
with what it was asked for.  Every choice comes from the generator that is passed in.
"""
import collections
import re

from questions import a, capital, pairs

ANIMALS = """ant ass bat bear bee bird boar bull butterfly calf camel cat cock cow crab crane crocodile crow deer dog
dolphin donkey dove dragon duck eagle elephant fairy fawn fish fly fox frog ghost giant goat goose grasshopper hare
hawk hedgehog hen heron horse kid king kite knight lamb lark lion lizard mermaid miller mole monkey mouse mule nightingale
ox owl parrot peacock pig pigeon porcupine prince princess queen rabbit rat raven robber robin sailor serpent sheep
shepherd shoemaker snake soldier sparrow spider squirrel stag stork swallow swan tailor tiger toad tortoise troll
turtle unicorn whale witch wizard wolf woodman worm wren boy girl fisherman farmer tree river moon star mother ship
kitten puppy snow rain doll train school teacher island castle forest garden clock hat shoe ring bottle boat""".split()

ASK_ABOUT = ["Tell me a story about {}.", "Please tell me a story about {}.", "Write a story about {}.",
             "Tell me a short story about {}.", "Can you tell me a story about {}?", "I want to hear a story about {}.",
             "Write a short story about {}.", "Do you know a story about {}?"]
ASK_CALLED = ["Tell me the story \"{}\".", "Tell me a story called \"{}\".", "Write a story with the title \"{}\".",
              "Do you know the story of \"{}\"?"]
ASK_START = ["How does the story \"{}\" begin?", "Tell me how the story \"{}\" begins."]
ASK_ANY = ["Tell me a story.", "Please tell me a story.", "Tell me a story!", "Can you tell me a story?",
           "I would like to hear a story.", "Write a story.", "Tell me another story.", "Tell me a bedtime story."]
ASK_MORE = ["Go on with this story: {}", "What happens next? {}", "Continue this story: {}", "Tell me what happens next: {}"]


def chat(*turns):
    return [{"role": "user" if i % 2 == 0 else "assistant", "content": t} for i, t in enumerate(turns)]


def words_of(text):
    return re.findall(r"[A-Za-z']+", text)


def subjects(text):
    """Whom the text is about: animals and people, the most frequent first."""
    counts = collections.Counter()
    for w in words_of(text.lower()):
        single = w[:-1] if w.endswith("s") and w[:-1] in ANIMALS else w
        if single in ANIMALS:
            counts[single] += 1
    found = [(n, a(w)) for w, n in counts.items() if n >= 2]
    names = collections.Counter(re.findall(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b", text))
    said = set(words_of(text))
    found += [(n + 1, w) for w, n in names.items() if n >= 2 and w.lower() not in said and w not in TITLES
              and w.lower() not in ANIMALS]
    return [w for n, w in sorted(found, key=lambda f: (-f[0], f[1]))]


TITLES = set("Mrs Miss Mister Sir Lady Lord God Christmas English French Sunday Monday America England Captain Doctor".split())


def together(things):
    return things[0] if len(things) == 1 else ", ".join(things[:-1]) + " and " + things[-1]


def story_chats(title, paras, rng, most=1650):
    """A whole short story, or how a long one begins."""
    text = "\n\n".join(paras)
    whole = len(text.encode()) <= most
    if not whole:
        kept = []
        for p in paras:
            if sum(len(k.encode()) + 2 for k in kept) + len(p.encode()) > most:
                break
            kept.append(p)
        text = "\n\n".join(kept)
        if len(text) < 400:
            return
    about = subjects(title + ". " + text)
    if whole or rng.random() < 0.5:
        if about:
            yield chat(rng.choice(ASK_ABOUT).format(together(about[:rng.choice([1, 1, 2, 2, 3])])), text)
        yield chat(rng.choice(ASK_ANY), text)
        yield chat(rng.choice(ASK_CALLED).format(title), text)
    else:
        yield chat(rng.choice(ASK_START).format(title), text)


def piece_chats(run, rng):
    """A piece of a book, asked for by what is in it, or as what follows its first paragraph."""
    text = "\n\n".join(run)
    about = subjects(text)
    tells = run[0][0] != '"' and len(run[0]) > 100 and text.count('"') < len(text) / 60 and text[-1] in '.!?"'
    if tells and about:
        return chat(rng.choice(ASK_ABOUT).format(together(about[:rng.choice([1, 2, 2])])), text)
    if len(run) >= 3 and 80 <= len(run[0]) <= 500 and run[0][0] != '"':
        return chat(rng.choice(ASK_MORE).format(run[0]), "\n\n".join(run[1:]))
    return None


def tale_questions(rows, tidy, rng, most=900):
    """Reading: a passage of a tale and a question about it."""
    for row in rows:
        passage, question, answer = tidy(row["input"]), capital(tidy(row["instruction"])), tidy(row["output"])
        if len(passage) > most or not 2 <= len(answer) <= 200 or not question.endswith("?"):
            continue
        answer = capital(answer) + ("" if answer[-1] in ".!?\"" else ".")
        yield row, chat(f"{passage}\n\n{question}", answer)


def question_chats(capitals, rng):
    """Questions alone, and now and then several in one conversation."""
    singles = list(dict.fromkeys(pairs(capitals)))
    for q, ans in singles:
        yield (q,), chat(q, ans)
    for _ in range(len(singles) // 3):
        some = rng.sample(singles, rng.choice([2, 2, 3]))
        yield tuple(q for q, _ in some), chat(*(t for pair in some for t in pair))
