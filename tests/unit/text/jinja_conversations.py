# SPDX-License-Identifier: Apache-2.0
"""Conversations as applications send them, and as they should not: for oracle_jinja.py."""
import json

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Get the weather \"now\".\nFor a place.",
    "parameters": {"type": "object", "required": ["place"], "properties": {
        "place": {"type": "string", "description": "City, e.g. Zürich <b>"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "days": {"type": "integer", "description": "How many", "minimum": 1, "maximum": 10},
        "detail": {"type": "object", "properties": {"wind": {"type": "boolean"}, "level": {"type": "number"}}},
        "tags": {"type": "array", "items": {"type": "string"}, "description": "labels"},
        "maybe": {"type": ["string", "null"], "nullable": True},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}},
    "return": {"type": "string", "description": "words"}}}
SIMPLE = {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}}
BARE = {"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {
    "a": {"type": "number", "description": "x"}, "b": {"type": "number", "description": "y"}}, "required": ["a", "b"]}}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


def call(name, arguments, id="abcdef123", **more):
    return {"role": "assistant", "content": more.pop("content", None), **more,
            "tool_calls": [{"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]}


def result(text, id="abcdef123", **more):
    return {"role": "tool", "tool_call_id": id, "content": text, **more}


ODD = "  Ünïcødé 🦙 \"quoted\" 'single' \\back\n\n\ttab </s> [INST] <|im_start|> {{ x }} {% y %} & < >  "
PARTS = [{"type": "text", "text": "first part"}, {"type": "text", "text": "second\npart"}]
IMAGE = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "what is this?"}]

CONVERSATIONS = {
    "empty": [],
    "one": [user("Hi")],
    "spaces": [user("  Hi \n")],
    "empty text": [user("")],
    "odd": [user(ODD)],
    "system": [system("Be brief."), user("Hi")],
    "odd system": [system(ODD), user("Hi")],
    "turns": [user("Hi"), assistant("Hello!"), user("Bye")],
    "system and turns": [system("S"), user("A"), assistant(" B "), user("C"), assistant("D\n"), user("E")],
    "ends with assistant": [user("Hi"), assistant("Hello!")],
    "odd turns": [user(ODD), assistant(ODD), user(ODD)],
    "two users": [user("A"), user("B")],
    "assistant first": [assistant("A"), user("B")],
    "system only": [system("S")],
    "system later": [user("A"), system("S"), user("B")],
    "unknown role": [{"role": "wizard", "content": "A"}],
    "no role": [{"content": "A"}],
    "no content": [{"role": "user"}],
    "null content": [user(None)],
    "null answer": [user("A"), assistant(None), user("B")],
    "number content": [user(5)],
    "parts": [user(PARTS)],
    "parts of system": [system(PARTS), user(PARTS), assistant(PARTS), user("x")],
    "image": [user(IMAGE)],
    "empty parts": [user([])],
    "odd part": [user([{"type": "video"}, "plain", {"text": "no type"}])],
    "mapping content": [user({"a": 1})],
    "thinking": [user("A"), assistant("<think>\nhm\n</think>\n\nB"), user("C"), assistant("<think>x</think>D")],
    "reasoning": [user("A"), {"role": "assistant", "content": "B", "reasoning_content": "because", "reasoning": "r", "thinking": "t"}, user("C")],
    "think part": [user("A"), assistant([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "B"}]), user("C")],
    "developer": [{"role": "developer", "content": "Dev"}, user("A")],
    "tool call": [user("W?"), call("get_weather", {"place": "Paris", "days": 2}), result("sunny"), assistant("Sunny."), user("Thanks")],
    "tool call last": [user("W?"), call("get_weather", {"place": "Paris \"x\" é", "detail": {"wind": True, "level": 1.5}, "tags": ["a", None]})],
    "tool call of text": [user("W?"), call("get_weather", "{\"place\": \"Paris\"}"), result("{\"t\": 21}")],
    "tool call with text": [user("W?"), call("now", {}, content="Let me see."), result("12:00", name="now"), user("ok")],
    "tool call empty text": [user("W?"), call("now", {}, content=""), result({"t": 1.0, "u": None}), assistant("x")],
    "two calls": [user("W?"), {"role": "assistant", "content": "", "tool_calls": [
        {"id": "aaaaaaaa1", "type": "function", "function": {"name": "now", "arguments": {}}},
        {"id": "aaaaaaaa2", "type": "function", "function": {"name": "get_weather", "arguments": {"place": "X"}}}]},
        result("1", "aaaaaaaa1", name="now"), result("2", "aaaaaaaa2", name="get_weather"), assistant("done"), user("next")],
    "bad id": [user("W?"), call("now", {}, id="short"), result("1", "short")],
    "bare call": [user("W?"), {"role": "assistant", "tool_calls": [{"name": "now", "arguments": {"a": [1, 2.5, True]}}]}, {"role": "tool", "name": "now", "content": "1"}],
    "empty calls": [user("A"), {"role": "assistant", "content": "B", "tool_calls": []}, user("C")],
    "null calls": [user("A"), {"role": "assistant", "content": "B", "tool_calls": None}, user("C")],
    "result of parts": [user("W?"), call("now", {}), result([{"type": "text", "text": "noon"}])],
    "result object": [user("W?"), call("now", {}), result({"content": "noon"})],
    "function role": [user("W?"), {"role": "function", "name": "now", "content": "noon"}, assistant("ok")],
    "ipython": [user("W?"), {"role": "ipython", "content": {"a": "noon"}}, assistant("ok")],
    "system and tools": [system("Be kind."), user("W?"), call("now", {}), result("noon"), assistant("Noon."), user("And now?")],
    "long": [m for i in range(12) for m in (user(f"question {i}"), assistant(f"answer {i}"))] + [user("last")],
}

TOOLS = {"no tools": "", "tools": json.dumps([WEATHER, SIMPLE], ensure_ascii=False), "bare tools": json.dumps([BARE]), "empty tools": "[]"}

EXTRAS = [
    {}, {"enable_thinking": False}, {"enable_thinking": True, "date_string": "26 Jul 2024"}, {"thinking": True, "reasoning_effort": "high"},
    {"datetime": "Jul 24", "functions": "[f]", "documents": [{"title": "T", "text": "some text", "doc_id": 7}], "controls": {"length": "short"}, "builtin_tools": ["browser", "python"]},
    {"tools_in_user_message": False, "custom_tools": [SIMPLE], "citation_mode": "fast", "model_identity": "I am <b>."},
]


def all():
    """(name, messages, tools, extra, prompt): texts of JSON."""
    for name, messages in CONVERSATIONS.items():
        for tools_name, tools in TOOLS.items():
            for i, extra in enumerate(EXTRAS if tools_name in ("no tools", "tools") else EXTRAS[:1]):
                prompts = (True, False) if i == 0 else (True,)
                for prompt in prompts:
                    yield (f"{name}, {tools_name}, extra {i}, prompt {prompt}", json.dumps(messages, ensure_ascii=False), tools,
                           json.dumps(extra, ensure_ascii=False) if extra else "", prompt)
