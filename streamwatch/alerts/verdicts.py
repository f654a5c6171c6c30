"""What a person's word does to an alert. Pure. Escalating takes one person, dismissing the gravest takes two."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from streamwatch.alerts.base import Result
from streamwatch.alerts.parts import MAX_MODERATOR, Human, HumanVerdict
from streamwatch.domain.alerts import Verdict
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.urls import printable


@dataclass(frozen=True, slots=True)
class Weighed:
    """What follows from a verdict."""

    result: Result
    why: str = ""
    says: HumanVerdict | None = None
    """The new word in `human`; None leaves the one that stands."""
    acknowledged: bool = True
    dismissed: bool = False
    reopened: bool = False


def needs_two(severity: Severity, kind: Kind) -> bool:
    """Whether a dismissal must be confirmed by a second person."""
    return severity is Severity.URGENT or kind is Kind.KNOWN_CONTENT


def shown_name(moderator: str) -> str:
    """A moderator's name as documents hold it."""
    return printable(moderator.strip(), MAX_MODERATOR)


def standing(human: Human | None) -> Human | None:
    """The word that still stands once an alert is about something else: a proposal to dismiss it does not."""
    return None if human is not None and human.verdict == "proposed_dismissal" else human


def weigh(verdict: Verdict, *, moderator: str, human: Human | None, four_eyes: bool) -> Weighed:
    """Weigh a verdict against the word that stands."""
    stands = human.verdict if human else None
    match verdict:
        case Verdict.ACKNOWLEDGE:
            weightier = stands in ("confirm", "escalate", "proposed_dismissal", "dismiss")
            return Weighed(Result.DONE, says=None if weightier else "acknowledge")
        case Verdict.CONFIRM:
            return Weighed(Result.DONE, says="confirm")
        case Verdict.ESCALATE:
            return Weighed(Result.DONE, says="escalate")
        case Verdict.REOPEN:
            return Weighed(Result.DONE, says="reopen", acknowledged=False, reopened=True)
        case Verdict.DISMISS:
            return _dismissal(moderator, human, four_eyes=four_eyes)


def _dismissal(moderator: str, human: Human | None, *, four_eyes: bool) -> Weighed:
    if human and human.verdict == "dismiss":
        return Weighed(Result.REFUSED, "already dismissed")
    if not four_eyes:
        return Weighed(Result.DONE, says="dismiss", dismissed=True)
    if not moderator:
        return Weighed(Result.REFUSED, "dismissing this takes two people, and this one has no name")
    if human is None or human.verdict != "proposed_dismissal":
        # not acknowledged: reminders go on, or the second person would never hear of it
        return Weighed(Result.PROPOSED_DISMISSAL, says="proposed_dismissal", acknowledged=False)
    if _same_person(human.moderator, moderator):
        return Weighed(Result.REFUSED, "dismissing this takes a second, different person")
    return Weighed(Result.DONE, says="dismiss", dismissed=True)


def _same_person(first: str, second: str) -> bool:
    """Names that differ only in case or form count as one person: a doubt must not dismiss."""
    return _folded(first) == _folded(second)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()
