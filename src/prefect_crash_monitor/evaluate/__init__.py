"""Judge: which crashes exceed a rule, and what becomes of the incidents.

In: crashes past their grace, a policy, the state of its rules. Out: incidents and the
transitions to notify. `evaluate` plays one moment, `rule_kinds` has a row for each kind of rule,
`rate/` compares with what is usual, `incident_lifecycle` opens, feeds, resolves. They decide;
`read_…` asks for runs that completed or finished.
"""
