"""Jinja with dbt's vocabulary: `ref`, `source`, `var`, `config`, `this`, `is_incremental`, macros.

Belongs here: rendering a template to SQL, and recording its refs and configuration. Does not: resolving names; the
caller passes that in.
"""

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import jinja2

from clm_dagster.platform.dbt_project.yaml_lines import ProjectError


@dataclass
class Capture:
    """The SQL, configuration and refs of a template."""

    sql: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    config_line: int = 1
    refs: list[tuple[str, int]] = field(default_factory=list)  # name, line


@dataclass(frozen=True)
class Renderer:
    """Renderer of the templates of one folder, with its macros and variables.

    defaults: the names of the variables in dbt_project.yml. As in dbt, any other variable needs a default in the SQL.
    """

    environment: jinja2.Environment
    macro_files: tuple[Path, ...]
    variables: dict[str, Any]
    defaults: frozenset[str]

    @classmethod
    def load(cls, folder: Path, variables: dict[str, Any], defaults: frozenset[str]) -> "Renderer":
        """Return a renderer with the macros in `folder/macros`."""
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            loader=jinja2.FunctionLoader(_load_file),
            extensions=["jinja2.ext.do"],
            # In a private folder below the system's temporary one. Jinja compares it with the text of the file.
            bytecode_cache=jinja2.FileSystemBytecodeCache(),
        )
        return cls(environment, tuple(sorted(folder.glob("macros/**/*.sql"))), variables, defaults)

    def capture(self, path: Path) -> Capture:
        """Render with placeholders, to record the refs and the configuration of a template.

        A variable that is null by default is set by a run, so the template is rendered without and with it; with it,
        the run is incremental.
        """
        found = Capture()

        def note(name: str) -> str:
            found.refs.append((name, _line(path)))
            return name

        def config(**values: Any) -> str:
            found.config |= values
            found.config_line = _line(path)
            return ""

        open_variables = {name: f"<{name}>" for name, value in self.variables.items() if value is None}
        for variables in ({}, open_variables) if open_variables else ({},):
            extra = {"config": config, "is_incremental": partial(bool, variables)}
            found.sql += self.render(path, note, variables, extra=extra) + "\n"
        return found

    def render(
        self,
        path: Path,
        relation: Callable[[str], str],
        variables: dict[str, Any] | None = None,
        this: str = "this",
        extra: dict[str, Any] | None = None,
    ) -> str:
        """Return the SQL of one template. relation: resolves a `ref` or `source`.

        Raise ProjectError with file and line.
        """
        values = self.variables | (variables or {})

        def var(name: str, *default: Any) -> Any:
            if name not in self.defaults and not default:
                raise ProjectError(
                    f"variable {name!r} is not defined in dbt_project.yml; define it there, or pass a default to var()"
                )
            return values.get(name, *default)

        context: dict[str, Any] = {
            "ref": relation,
            "source": lambda source, table: relation(f"{source}.{table}"),
            "var": var,
            "config": lambda **_: "",
            "this": this,
            "is_incremental": lambda: False,
        } | (extra or {})
        try:
            for file in self.macro_files:
                module = self.environment.get_template(str(file)).make_module(dict(context))
                context |= {k: v for k, v in vars(module).items() if not k.startswith("_")}
            return self.environment.get_template(str(path)).render(context).strip()
        except jinja2.TemplateSyntaxError as error:
            raise ProjectError(f"{error.filename}:{error.lineno}: {error.message}") from error
        except (jinja2.UndefinedError, ProjectError, TypeError) as error:
            raise ProjectError(f"{path}:{_failing_line(error, path)}: {error}") from error

    def render_text(self, text: str, where: str, extra: dict[str, Any]) -> str:
        """Return a template that is no file, such as a value in YAML. where: its place, for messages.

        Raise ProjectError.
        """
        try:
            return self.environment.from_string(text).render(extra).strip()
        except (jinja2.TemplateError, TypeError) as error:
            raise ProjectError(f"{where}: {error}; in {text!r}") from error


def _load_file(name: str) -> tuple[str, str, Callable[[], bool]]:
    path = Path(name)
    stamp = path.stat().st_mtime_ns
    return path.read_text(), name, lambda: path.stat().st_mtime_ns == stamp


def _line(path: Path) -> int:
    """Return the current line of the template that is being rendered."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        template = frame.f_globals.get("__jinja_template__")
        if template is None and frame.f_code.co_filename == str(path):
            return frame.f_lineno
        if template is not None and template.filename == str(path):
            return int(template.get_corresponding_lineno(frame.f_lineno))
        frame = frame.f_back
    return 1


def _failing_line(error: BaseException, path: Path) -> int:
    # Jinja rewrites the traceback, so template frames have the line numbers of the template.
    for entry in reversed(traceback.extract_tb(error.__traceback__)):
        if entry.filename == str(path):
            return entry.lineno or 1
    return 1
