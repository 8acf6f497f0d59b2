/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/method.c - methods of strings: Python's, with the origin of every byte kept.
 * Those of lists and mappings are in text/jinja/global.c. */
#include "base/utf8.h"
#include "text/jinja/vm.h"

#include <string.h>

/* ---- helpers ---- */

static const Str *self(const Value *a)
{
    return a[0].as.string;
}

/* An argument that may be left out or None. */
static Status optional_string(Vm *vm, Value v, const char *what, const Str **out)
{
    *out = NULL;
    return v.kind == V_ABSENT || v.kind == V_NONE ? OK : need_string(vm, v, what, out);
}

static Status optional_int(Vm *vm, Value v, const char *what, int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    return v.kind == V_ABSENT ? OK : need_int(vm, v, what, out);
}

/* Python's x[start:stop] of a search, in bytes; *inside is false when start lies behind the end. */
static Status window(Vm *vm, const Value *a, size_t *begin, size_t *end, bool *inside)
{
    const Str *s = self(a);
    int64_t start = 0, stop = INT64_MAX;
    *inside = true;
    *begin = 0;
    *end = s->n_bytes;
    if (a[2].kind == V_ABSENT && a[3].kind == V_ABSENT) return OK;
    if (a[2].kind != V_NONE) TRY(optional_int(vm, a[2], "the start", 0, &start));
    if (a[3].kind != V_NONE) TRY(optional_int(vm, a[3], "the end", INT64_MAX, &stop));
    const int64_t n = (int64_t)str_points(s);
    if (start < 0) start = start < -n ? 0 : start + n;
    if (stop < 0) stop = stop < -n ? 0 : stop + n;
    if (stop > n) stop = n;
    *inside = start <= n && start <= stop;
    if (!*inside) return OK;
    *begin = str_offset(s, 0, (size_t)start);
    *end = str_offset(s, *begin, (size_t)(stop - start));
    return OK;
}

/* A search reads the text once; a naive one, once per byte of the needle. */
static Status work_search(Vm *vm, const Str *s, const Str *needle)
{
    return vm_work(vm, s->n_bytes + needle->n_bytes);
}

/* ---- case ---- */

static Status to_case(Vm *vm, const Value *a, CaseTo to, Value *out)
{
    TRY(str_to_case(vm, self(a), to, out));
    return str_mark_markup(vm, self(a)->markup, out);
}

static Status str_upper(Vm *vm, const Value *a, Value *out)      { return to_case(vm, a, CASE_UPPER, out); }
static Status str_lower(Vm *vm, const Value *a, Value *out)      { return to_case(vm, a, CASE_LOWER, out); }
static Status str_title(Vm *vm, const Value *a, Value *out)      { return to_case(vm, a, CASE_TITLE, out); }
static Status str_capitalize(Vm *vm, const Value *a, Value *out) { return to_case(vm, a, CASE_CAPITAL, out); }
static Status str_swapcase(Vm *vm, const Value *a, Value *out)   { return to_case(vm, a, CASE_SWAP, out); }

/* ---- ends ---- */

static Status strip(Vm *vm, const Value *a, bool left, bool right, Value *out)
{
    const Str *chars;
    size_t begin, end;
    TRY(optional_string(vm, a[1], "the characters to strip", &chars));
    TRY(vm_work(vm, self(a)->n_bytes * (chars ? 1 + chars->n_bytes : 1)));
    str_strip_range(self(a), chars, left, right, &begin, &end);
    return str_slice(vm, self(a), begin, end, out);
}

static Status str_strip(Vm *vm, const Value *a, Value *out)  { return strip(vm, a, true, true, out); }
static Status str_lstrip(Vm *vm, const Value *a, Value *out) { return strip(vm, a, true, false, out); }
static Status str_rstrip(Vm *vm, const Value *a, Value *out) { return strip(vm, a, false, true, out); }

static bool has_at(const Str *s, size_t begin, size_t end, const Str *part, bool at_end)
{
    if (part->n_bytes > end - begin) return false;
    const size_t at = at_end ? end - part->n_bytes : begin;
    return memcmp(s->bytes + at, part->bytes, part->n_bytes) == 0;
}

/* startswith and endswith: one string, or any of a tuple. */
static Status has_affix(Vm *vm, const Value *a, bool at_end, Value *out)
{
    size_t begin, end;
    bool inside, found = false;
    TRY(window(vm, a, &begin, &end, &inside));
    const bool many = a[1].kind == V_TUPLE;
    const Value *parts = many ? a[1].as.list->items : &a[1];
    const size_t n = many ? a[1].as.list->n : 1;
    for (size_t i = 0; i < n; i++) {
        const Str *part;
        TRY(need_string(vm, parts[i], at_end ? "endswith" : "startswith", &part));
        TRY(vm_work(vm, part->n_bytes));
        found = found || (inside && has_at(self(a), begin, end, part, at_end));
    }
    *out = value_bool(found);
    return OK;
}

static Status str_startswith(Vm *vm, const Value *a, Value *out) { return has_affix(vm, a, false, out); }
static Status str_endswith(Vm *vm, const Value *a, Value *out)   { return has_affix(vm, a, true, out); }

static Status str_removeprefix(Vm *vm, const Value *a, Value *out)
{
    const Str *s = self(a), *part;
    TRY(need_string(vm, a[1], "removeprefix", &part));
    return str_slice(vm, s, has_at(s, 0, s->n_bytes, part, false) ? part->n_bytes : 0, s->n_bytes,
                     out);
}

static Status str_removesuffix(Vm *vm, const Value *a, Value *out)
{
    const Str *s = self(a), *part;
    TRY(need_string(vm, a[1], "removesuffix", &part));
    return str_slice(vm, s, 0,
                     s->n_bytes - (has_at(s, 0, s->n_bytes, part, true) ? part->n_bytes : 0), out);
}

/* ---- searching ---- */

/* The code point where the text is found, or -1. */
static Status search(Vm *vm, const Value *a, bool from_right, int64_t *out)
{
    const Str *s = self(a), *needle;
    size_t begin, end;
    bool inside;
    *out = -1;
    TRY(need_string(vm, a[1], "the text to find", &needle));
    TRY(from_right ? vm_work(vm, s->n_bytes * (1 + needle->n_bytes)) : work_search(vm, s, needle));
    TRY(window(vm, a, &begin, &end, &inside));
    if (!inside) return OK;
    const Str part = { .bytes = s->bytes + begin, .n_bytes = end - begin };
    const size_t at =
        from_right ? str_rfind(&part, part.n_bytes, needle) : str_find(&part, 0, needle);
    if (at == SIZE_MAX) return OK;
    const Str before = { .bytes = s->bytes, .n_bytes = begin + at };
    *out = (int64_t)str_points(&before);
    return OK;
}

static Status find(Vm *vm, const Value *a, bool from_right, bool must, Value *out)
{
    int64_t at;
    TRY(search(vm, a, from_right, &at));
    if (must && at < 0) return vm_fail(vm, FAILED, "index: the text is not found");
    *out = value_int(at);
    return OK;
}

static Status str_find_method(Vm *vm, const Value *a, Value *out) { return find(vm, a, false, false, out); }
static Status str_rfind_method(Vm *vm, const Value *a, Value *out) { return find(vm, a, true, false, out); }
static Status str_index(Vm *vm, const Value *a, Value *out)       { return find(vm, a, false, true, out); }
static Status str_rindex(Vm *vm, const Value *a, Value *out)      { return find(vm, a, true, true, out); }

static Status str_count(Vm *vm, const Value *a, Value *out)
{
    const Str *needle;
    size_t begin, end;
    bool inside;
    int64_t n = 0;
    TRY(need_string(vm, a[1], "the text to count", &needle));
    TRY(work_search(vm, self(a), needle));
    TRY(window(vm, a, &begin, &end, &inside));
    const Str part = { .bytes = self(a)->bytes + begin, .n_bytes = inside ? end - begin : 0 };
    if (needle->n_bytes == 0) {
        *out = value_int(inside ? (int64_t)str_points(&part) + 1 : 0);
        return OK;
    }
    for (size_t at = 0; inside && (at = str_find(&part, at, needle)) != SIZE_MAX;
         at += needle->n_bytes)
        n++;
    *out = value_int(n);
    return OK;
}

/* "" is found before every character and at the end. */
static Status replace_nothing(Vm *vm, const Str *s, const Str *new, int64_t count, Value *out)
{
    Text text = { 0 };
    size_t at = 0;
    for (; count != 0; count--) {
        TRY(text_add_str(vm, &text, new, 0, new->n_bytes));
        if (at >= s->n_bytes) break;
        const size_t next = str_offset(s, at, 1);
        TRY(text_add_str(vm, &text, s, at, next));
        at = next;
    }
    TRY(text_add_str(vm, &text, s, at, s->n_bytes));
    return text_value(vm, &text, out);
}

static Status str_replace(Vm *vm, const Value *a, Value *out)
{
    const Str *s = self(a), *old, *new;
    int64_t count;
    Text text = { 0 };
    TRY(need_string(vm, a[1], "the text to replace", &old));
    TRY(need_string(vm, a[2], "the text to put there", &new));
    TRY(optional_int(vm, a[3], "the count", -1, &count));
    TRY(work_search(vm, s, old));
    if (old->n_bytes == 0) return replace_nothing(vm, s, new, count, out);
    size_t copied = 0;
    for (size_t at; count != 0 && (at = str_find(s, copied, old)) != SIZE_MAX; count--) {
        TRY(text_add_str(vm, &text, s, copied, at));
        TRY(text_add_str(vm, &text, new, 0, new->n_bytes));
        TRY(vm_work(vm, 0));
        copied = at + old->n_bytes;
    }
    TRY(text_add_str(vm, &text, s, copied, s->n_bytes));
    TRY(text_value(vm, &text, out));
    return str_mark_markup(vm, s->markup, out);
}

/* ---- splitting and joining ---- */

static Status add_part(Vm *vm, Values *parts, const Str *s, size_t begin, size_t end)
{
    Value part;
    TRY(str_slice(vm, s, begin, end, &part));
    return values_add(vm, parts, part);
}

/* The next run of other things than white space in [at, end). */
static bool next_word(const Str *s, size_t at, size_t *begin, size_t *end)
{
    uint32_t point;
    size_t step;
    while ((step = utf8_decode(s->bytes + at, s->n_bytes - at, &point)) > 0 &&
           point_is_space(point))
        at += step;
    *begin = at;
    while ((step = utf8_decode(s->bytes + at, s->n_bytes - at, &point)) > 0 &&
           !point_is_space(point))
        at += step;
    *end = at;
    return *end > *begin;
}

static Status split_words(Vm *vm, const Str *s, int64_t most, Values *parts)
{
    size_t begin, end = 0;
    while (next_word(s, end, &begin, &end)) {
        if (most == 0) return add_part(vm, parts, s, begin, s->n_bytes);
        TRY(add_part(vm, parts, s, begin, end));
        most -= most > 0;
    }
    return OK;
}

static Status split_by(Vm *vm, const Str *s, const Str *separator, int64_t most, Values *parts)
{
    size_t begin = 0;
    for (size_t at; most != 0 && (at = str_find(s, begin, separator)) != SIZE_MAX; most--) {
        TRY(add_part(vm, parts, s, begin, at));
        begin = at + separator->n_bytes;
    }
    return add_part(vm, parts, s, begin, s->n_bytes);
}

static void reverse_values(Values *values)
{
    for (size_t i = 0; i < values->n / 2; i++) {
        const Value swap = values->items[i];
        values->items[i] = values->items[values->n - 1 - i];
        values->items[values->n - 1 - i] = swap;
    }
}

/* From the right: found in the wrong order, then turned round. */
static Status rsplit_words(Vm *vm, const Str *s, int64_t most, Values *parts)
{
    size_t begin, end = s->n_bytes;
    for (;;) {
        Str rest = { .bytes = s->bytes, .n_bytes = end };
        str_strip_range(&rest, NULL, false, true, &begin, &end);
        if (end == 0) break;
        if (most == 0) {
            TRY(add_part(vm, parts, s, 0, end));
            break;
        }
        for (begin = end; begin > 0;) {             /* back over one word */
            size_t last = begin - 1;
            uint32_t point;
            while (last > 0 && ((uint8_t)s->bytes[last] & 0xc0) == 0x80) last--;
            if (utf8_decode(s->bytes + last, begin - last, &point) == 0 || point_is_space(point))
                break;
            begin = last;
        }
        TRY(add_part(vm, parts, s, begin, end));
        end = begin;
        most -= most > 0;
    }
    reverse_values(parts);
    return OK;
}

static Status rsplit_by(Vm *vm, const Str *s, const Str *separator, int64_t most, Values *parts)
{
    size_t end = s->n_bytes;
    for (size_t at; most != 0 && (at = str_rfind(s, end, separator)) != SIZE_MAX; most--) {
        TRY(add_part(vm, parts, s, at + separator->n_bytes, end));
        end = at;
    }
    TRY(add_part(vm, parts, s, 0, end));
    reverse_values(parts);
    return OK;
}

static Status split(Vm *vm, const Value *a, bool from_right, Value *out)
{
    const Str *s = self(a), *separator;
    int64_t most;
    Values parts = { 0 };
    TRY(optional_string(vm, a[1], "the separator", &separator));
    TRY(optional_int(vm, a[2], "the number of splits", -1, &most));
    if (separator && separator->n_bytes == 0)
        return vm_fail(vm, FAILED, "split: the separator is empty");
    TRY(vm_work(vm, s->n_bytes * (from_right && separator ? 1 + separator->n_bytes : 1)));
    if (separator)
        TRY(from_right ? rsplit_by(vm, s, separator, most, &parts)
                       : split_by(vm, s, separator, most, &parts));
    else TRY(from_right ? rsplit_words(vm, s, most, &parts) : split_words(vm, s, most, &parts));
    return value_list(vm, V_LIST, parts.items, parts.n, out);
}

static Status str_split(Vm *vm, const Value *a, Value *out)  { return split(vm, a, false, out); }
static Status str_rsplit(Vm *vm, const Value *a, Value *out) { return split(vm, a, true, out); }

/* Bytes of the line break at `at`, or 0; "\r\n" is one. */
static size_t line_break(const Str *s, size_t at)
{
    uint32_t point = 0;
    const size_t step = utf8_decode(s->bytes + at, s->n_bytes - at, &point);
    if (point == '\r') return at + 1 < s->n_bytes && s->bytes[at + 1] == '\n' ? 2 : 1;
    const bool is = (point >= 10 && point <= 12) || (point >= 28 && point <= 30) || point == 0x85 ||
                    point == 0x2028 || point == 0x2029;
    return is ? step : 0;
}

static Status str_splitlines(Vm *vm, const Value *a, Value *out)
{
    const Str *s = self(a);
    bool keep = false;
    size_t begin = 0;
    Values lines = { 0 };
    if (a[1].kind != V_ABSENT) TRY(value_truth(vm, a[1], &keep));
    TRY(vm_work(vm, s->n_bytes));
    for (size_t at = 0; at < s->n_bytes;) {
        const size_t n = line_break(s, at);
        if (n == 0) {
            at = str_offset(s, at, 1);
            continue;
        }
        TRY(add_part(vm, &lines, s, begin, keep ? at + n : at));
        begin = at += n;
    }
    if (begin < s->n_bytes) TRY(add_part(vm, &lines, s, begin, s->n_bytes));
    return value_list(vm, V_LIST, lines.items, lines.n, out);
}

static Status partition(Vm *vm, const Value *a, bool from_right, Value *out)
{
    const Str *s = self(a), *separator;
    TRY(need_string(vm, a[1], "the separator", &separator));
    if (separator->n_bytes == 0) return vm_fail(vm, FAILED, "partition: the separator is empty");
    TRY(vm_work(vm, s->n_bytes * (from_right ? 1 + separator->n_bytes : 1)));
    const size_t at = from_right ? str_rfind(s, s->n_bytes, separator) : str_find(s, 0, separator);
    const bool found = at != SIZE_MAX;
    const size_t nowhere = from_right ? 0 : s->n_bytes;
    const size_t first = found ? at : nowhere, second = found ? at + separator->n_bytes : nowhere;
    Values parts = { 0 };
    TRY(add_part(vm, &parts, s, 0, first));
    TRY(add_part(vm, &parts, s, first, second));
    TRY(add_part(vm, &parts, s, second, s->n_bytes));
    return value_list(vm, V_TUPLE, parts.items, 3, out);
}

static Status str_partition(Vm *vm, const Value *a, Value *out)  { return partition(vm, a, false, out); }
static Status str_rpartition(Vm *vm, const Value *a, Value *out) { return partition(vm, a, true, out); }

static Status str_join(Vm *vm, const Value *a, Value *out)
{
    const Value *items;
    size_t n;
    Text text = { 0 };
    TRY(value_items_or_fail(vm, a[1], &items, &n));
    for (size_t i = 0; i < n; i++) {
        const Str *item;
        TRY(need_string(vm, items[i], "an item of join", &item));
        if (i) TRY(text_add_str(vm, &text, self(a), 0, self(a)->n_bytes));
        TRY(text_add_str(vm, &text, item, 0, item->n_bytes));
    }
    return text_value(vm, &text, out);
}

/* ---- padding ---- */

static Status pad(Vm *vm, const Value *a, int64_t left_share, Value *out)
{
    const Str *s = self(a), *fill = NULL;
    int64_t width;
    Text text = { 0 };
    TRY(need_int(vm, a[1], "the width", &width));
    TRY(optional_string(vm, a[2], "the character to fill with", &fill));
    if (fill && str_points(fill) != 1)
        return vm_fail(vm, FAILED, "one character fills, not several");
    TRY(vm_work(vm, s->n_bytes));
    const int64_t room = width - (int64_t)str_points(s);
    if (room <= 0) return *out = a[0], OK;
    if (room > TEXT_BYTES_MAX)
        return vm_fail(vm, NO_ROOM, "a text is longer than %d bytes", TEXT_BYTES_MAX);
    /* Python's center puts the odd one to the left when the width is odd. */
    const int64_t left = left_share == 2   ? room
                         : left_share == 1 ? room / 2 + (room & width & 1)
                                           : 0;
    for (int64_t i = 0; i < room; i++) {
        if (i == left) TRY(text_add_str(vm, &text, s, 0, s->n_bytes));
        TRY(fill ? text_add_str(vm, &text, fill, 0, fill->n_bytes)
                 : text_add(vm, &text, " ", 1, false));
    }
    if (left == room) TRY(text_add_str(vm, &text, s, 0, s->n_bytes));
    return text_value(vm, &text, out);
}

static Status str_center(Vm *vm, const Value *a, Value *out) { return pad(vm, a, 1, out); }
static Status str_ljust(Vm *vm, const Value *a, Value *out)  { return pad(vm, a, 0, out); }
static Status str_rjust(Vm *vm, const Value *a, Value *out)  { return pad(vm, a, 2, out); }

static Status str_zfill(Vm *vm, const Value *a, Value *out)
{
    const Str *s = self(a);
    int64_t width;
    Text text = { 0 };
    TRY(need_int(vm, a[1], "the width", &width));
    const size_t sign = s->n_bytes > 0 && (s->bytes[0] == '-' || s->bytes[0] == '+');
    const int64_t room = width - (int64_t)str_points(s);
    if (room > TEXT_BYTES_MAX)
        return vm_fail(vm, NO_ROOM, "a text is longer than %d bytes", TEXT_BYTES_MAX);
    TRY(text_add_str(vm, &text, s, 0, sign));
    for (int64_t i = 0; i < room; i++) TRY(text_add(vm, &text, "0", 1, false));
    TRY(text_add_str(vm, &text, s, sign, s->n_bytes));
    return text_value(vm, &text, out);
}

/* ---- questions ---- */

/* Is the text not empty and every character of it so? */
static Status all_points(Vm *vm, const Value *a, bool (*is)(uint32_t), Value *out)
{
    const Str *s = self(a);
    bool all = s->n_bytes > 0;
    TRY(vm_work(vm, s->n_bytes));
    for (size_t at = 0; all && at < s->n_bytes;) {
        uint32_t point = 0;
        const size_t step = utf8_decode(s->bytes + at, s->n_bytes - at, &point);
        all = step > 0 && is(point);
        at += step;
    }
    *out = value_bool(all);
    return OK;
}

static bool is_alnum(uint32_t point) { return point_is_letter(point) || point_is_digit(point); }

static Status str_isdigit(Vm *vm, const Value *a, Value *out) { return all_points(vm, a, point_is_digit, out); }
static Status str_isalpha(Vm *vm, const Value *a, Value *out) { return all_points(vm, a, point_is_letter, out); }
static Status str_isalnum(Vm *vm, const Value *a, Value *out) { return all_points(vm, a, is_alnum, out); }
static Status str_isspace(Vm *vm, const Value *a, Value *out) { return all_points(vm, a, point_is_space, out); }

/* Some letters with case, and all of these of the wanted one. */
static Status has_case(Vm *vm, const Value *a, bool upper, Value *out)
{
    const Str *s = self(a);
    bool some = false, all = true;
    TRY(vm_work(vm, s->n_bytes));
    for (size_t at = 0; all && at < s->n_bytes;) {
        uint32_t point = 0;
        const size_t step = utf8_decode(s->bytes + at, s->n_bytes - at, &point);
        const bool is_upper = point_is_upper(point), is_lower = point_is_lower(point);
        some = some || (upper ? is_upper : is_lower);
        all = step > 0 && !point_is_title(point) && !(upper ? is_lower : is_upper);
        at += step;
    }
    *out = value_bool(some && all);
    return OK;
}

static Status str_isupper(Vm *vm, const Value *a, Value *out) { return has_case(vm, a, true, out); }
static Status str_islower(Vm *vm, const Value *a, Value *out) { return has_case(vm, a, false, out); }

const Native jinja_string_methods[] = {
    { .name = "capitalize",   .params = "self /",                  .call = str_capitalize },
    { .name = "center",       .params = "self width fillchar? /",  .call = str_center },
    { .name = "count",        .params = "self sub start? end? /",  .call = str_count },
    { .name = "endswith",     .params = "self suffix start? end? /", .call = str_endswith },
    { .name = "find",         .params = "self sub start? end? /",  .call = str_find_method },
    { .name = "format",                                          .call_raw = format_braces },
    { .name = "index",        .params = "self sub start? end? /",  .call = str_index },
    { .name = "isalnum",      .params = "self /",                  .call = str_isalnum },
    { .name = "isalpha",      .params = "self /",                  .call = str_isalpha },
    { .name = "isdecimal",    .params = "self /",                  .call = str_isdigit },
    { .name = "isdigit",      .params = "self /",                  .call = str_isdigit },
    { .name = "islower",      .params = "self /",                  .call = str_islower },
    { .name = "isnumeric",    .params = "self /",                  .call = str_isdigit },
    { .name = "isspace",      .params = "self /",                  .call = str_isspace },
    { .name = "isupper",      .params = "self /",                  .call = str_isupper },
    { .name = "join",         .params = "self iterable /",         .call = str_join },
    { .name = "ljust",        .params = "self width fillchar? /",  .call = str_ljust },
    { .name = "lower",        .params = "self /",                  .call = str_lower },
    { .name = "lstrip",       .params = "self chars? /",           .call = str_lstrip },
    { .name = "partition",    .params = "self sep /",              .call = str_partition },
    { .name = "removeprefix", .params = "self prefix /",           .call = str_removeprefix },
    { .name = "removesuffix", .params = "self suffix /",           .call = str_removesuffix },
    { .name = "replace",      .params = "self old new count? /",   .call = str_replace },
    { .name = "rfind",        .params = "self sub start? end? /",  .call = str_rfind_method },
    { .name = "rindex",       .params = "self sub start? end? /",  .call = str_rindex },
    { .name = "rjust",        .params = "self width fillchar? /",  .call = str_rjust },
    { .name = "rpartition",   .params = "self sep /",              .call = str_rpartition },
    { .name = "rsplit",       .params = "self sep? maxsplit?",   .call = str_rsplit },
    { .name = "rstrip",       .params = "self chars? /",           .call = str_rstrip },
    { .name = "split",        .params = "self sep? maxsplit?",   .call = str_split },
    { .name = "splitlines",   .params = "self keepends?",        .call = str_splitlines },
    { .name = "startswith",   .params = "self prefix start? end? /", .call = str_startswith },
    { .name = "strip",        .params = "self chars? /",           .call = str_strip },
    { .name = "swapcase",     .params = "self /",                  .call = str_swapcase },
    { .name = "title",        .params = "self /",                  .call = str_title },
    { .name = "upper",        .params = "self /",                  .call = str_upper },
    { .name = "zfill",        .params = "self width /",            .call = str_zfill },
    { .name = NULL },
};
