-- Adds events, or spends a one-time id.
return commit()
