from __future__ import annotations

import pytest

from kdcli.hub.secrets import hidden, holds_secret
from kdcli.sharing.private import cleaned, command_of
from kdcli.sharing.terms import Terms, head_of, meaning
from kdcli.weights import entries

TOKEN = "hf_abcdefghijABCDEFGHIJ0123"


@pytest.mark.parametrize(("licence", "means"), [
    ("Apache-2.0", Terms.FREE), ("MIT", Terms.FREE), ("BSD-3-Clause", Terms.FREE), ("CC-BY-4.0", Terms.FREE),
    ("GPL-3.0-or-later", Terms.SHARE), ("CC-BY-SA-4.0", Terms.SHARE), ("AGPL-3.0", Terms.SHARE),
    ("CC-BY-NC-4.0", Terms.FORBIDS), ("cc-by-nc-sa-4.0", Terms.FORBIDS), ("non-commercial", Terms.FORBIDS),
    ("not for commerce (taught by Depth Anything V2 Large, CC-BY-NC-4.0)", Terms.FORBIDS),
    ("Apache-2.0, CC-BY-NC-4.0", Terms.FORBIDS), ("Apache-2.0, unknown", Terms.UNKNOWN),
    ("Apache-2.0, MIT", Terms.FREE),
    ("unknown", Terms.UNKNOWN), ("none stated", Terms.UNKNOWN), ("", Terms.UNKNOWN), (None, Terms.UNKNOWN),
    ("the data's own", Terms.OTHER), ("Open Licence of Somebody", Terms.OTHER),
    ("MIT; training data: for research only", Terms.FORBIDS),
])
def test_what_licences_mean(licence: str | None, means: Terms) -> None:
    assert meaning(licence) is means


def test_every_licence_of_the_table_of_weights_has_a_meaning_of_its_own() -> None:
    assert all(meaning(one.licence) is not Terms.OTHER for one in entries().values())


def test_the_hubs_spelling() -> None:
    assert head_of(["Apache-2.0", "Apache-2.0"]) == {"license": "apache-2.0"}
    assert head_of(["GPL-3.0", "GPL-3.0-or-later"]) == {"license": "gpl-3.0"}
    assert head_of(["unknown", "none stated"]) == head_of([]) == {"license": "unknown"}
    assert head_of(["MIT", "unknown"])["license"] == "other" == head_of(["MIT", "Apache-2.0"])["license"]


def test_tokens_and_logins_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hidden(f"Bearer {TOKEN} x") == "Bearer *** x" and hidden("https://me:word@host/x") == "https://host/x"
    assert hidden("see https://store/x?Signature=abc&y=1 now") == "see https://store/x now"
    assert holds_secret(f"a={TOKEN}\n".encode()) and not holds_secret(b"hf_hub_download and hf_x")
    monkeypatch.setenv("HF_TOKEN", "an-odd-token-of-a-mirror")
    assert hidden("got an-odd-token-of-a-mirror") == "got ***" and holds_secret(b"an-odd-token-of-a-mirror")


def test_facts_without_folders() -> None:
    facts = {"data": "folder:/home/me/photos", "list": ["C:\\Users\\me\\a.pth", TOKEN], "n": 3}
    assert cleaned(facts) == {"data": "folder:photos", "list": ["a.pth", "***"], "n": 3}


def test_commands() -> None:
    words = ["/usr/bin/kdcli", "distill", "--out", "/tmp/x", "--data", "folder:/home/me/my photos", "--quiet"]
    assert command_of(words) == "kdcli distill --data 'folder:my photos'"
    for other in (["kdcli", "study", "x"], ["a.py", "distill"], []):
        assert command_of(other) is None
