/* SPDX-License-Identifier: Apache-2.0
 * train/chat.h - one line of JSONL to tokens, and which of them are learned.
 *
 * A line is an object with one of
 *     messages                    [{"role": .., "content": ..}, ..] as chats are sent everywhere
 *     prompt, and answer, completion, response or output
 *     instruction, input, output  as self-instruct sets have it; input may be empty
 *     text                        plain text, learned whole
 * Other members pass by: they say where the line came from.  Messages become the text of the chat format, as when the
 * model is asked; what is learned is what the assistant says, and the end of its turn. */
#ifndef TRAIN_CHAT_H
#define TRAIN_CHAT_H

#include "text/template.h"

typedef struct ChatReader {
    const Tokenizer *tokenizer;
    const Template  *format;            /* NULL: only `text` can be read                    */
    const char      *format_why;        /* why there is none                                */
    const char      *bos, *eos;         /* texts of these tokens, or NULL                   */
} ChatReader;

/* Appends the tokens of one line; ~id where the token is given, not learned.  `where` is "file:line". */
Status chat_tokens(const ChatReader *reader, const char *line, size_t n_bytes, const char *where, TokenList *out,
                   Error *error);

/* Preference pairs, {"prompt": .., "chosen": .., "rejected": ..}: texts or arrays of messages.  The two answers
 * to the same question, each as chat_tokens gives it. */
Status chat_pair(const ChatReader *reader, const char *line, size_t n_bytes, const char *where, TokenList *chosen,
                 TokenList *rejected, Error *error);

/* Appends a plain text as a document: BOS, text, EOS, as far as the vocabulary has them. */
Status text_tokens(const Tokenizer *tokenizer, const char *text, size_t n_bytes, TokenList *out, Error *error);

#endif
