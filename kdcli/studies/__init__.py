"""The studies that ship with kdcli: TOML files, registered as plugins like anybody's."""
