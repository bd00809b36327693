"""Users' statements, each in a process of its own.

Theory of operation. The server starts one process that has loaded what a statement needs, and lets it fork
(``fork.py``). A fork that waits, its database open, takes the next statement (``worker.py``), answers and ends: no
statement shares a process with another one, so that none reads what another has left in memory. The process has access
to no files but the lake's, to read (Landlock, where the kernel has it), a limit on its memory, and no descriptor but
that of its connection. The database in it has no access to files either: its tables are Arrow data of one project.

A statement's second connection, its lifeline, ends at the process that forks: where it closes, because the statement
takes too long, is cancelled or the server has died, that process kills the fork. It is its parent, so it can kill no
other. In return it says there how the fork ended.
"""
