"""What a ratio draws does not depend on what else is asked."""

from pipelines.comparison.ratios import Draws


def test_each_estimate_has_a_generator_of_its_own() -> None:
    draws = Draws(1, 10)
    assert draws.rng("a").random() == draws.rng("a").random()
    assert draws.rng("a").random() != draws.rng("b").random()
