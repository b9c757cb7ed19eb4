"""The steps of a run, one module each: functions from plain arguments and folders to a folder.

They run in any process, in any order that their needs allow, with the same bytes as a result.
"""
