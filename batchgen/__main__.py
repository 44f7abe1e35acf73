"""`python -m batchgen`."""


def main() -> None:
    """Start the command line."""
    from batchgen.cli.boundary import main as start

    start()


if __name__ == "__main__":
    main()
