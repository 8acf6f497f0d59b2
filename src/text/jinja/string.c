/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/string.c - strings that remember where each byte came from. */
#include "base/utf8.h"
#include "text/jinja/vm.h"

#include <string.h>

/* ---- text in the making ---- */

/* Room for n_bytes more, and marks for them once there are marks. */
static Status reserve(Vm *vm, Text *text, size_t n_bytes)
{
    if (n_bytes > TEXT_BYTES_MAX - text->n_bytes)
        return vm_fail(vm, NO_ROOM, "a text is longer than %d bytes", TEXT_BYTES_MAX);
    TRY(vm_work(vm, n_bytes));
    const size_t needed = text->n_bytes + n_bytes;
    if (needed <= text->room) return OK;
    const size_t room = needed < 32 ? 64 : needed * 2;
    char *bytes = vm_new(vm, room, 1);
    if (!bytes) return VM_LOST(vm);
    if (text->n_bytes) memcpy(bytes, text->bytes, text->n_bytes);
    if (text->marks) {
        uint8_t *marks = vm_new(vm, room, 1);
        if (!marks) return VM_LOST(vm);
        memcpy(marks, text->marks, text->n_bytes);
        text->marks = marks;
    }
    text->bytes = bytes;
    text->room = room;
    return OK;
}

static Status start_marks(Vm *vm, Text *text)
{
    text->marks = vm_new(vm, text->room, 1);
    if (!text->marks) return VM_LOST(vm);
    memset(text->marks, text->trusted, text->n_bytes);
    return OK;
}

Status text_add(Vm *vm, Text *text, const char *bytes, size_t n_bytes, bool trusted)
{
    if (n_bytes == 0) return OK;
    TRY(reserve(vm, text, n_bytes));
    if (text->n_bytes == 0) text->trusted = trusted;
    if (!text->marks && trusted != text->trusted) TRY(start_marks(vm, text));
    memcpy(text->bytes + text->n_bytes, bytes, n_bytes);
    if (text->marks) memset(text->marks + text->n_bytes, trusted, n_bytes);
    text->n_bytes += n_bytes;
    return OK;
}

Status text_add_str(Vm *vm, Text *text, const Str *s, size_t begin, size_t end)
{
    const size_t n = end - begin;
    if (!s->marks || n == 0) return text_add(vm, text, s->bytes + begin, n, s->trusted);
    TRY(reserve(vm, text, n));
    if (!text->marks) TRY(start_marks(vm, text));
    memcpy(text->bytes + text->n_bytes, s->bytes + begin, n);
    memcpy(text->marks + text->n_bytes, s->marks + begin, n);
    text->n_bytes += n;
    return OK;
}

Status text_add_like(Vm *vm, Text *text, const char *bytes, size_t n_bytes, const Str *s, size_t at)
{
    return text_add(vm, text, bytes, n_bytes, str_trusted_at(s, at));
}

Status text_value(Vm *vm, const Text *text, Value *out)
{
    Str *s = vm_new(vm, 1, sizeof *s);
    if (!s) return VM_LOST(vm);
    *s = (Str){ .bytes = text->bytes ? text->bytes : "", .n_bytes = text->n_bytes,
                .marks = text->marks, .trusted = text->trusted };
    *out = value_string(s);
    return OK;
}

Status value_text(Vm *vm, const char *bytes, size_t n_bytes, bool trusted, Value *out)
{
    Text text = { 0 };
    TRY(text_add(vm, &text, bytes, n_bytes, trusted));
    return text_value(vm, &text, out);
}

Status text_add_value(Vm *vm, Text *text, Value value)
{
    if (value.kind == V_STRING)
        return text_add_str(vm, text, value.as.string, 0, value.as.string->n_bytes);
    if (value.kind == V_UNDEFINED) return OK;
    return value_repr(vm, text, value);
}

Status value_to_string(Vm *vm, Value value, Value *out)
{
    if (value.kind == V_STRING && !value.as.string->markup) {
        *out = value;
        return OK;
    }
    Text text = { 0 };
    TRY(text_add_value(vm, &text, value));
    return text_value(vm, &text, out);
}

/* ---- strings as they are ---- */

bool str_trusted_at(const Str *s, size_t byte)
{
    return s->marks ? byte < s->n_bytes && s->marks[byte] : s->trusted;
}

bool str_is(const Str *s, const char *text)
{
    return s->n_bytes == strlen(text) && memcmp(s->bytes, text, s->n_bytes) == 0;
}

bool str_equal(const Str *a, const Str *b)
{
    return a->n_bytes == b->n_bytes &&
           (a->bytes == b->bytes || memcmp(a->bytes, b->bytes, a->n_bytes) == 0);
}

size_t str_points(const Str *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_bytes; i++) n += ((uint8_t)s->bytes[i] & 0xc0) != 0x80;
    return n;
}

size_t str_offset(const Str *s, size_t from_byte, size_t n_points)
{
    size_t at = from_byte;
    while (at < s->n_bytes && n_points > 0) {
        at++;
        while (at < s->n_bytes && ((uint8_t)s->bytes[at] & 0xc0) == 0x80) at++;
        n_points--;
    }
    return at;
}

Status str_slice(Vm *vm, const Str *s, size_t begin, size_t end, Value *out)
{
    Str *part = vm_new(vm, 1, sizeof *part);
    if (!part) return VM_LOST(vm);
    *part = (Str){ .bytes = s->bytes + begin, .n_bytes = end - begin, .trusted = s->trusted,
                   .marks = s->marks ? s->marks + begin : NULL, .markup = s->markup };
    *out = value_string(part);
    return OK;
}

size_t str_find(const Str *s, size_t from, const Str *needle)
{
    if (from > s->n_bytes) return SIZE_MAX;
    if (needle->n_bytes == 0) return from;
    const char *found = memmem(s->bytes + from, s->n_bytes - from, needle->bytes, needle->n_bytes);
    return found ? (size_t)(found - s->bytes) : SIZE_MAX;
}

size_t str_rfind(const Str *s, size_t end, const Str *needle)
{
    const size_t n = needle->n_bytes;
    if (n > end) return SIZE_MAX;
    for (size_t at = end - n + 1; at-- > 0;)
        if (memcmp(s->bytes + at, needle->bytes, n) == 0) return at;
    return SIZE_MAX;
}

static bool among(const Str *chars, const char *bytes, size_t n_bytes)
{
    return memmem(chars->bytes, chars->n_bytes, bytes, n_bytes) != NULL;
}

/* Is the character at s one of `chars`, or white space when there are none?  Its bytes. */
static bool strippable(const Str *chars, const char *s, size_t n_bytes)
{
    uint32_t point;
    if (chars) return among(chars, s, n_bytes);
    return utf8_decode(s, n_bytes, &point) > 0 && point_is_space(point);
}

void str_strip_range(const Str *s, const Str *chars, bool left, bool right, size_t *begin,
                     size_t *end)
{
    size_t b = 0, e = s->n_bytes;
    while (left && b < e) {
        const size_t next = str_offset(s, b, 1);
        if (!strippable(chars, s->bytes + b, next - b)) break;
        b = next;
    }
    while (right && e > b) {
        size_t last = e - 1;
        while (last > b && ((uint8_t)s->bytes[last] & 0xc0) == 0x80) last--;
        if (!strippable(chars, s->bytes + last, e - last)) break;
        e = last;
    }
    *begin = b;
    *end = e;
}

Status str_mark_markup(Vm *vm, bool markup, Value *string)
{
    if (!markup) return OK;
    Str *copy = vm_new(vm, 1, sizeof *copy);
    if (!copy) return VM_LOST(vm);
    *copy = *string->as.string;
    copy->markup = true;
    string->as.string = copy;
    return OK;
}

Status str_escape_html(Vm *vm, const Str *s, Value *out)
{
    static const char special[] = "&<>'\"";
    static const char *const entities[] = { "&amp;", "&lt;", "&gt;", "&#39;", "&#34;" };
    Text text = { 0 };
    size_t copied = 0;
    for (size_t i = 0; !s->markup && i < s->n_bytes; i++) {
        const char *found = s->bytes[i] ? strchr(special, s->bytes[i]) : NULL;
        if (!found) continue;
        const char *entity = entities[found - special];
        TRY(text_add_str(vm, &text, s, copied, i));
        TRY(text_add(vm, &text, entity, strlen(entity), false));
        copied = i + 1;
    }
    TRY(text_add_str(vm, &text, s, copied, s->n_bytes));
    TRY(text_value(vm, &text, out));
    return str_mark_markup(vm, true, out);
}
