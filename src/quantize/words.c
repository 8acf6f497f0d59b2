/* SPDX-License-Identifier: Apache-2.0
 * quantize/words.c - a vocabulary for models that have nothing to say.
 *
 * First what any SentencePiece model with byte fallback has: unknown, begin, end, 256 bytes, letters.
 * Then common English words, letter by letter, so that real text becomes few tokens; then
 * syllables, then words of two and more of them until the vocabulary is full. */
#include "quantize/words.h"

#include "base/map.h"

#include <stdio.h>
#include <string.h>

#define MARK "\xe2\x96\x81"             /* U+2581 stands for the space before a word        */

/* Turns alternate, a user first; a system text goes before the first user's, with a blank line. */
const char words_template[] =
    "{%- if messages and messages[0]['role'] == 'system' %}"
    "{%- set system = messages[0]['content'] %}{%- set turns = messages[1:] %}"
    "{%- else %}{%- set system = '' %}{%- set turns = messages %}{%- endif %}"
    "{{- bos_token }}{%- for message in turns %}"
    "{%- if message['role'] != ('user' if loop.index0 % 2 == 0 else 'assistant') %}"
    "{{- raise_exception('user and assistant must take turns, a user first') }}{%- endif %}"
    "{%- if message['role'] == 'assistant' %}{{- ' ' + message['content'] + eos_token }}"
    "{%- else %}{{- ' [INST] ' }}"
    "{%- if loop.first and system %}{{- system + '\\n\\n' }}{%- endif %}"
    "{{- message['content'] + ' [/INST]' }}{%- endif %}"
    "{%- endfor %}";

static const char *const english[] = {
    "the",     "of",    "and",   "to",     "in",    "is",    "that",   "was",     "for",   "it",
    "with",    "as",    "his",   "on",     "be",    "at",    "by",     "had",     "not",   "are",
    "but",     "from",  "or",    "have",   "an",    "they",  "which",  "one",     "you",   "were",
    "all",     "her",   "she",   "there",  "would", "their", "we",     "him",     "been",  "has",
    "when",    "who",   "will",  "no",     "more",  "if",    "out",    "so",      "said",  "what",
    "up",      "its",   "about", "than",   "into",  "them",  "can",    "only",    "other", "time",
    "new",     "some",  "could", "these",  "two",   "may",   "first",  "then",    "do",    "any",
    "like",    "my",    "now",   "over",   "such",  "our",   "man",    "me",      "even",  "most",
    "made",    "after", "also",  "well",   "did",   "many",  "before", "must",    "years", "back",
    "through", "much",  "where", "your",   "way",   "down",  "should", "because", "long",  "each",
    "just",    "state", "those", "people", "too",   "how",   "little", "good",    "world", "make",
    "very",    "year",  "still", "see",    "work",  "life",  "being",  "once",    "upon",  "write",
    "story",   "water", "light", "night",  "house", "small", "great",  "hand",    "old",   "king",
    "fox",     "bear",  "sun",   "moon",   "river", "tree"
};

static const char *const onsets[] = { "b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n",
                                      "p", "r", "s", "t", "v", "w", "z", "br", "st", "tr" };
static const char *const vowels[] = { "a", "e", "i", "o", "u" };
static const char *const codas[]  = { "", "n", "r", "s", "l" };

enum { N_SYLLABLES = ARRAY_LEN(onsets) * ARRAY_LEN(vowels) * ARRAY_LEN(codas), WORD_BYTES = 64 };

typedef struct Maker {
    Arena  *arena;
    Vocab  *vocab;
    int64_t room;
    Map     known;
    bool    failed;
} Maker;

static void put(Maker *m, const char *text, PieceType type, float score)
{
    const size_t n_bytes = strlen(text);
    if (m->failed || m->vocab->n_pieces == m->room) return;
    char *copy = arena_text(m->arena, text, n_bytes);
    bool existed = false;
    if (!copy || !map_put(&m->known, copy, n_bytes, m->vocab->n_pieces, &existed)) {
        m->failed = true;
        return;
    }
    if (!existed)
        m->vocab->pieces[m->vocab->n_pieces++] =
            (Piece){ copy, (uint32_t)n_bytes, score, (uint8_t)type };
}

/* Earlier pieces merge first. */
static void add(Maker *m, const char *text)
{
    put(m, text, PIECE_NORMAL, -(float)(m->vocab->n_pieces - WORDS_TEXT));
}

static void add_basics(Maker *m)
{
    char text[8];
    put(m, "<unk>", PIECE_UNKNOWN, 0);
    put(m, "<s>", PIECE_CONTROL, 0);
    put(m, "</s>", PIECE_CONTROL, 0);
    for (int byte = 0; byte < 256; byte++) {
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)byte);
        put(m, text, PIECE_BYTE, 0);
    }
    add(m, MARK);
    for (char letter = '!'; letter <= '~'; letter++) add(m, (const char[]){ letter, 0 });
}

/* "_t", "_th", "_the": each is its predecessor and a letter. */
static void add_english(Maker *m)
{
    char text[WORD_BYTES];
    for (int i = 0; i < ARRAY_LEN(english); i++)
        for (int n = 1; n <= (int)strlen(english[i]); n++) {
            snprintf(text, sizeof text, MARK "%.*s", n, english[i]);
            add(m, text);
        }
}

static void syllable(char text[8], int64_t i)
{
    const char *coda = codas[i % ARRAY_LEN(codas)];
    i /= ARRAY_LEN(codas);
    snprintf(text, 8, "%s%s%s", onsets[i / ARRAY_LEN(vowels) % ARRAY_LEN(onsets)],
             vowels[i % ARRAY_LEN(vowels)], coda);
}

static void add_syllables(Maker *m)
{
    char one[8], text[WORD_BYTES];
    for (int i = 0; i < ARRAY_LEN(onsets); i++) {
        add(m, onsets[i]);
        snprintf(text, sizeof text, MARK "%s", onsets[i]);
        add(m, text);
    }
    for (int i = 0; i < N_SYLLABLES; i++) {             /* "ba" comes before "ban"              */
        syllable(one, i);
        add(m, one);
        snprintf(text, sizeof text, MARK "%s", one);
        add(m, text);
    }
}

/* Words of 2, 3.. syllables, in a scattered order: a stride without common factors visits all. */
static void add_words(Maker *m)
{
    int64_t n_words = N_SYLLABLES;
    for (int length = 2; length <= 3; length++) {
        n_words *= N_SYLLABLES;
        for (int64_t i = 0; i < n_words && m->vocab->n_pieces < m->room && !m->failed; i++) {
            char one[8], text[WORD_BYTES] = MARK;
            int64_t word = (i * 7919 + 12345) % n_words;        /* 7919 is prime; 525 = 3 * 5 * 5 * 7 */
            for (int s = 0; s < length; s++, word /= N_SYLLABLES) {
                syllable(one, word % N_SYLLABLES);
                strcat(text, one);
            }
            add(m, text);
        }
    }
}

Status words_make(int64_t n_pieces, Arena *arena, Vocab *out, Error *error)
{
    if (n_pieces < WORDS_MIN || n_pieces > WORDS_MAX)
        return fail(error, BAD_ARGUMENT, "vocabulary: expected %d to %d tokens, found %lld",
                    WORDS_MIN, WORDS_MAX, (long long)n_pieces);
    *out = (Vocab){ .kind = VOCAB_SPM,
                    .bos = 1,
                    .eos = 2,
                    .unknown = 0,
                    .ends = { 2 },
                    .n_ends = 1,
                    .add_bos = true,
                    .add_space_prefix = true,
                    .escape_whitespaces = true };
    out->pieces = arena_new(arena, (size_t)n_pieces, sizeof *out->pieces);
    if (!out->pieces) return fail_memory(error, "the vocabulary");

    Maker m = { .arena = arena, .vocab = out, .room = n_pieces };
    add_basics(&m);
    add_english(&m);
    add_syllables(&m);
    add_words(&m);
    map_free(&m.known);
    return m.failed ? fail_memory(error, "the vocabulary") : OK;
}
