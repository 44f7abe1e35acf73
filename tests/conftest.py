"""What all tests share: none of them touches the register of the runs of whoever runs them."""

import os

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # machines differ, and are shared
settings.load_profile("untimed")
os.environ["BATCHGEN_REGISTER"] = ""
