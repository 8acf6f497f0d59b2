# SPDX-License-Identifier: Apache-2.0
"""chart.py - the plot: bars per storage type, with what memory or arithmetic allows as a line.

Plain SVG, written here; colours follow the reader's light or dark page.
"""
import math

WIDTH, HEIGHT = 880, 300            # of one panel
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 64, 34
PROGRAMS = [('mixt', 'Mixt'), ('ik_llama.cpp', 'ik_llama.cpp'), ('llama.cpp', 'llama.cpp')]

LIGHT = '''
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 14px; font-weight: 600 }
  .dim { fill: #57606a }
  .number { font-size: 10px }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .limit { stroke: #cf222e; stroke-width: 2 }
  .c0 { fill: #0969da } .c1 { fill: #8c959f } .c2 { fill: #d0d7de }
  .n0 { fill: #ffffff } .n1 { fill: #24292f } .n2 { fill: #24292f }'''
DARK = '''
  text { fill: #e6edf3 } .dim { fill: #9198a1 }
  .grid { stroke: #30363d } .limit { stroke: #ff7b72 }
  .c0 { fill: #58a6ff } .c1 { fill: #7d8590 } .c2 { fill: #484f58 }
  .n0 { fill: #0d1117 } .n1 { fill: #0d1117 } .n2 { fill: #e6edf3 }'''
STYLE = LIGHT + '\n  @media (prefers-color-scheme: dark) {' + DARK.replace('\n', '\n  ') + '\n  }'


def nice_step(top, n_lines=5):
    """A step of 1, 2 or 5 times a power of ten, so that about n_lines of them reach the top."""
    raw = top / n_lines
    power = 10 ** math.floor(math.log10(raw))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= raw)


def escape(text):
    return str(text).replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')


def short(value):
    return '%.0f' % value if value >= 99.5 else '%.1f' % value


def panel(title, groups, y):
    """groups: (name, {program: figure}, limit or None); a list of SVG lines, the panel's top at y."""
    top_value = max([v for _, bars, limit in groups for v in list(bars.values()) + [limit or 0]] or [1]) * 1.08
    plot_w, plot_h = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    base = y + HEIGHT - BOTTOM

    def at(value):
        return base - plot_h * value / top_value

    out = ['<text class="title" x="%d" y="%d">%s</text>' % (LEFT, y + 20, escape(title))]
    step = nice_step(top_value)
    for i in range(int(top_value / step) + 1):
        out.append('<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>'
                   % (LEFT, WIDTH - RIGHT, at(i * step), at(i * step)))
        out.append('<text class="dim" text-anchor="end" x="%d" y="%.1f">%g</text>'
                   % (LEFT - 6, at(i * step) + 4, i * step))
    slot = plot_w / max(len(groups), 1)
    for g, (name, bars, limit) in enumerate(groups):
        left = LEFT + g * slot
        wide = slot * 0.84 / len(PROGRAMS)
        for i, (program, _) in enumerate(PROGRAMS):
            if program not in bars:
                continue
            x, value = left + slot * 0.08 + i * wide, bars[program]
            out.append('<rect class="c%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>'
                       % (i, x, at(value), wide - 2, base - at(value)))
            inside = base - at(value) > 20          # a limit often runs just above the bar
            out.append('<text class="%s" text-anchor="middle" x="%.1f" y="%.1f">%s</text>'
                       % ('number n%d' % i if inside else 'number dim', x + wide / 2 - 1,
                          at(value) + 13 if inside else at(value) - 4, short(value)))
        if limit:
            out.append('<line class="limit" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>'
                       % (left + slot * 0.04, left + slot * 0.96, at(limit), at(limit)))
        out.append('<text text-anchor="middle" x="%.1f" y="%d">%s</text>' % (left + slot / 2, base + 20, escape(name)))
    return out


def legend(y, limit_words):
    out, x = [], LEFT
    for i, (_, name) in enumerate(PROGRAMS):
        out.append('<rect class="c%d" x="%d" y="%d" width="12" height="12"/>' % (i, x, y - 10))
        out.append('<text class="dim" x="%d" y="%d">%s</text>' % (x + 18, y, name))
        x += 36 + 7 * len(name)
    out.append('<line class="limit" x1="%d" x2="%d" y1="%d" y2="%d"/>' % (x, x + 16, y - 4, y - 4))
    out.append('<text class="dim" x="%d" y="%d">%s</text>' % (x + 22, y, escape(limit_words)))
    return out


def drawing(results):
    """The whole SVG: generation above, prompts below."""
    decode, prompt = [], []
    for entry in results['models']:
        told = entry['summary']
        for name, groups in (('decode', decode), ('prompt_512', prompt)):
            bars = {p: told['best'][name][p]['tokens_per_s'] for p, _ in PROGRAMS if p in told['best'][name]}
            limit = (told['limits']['read'] / entry['bytes_per_token'] if name == 'decode'
                     else told['limits'][told['peak']] / entry['operations_per_token'])
            groups.append((entry['type'], bars, limit))
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">' % (WIDTH, 2 * HEIGHT + 8),
             '<title>Tokens per second of Mixt, ik_llama.cpp and llama.cpp</title>', '<style>%s\n</style>' % STYLE]
    where = '8 layers of Mixtral 8x7B (F16, BF16: 4), %d threads' % results['threads']
    lines += panel('Generation, tokens per second: ' + where, decode, 0)
    lines += legend(42, 'what the measured read bandwidth allows')
    lines += panel('A prompt of 512 tokens, tokens per second', prompt, HEIGHT)
    lines += legend(HEIGHT + 42, 'what the measured peak allows (int8; F16 and BF16: f32)')
    return '\n'.join(lines + ['</svg>', ''])


def write(results, path):
    with open(path, 'w') as file:
        file.write(drawing(results))
