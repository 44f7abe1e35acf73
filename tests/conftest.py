"""What all tests share: none of them touches the register of the runs of whoever runs them."""

import os

os.environ["BATCHGEN_REGISTER"] = ""
