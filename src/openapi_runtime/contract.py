"""Where applications take the contract from; what it does is in `validation.py`."""

from openapi_runtime.validation import Contract, Mode

__all__ = ["Contract", "Mode"]
