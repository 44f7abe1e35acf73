"""batchgen: runs YAML manifests of paid image and video jobs, and never pays twice for one."""

__version__ = "0.1.0"
