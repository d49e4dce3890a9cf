"""The command line's `keys` and `accounts`, see `watchkeeper.app`."""

from enum import StrEnum
from typing import Annotated

import typer

from watchkeeper.options import AsJson, Config, DataDir

keys = typer.Typer(help="Keys of the API: who may ask for what.", no_args_is_help=True)
accounts = typer.Typer(help="Accounts of people.", no_args_is_help=True)

Named = Annotated[str, typer.Argument(help="Id of the key, or the begin of it, or its name.", metavar="KEY")]


class Choice(StrEnum):
    """`schemas.access.Scope`, in the form that the library takes in lists."""

    INGEST = "ingest"
    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"


Scopes = Annotated[
    list[Choice],
    typer.Option("--scope", help="What it may do; several times for several."),
]
Lasts = Annotated[str, typer.Option("--expires", help="After how long it is refused.", metavar="DURATION")]


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="What it is for.", metavar="NAME")],
    scope: Scopes,
    expires: Lasts = "365d",
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Make a key. It is printed once, and is not to be had again."""
    from watchkeeper.commands.grants import create

    create(name, [one.value for one in scope], {"data_dir": data_dir}, config, lasts=expires)


@keys.command("list")
def keys_list(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Keys that there are, and what they may do."""
    from watchkeeper.commands.grants import show

    show({"data_dir": data_dir}, config, as_json=as_json)


@keys.command("rotate")
def keys_rotate(
    key: Named,
    overlap: Annotated[
        str, typer.Option("--overlap", help="How long the old one is still taken.", metavar="DURATION")
    ] = "1d",
    expires: Lasts = "365d",
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Make a successor of a key, which ends after an overlap."""
    from watchkeeper.commands.grants import rotate

    rotate(key, {"data_dir": data_dir}, config, overlap=overlap, lasts=expires)


@keys.command("revoke")
def keys_revoke(key: Named, data_dir: DataDir = None, config: Config = None) -> None:
    """Refuse a key from now on."""
    from watchkeeper.commands.grants import revoke

    revoke(key, {"data_dir": data_dir}, config)


@accounts.command("create")
def accounts_create(
    name: Annotated[str, typer.Argument(help="What the person signs in with.", metavar="NAME")],
    scope: Scopes,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Make an account. The password is asked for, or read from standard input where that is no terminal."""
    from watchkeeper.commands.grants import create_account

    create_account(name, [one.value for one in scope], {"data_dir": data_dir}, config)


@accounts.command("list")
def accounts_list(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Accounts that there are."""
    from watchkeeper.commands.grants import show_accounts

    show_accounts({"data_dir": data_dir}, config, as_json=as_json)


@accounts.command("disable")
def accounts_disable(
    name: Annotated[str, typer.Argument(help="What the person signs in with.", metavar="NAME")],
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Let an account sign in no more."""
    from watchkeeper.commands.grants import disable_account

    disable_account(name, {"data_dir": data_dir}, config)
