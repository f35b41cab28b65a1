"""Text for people: made harmless (`sanitize`), and times and numbers in words (`format`).

In: text of strangers, times, counts. Out: text that no chat, mail program or markdown page takes
for more than text. All of it decides.
"""
