# SPDX-License-Identifier: Apache-2.0
"""Small templates, each about one thing, for oracle_jinja.py.  Many of them must fail.

Not here, because ours differ on purpose: integers beyond 64 bits and complex numbers (errors of ours),
characters that UTF-8 cannot say, objects that Python prints with an address, generators that fail only when
they are read, attributes of Python that no prompt needs (s.encode, 1.real)."""
import json

MESSAGES = json.dumps([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}, {"role": "user", "content": ""}])

EXTRA = json.dumps({
    "s": "Hello, World", "t": "  spaced \n", "u": "Ünïcödé ß ŉ ﬁ Σίσυφος ΑΣ 🦙", "e": "", "q": "it's \"q\" \\ \t\n\x01\x7f\u00a0\u2028", "n": 7, "z": 0,
    "neg": -3, "f": 2.5, "g": 1e20, "h": 1e-7, "big": 9007199254740993, "yes": True, "no": False, "nil": None,
    "xs": [3, 1, 2], "words": ["b", "A", "c", "a"], "mixed": [1, "a", None, True, 2.0, [1], {"k": 1}],
    "d": {"b": 1, "a": {"x": [1, 2, {"y": "deep"}]}, "items": 5, "Z": None}, "empty": {}, "nothing": [],
    "people": [{"name": "Ann", "age": 30, "city": "Oslo"}, {"name": "bob", "age": 25, "city": "oslo"}, {"name": "Cy", "age": 30}],
    "pairs": [["a", 1], ["b", 2]], "html": "<a href='x'>&\"</a>", "text": "one two  three\nfour\r\nfive\n", "csv": "a,b,,c",
}, ensure_ascii=False)

# One expression a line; each is printed.
EXPRESSIONS = r"""
s
1
-1
1_000
0x1F
0o17
0b101
007
1.5
1.5e3
1e3
1E-5
1_0.5_0
5.
.5
'a'
"a"
'a' "b" 'c'
'it''s'
'\n\t\\\'\"\x41\u00e9\U0001F600\101\q\
x'
"\x4"
"unterminated
true, True, false, False, none, None
()
(1,)
(1, 2)
1, 2
1,
[1, 'a', 2.0, none, true, [], {}, ()]
[1, 2,]
[,]
{'a': 1, "b": [2], 3: 4, none: 5, true: 6, 2.5: 7}
{'a': 1,}
{'a': 1, 'a': 2}
{1: 'a', true: 'b', 1.0: 'c'}
{[1]: 2}
{(1, 2): 3}
nil
yes
f, g, h, big
1/3
0.1 + 0.2
1e16, 1e15, 123456789012345678.0, 1e22, 1e-4, 1e-5, 0.00001234, 5e-324, 1.7976931348623157e308
-0.0
100 * 1.0
1e308 * 10
1 + 1, 1 - 2, 2 * 3, 7 / 2, 7 // 2, 7 % 3, 2 ** 10
-7 // 2, -7 % 3, 7 // -2, 7 % -3, 7.5 // 2, -7.5 % 2, 7.5 % -2
6 / 3
1 / 0
1 // 0
1 % 0
1.0 / 0
1.0 % 0
0 ** 0, 0.0 ** 0, 2 ** -1
0 ** -1
2 ** 3 ** 2
-2 ** 2
9223372036854775807
-9223372036854775807 - 1
true + true, true * 3, true / 2
'a' + 'b'
'a' + 1
1 + 'a'
'a' * 3, 3 * 'a', 'a' * 0, 'a' * -1
'a' * 2.0
[1] + [2], [1] * 2, (1,) + (2,), [1] * 0
[1] + (2,)
'a' ~ 1 ~ none ~ true ~ 2.0 ~ [1] ~ missing
1 ~ 2 + 3
+'a'
-'a'
-yes, +yes, -f
not 1, not 0, not '', not [], not {}, not none, not missing, not nothing, not 0.0
not not 1
1 and 2, 0 and 2, 1 or 2, 0 or 2, '' or 'x', none or missing or 5
1 == 1.0, 1 == true, 'a' == 'a', 'a' == 1, [1] == [1.0], (1,) == [1], none == none, {} == {}, {'a': 1} == {'a': 1.0}
1 != 2, 'a' != 'b'
1 < 2, 1 <= 1, 2 > 1, 2 >= 3, 'a' < 'b', 'a' < 'B', [1, 2] < [1, 3], (1,) < (1, 2), 'é' > 'z'
1 < 'a'
none < 1
[1] < ['a']
1 < 2 < 3, 1 < 3 < 2, 1 == 1 == 1
1 < 2 > 1 != 5
9007199254740993 == 9007199254740992.0, 9007199254740993 > 9007199254740992.0
1 in [1, 2], 3 in [1, 2], 'a' in 'cat', 'x' not in 'cat', 'a' in {'a': 1}, 1 in {'a': 1}, 1 in (1,), '' in ''
1 in 'a'
[1] in {}
1 in 5
1 in missing
1 not in [2] and true
not 1 in [1]
missing == missing, missing == none, missing != 1
missing < 1
missing + 1
'a' + missing
missing
missing.x
missing['x']
missing()
missing[0:1]
d.missing, d['missing']
d.missing.x
nil.x
nil.x.y
n.x
s.x
'a' if true else 'b', 'a' if false else 'b', 'a' if false, ('a' if false) is defined
1 if 0 else 2 if 0 else 3
('x' if missing else 'y')
d.a.x[2].y, d['a']['x'][2]['y'], d.a.x.2.y, d.a['x'].0
d['items']
d.items()
d.keys(), d.values()
d.b.c
d.get('b'), d.get('nope'), d.get('nope', 5)
d.get([1])
d.get()
d.get(key='b')
d.copy(), xs.copy()
d.pop('b')
d.update({})
d.clear
d.clear is defined
xs.append(1)
xs.append is defined
xs.sort()
xs.insert
s.__class__
s.__class__.__mro__
d.__class__
xs._x
{'_x': 1}._x, {'_x': 1}['_x']
xs[0], xs[-1], xs[5], xs[-5], xs[true], xs['a'], xs[1.0], xs[none]
s[0], s[-1], s[100], u[1], u[-1]
xs[1:], xs[:1], xs[:-1], xs[::2], xs[::-1], xs[5:], xs[-2:], xs[1:1], xs[2:0:-1], xs[:], xs[::]
s[1:4], s[::-1], s[-5:], s[::3], u[1:5], u[::-1], u[-3:], s[100:], s[-100:3], s[3:1]
xs[::0]
xs['a':]
xs[none:2], xs[:none:none]
d[1:]
nil[1:]
n[1:]
(1,2,3)[1:], range(10)[2:8:2], range(10)[::-1], range(10)[3], range(10)[-1], range(5)[10]
range(3), range(1, 3), range(1, 10, 3), range(0), range(3)|list, range(5, 0, -2)|list
range(1, 2, 0)
range(100001)
range(100000)|length
range()
range('a')
range(1.5)
range(3) == range(0, 3), range(0) == range(5, 5), 3 in range(5), 7 in range(5), range(0, 10, 3)|list
dict(a=1, b=2), dict({'x': 1}, y=2), dict([['a', 1]]), dict(), dict(pairs)
dict(1)
dict([1])
dict(a=1, **{'b': 2})
dict(a=1, **{'a': 2})
namespace(a=1).a, namespace({'a': 2}).a, namespace(a=1).b, namespace(a=1)['a']
namespace(a=1)
namespace(a=1).items
joiner(',')()
joiner('|')()
cycler(1, 2).next(), cycler('a').current
cycler()
raise_exception('no')
strftime_now('%Y-%m-%d'), strftime_now('%d %b %Y %B %H:%M:%S %p %A %j'), strftime_now(''), strftime_now('%%')
s|upper, s|lower, s|title, s|capitalize, s|length, s|count, s|first, s|last, s|reverse, s|trim
u|upper, u|lower, u|title, u|capitalize, u|length, u|first, u|last, u|reverse
u.upper(), u.lower(), u.title(), u.capitalize(), u.swapcase()
'ΑΣ'.lower(), 'ΑΣΒ'.lower(), 'Σ'.lower(), 'Α.Σ'.lower(), 'ΑΣ.'.lower(), 'İ'.lower(), 'ǆ'.title(), 'ǆ'.upper(), 'ﬃ'.title(), 'ᾳ'.upper(), 'ŉa'.title()
"they're bill's friends".title(), "they're bill's friends"|title, 'a-b (c) {d} [e] <f> g'|title, 'x1y'.title()
t|trim, t|trim ~ '|', 'xxaxx'|trim('x'), 'xyaxy'|trim('yx'), 5|trim, none|trim, missing|trim, [1]|trim
s|string, 1|string, none|string, [1, 'a']|string
n|string ~ 'x', 1.0|string
xs|length, d|length, missing|length, range(3)|length, ()|length
5|length
none|length
s|list, xs|list, d|list, missing|list, d.items()|list
5|list
'42'|int, '4.9'|int, 'x'|int, 'x'|int(5), ' 42 '|int, '-1'|int, '0x1f'|int(0, 16), '1f'|int(0, 16), '101'|int(base=2), 4.9|int, -4.9|int, none|int, true|int, []|int, '1_000'|int, '1__0'|int, '0b11'|int(0, 0), '010'|int(7, 0), '1e3'|int
missing|int
'inf'|int
'nan'|int, '1.5'|float, 'x'|float, 'x'|float(2.5), 3|float, none|float, '1e400'|float, ' 1_0.5 '|float, '-.5'|float, '5.'|float, '.'|float, 'infinity'|float, '1e'|float
missing|float
2.5|round, 3.5|round, 2.675|round(2), -2.5|round, 2.4|round, 7|round, 15|round(-1), 25|round(-1), 1234.5|round(-2), 2.123|round(1, 'ceil'), 2.169|round(1, 'floor'), 5|round(0, 'ceil'), 0.5|round, 1.5|round
2.5|round(0, 'x')
'a'|round
-5|abs, 5.5|abs, -5.5|abs, true|abs
'a'|abs
missing|default('x'), none|default('x'), ''|default('x', true), 0|default('x', boolean=true), s|default('x'), missing|d, missing|default, d.nope|default(1), missing|default(default_value=2)
d.nope.x|default('x')
xs|join, xs|join(','), xs|join(', ')|upper, d|join('-'), 'abc'|join('.'), people|join(', ', attribute='name'), missing|join, [none, true, 1.5]|join('|')
5|join
xs|first, nothing|first, xs|last, nothing|last, d|first, d|last, missing|first, missing|last, range(3)|last
5|first
none|last
(xs|map('string'))|last
xs|sort, xs|sort(true), xs|sort(reverse=true), words|sort, words|sort(case_sensitive=true), words|sort(false, true), d|sort, 'hello'|sort, people|sort(attribute='age')|map(attribute='name')|list, people|sort(attribute='age,name')|map(attribute='name')|list, people|sort(true, attribute='age')|map(attribute='name')|list
mixed|sort
[none, none]|sort
[1, 'a']|sort
[[2, 'b'], [1, 'c'], [2, 'a']]|sort, [(1, 2), (0, 5)]|sort(reverse=true)
d|dictsort, {'b': 1, 'A': 3, 'a': 2}|dictsort, {'b': 1, 'A': 3, 'a': 2}|dictsort(true), {'b': 1, 'A': 3}|dictsort(false, 'value'), {'b': 1, 'A': 3}|dictsort(by='value', reverse=true)
{'b': 1, 2: 3}|dictsort
{'b': 1}|dictsort(by='x')
xs|dictsort
d|items|list, missing|items|list, d.items()|list, d|items|first
xs|reverse|list, d|reverse|list, range(3)|reverse|list, (xs|map('string'))|reverse, nothing|reverse|list
none|reverse
xs|unique|list, [1, 1.0, true, 'a', 'A', 'b']|unique|list, ['a', 'A']|unique(true)|list, people|unique(attribute='age')|map(attribute='name')|list
[[1]]|unique|list
xs|min, xs|max, words|min, words|max, words|max(true), nothing|min, people|min(attribute='age'), people|max(attribute='name'), 'abc'|max
[1, 'a']|max
xs|sum, nothing|sum, people|sum(attribute='age'), xs|sum(start=10), [[1], [2]]|sum(start=[]), [1.5, 2]|sum
words|sum
words|sum(start='')
xs|map('string')|list, words|map('upper')|list, people|map(attribute='name')|list, people|map(attribute='city', default='?')|list, people|map(attribute='nope')|list, d.a.x|map('string')|join('|'), words|map('replace', 'a', 'b')|list, pairs|map(attribute=0)|list, pairs|map(attribute='1')|list, pairs|map('first')|list, none|map('upper')|list, 0|map('upper')|list
xs|map|list
xs|map('nope')|list
xs|map(nope=1)|list
5|map('upper')|list
people|map(attribute='a.b')|list
[d]|map(attribute='a.x.2.y')|list
xs|select('odd')|list, xs|select|list, mixed|select|list, mixed|reject|list, xs|reject('odd')|list, xs|select('gt', 1)|list, xs|select('in', [1, 2])|list, mixed|select('string')|list, mixed|reject('none')|list, mixed|select('mapping')|list
people|selectattr('city')|map(attribute='name')|list, people|selectattr('city', 'defined')|list|length, people|selectattr('age', 'equalto', 30)|map(attribute='name')|join(','), people|rejectattr('city', 'defined')|map(attribute='name')|list, people|selectattr('age', '>', 26)|list|length, people|selectattr('name', 'in', ['Ann'])|list
people|selectattr|list
people|selectattr('a.b')|list
(people|selectattr('nope')) and true, (nothing|select) and true, (missing|select) and true
(people|selectattr('nope'))|length
(xs|select)[0]
(xs|map('string')) is iterable, (xs|map('string')) is sequence, d.items() is sequence, d.items() is iterable, d.keys()|length, d.items()|first
d.items()[0]
(xs|map('string'))|tojson
people|groupby('age'), people|groupby('city'), people|groupby('city', default='none')|list|length, people|groupby('age')|map(attribute='grouper')|list, (people|groupby('age')|first).list|length, people|groupby('city', default='x', case_sensitive=true)
words|batch(3)|list, words|batch(3, 'x')|list, words|slice(3)|list, words|slice(3, 'x')|list, words|slice(7)|list, nothing|batch(2)|list
s|replace('l', 'L'), s|replace('l', 'L', 2), s|replace('', '-'), s|replace('', '-', 3), 555|replace(5, 6), s|replace('zz', 'y'), s|replace('World', ''), u|replace('', '.'), ''|replace('', 'x')
s|indent, text|indent, text|indent(2), text|indent(2, true), text|indent(2, true, true), text|indent(width=1, blank=true), text|indent('>'), 'a\n\nb'|indent, 'a\n\nb\n'|indent(2, blank=true), ''|indent, '\n'|indent, ''|indent(2, true), 'a\x0bb\u2028c'|indent
5|indent
html|e, html|escape, html|safe, html|safe|e, html|e|e, html|forceescape, (html|safe)|forceescape, html|e|upper, html|e|length, 5|e, none|e
('a'|safe) + html, html + ('a'|safe), ('<'|safe) ~ html, ('<'|safe)|upper + '<', [html|safe], ('<b>'|safe)[0:2] + '<', ('<b>'|safe) * 2 + '<', ('a b'|safe).split(), (html|safe)|string + '<', (html|safe)|replace('<', '>') + '<', ('<'|safe).strip() + '<'
('x'|safe) is escaped, 'x' is escaped, ('x'|safe) is string, ('x'|safe) == 'x'
s|center(20), s|center(21) ~ '|', 'abc'|center(6), 'ab'|center(5), 'ab'|center(1), ''|center(3)
text|wordcount, s|wordcount, u|wordcount
s|truncate(5), s|truncate(5, true), 'foo bar baz qux'|truncate(9), 'foo bar baz qux'|truncate(11, False, '..', 0), 'foo bar baz qux'|truncate(11)
s|truncate(1)
'%s is %d'|format('a', 5), '%(x)s'|format(x=1), '%s'|format([1]), '%5.2f|%-6s|%06d|%+d|%x|%X|%o|%e|%g|%%|%r|%5s'|format(3.14159, 'ab', 42, 7, 255, 255, 8, 12345.678, 0.00001, 'q', 'é')
'%s' % 'a', '%s %s' % ('a', 1), '%(a)s' % {'a': 1}, '%d' % 3.7, '%s' % [1, 2], '%s' % none, '%i' % true, 'x' % [], 'x' % {}
'%s %s' % 'a'
'%s' % ('a', 'b')
'%d' % 'a'
'%z' % 1
'x' % 1
'{} {}'.format('a', 1), '{1} {0}'.format('a', 'b'), '{x} {y[0]} {z.b}'.format(x=1, y=[2], z=d), '{{}}'.format(), '{:>5}|{:<5}|{:^5}|{:*^7}|{:05d}|{:,}|{:.2f}|{:x}|{:+d}|{:e}|{!r}|{:5}|{:5}|{:%}'.format('a', 'b', 'c', 'd', 42, 1234567, 3.14159, 255, 5, 12345.6789, 'q', 7, 'w', 0.25)
'{}'.format()
'{0} {}'.format(1, 2)
'{'.format()
'}'.format()
'{x}'.format()
'{.x}'.format(1)
'{:d}'.format('a')
'{0.__class__}'.format('a')
xs|tojson, d|tojson, s|tojson, u|tojson, q|tojson, none|tojson, true|tojson, 1.0|tojson, g|tojson, (1, 2)|tojson, {}|tojson, []|tojson, {1: 2, none: 3, true: 4, 2.5: 5}|tojson, html|tojson, (html|safe)|tojson
d|tojson(indent=2), d|tojson(indent=4), mixed|tojson(indent=1), d|tojson(indent=0), d|tojson(indent='--'), {}|tojson(indent=2), [[]]|tojson(indent=2), d|tojson(true), u|tojson(ensure_ascii=true), d|tojson(separators=(',', ':')), d|tojson(sort_keys=true), d|tojson(none, none, none, false), '\x7fé'|tojson(true)
d|tojson(separators=[',', ':'], indent=2)
missing|tojson
range(3)|tojson
d|tojson(nope=1)
{(1, 2): 3}|tojson
(1e308 * 10)|tojson, (1e308 * -10)|tojson
s.split(), s.split(','), csv.split(','), csv.split(',', 1), text.split(), text.split('\n'), t.split(), e.split(), e.split(','), text.split(none, 2), text.split(maxsplit=1), s.split('o', maxsplit=1), text.split(' ', 2), s.split('l', 0), t.split(none, 0)
s.split('')
s.rsplit('o', 1), csv.rsplit(',', 2), text.rsplit(none, 1), csv.rsplit(','), t.rsplit(), t.rsplit(none, 0), text.rsplit(maxsplit=2), 'a b'.rsplit(' ')
t.strip(), t.lstrip(), t.rstrip(), 'xxaxx'.strip('x'), 'xya'.lstrip('yx'), 'abc'.rstrip('bc'), t.strip(none), '\u00a0a\u3000'.strip(), '\x1ca\x85'.strip(), 'éaé'.strip('é')
t.strip(5)
s.startswith('He'), s.startswith('x'), s.startswith(('x', 'H')), s.endswith('ld'), s.endswith(('a', 'd')), s.startswith('l', 2), s.startswith('', 50), s.endswith('o', 0, 5), s.startswith('')
s.startswith(5)
s.startswith(['H'])
s.find('o'), s.find('zz'), s.rfind('o'), s.find('o', 5), s.find('o', 5, 7), u.find('c'), s.index('o'), s.rindex('o'), s.count('l'), s.count(''), s.count('l', 4), s.find(''), s.rfind(''), s.find('', 50), s.find('o', -4), s.rfind('o', 0, -4), s.count('', 3), ''.find('')
s.index('zz')
s.find(1)
s.replace('l', 'L'), s.replace('l', 'L', 1), s.replace('', '.'), s.replace('', '.', 2), 'aaa'.replace('aa', 'b'), s.replace('l', '', -1), s.replace('l', 'x', 0)
s.replace('l')
','.join(words), ''.join([]), ','.join('abc'), ','.join(d), ', '.join(words|map('upper'))
','.join([1])
s.upper(), s.lower(), s.title(), s.capitalize(), s.swapcase(), s.center(20), s.center(20, '*'), s.ljust(15) ~ '|', s.rjust(15), s.rjust(15, '.'), '42'.zfill(5), '-42'.zfill(5), '+'.zfill(3), 'ab'.center(5, '-'), 'abc'.center(6, '-'), 'é'.ljust(3, 'ü')
s.center(20, 'ab')
text.splitlines(), text.splitlines(true), e.splitlines(), 'a\r\rb\x0bc\x1cd\u2028e\x85f'.splitlines(), '\n'.splitlines(), 'a\n\nb'.splitlines()
s.partition(','), s.partition('x'), s.rpartition('o'), s.rpartition('x'), s.removeprefix('He'), s.removesuffix('ld'), s.removeprefix('x'), s.removesuffix('Hello, World')
s.partition('')
'12'.isdigit(), 'a'.isalpha(), 'a1'.isalnum(), ' '.isspace(), 'A'.isupper(), 'a'.islower(), ''.isdigit(), 'a b'.isalpha(), 'A1'.isupper(), '1'.isupper(), 'é'.isalpha(), 'É'.isupper(), ''.islower(), '٣'.isdigit(), '٣'.isdecimal()
s.nope()
xs.index(1), xs.count(1), (1, 2).index(2), (1, 1).count(1), range(3).index(2)
xs.index(9)
xs.nope()
n is defined, missing is defined, missing is undefined, d.nope is defined, nil is defined, d.b is defined
nil is none, n is none, missing is none, yes is true, 1 is true, no is false, 0 is false, yes is boolean, 1 is boolean
n is number, f is number, yes is number, s is number, n is integer, yes is integer, f is integer, f is float, n is float
s is string, n is string, d is mapping, xs is mapping, namespace() is mapping
xs is sequence, s is sequence, d is sequence, n is sequence, () is sequence, range(1) is sequence, missing is sequence, namespace() is sequence, nil is sequence
xs is iterable, s is iterable, d is iterable, n is iterable, missing is iterable, nil is iterable, namespace() is iterable, joiner() is iterable
range is callable, s is callable, s.upper is callable, missing is callable, joiner() is callable, cycler(1) is callable, namespace() is callable
1 is odd, 2 is odd, 1 is even, 2 is even, 6 is divisibleby 3, 6 is divisibleby(4), -3 is odd, 2.0 is even
'a' is odd
1 is eq 1, 1 is equalto 1.0, 1 is ne 2, 1 is lt 2, 2 is gt 1, 1 is le 1, 1 is ge 2, 1 is lessthan 2, 1 is greaterthan 0, 'a' is in 'abc', 1 is in [1], 5 is not in [1], 1 is sameas 1, yes is sameas true, none is sameas none, s is sameas s
'abc' is lower, 'ABC' is upper, 'aB' is lower, 5 is lower, '' is lower
'upper' is filter, 'nope' is filter, 'odd' is test, 'nope' is test
n is not defined, n is not string, n is not none and n is number, n is defined and s is string
n is string or n is number
n is defined is true
n is nope
n|nope
n|nope if false
(n|nope if false else 1)
n is nope if false else 'ok'
n if n is number else none
s|upper|lower|title
s | upper | replace ( 'HELLO' , 'x' )
(s|upper).lower()
s.upper()|lower
-n|abs, -(n|abs), -5|abs
n|string|length
not n is string
2 + 3|string|int
xs[0]|string ~ 'x'
xs|length > 2 and s|length
'a' ~ 'b' * 2, 1 + 2 ~ 3, 'a' in 'abc' ~ 'd'
[1, 2][1], {'a': 1}.a, {'a': 1}['a'], 'abc'[1], (1, 2)[0], [[1, 2]][0][1]
(1, 2, 3)|join
{'a': 1}.items()|list
[x for x in xs]
lambda: 1
n++
n += 1
1 if
1 else 2
(1
1)
[1
{'a'}
{'a': }
a b
1 2
xs[
xs[]
xs[0, 1]
xs.
xs.(a)
|upper
s|
s is
s is not
f(*xs)
range(*[1, 3])|list, range(*xs[1:])|list, dict(**{'a': 1})
range(*5)
range(**{'a': 1})
range(a=1)
dict(a=1, a=2)
s.upper(1)
s.replace(old='l', new='x')
xs(1)
'a'()
5()
u|length, u.split(), u|list|length
q, q|string, [q], {'k': q}, [u], ["it's"], ['"'], ["'\""], ['\u200b\ue000\U000e0001'], ['\n\r\t\x00\x1f\x80']
[html|e]
[1.0, 1e100, -0.0, 1e-10, 123456789.123456789]
messages[0].role, messages[-1]['content'], messages|length, messages[1:]|map(attribute='role')|list
loop
caller
varargs
tools, documents, add_generation_prompt, bos_token, eos_token
[missing]
{'a': missing}
[range(3), namespace(a=[1])]
xs|string|length, d|string
(d.keys()|list)[0], d.values()|list, 'b' in d.keys(), 1 in d.values(), ('b', 1) in d.items(), d.keys() == d.keys()
'a;b'.split(';')[1]
xs|map('int')|sum
;
5;
s!
s & n
s ? n
@
n:n
é
_x, __x__
{}.x, [].x, ''.x
(1).__class__
true.x
[s.upper] == [s.upper]
"a" "b"|upper
'a'|upper ~ 'b'|upper
s|attr('upper') is callable
1 < 2 in [true]
1 == 1 in [1]
xs == [3, 1, 2] == xs
missing is defined or 1
missing and missing.x
missing or 'x'
n and s and xs
[] or {} or '' or 0 or none
nil is not none
s not in xs, s not in 'Hello, World!'
""" + "\n".join(f"s|{name}" for name in ("xmlattr", "pprint", "urlize", "random", "striptags", "wordwrap", "filesizeformat", "tojson", "urlencode")
                 if name == "tojson")

# Whole templates, separated by lines of four dashes.
TEMPLATES = r"""
plain
----

----
{{ s }}
----
a
{% if true %}
b
{% endif %}
c
----
a
  {% if true %}  
  b
  {% endif %}  
c
----
a {% if true %} b {% endif %} c
----
  {%- if true -%}  b  {%- endif -%}  c
----
  {%+ if true +%}
b
  {%+ endif +%}
c
----
a  {{- 'x' -}}  b
----
a  {{+ 'x' }}  b
----
{{ 1 -}}
 x
----
a {#- comment -#} b
----
a
  {# comment #}
b
----
a
  {# multi
line #}
b {# x #} c
----
{#+ x +#}
y
----
{# never closed
----
{#-#}x{##}y{#}#}z
----
{% raw %}{{ x }} {% if %} {# c #}{% endraw %}
----
  {% raw -%}  a {{ }}  {%- endraw %}
b
----
  {%- raw %}
 a
  {% endraw +%}
b
----
{% raw %} no end
----
{%raw%}x{%endraw%}y{% raw%}{%endraw x%}{% endraw %}
----
{% if %}x{% endif %}
----
{% if 1 %}x
----
{% endif %}
----
{% else %}
----
{% nope %}
----
{% if 1 %}a{% else %}b{% else %}c{% endif %}
----
{% if 0 %}a{% elif 1 %}b{% elif 1 %}c{% else %}d{% endif %}
----
{% if 0 %}a{% elif 0 %}b{% else %}d{% endif %}{% if 1: %}colon{% endif %}
----
{% if 1, %}tuple{% endif %}
----
{% if (1 if 0 else 0) %}x{% else %}y{% endif %}
----
{% if 1 if 0 else 0 %}x{% else %}y{% endif %}
----
{% for x in xs %}{{ x }},{% endfor %}
----
{% for x in xs %}
{{ loop.index }} {{ loop.index0 }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.first }} {{ loop.last }} {{ loop.length }} {{ loop.previtem }} {{ loop.nextitem }} {{ loop.depth }} {{ loop.depth0 }}
{% endfor %}
----
{% for x in xs %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}
----
{% for x in xs if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ loop.last }}{{ loop.revindex }}{{ loop.nextitem }};{% endfor %}
----
{% for x in xs if x > 10 %}{{ x }}{% else %}none{% endfor %}
----
{% for x in [] %}{{ x }}{% else %}none{% endfor %}
----
{% for x in xs if loop.first %}{{ x }}{% endfor %}
----
{% for x in missing %}{{ x }}{% else %}none{% endfor %}
----
{% for x in none %}{{ x }}{% endfor %}
----
{% for x in 5 %}{{ x }}{% endfor %}
----
{% for c in u %}{{ c }}.{% endfor %}
----
{% for k in d %}{{ k }}={{ d[k] }};{% endfor %}
----
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
----
{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}
----
{% for k, v in pairs %}{{ k }}={{ v }}{{ ', ' if not loop.last }}{% endfor %}
----
{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}
----
{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}
----
{% for a, b in [1] %}{{ a }}{% endfor %}
----
{% for a, b in ['xy'] %}{{ a }}{{ b }}{% endfor %}
----
{% for a in 1, 2, 3 %}{{ a }}{% endfor %}
----
{% for loop in xs %}{% endfor %}
----
{% for true in xs %}{% endfor %}
----
{% for x.y in xs %}{% endfor %}
----
{% for 5 in xs %}{% endfor %}
----
{% for x in xs %}{% for y in xs %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }}|{% endfor %}
----
{% for x in xs %}{% set outer = loop %}{% for y in [1, 2] %}{{ outer.index }}.{{ loop.index }} {% endfor %}{% endfor %}
----
{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}
----
{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}after
----
{% for x in xs %}{% break %}{% else %}none{% endfor %}
----
{% break %}
----
{% continue %}
----
{% for x in xs %}{% for y in xs %}{% break %}{% endfor %}{{ x }}{% endfor %}
----
{% for x in xs %}{% for y in [] %}{% else %}{% break %}{% endfor %}{{ x }}{% endfor %}
----
{% for x in range(3) %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x // 2) }}{% endfor %}
----
{% for x in xs %}{{ loop.cycle() }}{% endfor %}
----
{% for x in [[1, [2, 3]], 4] recursive %}{% if x is iterable %}[{{ loop(x) }}]{% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}
----
{% for x in xs %}{{ loop(x) }}{% endfor %}
----
{{ loop }}{% for x in xs %}{{ x }}{% endfor %}{{ x }}
----
{% set x = 1 %}{% for i in xs %}{{ x }}{% set x = i %}{{ x }} {% endfor %}{{ x }}
----
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}
----
{% if false %}{% set y = 2 %}{% endif %}{{ y }}{{ y is defined }}
----
{% set ns = namespace(a=1) %}{% for i in xs %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}
----
{% set ns = namespace() %}{% set ns.x = 1 %}{{ ns.x }}{{ ns.y }}{{ ns.y is defined }}
----
{% set ns = {} %}{% set ns.x = 1 %}
----
{% set missing2.x = 1 %}
----
{% set a, b = 1, 2 %}{{ a }}{{ b }}
----
{% set a, b = [1, 2, 3] %}
----
{% set a = 1, 2 %}{{ a }}
----
{% set (a, b) = 'xy' %}{{ a }}-{{ b }}
----
{% set a = %}
----
{% set 5 = 1 %}
----
{% set true = 1 %}
----
{% set a %}block {{ n }}{% endset %}{{ a }}|{{ a|length }}
----
{% set a | upper | trim %}  block {{ n }}  {% endset %}{{ a }}|
----
{% set ns = namespace() %}{% set ns.a %}x{% endset %}{{ ns.a }}
----
{% set a %}{% set b = 1 %}{{ b }}{% endset %}{{ a }}{{ b }}
----
{% macro m(a, b=2, c='x') %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(1, c=5) }} {{ m(b=1, a=2) }} {{ m() }}
----
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
----
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
----
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}
----
{% macro m(a=1, b) %}{% endmacro %}
----
{% macro m(a, a) %}{{ a }}{% endmacro %}{{ m(1) }}
----
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}
----
{% macro m(a) %}{{ a }}{{ varargs|join('+') }}{% endmacro %}{{ m(1, 2, 3) }}
----
{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}
----
{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(5) }}
----
{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{% set x = 2 %}{{ m() }}
----
{% macro m() %}{% set x = 5 %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{{ x }}
----
{% macro m() %}{{ caller() }}!{% endmacro %}{% call m() %}body {{ n }}{% endcall %}
----
{% macro m() %}{{ caller(1, 2) }}!{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}
----
{% macro m(x) %}{{ x }}{{ caller() }}{% endmacro %}{% for i in xs %}{% call m(i) %}{{ i }}{% endcall %};{% endfor %}
----
{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}
----
{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}
----
{% call 5 %}{% endcall %}
----
{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}
----
{% macro m() %} a {% endmacro %}[{{ m() }}]{{ m()|trim }}{{ m().strip() }}{{ m() is string }}
----
{% macro outer() %}{% macro inner() %}i{{ n }}{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}
----
{% for i in xs %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}
----
{% macro m() %}{% endmacro %}{{ m.name }}{{ m }}
----
{% if true %}{% macro m() %}x{% endmacro %}{% endif %}{{ m() }}
----
{% macro m() %}{% break %}{% endmacro %}
----
{% for i in xs %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
----
{{ m() }}{% macro m() %}late{% endmacro %}
----
{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}
----
{% filter upper %}abc {{ s }}{% endfilter %}
----
{% filter replace('a', 'b')|upper %}aaa{% set q2 = 1 %}{% endfilter %}
----
{% filter nope %}x{% endfilter %}
----
{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
----
{% with %}{% set z2 = 1 %}{{ z2 }}{% endwith %}{{ z2 }}
----
{% print 1, 2, s %}
----
{% generation %}gen {% set g2 = 1 %}{{ g2 }}{% endgeneration %}{{ g2 }}
----
{% generation %}x
----
{% if false %}{{ n|nope }}{% endif %}ok
----
{% if false %}{{ n is nope }}{% endif %}ok
----
{% if false %}{% for i in xs %}{{ n|nope }}{% endfor %}{% endif %}ok
----
{% for i in [] %}{{ n|nope }}{% endfor %}ok
----
{% for i in [] %}{% if false %}{{ n|nope }}{% endif %}{% endfor %}ok
----
{% macro m() %}{{ n|nope }}{% endmacro %}ok
----
{% if true %}{{ n|nope }}{% endif %}ok
----
{% if false %}{% set x %}{{ n|nope }}{% endset %}{% endif %}ok
----
{% if false %}{% set x = n|nope %}{% endif %}ok
----
{% set j = joiner('; ') %}{% for x in xs %}{{ j() }}{{ x }}{% endfor %}
----
{% set c = cycler('a', 'b', 'c') %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}
----
{% set g2 = xs|map('string') %}{{ g2|join }}{{ g2|join }}
----
{% set g2 = xs|map('string') %}{{ '3' in g2 }}{{ g2|list }}
----
{% set g2 = xs|select %}{{ g2|first }}{{ g2|list }}
----
{% set ns = namespace(on=true) %}{% for x in [1, 2, 3, 4] if ns.on %}{{ x }}{% if x == 2 %}{% set ns.on = false %}{% endif %}{% endfor %}
----
{% set ns = namespace(on=true) %}{% for x in [1, 2, 3, 4] if ns.on %}{{ x }}{{ loop.last }}{% if x == 2 %}{% set ns.on = false %}{% endif %}{% endfor %}
----
{%- for m in messages -%}
    {%- if m.role == 'user' -%}
        {{- '<|user|>\n' + m.content + '\n' -}}
    {%- endif -%}
{%- endfor -%}
----
{{'a'}}{{'b'}}
{{'c'}}

{{'d'}}

----
{{ "}}" }}{{ '%}' }}{% if "%}" %}x{% endif %}
----
{{ {'a': {'b': 1}} }}{{ {'a':{'b':1}}['a']['b']}}
----
{{ {'a':1}}}
----
{{ [1,2 }}
----
{{ 1 }
----
{% if 1 }}
----
{{ }}
----
{{ 1
----
{ { x } } {x} {%
----
a{b}c{{'{'}}{
----
{%if 1%}x{%endif%}
----
{%-if 1-%} x {%-endif-%} y
----
{%- set x = 1 -%}
   x{{ x }}
----
line1
{%- if true %}
line2
{%- endif %}
line3
----
<div>
    {% for x in xs %}
    <li>{{ x }}</li>
    {% endfor %}
</div>
----
	{% if true %}	tab
	{% endif %}
----
text {% if true %}
  indented
{% endif %}  
tail
----
{% if true %}{% if true %}
x
{% endif %}{% endif %}
y
----
{% set x = {'a': [1, 2, (3, 4)], 'b': {'c': none}} %}{{ x }}{{ x.a[2][1] }}{{ x.b.c }}
----
{% set messages = messages[1:] %}{{ messages|length }}{{ messages[0].role }}
----
{{ messages|length }}{% set messages = [] %}{{ messages|length }}
----
{% for m in messages %}{% set messages = [] %}{{ messages|length }}{% endfor %}{{ messages|length }}
----
{% set range = 5 %}{{ range }}
----
{% set s = s ~ '!' %}{{ s }}{% for i in [1, 2] %}{% set s = s ~ i %}{{ s }}{% endfor %}{{ s }}
----
{% include 'x' %}
----
{% import 'x' as y %}
----
{% extends 'x' %}
----
{% do xs %}
----
{% set x = 1 %}{% set x = x + 1 %}{{ x }}
----
{{ raise_exception('stop ' ~ n) }}
----
{% if false %}{{ raise_exception('no') }}{% endif %}fine
----
{{ 'a' 
~ 'b' }}
----
{{ s
   | upper
   | replace('L',
             'x') }}
----
{%
if
1
%}x{%
endif
%}
----
{% for a in xs -%} {{ a }} {%- if not loop.last %}, {% endif -%} {%- endfor %}
----
{%- macro fmt(x, depth=0) -%}
{%- if x is mapping -%}{ {%- for k, v in x|dictsort -%}{{ k }}:{{ fmt(v, depth + 1) }}{{ ',' if not loop.last }}{%- endfor -%} }
{%- elif x is iterable and x is not string -%}[{% for v in x %}{{ fmt(v, depth + 1) }}{% endfor %}]
{%- else -%}{{ x }}@{{ depth }}{%- endif -%}
{%- endmacro -%}
{{ fmt(d) }}
----
{% set x = namespace(items=[]) %}{% set x.items = x.items + [1] %}{% set x.items = x.items + [2] %}{{ x.items }}
----
{{ loop.index }}
----
{% for x in [1] %}{% endfor %}{{ loop is defined }}
----
{% for x in xs recursive %}{{ x }}{% endfor %}
----
{{ namespace(**{'a': 1}).a }}{{ dict(*[[['a', 1]]]) }}
----
{% for k, v in {'a': 1}.items() if v %}{{ k }}{% endfor %}
----
{% for m in messages %}{{ m.content if m.content else 'empty' }}{{ '' if loop.last else '|' }}{% endfor %}
----
{% for m in messages|selectattr('role', 'equalto', 'user') %}{{ loop.index }}{{ loop.last }}{{ m.content }}{% endfor %}
----
{% for m in messages|reverse %}{{ m.role }}{{ loop.length }}{% endfor %}
----
{% for m in messages[::-1] %}{{ m.role }}{% endfor %}
----
{% set last = messages|selectattr('role', 'eq', 'user')|list|last %}{{ last.content == '' }}
----
{{ s }}
{{ s }}
{% set x = 1 %}

{{ s }}
----
{{ {'a': 1}|items|list }}{% for k, v in d|items %}{{ k }}{% endfor %}
----
{%- set a = 'x' %}
{%- set b = 'y' -%}
{{ a }}{{ b }}
----
{{- '' }}   x   {{ '' -}}
  y
----
{% if true -%}

  a

{%- endif %}

b
----
{% set caller = 1 %}{{ caller }}
----
{% macro m(caller) %}{{ caller }}{% endmacro %}{{ m(1) }}
----
{% macro m(x) %}{{ kwargs.y }}{{ x }}{% endmacro %}{{ m(1, y=2) }}
----
{% macro m(x) %}{{ x }}{% endmacro %}{{ xs|map('string')|map('upper')|join }}{{ m(m(m('z'))) }}
----
{{ 'x' if messages is defined and messages and messages[0].role == 'user' and messages[0]['content'] is string }}
----
{% for x in (1, 2) %}{{ x }}{% endfor %}{% for x in {'a': 1} %}{{ x }}{% endfor %}{% for x in 'ab' %}{{ x }}{% endfor %}
----
{% for i in range(3) %}{% for j in range(i) %}{{ j }}{% else %}e{% endfor %};{% endfor %}
----
{% for a in xs %}{% for b in xs if b > a %}{{ a }}{{ b }} {% endfor %}{% endfor %}
----
{% set ns = namespace(x=0) %}{% macro inc() %}{% set ns.x = ns.x + 1 %}{% endmacro %}{{ inc() }}{{ inc() }}{{ ns.x }}
----
{% macro m() %}{% for x in xs %}{{ loop.index }}{% endfor %}{% endmacro %}{% for y in [1, 2] %}{{ m() }}{{ loop.index }};{% endfor %}
----
{% for x in xs %}{% macro m() %}{{ loop is defined }}{% endmacro %}{{ m() }}{% endfor %}
----
{% for x in xs %}{% set loop2 = loop %}{% endfor %}{{ loop2 is defined }}
"""


# With line ends of other systems, which an editor would mend.
BYTES = [
    "a\r\nb\rc\n", "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc", "x\n", "x\n\n", "\n", "\r\n", "\n\n", "  \n  {% if 1 %}\n\n x{% endif %}", "\u00a0{% if 1 %}x{% endif %}",
    "{{ 'a\r\nb' }}", "{{ \"\\\r\n\" }}", "x{%- if 1 %}\u2003y{% endif -%}\u2003z", "{% if 1 %}\x0b{% endif %}", "{{ 1 }}\n", "{{ 1 }}\n\n", "{% set x = 1 %}\n\n\ny",
    "\t{#- c -#}\t x", "{{'\\N{BULLET}'}}" if False else "{{ 'x' }}", "\ufeff{{ 1 }}", "{{ '\u0000' }}|{{ '\\x00' }}", "a\u0000b",
]


def all():
    """(name, source, extra)."""
    for i, line in enumerate(EXPRESSIONS.replace("\\\nx", "\0").strip("\n").split("\n")):
        line = line.replace("\0", "\\\nx")
        yield f"expression {i}", "{{ " + line + " }}", EXTRA
    for i, source in enumerate(TEMPLATES.strip("\n").split("\n----\n")):
        yield f"template {i}", source, EXTRA
    for i, source in enumerate(BYTES):
        yield f"bytes {i}", source, EXTRA
