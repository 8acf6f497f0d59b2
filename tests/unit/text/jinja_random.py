# SPDX-License-Identifier: Apache-2.0
"""Random templates for oracle_jinja.py: expressions of every kind put together without sense."""
import json
import random

EXTRA = json.dumps({"s": "Hello, World", "u": "Üß 🦙x", "e": "", "n": 7, "z": 0, "f": 2.5, "yes": True, "no": False, "nil": None,
                    "xs": [3, 1, 2], "ws": ["b", "A", "c"], "d": {"b": 1, "a": {"x": [1, 2]}}, "ps": [{"k": 1, "v": "p"}, {"k": 2, "v": "q"}]},
                   ensure_ascii=False)
NEW = "b1 b2 b3".split()           # set here and there; a variable of the caller that is also set is a maze of its own
NAMES = "s u e n z f yes no nil xs ws d ps missing".split() + NEW
LITERALS = ["0", "1", "-2", "3", "1.5", "'a'", "'Hello'", "''", "' x '", "none", "true", "false", "[]", "{}", "()", "[1, 2]", "{'a': 1}", "('x', 1)"]
FILTERS = ["upper", "lower", "trim", "length", "string", "int", "float", "list", "first", "last", "sort", "reverse|list", "join", "join(', ')", "abs",
           "round", "tojson", "tojson(indent=1)", "default('D')", "default('D', true)", "title", "capitalize", "unique|list", "map('string')|list",
           "map(attribute='k')|list", "select|list", "reject('none')|list", "selectattr('k')|list", "sum", "min", "max", "items|list", "dictsort",
           "replace('l', 'L')", "indent", "e", "wordcount", "batch(2)|list", "safe", "truncate(5)", "center(9)", "groupby('k')"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "mapping", "sequence", "iterable", "boolean", "true", "false", "odd",
         "even", "callable", "lower", "upper", "eq 1", "in [1, 'a']", "gt 1", "divisibleby 2", "sameas none", "escaped"]
METHODS = ["upper()", "split()", "split('l')", "strip()", "startswith('H')", "endswith('d')", "replace('l', '')", "find('l')", "get('a')", "get('q', 1)",
           "items()|list", "keys()|list", "values()|list", "title()", "join(['a', 'b'])", "splitlines()", "count('l')", "index(1)", "isdigit()", "append(1)",
           "x", "a", "k", "b"]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">", "<=", ">=", "in", "not in", "and", "or"]


class Random:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def pick(self, items):
        return items[self.r.randrange(len(items))]

    def expression(self, depth):
        if depth <= 0:
            return self.pick(NAMES) if self.r.random() < 0.6 else self.pick(LITERALS)
        deeper = lambda: self.expression(depth - 1 - self.r.randrange(2))
        kind = self.r.randrange(12)
        if kind < 3:
            return f"{deeper()} {self.pick(BINARY)} {deeper()}"
        if kind < 5:
            return f"{deeper()}|{self.pick(FILTERS)}"
        if kind == 5:
            return f"{deeper()} is {self.pick(['', 'not '])}{self.pick(TESTS)}"
        if kind == 6:
            return f"({deeper()}).{self.pick(METHODS)}"
        if kind == 7:
            if self.r.random() < 0.5:
                return f"({deeper()})[{self.pick([deeper(), '0', '-1'])}]"
            # Slices of names only: Jinja2 folds constants, and a slice without sense is then undefined.
            return f"{self.pick(NAMES)}[{self.pick(['1:', ':2', '::-1', '::2', '-2:'])}]"
        if kind == 8:
            return f"({deeper()} if {deeper()} else {deeper()})"
        if kind == 9:
            return self.pick(["[{}, {}]", "({}, {})", "{{'a': {}, 'b': {}}}"]).format(deeper(), deeper())
        if kind == 10:
            return self.pick(["not ", "-", "+"]) + f"({deeper()})"
        return f"({deeper()})"

    def statement(self, depth):
        kind = self.r.randrange(9) if depth > 0 else 0
        body = lambda: "".join(self.statement(depth - 1) for _ in range(1 + self.r.randrange(2)))
        sign = lambda: self.pick(["", "", "-", "+"])
        space = lambda: self.pick(["", " ", "\n", "\n  ", "x", "  \n"])
        tag = lambda text: f"{space()}{{%{sign()} {text} {sign()}%}}{space()}"
        if kind <= 2:
            return space() + f"{{{{{self.pick(['', '-'])} {self.expression(3)} {self.pick(['', '-'])}}}}}" + space()
        if kind == 3:
            return tag(f"if {self.expression(2)}") + body() + tag("else") + body() + tag("endif")
        if kind == 4:
            return (tag(f"for {self.pick(['x', 'x', 'x, y'])} in {self.expression(2)}") + "{{ x }}{{ loop.index }}{{ loop.last }}" + body()
                    + tag("else") + body() + tag("endfor"))
        if kind == 5:
            return tag(f"set {self.pick(NEW)} = {self.expression(2)}")
        if kind == 6:
            return tag(f"set {self.pick(NEW)}") + body() + tag("endset")
        if kind == 7:
            return tag(f"macro m({self.pick(['', 'n', 'n, s=1', 'xs'])})") + body() + tag("endmacro") + "{{ m(" + self.pick(["", "1", "2, 3", "n=5"]) + ") }}"
        return tag(f"filter {self.pick(['upper', 'trim', 'length', 'reverse'])}") + body() + tag("endfilter")


def expressions(seed, n):
    """Two thirds are single expressions, one third whole templates."""
    r = Random(seed)
    for i in range(n):
        yield "{{ " + r.expression(1 + i % 4) + " }}" if i % 3 else r.statement(3)
