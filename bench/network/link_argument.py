"""What `--link` may be: conditions as text, or a TOML file that has them, a scenario included."""

import tomllib
from pathlib import Path

from bench.network.conditions import Conditions, parse_conditions, parse_link
from latentcast.errors import UserError


def read_link(argument: str) -> Conditions:
    """The conditions of the text `rate=2M,delay=30ms`, or of a file: its `[[link]]`, or its first `[[viewer]]`'s.

    An argument that names a TOML file, or any file that exists, is a file. Raises UserError.
    """
    if not argument.strip():
        raise UserError("the link is empty; give a file, or text such as rate=2M,delay=30ms,loss=5%.")
    path = Path(argument)
    if path.suffix != ".toml" and ("=" in argument or not path.exists()):
        return parse_link(argument)
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(
            f"the link file {path} cannot be read ({error.strerror}); give a file, or text such as rate=2M,delay=30ms."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"the link file {path} is not TOML: {error}.") from error
    viewers = document.get("viewer", [])
    holder = viewers[0] if "link" not in document and isinstance(viewers, list) and viewers else document
    tables = holder.get("link") if isinstance(holder, dict) else None
    if not isinstance(tables, list):
        raise UserError(f"the link file {path} has no [[link]] and no [[viewer]] with [[viewer.link]]; add one.")
    try:
        return parse_conditions(tables)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
