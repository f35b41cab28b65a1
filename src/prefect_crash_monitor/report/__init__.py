"""The report and the table of crashes, as markdown and rows; `report` puts the sections in order.

In: what a cycle counted, judged and found. Out: text. All of it decides.
"""
