"""How many cases: about a hundred a property in `make test`, thousands in `make fuzz`."""

from hypothesis import settings

settings.register_profile("fuzz", max_examples=1_200, derandomize=False)
