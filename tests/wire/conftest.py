"""The schemas that readers of our files use."""

import warnings

from hypothesis import settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # pydantic's, about the package itself
    import mozilla_nimbus_schemas.jetstream  # noqa: F401

settings.register_profile("no deadline", deadline=None)  # a first call imports; machines are shared
settings.load_profile("no deadline")
