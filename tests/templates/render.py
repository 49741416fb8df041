"""Renders chat templates of public models with transformers.

    python render.py TOKENIZER.json DIR

Writes into DIR `rows.jsonl` with conversations, a model's directory for each template, and
`cases.jsonl`: a line for each template and each set of variables, with the text and the token ids
that transformers makes of each conversation, null where it refuses one. The templates are those
that packages beside this Python ship, and the lines of
`snippets.py`.
"""

import json
import sys
import sysconfig
from datetime import datetime
from pathlib import Path

import transformers
from snippets import DIFFERING, SNIPPETS
from tokenizers import AddedToken, Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

transformers.logging.set_verbosity_error()

# The day that every template is told, at midnight.
DAY = datetime(2026, 11, 5)

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": 'The weather at a "place" <today>.\nIn °C.',
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "A town", "enum": ["Oslo", "Łódź"]},
                    "days": {"type": "array", "items": {"type": "integer"}, "default": None},
                    "fine": {"type": ["boolean", "null"], "default": True, "weight": 0.5},
                },
                "required": ["place"],
            },
            "return": {"type": "object", "properties": {}},
        },
    },
    {"type": "function", "function": {"name": "now", "description": "", "parameters": {}}},
]

# What templates are told, as a scenario writes it and as transformers takes it.
VARIABLES = [
    ("", {}),
    (
        'tools = "tools.json", enable_thinking = false, reasoning_effort = "low"',
        {"tools": TOOLS, "enable_thinking": False, "reasoning_effort": "low"},
    ),
]


def says(*turns):
    return [{"role": role, "content": content} for role, content in turns]


CONVERSATIONS = [
    says(("user", "How many legs has a spider?")),
    says(("system", "Be brief."), ("user", ' Hi <b>"you"</b> & \'me\'\té\n')),
    says(("user", "1 + 1?"), ("assistant", "2"), ("user", "And\r\n+ 1?\n\n")),
    says(
        ("system", " Answer in {{ German }}.\n"),
        ("user", "Was ist 日本? 🦊"),
        ("assistant", "<think>\nAn island.\n</think>\n\nEin Land. "),
        ("user", "Why?"),
        ("assistant", "[INST] so </s>\\n"),
        ("user", "{% if x %}"),
    ),
    says(
        ("user", "The weather?"),
        ("assistant", "I look it up."),
        ("tool", '{"degrees": -5}'),
        ("assistant", "It is −5 °C."),
        ("user", "Thanks."),
    ),
    says(("user", "One."), ("user", "Two.")),
    says(("developer", "Be kind."), ("user", "Hello")),
]


class Fixed(datetime):
    @classmethod
    def now(cls, tz=None):
        return DAY


chat_template_utils.datetime = Fixed


def templates():
    """Name and text of each template, no text twice."""
    site = Path(sysconfig.get_paths()["purelib"])
    found = [
        (f"{package}/{path.stem}", path.read_text(encoding="utf-8"))
        for package, folder in [
            ("axolotl", "axolotl/utils/chat_templates/templates"),
            ("trl", "trl/chat_templates"),
        ]
        for path in sorted((site / folder).glob("*.jinja"))
    ]
    families = json.loads((Path(sys.prefix) / "share/llm_family.json").read_text())
    found += [
        (f"xinference/{family['model_name']}", family["chat_template"])
        for family in families
        if family.get("chat_template")
    ]
    seen = set()
    return [(name, text) for name, text in found if not (text in seen or seen.add(text))]


MARKS = [
    AddedToken("<s>", special=True),
    AddedToken("</s>", special=True),
    AddedToken("<pad>", special=True),
    AddedToken("<|im_start|>", special=True, normalized=False),
    AddedToken("<|im_end|>", special=True, rstrip=True),
    AddedToken("<|eot_id|>", special=True, lstrip=True),
    AddedToken("<think>", special=False, normalized=True),
    AddedToken("</think>", special=False, single_word=True),
    AddedToken("[INST]", special=False),
]


def tokenizer_json(source):
    """A tokenizer with marks, which puts one in front of texts unless told not to."""
    tokenizer = Tokenizer.from_file(source)
    tokenizer.add_tokens(MARKS)
    bos = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", bos)])
    return tokenizer.to_str()


def write_model(directory, tokenizer, template, layout):
    """Writes a model in one of the forms in which models come."""
    directory.mkdir(parents=True)
    (directory / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    if layout == 0:
        config |= tokens
        with open(directory / "chat_template.jinja", "w", encoding="utf-8", newline="") as file:
            file.write(template)
    elif layout == 1:
        # Before there were files of templates: tokens with how they are cut.
        mark = {"__type": "AddedToken", "lstrip": False, "normalized": False, "rstrip": False}
        mark |= {"single_word": False, "special": True}
        config |= {name: mark | {"content": text} for name, text in tokens.items()}
        config["chat_template"] = template
        config["added_tokens_decoder"] = {}
    else:
        # Older yet: a map of its own, and named templates.
        (directory / "special_tokens_map.json").write_text(json.dumps(tokens))
        named = [("tool_use", template), ("default", template), ("other", "{{ nothing.here }}")]
        config["chat_template"] = [{"name": name, "template": text} for name, text in named]
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def rendered(model, conversation, told):
    """The text and the token ids, or nothing where transformers refuses."""
    try:
        text = model.apply_chat_template(
            conversation, tokenize=False, add_generation_prompt=True, **told
        )
        ids = model.apply_chat_template(
            conversation, tokenize=True, add_generation_prompt=True, return_dict=False, **told
        )
    except Exception as error:
        return None, None, str(error).split("\n")[0]
    return text, ids, None


def main(source, out):
    tokenizer = tokenizer_json(source)
    (out / "tools.json").write_text(json.dumps(TOOLS), encoding="utf-8")
    with open(out / "rows.jsonl", "w", encoding="utf-8") as file:
        for conversation in CONVERSATIONS:
            file.write(json.dumps({"messages": conversation}) + "\n")
    public = templates()
    snippets = [(f"snippet/{snippet}", snippet) for snippet in SNIPPETS + DIFFERING]
    differing = len(public) + len(SNIPPETS)
    with open(out / "cases.jsonl", "w", encoding="utf-8") as file:
        for index, (name, template) in enumerate(public + snippets):
            directory = out / f"model{index}"
            write_model(directory, tokenizer, template, index % 3)
            model = PreTrainedTokenizerFast.from_pretrained(directory)
            for variables, told in VARIABLES if index < len(public) else VARIABLES[:1]:
                results = [rendered(model, conversation, told) for conversation in CONVERSATIONS]
                case = {
                    "name": name,
                    "is_public": index < len(public),
                    "differs": index >= differing,
                    "model": directory.name,
                    "variables": variables,
                    "texts": [text for text, _, _ in results],
                    "ids": [ids for _, ids, _ in results],
                    "refusals": [refusal for _, _, refusal in results],
                }
                file.write(json.dumps(case) + "\n")


main(sys.argv[1], Path(sys.argv[2]))
