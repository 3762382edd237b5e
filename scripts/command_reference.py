"""The reference of the commands as Markdown, from the commands themselves."""

import inspect

import click

from keras_rlr.cli.main import cli


def command_reference():
    """Returns the page: every command with its usage, arguments and options."""
    parts = ["# Commands\n", inspect.cleandoc(cli.help)]
    parts.append(_usage(cli, click.Context(cli, info_name="keras-rlr")))
    parts += _commands(cli, click.Context(cli, info_name="keras-rlr"), 2)
    return "\n".join(parts)


def _commands(group, context, level):
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        own = click.Context(command, info_name=name, parent=context)
        yield f"\n{'#' * level} `{own.command_path}`\n"
        yield inspect.cleandoc(command.help or "").replace("\b\n", "")
        yield _usage(command, own)
        if isinstance(command, click.Group):
            yield from _commands(command, own, level + 1)


def _usage(command, context):
    """Usage and options, as `--help` has them."""
    words = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    records = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
    ]
    rows = [
        f"| `{_cell(names)}` | {_cell(_as_text(help))} |" for names, help in records
    ]
    table = "\n".join(["| option | |", "|---|---|", *rows])
    return f"\n```text\n{words}\n```\n\n{table}\n"


def _cell(text):
    return " ".join(text.split()).replace("|", "\\|")


def _as_text(text):
    """Help is plain text: what is no code in it is no markup."""
    code, parts = False, []
    for part in text.split("`"):
        special = part if code else _escaped(part)
        parts.append(f"`{special}`" if code else special)
        code = not code
    return "".join(parts)


def _escaped(text):
    for character in "\\*_[":
        text = text.replace(character, f"\\{character}")
    return text.replace("<", "&lt;")
