"""What `batchgen --help` prints, stored as text: to generate it takes four times as long as Python's own start.

`tests/unit/cli/test_root.py` holds it to what the command line would make of its commands at 80 columns.
"""

HELP = """\
Usage: batchgen [OPTIONS] COMMAND [ARGS]...

  Run YAML manifests of paid image and video jobs against the Api18 API, and
  never pay for a job twice.

  Try it without a key or money: `batchgen init`, then `batchgen run
  manifest.yaml --simulate`.

Options:
  -V, --version  Show the version and exit.
  -h, --help     Show this message and exit.

Commands:
  init      Write a commented starter manifest to PATH (default
            manifest.yaml); nothing is overwritten.
  models    Show every model with its price, or one MODEL with all its
            parameters.
  validate  Check manifests, offline.
  plan      Show what a run would buy and what it would cost.
  run       Buy what is missing, download it, and write the ledger.
  collect   Poll and download what is paid for; buy nothing.
  recover   Rebuild a lost or damaged journal from receipts.jsonl, the
            manifest and the files.
  status    Show the state of a run, even while it is running.
  resolve   Settle items in doubt.
  ledger    Report the costs of runs or ledger files.
  verify    Check the files of a run against its journal: present, length,
            SHA-256, container.
  simulate  Simulate the API on this machine, with pretend money and real
            files, until interrupted.
  schema    Write the JSON Schemas for manifests and for every model's
            requests.
"""
