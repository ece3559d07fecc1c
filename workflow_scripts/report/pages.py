"""Pages made of the templates in resources/report."""

import base64
import hashlib

import jinja2
from markupsafe import Markup

from workflow_scripts.common.resources import resource


def templates() -> jinja2.Environment:
    """Templates that escape what they are given and fail on what is missing."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource("report")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def script_of(text: str) -> dict[str, str]:
    """A page's own script, and the hash by which its policy lets this one alone run."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"text": Markup(text), "hash": f"sha256-{digest}"}
