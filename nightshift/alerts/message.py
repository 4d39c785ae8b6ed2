"""One message of one notice, as each channel takes it. Pure functions: what comes from logs is escaped here."""

from __future__ import annotations

import html
from dataclasses import dataclass

from contracts.notices import Kind, Notice

LONGEST = 1500
"""Characters of what happened: a chat cuts a message at some thousands."""

HEADLINES: dict[Kind, str] = {
    "held": "The night {night} is held",
    "gate": "The data of {night} stopped its night",
    "failed": "The night {night} failed",
    "beside": "A task beside the lists of the night {night} failed",
    "model": "Fine-tuning failed, after the night {night}",
    "late": "The logs of {night} are late",
    "missing": "The night {night} is not published at its deadline",
    "late_files": "Files came too late for the night {night}",
    "hole": "Days are missing before the night {night}",
    "coverage": "Fewer users have a list since the night {night}",
    "drift": "The data has drifted by the night {night}",
}


@dataclass(frozen=True)
class Message:
    """What happened, what readers see now, what to do, and where to look."""

    notice: Notice
    run_id: str
    readers: str
    link: str

    @property
    def headline(self) -> str:
        """The subject."""
        return f"Nightshift: {HEADLINES[self.notice.kind].format(night=self.notice.night)}"

    @property
    def payload(self) -> dict[str, str]:
        """The message for programs."""
        return {
            "kind": self.notice.kind,
            "night": str(self.notice.night),
            "run_id": self.run_id,
            "headline": self.headline,
            "what": plain(self.notice.what),
            "readers": plain(self.readers),
            "to_do": plain(self.notice.to_do),
            "link": self.link,
        }

    @property
    def mail(self) -> str:
        """The message as HTML."""
        rows = "".join(f"<p><b>{name}:</b> {html.escape(text)}</p>" for name, text in self._parts())
        return f'<h3>{html.escape(self.headline)}</h3>{rows}<p><a href="{html.escape(self.link)}">Open the run</a></p>'

    @property
    def chat(self) -> str:
        """The message as Slack, Mattermost and Rocket.Chat take it."""
        rows = "\n".join(f"*{name}:* {quiet(text)}" for name, text in self._parts())
        return f"*{self.headline}*\n{rows}\n{self.link}"

    def _parts(self) -> tuple[tuple[str, str], ...]:
        notice = self.notice
        readers = plain(self.readers)
        return (
            ("What happened", plain(notice.what)),
            ("Now", f"{readers[:1].upper()}{readers[1:]}."),
            ("What to do", plain(notice.to_do)),
        )


def plain(text: str) -> str:
    """A text on one line, without control characters, cut where it is very long."""
    line = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"


def quiet(text: str) -> str:
    """A text that neither calls anybody nor makes links in a chat, whatever was in the logs."""
    for special, harmless in (
        # Slack's own three, of which <!channel> and <http://…|words> are made
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        # an invisible space: @channel, and Markdown's [words](http://…), are for Mattermost and Rocket.Chat
        ("@", "@\u200b"),
        ("](", "]\u200b("),
    ):
        text = text.replace(special, harmless)
    return text
