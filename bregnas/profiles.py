"""Which service, and with which key? From arguments, the environment, or a file that only its owner can read.

    ~/.config/bregnas/profiles.json    {"default": {"url": "https://…", "key": "bgk_…"}}

`bregnas login` writes it, with mode 600; where others may read it, it is not used.
"""

import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bregnas.errors import BregnasError

URL = "http://127.0.0.1:8000"
DEFAULT = "default"
_KEY = re.compile(r"[!-~]{1,512}")


class ProfileInvalid(BregnasError):
    """The address, the key or the file with both cannot be used; the message says what to change."""


@dataclass(frozen=True)
class Access:
    """Where a service is, and the key for it, if one is known; `source` says from where the key comes."""

    url: str
    key: str | None = None
    source: str | None = None

    def __repr__(self) -> str:
        """Without the key, which is nobody's to see in a log."""
        return f"Access(url={self.url!r}, key={'set' if self.key else None}, source={self.source!r})"


def file() -> Path:
    """Where profiles are kept."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "bregnas" / "profiles.json"


def access(url: str | None = None, key: str | None = None, profile: str | None = None) -> Access:
    """The service that is meant: what is given, else BREGNAS_URL and BREGNAS_KEY, else the profile. '' is no key.

    The profile is `profile`, else BREGNAS_PROFILE, else `default`. A profile's key is for its own address: it is not
    sent to another that is given. Raises ProfileInvalid.
    """
    name = profile or os.environ.get("BREGNAS_PROFILE") or DEFAULT
    known = load()
    if name not in known and (profile or os.environ.get("BREGNAS_PROFILE")):
        raise ProfileInvalid(
            f"there is no profile {name!r} in {file()}; make it with: bregnas --profile {name} login"
            + (f". There are: {', '.join(sorted(known))}" if known else "")
        )
    mine = known.get(name)
    # A profile that is asked for by name goes before the environment's address.
    asked = url or (mine.url if profile and mine else None) or os.environ.get("BREGNAS_URL") or (mine and mine.url)
    found = checked_url(asked or URL)
    given = os.environ.get("BREGNAS_KEY") if key is None else key
    if given or key is not None:
        return Access(found, checked_key(given) if given else None, "BREGNAS_KEY" if key is None else "the argument")
    if mine is not None and mine.key is not None and found == mine.url:
        return Access(found, mine.key, str(file()))
    return Access(found)


def load() -> dict[str, Access]:
    """All profiles, by name. Raises ProfileInvalid where others may read the file, or where it is malformed."""
    path = file()
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ProfileInvalid(f"{path} cannot be read: {error.strerror}") from error
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise ProfileInvalid(f"{path} holds keys and others may read it; make it yours alone: chmod 600 {path}")
    try:
        return {
            str(name): Access(checked_url(one["url"]), one.get("key") and checked_key(one["key"]), str(path))
            for name, one in json.loads(text).items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProfileInvalid(f"{path} is malformed; remove it and run: bregnas login") from error


def save(name: str, made: Access) -> Path:
    """Write a profile, for its owner alone from the first byte on."""
    path = file()
    kept = {key: {"url": one.url, "key": one.key} for key, one in load().items()}
    kept[name] = {"url": made.url, "key": made.key}
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
        json.dump(kept, written, indent=1)
    scratch.replace(path)
    return path


def checked_url(url: str) -> str:
    """An address as it is used, without a slash at its end. Raises ProfileInvalid."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.query or parts.fragment:
        raise ProfileInvalid(f"{url!r} is no address of a service; give one like {URL} or https://bregnas.example.org")
    return url.rstrip("/")


def checked_key(key: str) -> str:
    """A key that can be sent. Raises ProfileInvalid, without showing it."""
    if not _KEY.fullmatch(key):
        raise ProfileInvalid("that is no key: it has spaces or other characters that keys do not have")
    return key
