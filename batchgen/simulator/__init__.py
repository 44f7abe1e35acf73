"""The API on this machine: what it accepts, charges, refunds and forgets, and every way in which it can go wrong."""

from batchgen.simulator.server import Simulator, account_of
from batchgen.simulator.settings import SimulatorSettings

__all__ = ["Simulator", "SimulatorSettings", "account_of"]
