"""What each subcommand does. `watchkeeper.cli` imports one of these modules when its subcommand is called."""
