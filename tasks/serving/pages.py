"""Pages that fetch nothing from elsewhere: a form to ask for a song, and the addresses."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from phrase_models.gallery.style import STYLE

DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
FORM_POLICY = (
    "default-src 'none'; connect-src 'self'; frame-src blob:; img-src data:; media-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; form-action 'none'"
)
"""A song's page is shown in a frame, which inherits it."""
_MORE_STYLE = """
form { display: flex; flex-wrap: wrap; gap: 14px; align-items: end; margin: 22px 0; }
label { display: grid; gap: 4px; font-size: 13px; color: var(--soft); }
input, button { font: inherit; padding: 7px 10px; border-radius: 8px; border: 1px solid var(--line);
  background: var(--card); color: var(--text); }
button { background: var(--accent); color: var(--on-accent); border: 0; padding: 8px 18px; }
iframe { width: 100%; height: 900px; border: 0; }
code { font-size: 13px; }
dt { margin-top: 14px; font-weight: 600; }
dd { margin: 2px 0 0 0; }
"""
_SCRIPT = """
const form = document.querySelector("form"), said = document.querySelector("#said");
const frame = document.querySelector("iframe"), button = document.querySelector("button");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const asked = {};
  for (const [name, text] of new FormData(form)) {
    if (text.trim() === "") continue;
    const number = ["num_bars", "seed", "tempo"].includes(name);
    asked[name] = number ? Number(text) : text;
  }
  button.disabled = true;
  said.textContent = "Making a song ...";
  try {
    const answer = await fetch("/generate", {
      method: "POST", body: JSON.stringify(asked),
      headers: { "content-type": "application/json", "accept": "text/html" },
    });
    if (!answer.ok) {
      said.textContent = (await answer.json()).detail;
      return;
    }
    URL.revokeObjectURL(frame.src);
    frame.src = URL.createObjectURL(await answer.blob());
    frame.hidden = false;
    said.textContent = "";
  } catch (error) {
    said.textContent = "The server does not answer.";
  } finally {
    button.disabled = false;
  }
});
"""


def _page(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}{_MORE_STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


FORM_PAGE = _page(
    "phraseldm",
    f"""<h1>A song</h1>
<p class="subtitle">Leave empty what the models shall decide. Song k of a seed is always the same.
<a href="/docs">For programs</a></p>
<form>
<label>Sections <input name="sections" placeholder="i4 A8 A8 B8 o4" maxlength="2000"></label>
<label>Bars <input name="num_bars" type="number" min="1" max="2000" size="5"></label>
<label>Chords <input name="chords" placeholder="C G | Am | ?" maxlength="10000"></label>
<label>Key <input name="key" value="C" size="3" maxlength="8"></label>
<label>Tempo <input name="tempo" type="number" value="90" min="11" max="399"></label>
<label>Seed <input name="seed" type="number" value="0"></label>
<button>Make it</button>
</form>
<p id="said" role="status"></p>
<iframe title="The song" hidden></iframe>
<noscript><p>The form needs JavaScript; <a href="/docs">the addresses</a> do not.</p></noscript>
<script>{_SCRIPT}</script>""",
)
"""The page at /."""


def docs_page(schema: Mapping[str, Any]) -> str:
    """The addresses of an OpenAPI schema, and the fields of what they take, as a page."""
    parts = [
        f"<h1>{escape(schema['info']['title'])} {escape(schema['info']['version'])}</h1>",
        f'<p class="subtitle">{escape(schema["info"]["summary"])} '
        'As a schema: <a href="/openapi.json">/openapi.json</a>.</p>',
    ]
    schemas = schema["components"]["schemas"]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts += [
                f"<p>{escape(text)}</p>"
                for text in operation.get("description", "").split("\n\n")
                if text
            ]
            fields = "".join(_fields(operation, schemas))
            parts.append(f"<dl>{fields}</dl>" if fields else "")
    return _page("phraseldm: addresses", "\n".join(parts))


def _fields(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        yield _field(parameter["name"], {**parameter["schema"], **parameter})
    content = operation.get("requestBody", {}).get("content", {})
    reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    for name, values in schemas.get(reference.rpartition("/")[2], {}).get("properties", {}).items():
        yield _field(name, values)


def _field(name: str, values: Mapping[str, Any]) -> str:
    kinds = values.get("anyOf", [values])
    bounds = [
        f"{words} {_shown(kind[key])}"
        for kind in kinds
        for key, words in _BOUNDS.items()
        if key in kind and not isinstance(kind[key], dict)
    ]
    if "default" in values:
        bounds.append(f"default {values['default']!r}")
    said = "; ".join(part for part in (values.get("description", ""), *bounds) if part)
    return f"<dt><code>{escape(name)}</code></dt><dd>{escape(said)}</dd>"


def _shown(bound: Any) -> str:
    return f"{bound:,g}" if isinstance(bound, int | float) else ", ".join(map(str, bound))


_BOUNDS = {
    "enum": "one of",
    "minimum": "at least",
    "exclusiveMinimum": "over",
    "maximum": "at most",
    "exclusiveMaximum": "under",
    "maxLength": "characters at most",
}
