"""What a publisher offers, and what of it we take: SDP in, SDP out, before and after aiortc.

One video track in VP8 or H.264, one audio track in Opus. Everything else that an offer may hold (more tracks, data
channels, codecs we cannot take) is answered as rejected, with port 0 (RFC 3264, section 6): aiortc refuses an offer as
a whole instead, and opens a transport for each of its sections. Candidates with `.local` names (mDNS) are left out: a
publisher comes to us, so its address shows as soon as it does, and looking the name up costs a second where nobody
answers.
"""

import re
from dataclasses import dataclass, field
from typing import Final

MAX_SECTIONS: Final = 16
"""Browsers offer two or three."""
MAX_CANDIDATES: Final = 64
"""Candidates in one offer; a machine with many interfaces has twenty."""
VIDEO_CODECS: Final = ("VP8", "H264")
"""That we can decode, as SDP names them; H.264 in packetization mode 1, (constrained) baseline."""
AUDIO_CODECS: Final = ("opus",)
START_KBPS: Final = 1500
"""What a browser begins with: by itself it takes 300 kbit/s and half a minute to double twice."""


class OfferError(ValueError):
    """The offer cannot be read: answered with 400."""


class OfferRefused(ValueError):
    """The offer is in order, but nothing in it can be taken: answered with 406."""


@dataclass(slots=True)
class _Section:
    lines: list[str]
    kind: str
    mid: str | None
    formats: list[str]
    protocol: str
    codecs: dict[str, str] = field(default_factory=dict)
    """Payload type to codec name."""
    profiles: dict[str, dict[str, str]] = field(default_factory=dict)
    """Payload type to its format parameters."""

    @property
    def sends(self) -> bool:
        return not any(line in ("a=recvonly", "a=inactive") for line in self.lines) and self._port != "0"

    @property
    def _port(self) -> str:
        return self.lines[0].split()[1]


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be taken. `text` goes to aiortc, its answer to `complete`."""

    text: str
    video_codec: str
    """One of VIDEO_CODECS."""
    has_audio: bool
    ufrag: str | None
    """The publisher's ICE user name, of the section that counts."""
    _rejected: tuple[tuple[int, str], ...]
    """Place in the offer and the answer to it, of the sections that aiortc does not get."""

    def complete(self, answer: str) -> str:
        """The answer to what the publisher sent, from aiortc's answer to `text`."""
        session, sections = _split(answer)
        texts = ["\r\n".join(section) + "\r\n" for section in sections]
        for place, text in self._rejected:
            texts.insert(place, text)
        return "\r\n".join(session) + "\r\n" + "".join(texts)


def read_offer(sdp: str) -> Offer:
    """Raises OfferError for what is no offer, OfferRefused for one without a video track that we can take."""
    session, groups = _split(sdp)
    if not session or not session[0].startswith("v=") or not groups:
        raise OfferError("the body is no SDP offer: it has to begin with v=0 and hold a media section")
    if len(groups) > MAX_SECTIONS:
        raise OfferError(f"the offer has {len(groups)} media sections, expected at most {MAX_SECTIONS}")
    sections = [_section(lines) for lines in groups]
    video = _choose_video(sections)
    taken = [video]
    audio = next((s for s in sections if s.kind == "audio" and s.sends and _formats(s, AUDIO_CODECS)), None)
    if audio is not None:
        taken.append(audio)
        _keep_formats(audio, _formats(audio, AUDIO_CODECS)[:1])
    chosen = _formats(video, VIDEO_CODECS)[0]
    codec = video.codecs[chosen]
    _keep_formats(video, [chosen])
    # In the offer's own order, so that the bundle's first section is one that we take.
    taken.sort(key=sections.index)
    lines = [_without_rejected(line, taken) for line in session]
    candidates = 0
    for section in taken:
        section.lines = [line for line in section.lines if not _is_hidden(line)]
        candidates += sum(line.startswith("a=candidate:") for line in section.lines)
        lines += section.lines
    if candidates > MAX_CANDIDATES:
        raise OfferError(f"the offer has {candidates} ICE candidates, expected at most {MAX_CANDIDATES}")
    rejected = tuple((place, _rejection(s)) for place, s in enumerate(sections) if s not in taken)
    return Offer(
        text="\r\n".join(lines) + "\r\n",
        video_codec=next(name for name in VIDEO_CODECS if name.lower() == codec.lower()),
        has_audio=audio is not None,
        ufrag=_attribute([*session, *taken[0].lines], "ice-ufrag"),
        _rejected=rejected,
    )


def suggest_start(answer: str) -> str:
    """Tell a browser the bit rate to begin with; others ignore the parameter."""
    found = re.search(r"^a=rtpmap:(\d+) (?:VP8|H264)/90000\r?$", answer, re.MULTILINE | re.IGNORECASE)
    if found is None:
        return answer
    hint = f"x-google-start-bitrate={START_KBPS}"
    fmtp = re.compile(rf"^(a=fmtp:{found[1]} [^\r\n]*)", re.MULTILINE)
    if fmtp.search(answer):
        return fmtp.sub(rf"\1;{hint}", answer, count=1)
    end = answer.index("\n", found.start()) + 1
    return f"{answer[:end]}a=fmtp:{found[1]} {hint}\r\n{answer[end:]}"


def _choose_video(sections: list[_Section]) -> _Section:
    videos = [section for section in sections if section.kind == "video" and section.sends]
    if not videos:
        raise OfferRefused(
            "the offer sends no video, expected a video track in VP8 or H264: publish a camera or screen"
        )
    for section in videos:
        if _formats(section, VIDEO_CODECS):
            return section
    offered = sorted({name for section in videos for name in section.codecs.values() if name.lower() != "rtx"})
    raise OfferRefused(
        f"the offer has video in {_listed(offered)}, expected VP8 or H264 (baseline, packetization-mode 1): choose one "
        "of these in the publisher"
    )


def _formats(section: _Section, wanted: tuple[str, ...]) -> list[str]:
    """The payload types of these codecs, in the publisher's order of preference."""
    names = {name.lower() for name in wanted}
    return [f for f in section.formats if section.codecs.get(f, "").lower() in names and _can_take(section, f)]


def _can_take(section: _Section, payload_type: str) -> bool:
    if section.codecs[payload_type].lower() != "h264":
        return True
    parameters = section.profiles.get(payload_type, {})
    # Without a profile: constrained baseline (RFC 6184, 8.1). 42: baseline, constrained or not, all that aiortc takes.
    profile = parameters.get("profile-level-id", "42e01f").lower()
    return parameters.get("packetization-mode", "0") == "1" and profile.startswith("42")


def _keep_formats(section: _Section, kept: list[str]) -> None:
    """Leave only these payload types, and the retransmissions that belong to them, in a section."""
    rtx = [f for f in section.formats if section.profiles.get(f, {}).get("apt") in kept]
    keep = [f for f in section.formats if f in kept or f in rtx]
    media = section.lines[0].split()
    lines = [" ".join([*media[:3], *keep])]
    for line in section.lines[1:]:
        found = re.match(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+) ", line)
        if found is None or found[1] in keep:
            lines.append(line)
    section.lines = lines


def _split(sdp: str) -> tuple[list[str], list[list[str]]]:
    """Session lines and media sections."""
    session: list[str] = []
    groups: list[list[str]] = []
    for line in sdp.splitlines():
        if line.startswith("m="):
            groups.append([line])
        elif line:
            (groups[-1] if groups else session).append(line)
    return session, groups


def _section(lines: list[str]) -> _Section:
    media = re.fullmatch(r"m=([a-z]+) (\d{1,5})(?:/\d+)? ([A-Z/]+) (.+)", lines[0])
    if media is None:
        raise OfferError(f"the offer has the line {lines[0][:60]!r}, expected m=<kind> <port> <protocol> <formats>")
    mid = _attribute(lines, "mid")
    section = _Section(lines, kind=media[1], mid=mid, formats=media[4].split(), protocol=media[3])
    for line in lines:
        if found := re.fullmatch(r"a=rtpmap:(\d{1,3}) ([^/ ]+)/\d+(?:/\d+)?", line):
            section.codecs[found[1]] = found[2]
        elif found := re.match(r"a=fmtp:(\d{1,3}) (.*)", line):
            pairs = (part.strip().partition("=") for part in found[2].split(";"))
            section.profiles[found[1]] = {name.lower(): value for name, _, value in pairs}
    return section


def _attribute(lines: list[str], name: str) -> str | None:
    prefix = f"a={name}:"
    return next((line[len(prefix) :].strip() for line in reversed(lines) if line.startswith(prefix)), None)


def _without_rejected(line: str, taken: list[_Section]) -> str:
    """The bundle's line, with only the sections that are taken."""
    if not line.startswith("a=group:BUNDLE"):
        return line
    mids = {section.mid for section in taken}
    return " ".join(["a=group:BUNDLE", *(mid for mid in line.split()[1:] if mid in mids)])


def _is_hidden(line: str) -> bool:
    """An ICE candidate with an mDNS name, or one that is not UDP."""
    if not line.startswith("a=candidate:"):
        return False
    parts = line.split()
    return len(parts) < 8 or parts[2].lower() != "udp" or parts[4].lower().endswith(".local")


def _rejection(section: _Section) -> str:
    mid = f"a=mid:{section.mid}\r\n" if section.mid is not None else ""
    formats = " ".join(section.formats[:1])
    return f"m={section.kind} 0 {section.protocol} {formats}\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n{mid}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) if names else "no codec that can be recognised"
