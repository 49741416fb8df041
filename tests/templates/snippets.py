"""Snippets of templates: Python's ways that models' templates rely on, a line each."""

SNIPPETS = r"""
{{ "user name".title() }} {{ 'uSER nAME'.capitalize() }} {{ "it's o'neil".title() }} {{ 'aBc'.swapcase() }}
{{ "a b c".split(None, 1)[1] }} {{ ' a  b '.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a--b'.split('--')|join('+') }}
{{ 'a-b-c'.rsplit('-', 1) }} {{ 'a-b-c'.split('-', maxsplit=1) }} {{ 'a b c'.split(maxsplit=1) }}
{{ "a-b-c".partition("-")[2] }} {{ 'a-b-c'.rpartition('-')[0] }} {{ 'abc'.partition('-')|length }} {{ 'abc'.rpartition('-')|join('|') }}
{{ 'xxaxx'.strip('x') }}|{{ 'xyax'.lstrip('xy') }}|{{ ' a\n'.rstrip() }}|{{ 'a\u00a0 '.strip() }}|
{{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a\nb'.splitlines(true) }} {{ 'a\x0bb\x0cc'.splitlines() }}
{{ 'user'.startswith(('sys', 'us')) }} {{ 'user'.endswith('er') }} {{ 'user'.startswith('se', 1) }} {{ 'user'.endswith(('x',)) }}
{{ 'abcabc'.find('c') }} {{ 'abcabc'.find('c', 3) }} {{ 'abcabc'.rfind('b') }} {{ 'abc'.find('x') }} {{ 'abcabc'.count('bc') }} {{ 'abcabc'.index('b') }}
{{ 'aaa'.replace('a', 'b', 2) }} {{ 'aaa'.replace('a', '') }}| {{ 'a.b'|replace('.', '-') }}
{{ '7'.zfill(3) }} {{ '-7'.zfill(4) }} {{ 'ab'.center(5) }}| {{ 'ab'.ljust(4, '.') }} {{ 'ab'.rjust(4) }} {{ 'a\tb'.expandtabs(4) }}
{{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }} {{ 'AB'.isupper() }} {{ 'a'.islower() }} {{ ''.isdigit() }} {{ '½'.isnumeric() }} {{ '½'.isdigit() }}
{{ 'Straße'.upper() }} {{ 'ÀÉ'.lower() }} {{ 'ß'.casefold() }} {{ 'x.y'.removesuffix('.y') }} {{ 'x.y'.removeprefix('x.') }}
{{ '-'.join(['a', 'b']) }} {{ ', '.join(messages|map(attribute='role')) }} {{ ''.join('abc') }}
{{ '%s is %d' % ('a', 3) }} {{ '%s' % messages[0].role }} {{ '%05.2f|%-5s|%x|%%' % (3.14159, 'ab', 255) }} {{ "%s" % none }}
{{ '{} {}'.format('a', 3) }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x:>5}|{y:.2f}'.format(x='ab', y=2) }} {{ "%s-%s"|format('a', 1) }}
{{ 'ab' * 3 }} {{ '-' * 5 }} {{ [1] * 2 }} {{ [1] + [2, 3] }} {{ 'a' + 'b' ~ 3 ~ none ~ true }}
{{ 'abc'[0] }} {{ 'abc'[-1] }} {{ 'abc'[1:] }} {{ 'abc'[::-1] }} {{ [1, 2, 3][:-1] }} {{ [1, 2, 3][::2] }} {{ messages[-1].role }} {{ messages[::-1][0].content }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 0.1 + 0.2 }} {{ 1e16 }} {{ 0.00001 }} {{ 10 ** 20 }} {{ 3 * 1.0 }}
{{ 1 < 2 < 3 }} {{ 'a' in 'abc' }} {{ 'role' in messages[0] }} {{ 2 not in [1, 2] }} {{ not '' }} {{ '' or 'y' }} {{ 'x' and 'y' }} {{ none or 0 }} {{ true + 1 }}
{{ none }} {{ true }} {{ [none, true, 1.5, 'a', "it's", {'b': false}] }} {{ (1, 2)|tojson }} {{ (1,)|length }} {{ {} }} {{ {'a': [1, 'b']} }}
{{ ['é\n\u200b', "both ' and \""] }} {{ {'k': 'v\\'} }} {{ ['\x7f\t'] }}
{{ {"name": 1, "arguments": 2}|tojson }} {{ [1, 2.0, none, true, 'é<&>\u2028']|tojson }} {{ {'b': 1, 'a': [(1, 2)]}|tojson(sort_keys=true) }}
{{ {"a": [1], 'b': {}, 'c': []}|tojson(indent=2) }} {{ [1, {'a': 2}]|tojson(indent=4) }} {{ {'a': 1}|tojson(separators=(',', ':')) }} {{ 'é🦊'|tojson(ensure_ascii=true) }}
{{ 1e100|tojson }} {{ 0.1|tojson }} {{ 1e-7|tojson }} {{ 123456789012|tojson }} {{ 'a\x1f\x7f"\\/'|tojson }} {{ {1: 2, none: 3}|tojson }} {{ messages|tojson }}
{{ none is iterable }} {{ 3 is iterable }} {{ 'a' is iterable }} {{ 'a' is sequence }} {{ {} is mapping }} {{ [] is sequence }} {{ {} is sequence }} {{ x is iterable }}
{{ 'a' is string }} {{ 1 is number }} {{ 1.0 is float }} {{ 1 is integer }} {{ true is boolean }} {{ true is integer }} {{ true is number }} {{ x is defined }} {{ x is none }} {{ none is none }} {{ x is undefined }}
{{ 1 is in [1, 2] }} {{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 1 is eq 1 }} {{ 1 is sameas 1 }} {{ 'a' is lower }} {{ 'A' is upper }} {{ true is true }} {{ 'x' is true }} {{ range is callable }}
{% for m in messages %}{{ loop.index }}/{{ loop.length }} {{ loop.first }} {{ loop.last }} {{ loop.revindex }} {{ loop.previtem.role if loop.previtem is defined }} {{ loop.nextitem.role }};{% endfor %}
{% for m in messages %}{% if loop.index0 == 1 %}{% continue %}{% endif %}{% if loop.index0 == 2 %}{% break %}{% endif %}{{ m.role }}{% endfor %}
{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ m.content }}{% else %}none{% endfor %}{% for x in [] %}{% else %}empty{% endfor %}
{% for k, v in {'b': 1, 'a': 2}.items() %}{{ k }}{{ v }}{% endfor %}{% for k in {'b': 1, 'a': 2} %}{{ k }}{% endfor %}{% for k, v in {'b': 1, 'a': 2}|items %}{{ k }}{{ v }}{% endfor %}{% for k, v in {'b': 1, 'a': 2}|dictsort %}{{ k }}{{ v }}{% endfor %}
{{ {'b': 1, 'a': 2}.keys()|list }} {{ {'b': 1}.values()|list }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 'd') }} {{ {'a': 1}['b'] }}| {{ dict(a=1, b=2) }}
{% set ns = namespace(n=0, seen=[]) %}{% for m in messages %}{% set ns.n = ns.n + m.content|length %}{% set ns.seen = ns.seen + [m.role] %}{% endfor %}{{ ns.n }} {{ ns.seen }}
{% macro f(a, b='x', c=none) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, 2, c=3) }} {{ f(1, 2, 3) }}
{% macro box() %}[{{ caller() }}]{% endmacro %}{% call box() %}in{% endcall %}{% filter upper %}abc{% endfilter %}{% set x %}a{{ 1 }}{% endset %}{{ x }}
{% raw %}{{ x }}{% endraw %}{# a comment '}} #}{{ 'a %} b' }}{{ "{# no #}" }}{{ '}}' }}
a {%- if true -%} b {%- endif -%} c{{- ' d ' -}} e {{+ 'f' }}
{{ [3, 1, 2]|sort }} {{ [3, 1, 2]|sort(reverse=true)|first }} {{ ['b', 'A']|sort }} {{ [1, 2]|reverse|list }} {{ 'abc'|reverse }} {{ [1, 1, 2]|unique|list }} {{ [1, 2, 3]|sum }} {{ [1, 5]|max }} {{ [4, 2]|min }}
{{ messages|map(attribute='role')|list }} {{ ['a', 'b']|map('upper')|join }} {{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ messages|rejectattr('role', 'in', ['user'])|map(attribute='role')|list }} {{ [1, 2, 3]|select('odd')|list }} {{ [0, 1]|reject|list }}
{{ messages|groupby('role')|map(attribute='grouper')|list }} {{ [1, 2, 3]|batch(2)|list }} {{ [1, 2, 3]|slice(2)|list }}
{{ x|default('d') }} {{ ''|default('d') }}| {{ ''|default('d', true) }} {{ none|default('d') }} {{ x|d(3) }} {{ none|default('e', boolean=true) }}
{{ ' a '|trim }}| {{ 'abc'|trim('a') }} {{ 'a b'|title }} {{ 'ABC'|capitalize }} {{ 'a\nb'|indent(2) }} {{ 'a\nb\n\nc'|indent(2, first=true) }}
{{ '3'|int + 1 }} {{ 'x'|int }} {{ 'x'|int(-1) }} {{ 3.7|int }} {{ '2.5'|float }} {{ 2.567|round(1) }} {{ 2.5|round }} {{ -3|abs }} {{ 3|string + 'a' }} {{ true|string }} {{ 1.0|string }}
{{ '<b>'|e }} {{ '<b>'|safe }} {{ '<b>&'|escape|length }}
{{ strftime_now("%Y-%m-%d") }} {{ strftime_now('%d %b %Y') }} {{ strftime_now('%B %-d, %A %j %y %H:%M:%S') }} {% if strftime_now is defined %}yes{% endif %}
{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token }}|{{ cls_token is defined }}|{{ bos_token + 'x' }}|{{ tools is none }}|{{ documents is defined }}|{{ add_generation_prompt }}
{{ messages[1].content if messages|length > 1 else 'one' }} {{ 'x' if false }} {{ messages[0]['role'] }} {{ messages[0].get('name', '-') }} {{ messages[0].name is defined }} {{ messages[0].tool_calls }}
{% if tools is defined and tools %}T{% else %}N{% endif %}{% if messages[0]['content'] is string %}S{% endif %}{% if messages[5] %}6{% endif %}{% if x.y is defined %}xy{% endif %}
{{ range(3)|list }} {{ range(1, 7, 2)|list }} {% for i in range(messages|length - 1, -1, -1) %}{{ i }}{% endfor %} {{ range(2)|tojson if false }}
{% set first, rest = messages[0], messages[1:] %}{{ first.role }}{{ rest|length }}{% set (a, b) = (1, 2) %}{{ a + b }}{% set loop_messages = messages %}{{ loop_messages|length }}
{{ raise_exception('no tools here') if messages|length > 3 }}{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}ok
{{ messages[0].content.split('\n')[0].strip().upper()[:5] }} {{ (messages|last).content|length }} {{ (messages|first|items|list)[0][1] }} {{ messages[0]|length }}
{{ [1, 2].append(3) }}
{{ {}.update({}) }}
{{ x.y.z }}
{{ x + 'a' }}
{{ x|tojson }}
{{ 'a' + 1 }}
{{ messages[0].content.nope() }}
{{ nothing() }}
{{ 'a'.split('') }}
{{ [1][5] }}| {{ {'a': 1}.b }}| {{ x }}| {{ x|length }}| {{ x|upper }}| {% for i in x %}{% endfor %}
{% generation %}{{ messages[0].content }}{% endgeneration %}{%- generation -%} a {%- endgeneration -%}
{% for m in messages recursive %}{{ loop.depth }}{% endfor %} {% for m in messages %}{{ loop.cycle('a', 'b') }}{{ loop.changed(m.role) }}{% endfor %}
{% with a = 1, b = 2 %}{{ a + b }}{% endwith %} {{ a is defined }} {% set a = [] %}{% for i in [1, 2] %}{% set a = a + [i] %}{% endfor %}{{ a }}
{{ 'a' 'b' }} {{ "tab\there" }} {{ 'q\'s' }} {{ "\u00e9\x41" }} {{ 'new\\nline' }} {{ '\101' }}
{{ 5 > 3 and 2 < 1 or true }} {{ not (1 == 1.0) }} {{ 'a' == 'a' }} {{ [1] == [1] }} {{ {'a': 1} == {'a': 1} }} {{ 'b' > 'a' }} {{ none == false }} {{ 1 == true }} {{ [1, 2] < [1, 3] }}
{{ 1_000 }} {{ 0x1f }} {{ 0b11 }} {{ 0o17 }} {{ 1.5e3 }} {{ 12345678901234567890 }} {{ -0.0 }} {{ 1e300 * 1e10 }} {{ 3 - -2 }}
{{ messages|length is gt 1 }} {{ messages|map('length')|list }} {{ messages|map(attribute='nope', default='-')|list }} {{ ['a', 'b']|join(', ') }} {{ [1, none]|join('|') }} {{ [[1, 2], [3]]|map('first')|list }}
{{ 'x'.join([1]) }}
{{ messages[0].content is mapping }} {{ messages is mapping }} {{ messages[0] is iterable }} {{ messages[0].content[0:3] }} {{ messages[0]['content'][-3:] }}
{{ {'a': 1}.keys is defined }} {{ {}.items is callable }} {{ {'a': 1}['items'] is defined }} {{ {'a': 1}['b'] is defined }} {{ {'items': 5}['items'] }} {{ messages[0].get is mapping }}
{% for k, p in {'x': {'type': 'array', 'items': {'type': 'string'}}, 'y': {}}.items() %}{{ k }}{% if p.items %}I{% endif %}{% if p.items is defined %}D{% endif %}{{ p.items.type }}{{ p['items'].type }}{% if p['values'] %}V{% endif %}{% endfor %}
{% set f = messages[0].get %}{{ f('role') }} {{ f('nope', 2) }} {{ messages[0]['get']('role') }} {{ messages[0]['keys']()|list }} {{ messages[0].update is defined }} {{ {'pop': 1}.pop }}| {{ {'pop': 1}['pop'] }}
{% set ns = namespace(items=[1]) %}{% set ns.items = ns.items + [2] %}{{ ns.items }} {{ ns.keys is defined }} {{ ns['items'] }} {{ 'x' in ['items'] }} {{ 'items' in['items'] }}
{{ messages[0]|attr('role') }}| {{ messages[0]|attr('get') is defined }} {% for m in messages %}{{ loop|attr('index') }}{% endfor %} {{ {}.fromkeys(['x'], 1) }} {{ x is callable }}
{{ '%i|%05d' % (3.9, -42) }} {{ '%d' % -5 }} {{ '%g' % 1e-7 }} {{ '%r' % 'q' }} {{ '%(a)s' % {'a': none} }} {{ '%c' % 'x' }} {{ '%o %X %#x' % (8, 255, 255) }} {{ '%s %s' % ('a', [1]) }} {{ '%3d|%-3d|%+d|%e' % (5, 5, 5, 12345.678) }}
{{ +5 }} {{+5}} {{ 1 + +2 }} {{ +-5 }} {{ ++5 }} {{ [+1] }} {{ not +0 }} {{ 5 % +3 }} {% if +1 == 1 %}y{% elif +2 %}n{% endif %} {{ 'x' * -1 }}| {{ 'x' * (1 - messages|length) }}| {{ '-' * messages|length }} {{ 'x' * 2 ** 3 }} {{ 'a' 'b' * 2 }} {{ 'a' + 'b' * 2 }}
{{ +'a' }}
{{ 'x' * 2.0 }}
{{ '{:.1%} {:%}'.format(0.5, 0.25) }} {{ '{!r} {!s}'.format('q', 1.0) }} {{ '{a[b]} {0} {{}}'.format(1, a={'b': none}) }} {{ '{0:03d} {0:x} {0:,}'.format(1234567) }} {{ '{:^9}|{:.3}'.format('mid', 'abcdef') }} {{ '{:>10.3f}|{:+}|{:e}'.format(3.14159, 5, 12345.6789) }} {{ '{:*<6}'.format('ab') }} {{ '{} {}'.format(none, [true]) }}
{{ '%s %s' % 'a' }}
{{ '%s' % ('a', 'b') }}
{{ '{}'.format() }}
{{ {}.items|tojson }}
{% for x in {}.items %}{% endfor %}
{{ {'b': 'x', 'a': [1]}|pprint }} {{ 3|pprint }} {{ ['b', 'a']|pprint }} {{ x|pprint }}
{{ ['a', 'b']|join(d=', ') }} {{ ' a '|trim(chars=' ') }} {{ 'abc'|replace(old='a', new='b') }} {{ 3.14159|round(precision=2) }} {{ 'x'|float(default=1.5) }} {{ 'x'|center(width=5) }}| {{ 'a\nb'|indent(width=2) }} {{ x|default(default_value='y') }} {{ ''|default('z', boolean=true) }} {{ 'x'|int(default=3) }}
{{ strftime_now('%T.%f%z|%Z|%s %%f') }} {{ strftime_now('%I:%M %p') }} {{ strftime_now('%U %W %V %G %u %w') }} {{ strftime_now('%e|%k|%l|%h|%D|%F|%T|%R|%n|%t|%C|%g') }}
""".strip().splitlines()
# Some depend on how a template's lines end.
SNIPPETS += [
    "{{ messages[0].role }}:\r\n{{ messages[0].content }}\r\n",
    "a\n\n",
    "  {% for m in messages %}\n  {{ m.role }}\n  {% endfor %}",
    "{% if true %}\n\n  a\n    {%- if false %}\n b\n {% endif %}\n{{ 'x' }}  \n {# c #}\n\n{% endif %}\n",
    "a\r{{ 'b' }}\rc\x0bd\n",
    "{%+ if true %}\n a\n{%- endif +%}\n b",
    "{{ 'one \\\n two' }}",
    "\ufeff{{ 'mark' }}",
]

# What is known to differ, as the table of src/chat_template/python.rs says.
DIFFERING = r"""
{{ (1, 2) }}
{{ 'a-b'.partition('-') }}
{{ messages[0]|items|list }}
{{ range(2) }}
{{ dict([('x', 1)]) }}
{% macro f(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, d=5) }}
{% set j = joiner(', ') %}{{ j() }}a{{ j() }}b
{% set c = cycler('x', 'y') %}{{ c.next() }}{{ c.next() }}
{{ 'a b c'|wordcount }}
{{ 'a b'|urlencode }}
{{ 'abcdefghijkl'|truncate(8) }}
{% set f = '%s-%s' %}{{ f % ('a', 'b') }}
{{ {}.items }}
{% set f = 'x' %}{{ f * -1 }}|
{{ -1 * 'x' }}|
{{ 'a'.upper is defined }} {{ [].index is defined }}
{{ [{'a': 1}]|selectattr('items')|list|length }}
{{ 'abc'|random|length }}
{{ messages[0].content.encode('utf-8')|length }}
{{ [1, 2, 3]|batch(linecount=2)|list }}
{% autoescape true %}{{ '<' }}{% endautoescape %}
{{ "\N{BULLET}" }}
{{ 'ﬁ'.capitalize() }}
{{ ('word ' * 30)|pprint }}
""".strip().splitlines()
