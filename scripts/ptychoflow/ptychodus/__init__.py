"""Ptychodus: its readers of PtychoFlow's files, and PtychoFlow's networks among its reconstructors.

Nothing here imports torch into the process of Ptychodus: networks run in processes of their own, as those of its
other backends do.
"""
