"""The `wright` command: one file per subcommand, named as the user types it."""
