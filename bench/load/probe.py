"""What a server says about itself at /metrics: processor time and memory."""

import asyncio
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from latentcast.errors import PeerError

TIMEOUT_S = 10.0
READY_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """cpu_s: processor time of the server process, without its encoders. snapshots_cpu_s: of that, what making the
    dashboard's snapshots took. memory_mb: with encoders."""

    cpu_s: float
    snapshots_cpu_s: float
    memory_mb: float
    dashboards: int


class Probe:
    """Asks one server. A context manager."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))

    async def __aenter__(self) -> "Probe":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.close()

    async def vitals(self) -> Vitals:
        """Its figures now. Raises PeerError when it does not say."""
        try:
            async with self._http.get(f"{self._url}/metrics") as response:
                text = await response.text()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise PeerError(f"no server answers at {self._url} ({error})") from error
        samples = {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if not sample.labels
        }
        try:
            return Vitals(
                cpu_s=samples["latentcast_server_cpu_seconds_total"],
                snapshots_cpu_s=samples["latentcast_dashboard_cpu_seconds_total"],
                memory_mb=samples["latentcast_memory_bytes"] / 1e6,
                dashboards=int(samples["latentcast_dashboards"]),
            )
        except KeyError as error:
            raise PeerError(f"{self._url}/metrics lacks {error}; is it a Latentcast server of this version?") from error

    async def ready(self) -> None:
        """Wait until all streams are. Raises PeerError after `READY_TIMEOUT_S`."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not await self._is_ready():  # noqa: ASYNC110  # there is no event for another process
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise PeerError(f"the server at {self._url} did not get ready in {READY_TIMEOUT_S:.0f} s") from error

    async def _is_ready(self) -> bool:
        try:
            async with self._http.get(f"{self._url}/readyz") as response:
                return response.status == 200
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False
