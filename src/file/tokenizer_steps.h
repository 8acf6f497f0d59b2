/* SPDX-License-Identifier: Apache-2.0
 * file/tokenizer_steps.h - what a tokenizer.json does before and after its model.
 * Internal to src/file. */
#ifndef FILE_TOKENIZER_STEPS_H
#define FILE_TOKENIZER_STEPS_H

#include "file/json.h"
#include "file/vocab_build.h"

/* Does it spell bytes as letters (GPT-2), or spaces as U+2581 (SentencePiece)? */
bool   steps_are_byte_level(const json_t *root);
/* Normalizer, pre_tokenizer and post_processor become fields of the vocabulary, whose pieces have
 * been read; UNSUPPORTED names a step we lack. */
Status steps_read(Build *build, const json_t *root, const char *path, Error *error);

#endif
