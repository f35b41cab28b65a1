"""Tell: who is notified of what, in which words, and whether it arrived.

In: transitions of incidents. Out: events, of which automations on the server make notifications.
`notification` and `digest` write the words, `routing` chooses receivers, `automations/` keeps
the server's automations as the policy wants them, `delivery/` finds out what became of each.
"""
