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
  init        Write a commented starter manifest to PATH (default
              manifest.yaml); nothing is overwritten.
  models      Show every model with its price, or one MODEL with all its
              parameters.
  validate    Check manifests, offline.
  plan        Show what a run would buy and what it would cost.
  diff        Compare two manifests, offline: items added, gone and changed,
              and what both cost.
  lock        Write down what a manifest makes and what it costs, as
              MANIFEST.lock.json.
  run         Buy what is missing, download it, and write the ledger.
  collect     Poll and download what is paid for; buy nothing.
  recover     Rebuild a lost or damaged journal from receipts.jsonl, the
              manifest and the files.
  merge       Make one run folder of several, such as the shards of a
              manifest.
  status      Show the state of a run, even while it is running.
  resolve     Settle items in doubt.
  picks       Show which outputs were kept and rejected, or choose them.
  redo        Write a manifest that buys rejected or flagged items once more,
              with new seeds.
  export      Hand over the files of a run with their metadata, in a folder of
              their own.
  ledger      Report the costs of runs or ledger files.
  report      Write the report of a run: a page with a gallery, costs,
              failures and charts.
  view        Show a run live in a browser, and pick outputs there.
  verify      Check the files of a run against its journal: present, length,
              SHA-256, container.
  check       Judge delivered files by `expect` and by what was ordered, and
              list those with flags.
  simulate    Simulate the API on this machine, with pretend money and real
              files, until interrupted.
  schema      Write the JSON Schemas for manifests and for every model's
              requests.
  catalog     Compare the parameter tables with the provider's published
              reference, or import it.
  completion  Print the shell completion for bash, zsh or fish.
"""
