"""What all tests share: none of them touches the register of the runs of whoever runs them."""

import os

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # machines differ, and are shared
settings.register_profile("quick", deadline=None, max_examples=10)  # for `make test-quick`
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))
os.environ["BATCHGEN_REGISTER"] = ""
