from __future__ import annotations

from decimal import Decimal

import pytest

from placement.reasons import first_words, gpu_words, price_words


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("geforcertx4090-pcie-24gb", "RTX 4090"),
        ("geforcertx3080ti-pcie-12gb", "RTX 3080 Ti"),
        ("geforcertx3060tilhr-pcie-8gb", "RTX 3060 Ti LHR"),
        ("geforcegtx1070-pcie-8gb", "GTX 1070"),
        ("quadrortx4000-pcie-8gb", "Quadro RTX 4000"),
        ("rtxa6000-pcie-48gb", "RTX A6000"),
        ("rtx4000sffada-pcie-20gb", "RTX 4000 SFF Ada"),
        ("l40s-pcie-48gb", "L40S"),
        ("a100-sxm4-80gb", "A100"),
        ("nvidia-l4-vws", "L4"),
        ("nvidia-tesla-t4", "T4"),
        ("nvidia-rtx-pro-6000", "RTX PRO 6000"),
    ],
)
def test_a_gpu_is_called_what_is_on_its_box(model: str, words: str) -> None:
    assert gpu_words(model) == words


def test_a_price_is_written_without_empty_digits_or_exponents() -> None:
    assert price_words(Decimal("0.4500")) == "0.45 USD per hour"
    assert price_words(Decimal("1E+1")) == "10 USD per hour"


@pytest.mark.parametrize(
    ("closer_ms", "cheaper_usd", "words"),
    [
        (12.0, "0.10", "first: neither farther nor more expensive than the next"),
        (12.0, "-0.10", "first: 12 ms closer than the next, which outweighs 0.1 USD per hour more"),
        (-12.0, "0.50", "first: 0.5 USD per hour less than the next, which outweighs 12 ms more"),
        (-0.01, "-0.001", "first: as good as the next, on the provider this console prefers"),
    ],
)
def test_why_the_first_is_first_is_said_in_plain_words(closer_ms: float, cheaper_usd: str, words: str) -> None:
    assert first_words(closer_ms, Decimal(cheaper_usd)) == words
