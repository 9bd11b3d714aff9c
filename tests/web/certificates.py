"""Authorities, servers and clients for one test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Party", "authority", "issue"]


@dataclass(frozen=True)
class Party:
    """Files of one certificate."""

    cert: Path
    key: Path


def authority(folder: Path, name: str = "ca") -> tuple[trustme.CA, Path]:
    """An authority, and the file of its certificate."""
    made = trustme.CA(key_type=trustme.KeyType.ECDSA)
    path = folder / f"{name}.pem"
    made.cert_pem.write_to_path(path)
    return made, path


def issue(made: trustme.CA, folder: Path, *names: str, file: str = "server") -> Party:
    """A certificate for these names and addresses."""
    issued = made.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
    party = Party(folder / f"{file}.crt", folder / f"{file}.key")
    with party.cert.open("wb") as out:
        for blob in issued.cert_chain_pems:
            out.write(blob.bytes())
    issued.private_key_pem.write_to_path(party.key)
    return party
