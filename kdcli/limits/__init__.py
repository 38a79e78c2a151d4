"""What of the machine this process may use: cores and main memory, by the control groups that it is in.

Nothing of kdcli and no library is imported here.
"""
