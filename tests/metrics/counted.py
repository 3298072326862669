"""What was counted since a moment of a test, in a registry that others count in as well."""

from prometheus_client import REGISTRY, CollectorRegistry

from twilio_frames.metrics import Metric


class Counted:
    """Samples of our metrics, without what they were when this was made."""

    def __init__(self, registry: CollectorRegistry = REGISTRY):
        self._registry = registry
        self._before = self._samples()

    def _samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for metric in self._registry.collect()
            for sample in metric.samples
        }

    def of(self, metric: Metric, part: str = "", **labels: str) -> float:
        """A sample; ``part`` is ``_sum`` or ``_count`` of a histogram."""
        key = (metric.full_name + part, tuple(sorted(labels.items())))
        return self._samples().get(key, 0.0) - self._before.get(key, 0.0)
