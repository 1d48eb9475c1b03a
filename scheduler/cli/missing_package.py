"""What to say where a package of an extra is not installed. It needs the standard library alone."""

_OUR_PACKAGES = {"db", "scheduler", "transformer", "worker"}


def describe_missing_package(error: ModuleNotFoundError) -> str | None:
    """Return what to install, None where what is missing is a module of ours: that is a fault."""
    name = (error.name or "").partition(".")[0]
    if not name or name in _OUR_PACKAGES:
        return None
    return (
        f"the package {name} is not installed. Tidemark alone is the Python client; everything on one machine is "
        "pip install 'tidemark[all]', its parts are tidemark[scoring], tidemark[training] and tidemark[server]"
    )
