"""Looking at a run from another process: how far it is, how it goes, whether somebody is at work on it.

Files are read and nothing else: no lock is asked for, nothing is written, no network is built.
"""

from kdcli.watching.look import Look, RunLook
from kdcli.watching.state import RunState, state_of
from kdcli.watching.study import StudyLook, is_study

__all__ = ["Look", "RunLook", "RunState", "StudyLook", "is_study", "state_of"]
